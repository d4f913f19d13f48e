"""Planted secrets, and a service made to fail in every way we know: nothing that it prints, stores or answers has one."""

import asyncio
import contextlib
import copy
import json
import pickle
import secrets
import traceback
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from hashlib import sha256
from io import StringIO
from pathlib import Path

import aiohttp
import coincurve
import pytest
from aiohttp import web
from rich.console import Console
from rich.pretty import pretty_repr
from rich.traceback import Traceback
from typer.testing import CliRunner

from ghostfleet.chain.edge import RpcEdge
from ghostfleet.chain.endpoints import EndpointConfig
from ghostfleet.chain.transport import AiohttpTransport
from ghostfleet.cli.main import app
from ghostfleet.config.loaded import Loaded
from ghostfleet.config.loading import load
from ghostfleet.devnet.client import DevnetClient, connected
from ghostfleet.devnet.prepare import prepare
from ghostfleet.devnet.process import Devnet
from ghostfleet.domain import events as ev
from ghostfleet.domain.values import encode_json
from ghostfleet.engine.gate import Gate
from ghostfleet.keys.keystore import write_keystore
from ghostfleet.keys.opening import load_keyring
from ghostfleet.keys.secret import Secret
from tests.acceptance.service_process import SINK, Fleet, ServiceProcess, until
from tests.hostile.canaries import Canaries, password
from tests.hostile.hostile_node import HostileNode, Mood, hostile_node
from tests.signers.processes import AWS_ENVIRONMENT

pytestmark = pytest.mark.anvil
WORDS = (
    "keystore password", "password variable", "operator token", "viewer token", "wrong token", "url user", "url password",
    "url path", "url query", "dead url path", "database password",
    "signer url user", "signer url password", "aws secret", "aws session token",
)  # fmt: skip


KEYS = ("inline key", "keystore key", "other key", "environment key", "remote key", "kms key")
HERE = tuple(f"wallet-{number:03d}" for number in range(1, 5))
"""Wallets whose keys the service has; of the others it asks the node, which knows nothing and repeats everything."""


def canaries() -> Canaries:
    keys = {name: secrets.token_bytes(32) for name in KEYS}
    return Canaries(keys | {name: password(name.replace(" ", "-")) for name in WORDS})


@dataclass
class Stage(Fleet):
    """A fleet whose settings hold a secret wherever one can stand, on a node that repeats what it is told."""

    secret: Canaries = field(kw_only=True)
    node: HostileNode = field(kw_only=True)

    def environ(self, settings: dict[str, object]) -> dict[str, str]:
        words = {
            "GHOST_FLEET_KEYSTORE_PASSWORD": self.secret["password variable"],
            "GHOST_FLEET_ADMIN_TOKEN": self.secret["operator token"],
            "FLEET_KEY": "0x" + self.secret.planted["environment key"].hex(),
            **AWS_ENVIRONMENT,
            "AWS_SECRET_ACCESS_KEY": self.secret["aws secret"],
            "AWS_SESSION_TOKEN": self.secret["aws session token"],
        }
        return super().environ(settings) | words

    async def ask(self, service: ServiceProcess, path: str, method: str = "GET", **more: object) -> bytes:
        """Status, headers and body, whatever they are."""
        headers = {"Authorization": f"Bearer {self.secret[str(more.get('token', 'operator token'))]}"}
        url = service.url + path
        async with aiohttp.ClientSession() as session, session.request(method, url, headers=headers) as answer:
            return f"{answer.status} {dict(answer.headers)} ".encode() + await answer.read()


@pytest.fixture
async def stage(anvil: Devnet, tmp_path: Path) -> AsyncIterator[Stage]:
    async with connected(anvil.url) as chain, hostile_node(anvil.url) as node:
        yield await staged(chain, node, tmp_path / "fleet")


async def staged(chain: DevnetClient, node: HostileNode, folder: Path) -> Stage:
    secret = canaries()
    keys = iter(KEYS)
    await prepare(
        chain.url, len(KEYS), folder, 0.3, plugin="transfer", transfer_to=SINK, health_port=1,
        random_key=lambda: Secret(secret.planted[next(keys)]),
    )  # fmt: skip
    folder.joinpath("keystore-password").write_text(secret["keystore password"])
    for wallet, key, word in (
        ("wallet-002", "keystore key", "keystore password"),
        ("wallet-003", "other key", "password variable"),
    ):
        path = folder / "keystores" / f"{wallet}.json"
        path.unlink()
        write_keystore(path, Secret(secret.planted[key]), Secret(secret.planted[word]), scrypt_n=2)
    fleet = Stage(folder, chain, {"chain.request_timeout_secs": 2}, secret=secret, node=node)
    alive = f"http://{secret['url user']}:{secret['url password']}@127.0.0.1:{node.port}/v3/{secret['url path']}"
    fleet.edit_config(
        (chain.url, f"{alive}?apikey={secret['url query']}"),
        ("use_realtime", f'rpc_urls = ["http://127.0.0.1:9/v2/{secret["dead url path"]}"]\nuse_realtime'),
        ('keyfile = "keystores/wallet-001.json"', f'private_key = "0x{secret.planted["inline key"].hex()}"'),
        (
            'keyfile = "keystores/wallet-002.json"',
            'keyfile = "keystores/wallet-002.json"\npassword_file = "keystore-password"',
        ),
        ('[keys]\npassword_file = "keystore-password"', ""),
        ('keyfile = "keystores/wallet-004.json"', 'key_env = "FLEET_KEY"'),
        ('keyfile = "keystores/wallet-005.json"', "remote_signer = true"),
        ('keyfile = "keystores/wallet-006.json"', 'kms_key_id = "alias/fleet"'),
    )
    signer = f"http://{secret['signer url user']}:{secret['signer url password']}@127.0.0.1:{node.port}"
    elsewhere = (
        f'\n[keys.remote]\nurl = "{signer}"\ntimeout_secs = 1.0\n'
        f'[keys.kms]\nendpoint_url = "http://127.0.0.1:{node.port}"\nregion = "eu-central-1"\ntimeout_secs = 1.0\n'
    )
    tokens = [("ops", "operator", "operator token"), ("desk", "viewer", "viewer token")]
    tables = "".join(
        f'\n[[admin.tokens]]\nname = "{name}"\nrole = "{role}"\nsha256 = "{sha256(secret.planted[token]).hexdigest()}"\n'
        for name, role, token in tokens
    )
    fleet.config.write_text(fleet.config.read_text() + tables + elsewhere)
    return fleet


# --- moods of a node that knows its callers' credentials ---------------------------------------------------------------


def told(request: web.Request) -> str:
    """All that the caller gave away, as the node would write it into a page."""
    return f"{request.headers.get('Authorization')} {request.raw_path} {request.url} {dict(request.headers)}"


async def page(request: web.Request, body: bytes) -> web.Response:
    text = f"<html><h1>500</h1>{told(request)} {body.decode()}</html>"
    return web.Response(status=500, text=text, content_type="text/html")


async def refused(request: web.Request, body: bytes) -> web.Response:
    return web.Response(status=401, text=told(request), headers={"WWW-Authenticate": f"Basic {request.raw_path}"})


async def limited(request: web.Request, body: bytes) -> web.Response:
    return web.Response(status=429, text=told(request), headers={"Retry-After": "0"})


async def moved(request: web.Request, body: bytes) -> web.Response:
    return web.Response(status=302, headers={"Location": f"http://127.0.0.1:9{request.raw_path}"})


async def error(request: web.Request, body: bytes) -> web.Response:
    return to_each(body, {"error": {"code": -32000, "message": f"bad key: {told(request)}", "data": told(request)}})


async def strange(request: web.Request, body: bytes) -> web.Response:
    return to_each(body, {"result": told(request)})


def to_each(body: bytes, answer: dict[str, object]) -> web.Response:
    """The same to every call of the request."""
    try:
        asked = json.loads(body)
    except ValueError:
        asked = {}  # not for a node: somebody asks for a signature
    calls = asked if isinstance(asked, list) else [asked]
    answers = [{"jsonrpc": "2.0", "id": it.get("id"), **answer} for it in calls]
    return web.json_response(answers if isinstance(asked, list) else answers[0])


async def cut(request: web.Request, body: bytes) -> web.Response:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


MOODS = (refused, limited, moved, error, strange, cut)


async def every_answer(fleet: Stage, service: ServiceProcess) -> list[bytes]:
    """Every GET there is, with what the log has to ask for; commands; and tokens where none belongs."""
    paths = json.loads((await fleet.ask(service, "/openapi.json")).partition(b"} ")[2])["paths"]
    tx = str((await fleet.attempts())[-1].hash)
    known = [path.replace("{wallet}", "wallet-001").replace("{hash}", tx) for path in paths if "get" in paths[path]]
    assert len(known) >= 9
    answers = [await fleet.ask(service, path) for path in (*known, "/audit/wallets/wallet-001?at=3", "/nothing")]
    for token in ("wrong token", "viewer token"):
        answers.append(await fleet.ask(service, "/admin/pause", "POST", token=token))
        answers.append(await fleet.ask(service, "/admin/status", token=token))
    for token in ("operator token", "wrong token"):
        answers.append(
            await fleet.ask(service, f"/admin/pause?token={fleet.secret[token]}", "POST", token="wrong token")
        )
        answers.append(await fleet.ask(service, f"/admin/reset/{fleet.secret[token]}", "POST", token="wrong token"))
    return answers


@pytest.mark.long
@pytest.mark.parametrize("anvil", [0.3], indirect=True)
async def test_a_service_that_fails_in_many_ways_tells_no_secret(stage: Stage) -> None:
    answers: list[bytes] = []
    for arguments, moods in ((("--log-level", "debug"), MOODS), (("--json-logs", "--log-level", "debug"), ())):
        async with stage.service(*arguments) as service:
            await until(lambda: ready(stage, service), f"ready: {service.output[-3000:]}")
            await stage.acted(1, wallets=HERE)
            answers += await every_answer(stage, service)
            answers += [(it.out + it.err).encode() for it in [await stage.command("status")]]
            stage.node.mood = not_sending(stage.node)
            await until(lambda: told_the_log(stage), "a refused send in the log")
            stage.node.mood = page
            await until(lambda: told_the_status(stage, service), "an endpoint's fault in the status")
            for mood in moods:
                stage.node.mood, stage.node.moody = mood, 0
                await until(lambda: moody(stage), f"asked in the mood {mood.__name__}")
                answers += [await stage.ask(service, path) for path in ("/health/ready", "/admin/status", "/metrics")]
            stage.node.mood = None
            if "--json-logs" in arguments:
                assert await service.terminate() == 0
            else:
                await service.kill()
        answers.append(service.output.encode())
    tripped = await stage.recorded(ev.EndpointTripped, ev.ErrorRecorded, ev.AdminCommandRefused)
    assert {type(it.event).__name__ for it in tripped} >= {"EndpointTripped", "AdminCommandRefused"}
    unsigned = {it.wallet for it in tripped if getattr(it.event, "error_class", "") == "signer_unavailable"}
    assert unsigned == {"wallet-005", "wallet-006"}
    answers += [each async for each in offline(stage)]
    answers += [path.read_bytes() for path in stage.directory.glob("ghostfleet.db*")]
    assert not {name for answer in answers for name in stage.secret.heard_in(answer)}
    for expected in (b"SQLite format 3", b"bad key: ", b"HTTP 500", b"ghost_fleet_", b"<!doctype html>"):
        assert any(expected in it for it in answers), expected


async def ready(stage: Stage, service: ServiceProcess) -> bool:
    assert service.process.returncode is None, service.output[-3000:]
    with contextlib.suppress(aiohttp.ClientError):
        return (await stage.ask(service, "/health/ready")).startswith(b"200")
    return False


def not_sending(node: HostileNode) -> Mood:
    """Everything but transactions is welcome."""

    async def mood(request: web.Request, body: bytes) -> web.StreamResponse:
        if b"eth_sendRaw" in body:
            return await error(request, body)
        return web.Response(body=await node.truth(body), content_type="application/json")

    return mood


async def told_the_log(stage: Stage) -> bool:
    failed = await stage.recorded(ev.BroadcastFailed)
    return any("bad key: " in str(it.event) for it in failed)


async def told_the_status(stage: Stage, service: ServiceProcess) -> bool:
    return b"HTTP 500" in await stage.ask(service, "/admin/status")


async def moody(stage: Stage) -> bool:
    return stage.node.moody >= 1


async def offline(stage: Stage) -> AsyncIterator[bytes]:
    """Every command that reads, with the service down."""
    tx = str((await stage.attempts())[-1].hash)
    for arguments in (
        ("validate",), ("validate", "--json"), ("validate", "--deep"), ("wallets", "list"), ("wallets", "list", "--json"),
        ("audit", "events"), ("audit", "events", "--json", "--limit", "1000"), ("audit", "wallet", "wallet-001"),
        ("audit", "wallet", "wallet-001", "--at", "9"), ("audit", "transaction", tx), ("audit", "transactions"),
        ("audit", "export"), ("audit", "verify", "--json"), ("audit", "state", "--by", "snapshot"), ("db", "status"),
        ("db", "rebuild"), ("status",), ("pause", "--reason", "why"), ("reset", "wallet-001"), ("checkin",), ("stop",),
        ("admin", "token", "create", "eve"), ("admin", "token", "list"), ("admin", "token", "revoke", "eve"),
    ):  # fmt: skip
        yield (await asyncio.to_thread(printed, stage, *arguments)).encode()


def printed(stage: Stage, *arguments: str) -> str:
    """What a command prints, and what is left where it does not end well."""
    result = CliRunner().invoke(app, ["--config", str(stage.config), *arguments], env=stage.environ({}))
    trace = "".join(traceback.format_exception(result.exception)) if result.exception is not None else ""
    assert "Traceback" not in result.output, result.output
    return result.output + result.stderr + trace


async def test_settings_that_are_wrong_beside_or_in_a_secret_are_told_without_it(stage: Stage) -> None:
    """The commonest way to leak a key: a mistake in the very line it stands in."""
    whole, secret = stage.config.read_text(), stage.secret
    key, url = secret.planted["inline key"].hex(), secret["url path"]
    broken = [
        whole.replace(old, new)
        for old, new in (
            (f'"0x{key}"', f'"0x{key}ab"'), (f'"0x{key}"', f'"0x{key}'), (f'"0x{key}"', f'"{key[:40]} {key[40:]}"'),
            (f'"0x{key}"', f'"0x{key[:-1]}g"'), (f'"0x{key}"', f"0x{key}"), (f'"0x{key}"', f'["0x{key}"]'),
            (f'"0x{key}"', f'{{ it = "{key}" }}'), ("private_key", "privatekey"), ("private_key", "keyfile"),
            ("private_key", f'"{key}"'), (f'"0x{key}"', f'"{int(key, 16)}"'), (f'"0x{key}"', str(int(key, 16))),
            ("[[wallets]]", f'[[wallets]]\n"0x{key}" = 1', ), ("[service]", f'[service]\nname = {key}'),
            ("[service]", f"[{key}]"), ("[service]", f'[service]\ntick_interval_ms = "{key}"'),
            ('profile = "', f'profile = "{key}'), ('id = "wallet-001', f'id = "{key}'),
            ('"FLEET_KEY"', f'"0x{key}"'), ('"FLEET_KEY"', f'"{key[:60]}"'), ('"alias/fleet"', f'"{key}"'),
            ("remote_signer = true", f'remote_signer = "{key}"'), ("[keys.remote]", f'[keys.remote]\nkey = "{key}"'),
            ('[keys.remote]\nurl = "http', '[keys.remote]\nurl = "htp'), ("[keys.remote]", "[keys.remoet]"),
            ("http://", "htp://"), ("http://", ""), ("@127.0.0.1:", "@127.0.0.1:99"), ("@127.0.0.1", "@[127.0.0.1"),
            (f"/v3/{url}", f"/v3/{url}\\u0000"), (f"/v3/{url}", f"/v3/ {url}"), ("chain_id = 31337", f'chain_id = "{url}"'),
            ("http://127.0.0.1:9/", "http://127.0.0.1:9:9/"), ("rpc_urls", "rpc_uris"),
            ("sqlite:///ghostfleet.db", f"mysql://u:{secret['database password']}@h/d"),
            ("sqlite:///ghostfleet.db", f"postgresql://u:{secret['database password']}@h:port/d"),
            ("sqlite:///ghostfleet.db", f"postgres//u:{secret['database password']}@h/d"),
            ("sqlite:///ghostfleet.db", f"postgresql://u:{secret['database password']}@[h/d"),
            ('sha256 = "', f'sha256 = "{secret["operator token"]}'), ("sha256", "token"),
            ('password_file = "keystore-password"', f'password = "{secret["keystore password"]}"'),
            ("[safety]", f'[keys]\npassword_env = "{secret["keystore password"]}"\n[safety]'),
            ("[safety]", f'[keys]\ncredential = "{secret["keystore password"]}"\n[safety]'),
        )
    ]  # fmt: skip
    assert all(each != whole for each in broken)
    heard = []
    for text in broken:
        stage.config.write_text(text)
        for arguments in (("validate",), ("validate", "--json", "--deep")):
            said = await asyncio.to_thread(printed, stage, *arguments)
            heard += [(it, text.splitlines()) for it in secret.heard_in(said.replace(str(stage.directory), ""))]
    assert not [it for it, _ in heard]


async def test_passwords_that_are_wrong_and_databases_that_are_away_are_told_without_them(stage: Stage) -> None:
    secret, keystores = stage.secret, stage.directory / "keystores"
    said = []
    stage.directory.joinpath("keystore-password").write_text("not it, " + secret["keystore password"])
    said += [await asyncio.to_thread(printed, stage, "validate", "--deep")]
    keystores.joinpath("wallet-003.json").write_text(secret["password variable"])
    said += [await asyncio.to_thread(printed, stage, "validate", "--deep", "--json")]
    for url in (
        f"postgresql://ghost:{secret['database password']}@127.0.0.1:9/fleet",
        f"postgresql://{secret['database password']}@127.0.0.1:9/fleet?password={secret['url password']}",
        f"postgresql://ghost@127.0.0.1:9/fleet?sslmode={secret['database password']}",
    ):
        stage.settings["store.url"] = url
        for arguments in (("db", "status"), ("audit", "verify"), ("validate",)):
            said += [await asyncio.to_thread(printed, stage, *arguments)]
    finished = await stage.command()
    assert finished.code in (2, 3)
    assert "Traceback" not in finished.err
    said += [finished.out + finished.err]
    assert not [name for text in said for name in secret.heard_in(text)]


async def test_a_fault_of_ours_is_told_without_secrets(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """With --log-level debug the traceback is printed: of the code, not of what it held."""
    from ghostfleet.keys import opening

    def faulty(*arguments: object) -> None:
        raise RuntimeError(f"a fault beside {arguments}")

    said = []
    for name in ("_open", "open_keystore", "signing_key"):
        with monkeypatch.context() as patch:
            patch.setattr(opening, name, faulty)
            patch.setattr("sys.argv", ["ghost-fleet", "--log-level", "debug"])
            said.append(await asyncio.to_thread(invoke, stage))
    assert all("Traceback" in it and "a fault beside" in it for it in said)
    assert not [name for text in said for name in stage.secret.heard_in(text)]


def invoke(stage: Stage) -> str:
    arguments = ["--config", str(stage.config), "--log-level", "debug", "validate", "--deep"]
    result = CliRunner().invoke(app, arguments, env=stage.environ({}))
    return result.output + result.stderr


async def test_no_dump_of_what_holds_them_shows_a_secret(stage: Stage) -> None:
    """repr, str, format, vars, pickle, copy, JSON, rich's dumps, and a traceback with the locals of every frame."""
    environ = stage.environ({})
    loaded = load(stage.config, environ)
    keyring = await load_keyring(loaded.wallet_keys(), environ)
    transport = AiohttpTransport()
    configs = [EndpointConfig(name=it.name, url=it.url) for it in loaded.chain.endpoints]
    edge = RpcEdge(configs, transport, gate=Gate(), request_timeout_secs=2, on_change=lambda *_: None)
    holders = [
        *parts(loaded),
        keyring,
        *(keyring.key(it.wallet) for it in loaded.wallet_keys()),
        *configs,
        edge,
        transport,
    ]
    dumps: list[Callable[[object], object]] = [
        repr, str, "{}".format, "%s".__mod__, lambda it: [it], lambda it: {"it": it}, pretty_repr,
        lambda it: getattr(it, "__dict__", ""), lambda it: traced(it), copy.copy, copy.deepcopy,
    ]  # fmt: skip
    not_urls = Canaries({name: it for name, it in stage.secret.planted.items() if "url" not in name})
    copied = [shown(dump, holder) for holder in holders for dump in (pickle.dumps, encode_json)]
    assert not [name for each in copied for name in not_urls.heard_in(each)]
    heard = {
        (type(holder).__name__, number, name.partition(" after")[0])
        for holder in holders
        for number, dump in enumerate(dumps)
        for name in stage.secret.heard_in(shown(dump, holder))
    }
    assert not heard


def parts(loaded: Loaded) -> list[object]:
    return [
        loaded, loaded.chain, *loaded.chain.endpoints, *loaded.wallets, *loaded.wallet_keys(), loaded.store, loaded.admin,
        *loaded.admin.tokens, loaded.redacted, loaded.warnings, loaded.plugins,
    ]  # fmt: skip


def shown(dump: Callable[[object], object], holder: object) -> str | bytes:
    try:
        made = dump(holder)
    except Exception as problem:
        return repr(problem) + "".join(traceback.format_exception(problem))
    return made if isinstance(made, bytes) else repr(made)


def traced(holder: object) -> str:
    """A traceback with the locals of its frames, as rich, and whoever posts crash reports, makes them."""
    try:
        raise RuntimeError(f"{holder}")
    except RuntimeError as error:
        trace = Traceback.from_exception(RuntimeError, error, error.__traceback__, show_locals=True)
    out = StringIO()
    Console(file=out, width=400).print(trace)
    return out.getvalue()


def test_the_canaries_would_be_heard() -> None:
    planted = canaries()
    key = planted.planted["inline key"]
    for leak in (
        repr(coincurve.PrivateKey(key).secret), f"key 0x{key.hex().upper()}", json.dumps(list(key)), str(int.from_bytes(key)),
        b64encode(b"user:" + planted.planted["url password"]),
        planted["url query"],
    ):  # fmt: skip
        assert planted.heard_in(leak)
    assert not planted.heard_in("nothing")
