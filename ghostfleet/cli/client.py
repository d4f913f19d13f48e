"""How does a command reach the running service? Over its socket or at its address, with a token, in one request."""

import asyncio
import functools
import inspect
import json
import os
import re
import ssl
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

import msgspec
import typer

from ghostfleet.cli.options import options_of
from ghostfleet.config.admin_section import Place, admin_place
from ghostfleet.config.environment import ADMIN_TOKEN_VARIABLE, NoConfig, config_path
from ghostfleet.config.problems import shown
from ghostfleet.config.tls_files import pinning
from ghostfleet.domain.values import encode_json
from ghostfleet.engine.commands import KEY_PATTERN, KEY_WORDS
from ghostfleet.errors import BadInput, GhostFleetError, TryAgain

if TYPE_CHECKING:
    import aiohttp

ANSWER_SECS = 30.0
"""A pause waits for sends in flight, so an answer may take its time, but not this long."""
MAX_ANSWER_BYTES = 64 * 1024 * 1024
ON_THE_SOCKET = "http://localhost"
"""What a request over the socket calls the service: the Host header has to be one of its names."""


class ServiceUnreachable(TryAgain):
    """No service answers at that address: it is not running, or --url or --config point elsewhere."""

    exit_code = 4


class NoInterface(BadInput):
    """The settings turn the HTTP interface off, so no service can be asked. Set [service] health_port or [admin] socket."""


class ServiceRefused(GhostFleetError):
    """The service answered and refused: no or wrong token, an unknown wallet, or it cannot do that now."""

    exit_code = 5

    def __init__(self, message: str, status: int = 0, told: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.told = told or {}
        """The service's problem document."""


UrlOption = Annotated[str | None, typer.Option("--url", help="Address of the service. Default: from the settings.")]
TokenOption = Annotated[
    str, typer.Option("--token-env", help="Environment variable that holds the token, where one is needed.")
]
CaOption = Annotated[
    Path | None, typer.Option("--ca", help="PEM file of who vouches for https. Default: the settings' own certificate.")
]
ClientCertOption = Annotated[
    Path | None, typer.Option("--client-cert", help="PEM file with a certificate and its key, where one is asked for.")
]
ReasonOption = Annotated[str | None, typer.Option("--reason", help="Why; recorded with the command.")]
KeyOption = Annotated[
    str | None,
    typer.Option("--idempotency-key", help="A name for this very command: the same again has no further effect."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")]


class Way(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line says about how to ask. None: not given, the settings decide."""

    url: str | None = None
    token_env: str = ADMIN_TOKEN_VARIABLE
    ca: Path | None = None
    client_cert: Path | None = None
    reason: str | None = None
    key: str | None = None


def _question(
    url: UrlOption = None,
    token_env: TokenOption = ADMIN_TOKEN_VARIABLE,
    ca: CaOption = None,
    client_cert: ClientCertOption = None,
) -> Way:
    return Way(url=url, token_env=token_env, ca=ca, client_cert=client_cert)


def _command(
    reason: ReasonOption = None,
    idempotency_key: KeyOption = None,
    url: UrlOption = None,
    token_env: TokenOption = ADMIN_TOKEN_VARIABLE,
    ca: CaOption = None,
    client_cert: ClientCertOption = None,
) -> Way:
    if reason is not None:
        # of a terminal with another encoding: what cannot be read must not keep a pause from being asked
        reason = os.fsencode(reason).decode("utf-8", "replace")
    return Way(url=url, token_env=token_env, ca=ca, client_cert=client_cert, reason=reason, key=idempotency_key)


def asking(command: Callable[..., None]) -> Callable[..., None]:
    """Gives a command of the command line the options that lead to the service, and itself a `way` made of them."""
    return _with_way(command, _question)


def commanding(command: Callable[..., None]) -> Callable[..., None]:
    """The same, with --reason and --idempotency-key."""
    return _with_way(command, _command)


def _with_way(command: Callable[..., None], make: Callable[..., Way]) -> Callable[..., None]:
    shared = inspect.signature(make).parameters
    own = {name: it for name, it in inspect.signature(command).parameters.items() if name != "way"}

    @functools.wraps(command)
    def asked(**given: Any) -> None:
        way = make(**{name: given.pop(name) for name in shared})
        command(way=way, **given)

    parameters = [*own.values(), *shared.values()]
    asked.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    asked.__annotations__ = {it.name: it.annotation for it in parameters}
    return asked


def ask_service(
    context: typer.Context,
    way: Way,
    method: str,
    path: str,
    *,
    body: Mapping[str, object] | None = None,
    more_headers: Mapping[str, str] | None = None,
    answer_secs: float = ANSWER_SECS,
) -> Any:
    """The service's answer to one request. `body` and the reason are what it says.

    Raises ServiceUnreachable, ServiceRefused, or BadInput where there is no address.
    """
    headers = dict(more_headers or {})
    if method == "POST":
        headers["Content-Type"] = "application/json"
    if way.key is not None:
        headers["Idempotency-Key"] = checked_key(way.key)
    token = os.environ.get(way.token_env, "").strip()  # a line break of the file it came from is none of it
    if not token.isprintable():
        raise BadInput(
            f"${way.token_env} has characters in it that no token has: put the token there, and nothing else"
        )
    if token:
        headers["Authorization"] = f"Bearer {token}"
    base, connector = _reached(context, way)
    return asyncio.run(ask(method, base + path, headers, body_of(way, body or {}), connector, answer_secs))


def body_of(way: Way, members: Mapping[str, object]) -> bytes:
    """The body of a command, the same bytes whenever the same is asked; empty where there is nothing to say."""
    said = {**members, **({"reason": way.reason} if way.reason is not None else {})}
    try:
        return encode_json(said) if said else b""
    except UnicodeEncodeError:
        raise BadInput("what was given is not UTF-8 text") from None


def checked_key(key: str) -> str:
    """A key of a command, as the service takes it. Raises BadInput."""
    if not re.fullmatch(KEY_PATTERN, key):
        raise BadInput(f"--idempotency-key: {KEY_WORDS}")
    return key


def _reached(context: typer.Context, way: Way) -> tuple[str, "Callable[[], aiohttp.BaseConnector]"]:
    """The base of the URL, and what makes its connection."""
    import aiohttp  # slow to import, and no other command needs it

    place = Place(url=way.url.rstrip("/"), socket=None, cert=None) if way.url else _configured_place(context)
    if place.socket is not None:
        socket = str(place.socket)
        return ON_THE_SOCKET, lambda: aiohttp.UnixConnector(path=socket)
    if not place.url:
        raise NoInterface("the settings turn the HTTP interface off (health_port = 0): give --url, or stop the process")
    _check_url(place.url)
    trust = _trust(way, place.cert) if place.url.startswith("https://") else True
    return place.url, lambda: aiohttp.TCPConnector(ssl=trust)


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        wrong = parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0
    except ValueError:
        wrong = True
    if wrong:
        raise BadInput("--url has to be http:// or https://, a host, and its port where it has one of its own")
    if "@" in parts.netloc:
        raise BadInput(
            "--url takes no user and no password: errors show it, and so does the list of processes; use a token"
        )


def _configured_place(context: typer.Context) -> Place:
    options = options_of(context)
    environ = options.environ()
    try:
        path = config_path(options.config, environ)
    except NoConfig:
        path = None
    return admin_place(path, environ)


def _trust(way: Way, cert: Path | None) -> ssl.SSLContext:
    """Whose word counts for https: that of --ca, the certificate of the settings, or what this machine trusts."""
    try:
        if way.ca is None and cert is not None:
            context = pinning(cert)
        else:
            context = ssl.create_default_context(cafile=way.ca)
        if way.client_cert is not None:
            context.load_cert_chain(way.client_cert, password="")
    except (OSError, ValueError) as error:
        files = ", ".join(str(it) for it in (way.ca or cert, way.client_cert) if it is not None)
        raise BadInput(f"no certificate can be had from {files}: {getattr(error, 'strerror', None) or error}") from None
    return context


async def ask(
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: bytes,
    connector: "Callable[[], aiohttp.BaseConnector]",
    answer_secs: float = ANSWER_SECS,
) -> Any:
    """One request, its JSON answer. Raises ServiceUnreachable or ServiceRefused."""
    import aiohttp

    timeout = aiohttp.ClientTimeout(total=answer_secs)
    try:
        async with (
            aiohttp.ClientSession(connector=connector(), timeout=timeout, headers=headers, trust_env=False) as session,
            session.request(method, url, data=body or None, allow_redirects=False) as response,
        ):
            content = bytearray()  # a long answer comes in pieces
            while len(content) < MAX_ANSWER_BYTES and (more := await response.content.readany()):
                content += more
            status_code = response.status
    except TimeoutError:
        raise ServiceUnreachable(f"no answer from {url} within {answer_secs:.0f} s") from None
    except (aiohttp.ClientError, ValueError) as error:
        raise ServiceUnreachable(f"no service at {url}: {_reason(error, url)}") from None
    try:
        answer = json.loads(content)
    except ValueError:
        raise ServiceUnreachable(f"{url} answered {status_code} without JSON: that is not Ghost Fleet") from None
    if status_code >= 300:
        raise ServiceRefused(
            _refusal(url, status_code, answer), status_code, answer if isinstance(answer, dict) else None
        )
    return answer


def _reason(error: Exception, url: str) -> str:
    import aiohttp

    told = shown(str(error) or type(error).__name__)
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return f"{told}; --ca FILE names whose word counts"
    if isinstance(error, aiohttp.ClientSSLError):
        return f"{told}; does it speak https there?"
    if isinstance(error, aiohttp.ServerDisconnectedError) and url.startswith("https:"):
        return f"{told}; does it ask for a certificate (--client-cert)?"
    if isinstance(error, aiohttp.ClientConnectorError):
        told = shown(_why_unconnected(error))
    return f"{told}; is it running, and is this its address?"


def _why_unconnected(error: "aiohttp.ClientConnectorError") -> str:
    """In the system's words, and where to if it is a socket in the file system: the library's own are for programmers."""
    from aiohttp.client_exceptions import UnixClientConnectorError

    number = error.os_error.errno or 0
    why = os.strerror(number) if number > 0 else error.os_error.strerror or str(error.os_error)
    return f"{error.path}: {why}" if isinstance(error, UnixClientConnectorError) else why


def _refusal(url: str, status_code: int, answer: Any) -> str:
    """In the words of the service's problem document."""
    told = answer if isinstance(answer, dict) else {}
    words = told.get("detail") or told.get("title") or "no reason given"
    hint = f"; put a token into ${ADMIN_TOKEN_VARIABLE}" if status_code == 401 else ""
    return shown(f"{url} refused ({status_code}): {words}{hint}")
