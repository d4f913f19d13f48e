"""Who may ask? Host, Origin, credential and role, each a pure rule over the request's head.

- Host has to be a name of ours: a web page cannot reach the port by DNS rebinding.
- A request that a browser makes for another site is refused, whatever its method.
- From the machine itself no credential is needed, unless there is one. A request that shows that it came through a proxy is
  not from the machine itself, wherever the proxy runs. Over the Unix socket none is needed: whom its mode lets in has shown who
  he is.
- A credential that is presented has to be right, even where none is needed; who presents too many wrong ones is not
  listened to for a while.
"""

import hashlib
import hmac
import ipaddress
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Literal
from urllib.parse import urlsplit

import msgspec
from starlette.datastructures import Headers

from ghostfleet.config.loaded import Admin
from ghostfleet.domain.operators import LOCAL_ACTOR, RANKS, Token
from ghostfleet.engine.ports import Clock
from ghostfleet.http.lockout import Lockout, Lockouts
from ghostfleet.http.problems import Problem

Role = Literal["public", "viewer", "operator"]
"""What a route asks for. Public ones are for probes: they say nothing that an outsider could use."""

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
FORWARDED_HEADERS = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")
OF_PROXIES = "1.0"
"""The version of HTTP that nginx, up to 1.29, asks with where nobody told it otherwise: then none of these headers is there, and
Host is the address that it asks. Clients of our days have 1.1."""
OWN_FETCH_SITES = frozenset({"same-origin", "none"})
MAX_TOKEN_CHARS = 512
ANONYMOUS = "anonymous"
OVER_SOCKET = "unix"
"""What stands in the place of a client's address over the Unix socket, before its user's number; no address begins so."""


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks, as the log will name them, what they may do, and until when."""

    actor: str
    role: Role
    expires_us: int | None = None


class Credential(msgspec.Struct, frozen=True, kw_only=True):
    """A token that is known, of the settings or of the log."""

    name: str
    role: str
    sha256: bytes
    expires_us: int | None


class Refusal(Problem):
    """Access refused; `actor` is whom the request claims to be from, as far as that was proven. `lockout` is set where this was
    one wrong credential too many."""

    def __init__(
        self,
        status: int,
        detail: str,
        actor: str = ANONYMOUS,
        *,
        headers: dict[str, str] | None = None,
        lockout: Lockout | None = None,
    ):
        super().__init__(status, detail, headers=headers)
        self.actor = actor
        self.lockout = lockout


class Access:
    """The rules, with the settings and the tokens that they follow. `tokens` are those of the log, as they are now."""

    def __init__(self, admin: Admin, tokens: Callable[[], Sequence[Token]], clock: Clock) -> None:
        self._admin = admin
        self._tokens = tokens
        self._clock = clock
        self._lockouts = Lockouts()
        self._hosts = LOOPBACK_NAMES | {host_name(name) or name.lower() for name in admin.allowed_hosts}

    def check(self, headers: Headers, client: str, needs: Role, http_version: str = "1.1") -> Caller:
        """Who this is, if they may. Raises Refusal otherwise."""
        host = self._check_host(headers)
        self._check_site(headers, host)
        presented = headers.getlist("authorization")
        if presented:
            caller = self._presented(presented, client)
        elif is_local(headers, client, http_version) and self._is_free(client, host_name(host)):
            caller = Caller(actor=LOCAL_ACTOR, role="operator")
        else:
            caller = Caller(actor=ANONYMOUS, role="public")
        if needs != "public" and caller.role == "public":
            raise Refusal(
                401,
                "this needs a token: send Authorization: Bearer TOKEN, one of [admin] tokens in the settings"
                " or of ghost-fleet admin token create",
                headers={"WWW-Authenticate": 'Bearer realm="ghost-fleet"'},
            )
        if needs == "operator" and caller.role != "operator":
            raise Refusal(
                403, f"{caller.actor} may look, not command: this needs a token with role operator", caller.actor
            )
        return caller

    def _check_host(self, headers: Headers) -> str:
        hosts = headers.getlist("host")
        if len(hosts) == 1 and host_name(hosts[0]) in self._hosts:
            return hosts[0]
        raise Refusal(
            403, "the Host header names no host of this service: add it to [admin] allowed_hosts if it is one"
        )

    def _check_site(self, headers: Headers, host: str) -> None:
        for site in headers.getlist("sec-fetch-site"):
            if site.lower() not in OWN_FETCH_SITES:
                raise Refusal(403, "a web page of another site may not ask this service")
        for origin in headers.getlist("origin"):
            if not same_origin(origin, host):
                raise Refusal(403, "the Origin header names another site, which may not ask this service")

    def _is_free(self, client: str, host: str | None) -> bool:
        """Whether the machine itself needs no credential: over the socket, or while there is no token at all.

        A token that has expired still counts: an end of its time must not open what it had closed.
        """
        if self._admin.require_token_on_loopback or host not in LOOPBACK_NAMES:
            return False
        return over_socket(client) or not (self._admin.tokens or self._tokens())

    def _presented(self, presented: Sequence[str], client: str) -> Caller:
        now_us = self._clock.now_us()
        self._refuse_while_locked(client, "", now_us)
        token = bearer(presented)
        known = find_token(self._credentials(), token) if token else None
        if known is None:
            raise self._wrong(
                "the credential is not known here: see [admin] tokens in the settings", client, "", now_us
            )
        if known.expires_us is not None and known.expires_us <= now_us:
            self._refuse_while_locked(client, known.name, now_us)
            raise self._wrong(f"the token {known.name} has expired: have another one made", client, known.name, now_us)
        role: Role = "operator" if known.role == "operator" else "viewer" if known.role in RANKS else "public"
        return Caller(actor=known.name, role=role, expires_us=known.expires_us)

    def _credentials(self) -> Iterator[Credential]:
        for of_file in self._admin.tokens:
            yield Credential(name=of_file.name, role=of_file.role, sha256=of_file.sha256, expires_us=of_file.expires_us)
        for made in self._tokens():
            yield Credential(name=made.name, role=made.role, sha256=made.sha256, expires_us=made.expires_us)

    def _refuse_while_locked(self, client: str, name: str, now_us: int) -> None:
        secs = self._lockouts.locked_secs(client, name, now_us)
        if secs:
            raise Refusal(
                429,
                f"too many wrong credentials came from there: none is looked at for {secs} s",
                name or ANONYMOUS,
                headers={"Retry-After": str(secs)},
            )

    def _wrong(self, detail: str, client: str, name: str, now_us: int) -> Refusal:
        return Refusal(
            401,
            detail,
            name or ANONYMOUS,
            headers={"WWW-Authenticate": 'Bearer realm="ghost-fleet", error="invalid_token"'},
            lockout=self._lockouts.failed(client, name, now_us),
        )


def over_socket(client: str) -> bool:
    """Whether this stands for the other end of the Unix socket."""
    return client.partition(":")[0] == OVER_SOCKET


def is_local(headers: Headers, client: str, http_version: str) -> bool:
    """Whether the request comes from this machine, and not through a proxy on it, as far as a proxy can be told."""
    if http_version == OF_PROXIES or any(name in headers for name in FORWARDED_HEADERS):
        return False
    if over_socket(client):
        return True
    try:
        address = ipaddress.ip_address(client)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


def host_name(host: str) -> str | None:
    """The name in a Host header, in lower case, without port and brackets; None when it is not one."""
    if not host or any(character in host for character in " \t/\\@?#,%"):
        return None
    try:
        parts = urlsplit(f"//{host}")
        port = parts.port
    except ValueError:
        return None
    name = parts.hostname
    if not name or (port is None and host.endswith(":")):
        return None
    return name.removesuffix(".")


def same_origin(origin: str, host: str) -> bool:
    """Whether an Origin header names this very service, as the browser addressed it."""
    scheme, separator, rest = origin.partition("://")
    return bool(separator) and scheme.lower() in ("http", "https") and rest.lower() == host.lower()


def bearer(presented: Sequence[str]) -> str | None:
    """The token of the one Authorization header, None when it is none of ours."""
    scheme, _, token = presented[0].partition(" ")
    token = token.strip(" ")
    if len(presented) != 1 or scheme.lower() != "bearer" or not token or len(token) > MAX_TOKEN_CHARS:
        return None
    return token


def find_token(credentials: Iterable[Credential], token: str) -> Credential | None:
    """The token with this hash. Looks at all of them, in constant time each."""
    digest = hashlib.sha256(token.encode("latin-1", "replace")).digest()  # the bytes of the header, as they came
    found = None
    for known in credentials:
        if hmac.compare_digest(known.sha256, digest):
            found = known
    return found
