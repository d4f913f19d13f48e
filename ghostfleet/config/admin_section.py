"""`[admin]` as the service uses it, and as much of it as a command needs to reach the service."""

import os
import time
from collections.abc import Mapping
from pathlib import Path

import msgspec

from ghostfleet.config import loaded, settings
from ghostfleet.config.checks import check_admin, is_loopback
from ghostfleet.config.environment import apply_overrides
from ghostfleet.config.problems import ConfigInvalid
from ghostfleet.config.shape import Shape
from ghostfleet.config.tls_files import TlsFiles, beside
from ghostfleet.config.toml_file import read_table
from ghostfleet.domain.operators import NAMES_OF_OTHERS
from ghostfleet.domain.values import SECOND_US

MAX_SOCKET_BYTES = 107
"""Of the path of a Unix socket: the kernel's sun_path, less its end."""


class AdminSection:
    """Checks and resolves the section; `warnings` is what is not wrong yet. Files are looked at where a service is to
    `serve` with them: who asks the log needs no certificate, and may not be allowed to read its key."""

    def __init__(self, shape: Shape, config: Path, *, serve: bool = True) -> None:
        self._shape = shape
        self._serve = serve
        self._directory = config.absolute().parent
        self.warnings: list[str] = []

    def resolved(self, admin: settings.AdminSettings, port: int) -> loaded.Admin:
        """As the service uses it; what is wrong with it is reported."""
        check_admin(self._shape, admin, port)
        files = TlsFiles(self._shape, self._directory)
        tls = files.tls_of(admin, look=self._serve)
        self.warnings += files.warnings
        self._warn_of_tokens(admin)
        return loaded.Admin(
            host=admin.host,
            port=port,
            loopback=is_loopback(admin.host),
            tokens=tuple(
                loaded.AdminToken(
                    name=token.name, role=token.role, sha256=bytes.fromhex(token.sha256), expires_us=token.expires
                )
                for token in admin.tokens
            ),
            require_token_on_loopback=admin.require_token_on_loopback,
            allowed_hosts=tuple(admin.allowed_hosts),
            tls=tls,
            socket=self._socket(admin.socket),
            socket_mode=int(admin.socket_mode, 8),
        )

    def _warn_of_tokens(self, admin: settings.AdminSettings) -> None:
        for token in admin.tokens:
            if token.name in NAMES_OF_OTHERS:
                told = f"the token {token.name} of [admin] tokens has the name of somebody else in the log (docs/events.md)"
                self.warnings.append(f"{told}: give it another one")
            if token.expires is not None and token.expires <= time.time() * SECOND_US:
                self.warnings.append(f"the token {token.name} of [admin] tokens has expired: take it out, or renew it")

    def _socket(self, text: str | None) -> Path | None:
        if text is None:
            return None
        path = beside(self._directory, text)
        if len(os.fsencode(path)) > MAX_SOCKET_BYTES:
            wrong = f"{path} is longer than {MAX_SOCKET_BYTES} bytes, the most that a socket's path can have"
            self._shape.report(("admin", "socket"), wrong, "give a shorter path, for example in /run")
        elif self._serve and not path.parent.is_dir():  # as between two runs of a unit whose RuntimeDirectory= it is
            told = f"there is no directory {path.parent} for the socket of [admin]"
            self.warnings.append(f"{told}: a start needs it; make it, unless RuntimeDirectory= of the unit does")
        return path


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where the running service answers: over the socket where there is one, else at the URL."""

    url: str
    """Empty where no port is listened on."""
    socket: Path | None
    cert: Path | None
    """Its own certificate, where it speaks TLS."""


def admin_place(path: Path | None, environ: Mapping[str, str]) -> Place:
    """Read from as little of the file as possible: a fleet has to be stoppable while its settings are half edited.

    Raises ConfigInvalid when these two sections cannot be read.
    """
    table = read_table(path) if path is not None else {}
    apply_overrides(table, environ, {})
    shape = Shape(str(path), {})
    service = shape.read(settings.ServiceSettings, table.get("service", {}), ("service",))
    admin = shape.read(settings.AdminSettings, table.get("admin", {}), ("admin",))
    if service is None or admin is None:
        raise ConfigInvalid(shape.problems)
    directory = (path or Path()).absolute().parent
    port = admin.port if admin.port is not None else service.health_port
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(admin.host, admin.host).strip("[]")  # noqa: S104 - read, not bound
    scheme = "http" if admin.tls_cert is None else "https"
    return Place(
        url=f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}" if port else "",
        socket=None if admin.socket is None else beside(directory, admin.socket),
        cert=None if admin.tls_cert is None else beside(directory, admin.tls_cert),
    )
