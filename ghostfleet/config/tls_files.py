"""Can the HTTP interface speak TLS with its files, and for how much longer?

The question is put to TLS itself: a handshake in memory, with a client that trusts this certificate and no other.
"""

import ssl
import time
from pathlib import Path

from ghostfleet.config.loaded import Tls
from ghostfleet.config.paths import resolved
from ghostfleet.config.settings import AdminSettings
from ghostfleet.config.shape import Shape
from ghostfleet.keys.passwords import seen_by_others

WARN_DAYS = 14
"""A certificate that ends sooner is warned of: those that are renewed by a machine are renewed earlier than that."""
DAY_SECS = 86_400
MAX_FLIGHTS = 8
"""A handshake takes two or three messages each way; more is none."""
EXPIRED, NOT_YET_VALID = 10, 9
"""X509_V_ERR_CERT_HAS_EXPIRED and X509_V_ERR_CERT_NOT_YET_VALID of OpenSSL."""


class TlsFiles:
    """Finds and checks the files of [admin] tls_*. `directory` is what relative paths start from."""

    def __init__(self, shape: Shape, directory: Path) -> None:
        self._shape = shape
        self._directory = directory
        self.warnings: list[str] = []

    def tls_of(self, admin: AdminSettings, *, look: bool = True) -> Tls | None:
        """The files, or None where TLS is not asked for or something is wrong with them, which is reported. Without `look` nobody
        asks whether they are there and good."""
        if admin.tls_cert is None or admin.tls_key is None:
            self._report_missing(admin)
            return None
        tls = Tls(
            cert=beside(self._directory, admin.tls_cert),
            key=beside(self._directory, admin.tls_key),
            client_ca=None if admin.tls_client_ca is None else beside(self._directory, admin.tls_client_ca),
        )
        if not look:
            return tls
        reported = len(self._shape.problems)
        for name, file in (("tls_cert", tls.cert), ("tls_key", tls.key), ("tls_client_ca", tls.client_ca)):
            self._check_readable(name, file)
        if len(self._shape.problems) == reported:
            self._check_mode(tls.key)
            self._check_together(tls)
        return tls

    def _report_missing(self, admin: AdminSettings) -> None:
        given = [key for key in ("tls_cert", "tls_key", "tls_client_ca") if getattr(admin, key) is not None]
        for missing in ("tls_cert", "tls_key"):
            if given and getattr(admin, missing) is None:
                right = f"TLS takes tls_cert and tls_key; give both, or take {given[0]} out"
                self._shape.report(("admin", missing), f"is missing beside {given[0]}", right)

    def _check_readable(self, name: str, file: Path | None) -> None:
        if file is None:
            return
        try:
            with file.open("rb") as opened:
                opened.read(1)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "not a path"
            self._shape.report(("admin", name), f"{file} cannot be read: {reason}", "give a PEM file that it may read")

    def _check_mode(self, key: Path) -> None:
        mode = seen_by_others(key)
        if mode is not None:
            why = f"others may read {key} (mode {mode}) and it is the key of the certificate"
            self._shape.report(("admin", "tls_key"), why, f"chmod 600 {key}")

    def _check_together(self, tls: Tls) -> None:
        try:
            ends_secs = certificate_ends_secs(tls)
        except ssl.SSLCertVerificationError as error:
            self._shape.report(("admin", "tls_cert"), _unfit(tls.cert, error), "renew it, for serverAuth")
        except ssl.SSLError:
            wrong = f"{tls.cert} and {tls.key} are no certificate and its key"
            self._shape.report(("admin", "tls_cert"), wrong, "give PEM files that belong together, the key unencrypted")
        else:
            days = int((ends_secs - time.time()) // DAY_SECS)
            if days < WARN_DAYS:
                self.warnings.append(f"the certificate {tls.cert} ends in {days} days: renew it and restart")
        if tls.client_ca is not None:
            try:
                ssl.create_default_context(cafile=tls.client_ca)
            except ssl.SSLError:
                wrong = f"{tls.client_ca} holds no certificate"
                self._shape.report(("admin", "tls_client_ca"), wrong, "give the PEM file of the authority of clients")


def beside(directory: Path, text: str) -> Path:
    """A path of the settings, which starts from where they are."""
    return resolved(directory, text)


def _unfit(cert: Path, error: ssl.SSLCertVerificationError) -> str:
    if error.verify_code == EXPIRED:
        return f"{cert} has expired"
    if error.verify_code == NOT_YET_VALID:
        return f"{cert} is not valid yet: its time begins later"
    return f"{cert} is not fit for a server: {error.verify_message}"


def certificate_ends_secs(tls: Tls) -> int:
    """When the certificate ends, Unix time, after a handshake with it. Raises ssl.SSLError."""
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(tls.cert, tls.key, password="")
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = pinning(tls.cert).wrap_bio(to_client, to_server)
    server = serving.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(MAX_FLIGHTS):
        if _goes_on(client):
            shown = client.getpeercert() or {}
            return int(ssl.cert_time_to_seconds(str(shown["notAfter"])))
        _goes_on(server)
    raise ssl.SSLError("no handshake")


def _goes_on(side: ssl.SSLObject) -> bool:
    """One step of a handshake; whether this side has finished it."""
    try:
        side.do_handshake()
    except ssl.SSLWantReadError:
        return False
    return True


def pinning(cert: Path) -> ssl.SSLContext:
    """A client's side that trusts the first certificate of this file and nothing else, by whatever name it is reached.

    Raises ssl.SSLError, OSError.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.load_verify_locations(cadata=_first_certificate(cert))
    return context


def _first_certificate(cert: Path) -> str:
    """Those after it are authorities: whoever they signed is not this service."""
    begin, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
    text = cert.read_text("ascii", "replace")
    start, stop = text.find(begin), text.find(end)
    if not 0 <= start < stop:
        raise ssl.SSLError(f"{cert} holds no certificate")
    return text[start : stop + len(end)]
