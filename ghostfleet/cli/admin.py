"""`ghost-fleet status|pause|resume|reset`: questions and commands to the running service, over its HTTP interface."""

import asyncio
import json
import os
from typing import Annotated, Any
from urllib.parse import quote

import typer

from ghostfleet.cli.options import options_of
from ghostfleet.cli.output import print_document, print_json
from ghostfleet.config.environment import ADMIN_TOKEN_VARIABLE, NoConfig, config_path
from ghostfleet.config.loading import admin_url
from ghostfleet.config.problems import shown
from ghostfleet.errors import BadInput, GhostFleetError, TryAgain

ANSWER_SECS = 30.0
"""A pause waits for sends in flight, so an answer may take its time, but not this long."""
MAX_ANSWER_BYTES = 64 * 1024 * 1024


class ServiceUnreachable(TryAgain):
    """No service answers at that address: it is not running, or --url or --config point elsewhere."""

    exit_code = 4


class ServiceRefused(GhostFleetError):
    """The service answered and refused: no or wrong token, an unknown wallet, or it cannot do that now."""

    exit_code = 5


UrlOption = Annotated[str | None, typer.Option("--url", help="Address of the service. Default: from the settings.")]
TokenOption = Annotated[
    str, typer.Option("--token-env", help="Environment variable that holds the token, where one is needed.")
]
ReasonOption = Annotated[str | None, typer.Option("--reason", help="Why; recorded with the command.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")]


def status(
    context: typer.Context,
    url: UrlOption = None,
    token_env: TokenOption = ADMIN_TOKEN_VARIABLE,
    as_json: JsonOption = False,
) -> None:
    """Pause, wallets, breakers, open slots, endpoints and head of the log."""
    _show(_ask(context, "GET", "/admin/status", url, token_env, None), as_json)


def pause(
    context: typer.Context,
    reason: ReasonOption = None,
    url: UrlOption = None,
    token_env: TokenOption = ADMIN_TOKEN_VARIABLE,
    as_json: JsonOption = False,
) -> None:
    """Stop the fleet: once this has answered, no transaction leaves the process."""
    _show(_ask(context, "POST", "/admin/pause", url, token_env, reason), as_json)


def resume(
    context: typer.Context,
    reason: ReasonOption = None,
    url: UrlOption = None,
    token_env: TokenOption = ADMIN_TOKEN_VARIABLE,
    as_json: JsonOption = False,
) -> None:
    """Let a paused fleet act again."""
    _show(_ask(context, "POST", "/admin/resume", url, token_env, reason), as_json)


def reset(
    context: typer.Context,
    wallet: Annotated[str, typer.Argument(help="Id of the wallet.")],
    reason: ReasonOption = None,
    url: UrlOption = None,
    token_env: TokenOption = ADMIN_TOKEN_VARIABLE,
    as_json: JsonOption = False,
) -> None:
    """Close a wallet's tripped breaker, after the cause is fixed."""
    _show(_ask(context, "POST", f"/admin/reset/{quote(wallet, safe='')}", url, token_env, reason), as_json)


def _show(answer: Any, as_json: bool) -> None:
    (print_json if as_json else print_document)(answer)


def _ask(context: typer.Context, method: str, path: str, url: str | None, token_env: str, reason: str | None) -> Any:
    base = url or _configured_url(context)
    if not base.startswith(("http://", "https://")):
        raise BadInput("--url has to start with http:// or https://")
    return asyncio.run(ask(method, base.rstrip("/") + path, os.environ.get(token_env) or None, reason))


def _configured_url(context: typer.Context) -> str:
    options = options_of(context)
    environ = options.environ()
    try:
        path = config_path(options.config, environ)
    except NoConfig:
        path = None
    url = admin_url(path, environ)
    if url.endswith(":0"):
        raise BadInput("the settings turn the HTTP interface off (health_port = 0): give --url, or stop the process")
    return url


async def ask(method: str, url: str, token: str | None, reason: str | None) -> Any:
    """One request, its JSON answer. Raises ServiceUnreachable or ServiceRefused."""
    import aiohttp  # slow to import, and no other command needs it

    headers = {"Authorization": f"Bearer {token}"} if token else {}
    body = {"reason": reason} if reason is not None else None
    timeout = aiohttp.ClientTimeout(total=ANSWER_SECS)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, headers=headers, trust_env=False) as session,
            session.request(method, url, json=body, allow_redirects=False) as response,
        ):
            content = await response.content.read(MAX_ANSWER_BYTES)
            status_code = response.status
    except TimeoutError:
        raise ServiceUnreachable(f"no answer from {url} within {ANSWER_SECS:.0f} s") from None
    except (aiohttp.ClientError, ValueError) as error:
        reason_text = shown(str(error) or type(error).__name__)
        raise ServiceUnreachable(
            f"no service at {url}: {reason_text}; is it running, and is this its address?"
        ) from None
    try:
        answer = json.loads(content)
    except ValueError:
        raise ServiceUnreachable(f"{url} answered {status_code} without JSON: that is not Ghost Fleet") from None
    if status_code >= 300:
        raise ServiceRefused(_refusal(url, status_code, answer))
    return answer


def _refusal(url: str, status_code: int, answer: Any) -> str:
    """In the words of the service's problem document."""
    told = answer if isinstance(answer, dict) else {}
    words = told.get("detail") or told.get("title") or "no reason given"
    hint = f"; put a token into ${ADMIN_TOKEN_VARIABLE}" if status_code == 401 else ""
    return shown(f"{url} refused ({status_code}): {words}{hint}")
