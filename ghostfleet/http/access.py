"""Who may ask? Host, Origin, credential and role, each a pure rule over the request's head.

- Host has to be a name of ours: a web page cannot reach the port by DNS rebinding.
- A request that a browser makes for another site is refused, whatever its method.
- From the machine itself no credential is needed, unless one is configured. A request that came through a proxy is not
  from the machine itself, wherever the proxy runs.
- A credential that is presented has to be right, even where none is needed.
"""

import hashlib
import hmac
import ipaddress
from collections.abc import Sequence
from typing import Literal
from urllib.parse import urlsplit

import msgspec
from starlette.datastructures import Headers

from ghostfleet.config.loaded import Admin, AdminToken
from ghostfleet.http.problems import Problem

Role = Literal["public", "viewer", "operator"]
"""What a route asks for. Public ones are for probes: they say nothing that an outsider could use."""

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
FORWARDED_HEADERS = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")
OWN_FETCH_SITES = frozenset({"same-origin", "none"})
MAX_TOKEN_CHARS = 512
LOCAL_ACTOR = "local"
ANONYMOUS = "anonymous"


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks, as the log will name them, and what they may do."""

    actor: str
    role: Role


class Refusal(Problem):
    """Access refused; `actor` is whom the request claims to be from, as far as that was proven."""

    def __init__(self, status: int, detail: str, actor: str = ANONYMOUS, *, headers: dict[str, str] | None = None):
        super().__init__(status, detail, headers=headers)
        self.actor = actor


class Access:
    """The rules, with the settings they follow."""

    def __init__(self, admin: Admin) -> None:
        self._admin = admin
        self._hosts = LOOPBACK_NAMES | {host_name(name) or name.lower() for name in admin.allowed_hosts}

    def check(self, headers: Headers, client: str, needs: Role) -> Caller:
        """Who this is, if they may. Raises Refusal otherwise."""
        host = self._check_host(headers)
        self._check_site(headers, host)
        caller = self._caller(headers, client, host_name(host))
        if needs != "public" and caller.role == "public":
            raise Refusal(
                401,
                "this needs a token: send Authorization: Bearer TOKEN, one of [admin] tokens in the settings",
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

    def _caller(self, headers: Headers, client: str, host: str | None) -> Caller:
        presented = headers.getlist("authorization")
        if presented:
            token = bearer(presented)
            known = find_token(self._admin.tokens, token) if token else None
            if known is None:
                raise Refusal(
                    401,
                    "the credential is not known here: see [admin] tokens in the settings",
                    headers={"WWW-Authenticate": 'Bearer realm="ghost-fleet", error="invalid_token"'},
                )
            return Caller(actor=known.name, role="operator" if known.role == "operator" else "viewer")
        needed = bool(self._admin.tokens) or self._admin.require_token_on_loopback
        if not needed and is_local(headers, client) and host in LOOPBACK_NAMES:
            return Caller(actor=LOCAL_ACTOR, role="operator")
        return Caller(actor=ANONYMOUS, role="public")


def is_local(headers: Headers, client: str) -> bool:
    """Whether the request comes from this machine, and not through a proxy on it."""
    if any(name in headers for name in FORWARDED_HEADERS):
        return False
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
    token = token.strip()
    if len(presented) != 1 or scheme.lower() != "bearer" or not token or len(token) > MAX_TOKEN_CHARS:
        return None
    return token


def find_token(tokens: Sequence[AdminToken], token: str) -> AdminToken | None:
    """The configured token with this hash. Looks at all of them, in constant time each."""
    digest = hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
    found = None
    for known in tokens:
        if hmac.compare_digest(known.sha256, digest):
            found = known
    return found
