"""What the doctor says of endpoints, clocks, fees, contracts, balances, disks and locks, each with a fault that is there."""

import asyncio
import dataclasses
import json
import os
import shutil
import time
from collections.abc import Awaitable, Callable
from email.utils import formatdate
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import coincurve
import pytest
from aiohttp import web
from ledger_node import HEAD, LedgerNode, ledger_node

from ghostfleet.config.partial import Partly
from ghostfleet.keys.addresses import address_of, checksummed
from ghostfleet.keys.keystore import write_keystore
from ghostfleet.keys.secret import Secret
from ghostfleet.operations.doctor import chain, examination, log, machine
from ghostfleet.operations.doctor.backups import backups
from ghostfleet.operations.doctor.examination import examine
from ghostfleet.operations.doctor.finding import Finding
from ghostfleet.operations.doctor.patient import Patient, admitted
from ghostfleet.store.lock import WriterLock, holder_of
from ghostfleet.store.log import open_log

CORE, DATA = "0x" + "cc" * 20, "0x" + "dd" * 20
SECRET = "s3cr3t-api-key-0123456789"


class Node(LedgerNode):
    """A whole endpoint, with something wrong on demand."""

    def __init__(self) -> None:
        super().__init__()
        self.chain_id = 31337
        self.height = 42
        self.block_secs = int(time.time())
        self.date_secs = 0.0
        self.largest_batch = 1000
        self.base_fee_wei = 7
        self.headers: dict[str, str] = {}
        self.status = 200
        self.code = {CORE, DATA}

    async def handle(self, request: web.Request) -> web.StreamResponse:
        document = json.loads(await request.read())
        calls = document if isinstance(document, list) else [document]
        headers = {"Date": formatdate(time.time() + self.date_secs, usegmt=True), **self.headers}
        if self.status != 200:
            error = {"code": -32000, "message": f"no quota left for {SECRET}"}
            return web.json_response({"id": 1, "error": error}, status=self.status, headers=headers)
        if isinstance(document, list) and len(calls) > self.largest_batch:
            error = {"code": -32600, "message": "batch size exceeds the limit"}
            return web.json_response({"jsonrpc": "2.0", "id": None, "error": error}, headers=headers)
        answers = [{"jsonrpc": "2.0", "id": call["id"], **self._answer(call)} for call in calls]
        return web.json_response(answers if isinstance(document, list) else answers[0], headers=headers)

    def _answer(self, call: dict[str, Any]) -> dict[str, Any]:
        method, params = call["method"], call["params"]
        if method == "eth_chainId":
            return {"result": hex(self.chain_id)}
        if method == "eth_getBlockByNumber":
            return {"result": HEAD | {"number": hex(self.height), "timestamp": hex(self.block_secs)}}
        if method == "eth_getCode":
            return {"result": "0x60" if params[0] in self.code else "0x"}
        if method == "eth_feeHistory":
            blocks = int(params[0], 16)
            fees = [hex(self.base_fee_wei)] * (blocks + 1)
            return {"result": {"oldestBlock": "0x1", "baseFeePerGas": fees, "gasUsedRatio": [0.5] * blocks,
                               "reward": [["0x1"]] * blocks}}  # fmt: skip
        return super()._answer(call)


def settings_file(folder: Path, *urls: str) -> Path:
    path = folder / "config.toml"
    wallets = "".join(
        f'[[wallets]]\nid = "wallet-{n}"\naddress = "0x{n:040x}"\nprofile = "casual"\nkeyfile = "nowhere"\n'
        for n in (1, 2)
    )
    path.write_text(
        f"[chain]\nchain_id = 31337\nrpc_urls = {json.dumps(urls)}\n[fees]\nmax_fee_gwei = 1\n"
        f'[plugins]\nenabled = ["ghostnet"]\n[plugins.ghostnet]\nghost_core = "{CORE}"\ndata_token = "{DATA}"\n{wallets}'
    )
    return path


def patient(folder: Path, *nodes: Node, path: str = "") -> Patient:
    return admitted(settings_file(folder, *(node.url + path for node in nodes)), {}, lambda: "", lambda: "")


async def endpoint_findings(folder: Path, *nodes: Node) -> list[Finding]:
    return await chain.Examiner(patient(folder, *nodes, path=f"v1/{SECRET}")).endpoints()


async def of_node(
    folder: Path, ask: Callable[[Patient], Awaitable[Finding]], change: Callable[[Node], None]
) -> Finding:
    async with ledger_node(Node()) as node:
        change(node)
        return await ask(patient(folder, node))


async def test_an_endpoint_that_is_well_says_height_chain_latency_batch_and_limits(tmp_path: Path) -> None:
    async with ledger_node(Node()) as node:
        node.headers = {"X-RateLimit-Remaining": "17"}
        (found,) = await endpoint_findings(tmp_path, node)
    assert found.colour == "green"
    assert "block 42 in " in found.told
    assert "chain 31337, batches of 100, limits ratelimit-remaining 17" in found.told
    assert SECRET not in found.name


FAULTS: list[tuple[Callable[[Node], None], str, str]] = [
    (lambda node: setattr(node, "chain_id", 1), "red", "chain_id is 31337"),
    (lambda node: setattr(node, "status", 429), "red", "rate limited (HTTP 429)"),
    (lambda node: setattr(node, "status", 503), "red", "HTTP 503: no quota left for …"),
    (lambda node: setattr(node, "largest_batch", 20), "green", "batches of 20"),
    (lambda node: setattr(node, "largest_batch", 1), "yellow", "takes no batches"),
]


@pytest.mark.parametrize(("change", "colour", "told"), FAULTS)
async def test_what_is_wrong_with_an_endpoint_is_said_without_its_credentials(
    change: Callable[[Node], None], colour: str, told: str, tmp_path: Path
) -> None:
    async with ledger_node(Node()) as node:
        change(node)
        (found,) = await endpoint_findings(tmp_path, node)
    assert (found.colour, told in found.told) == (colour, True), found
    assert SECRET not in str(found)


async def test_an_endpoint_that_lags_behind_another_is_yellow_and_one_that_is_gone_red(tmp_path: Path) -> None:
    async with ledger_node(Node()) as ahead, ledger_node(Node()) as behind:
        ahead.height = behind.height + 6
        gone = Node()
        gone.url = "http://127.0.0.1:1/"
        findings = await endpoint_findings(tmp_path, ahead, behind, gone)
    assert [finding.colour for finding in findings] == ["green", "yellow", "red"]
    assert "6 blocks behind" in findings[1].told
    assert "cannot connect" in findings[2].told


@pytest.mark.parametrize(
    ("date_secs", "block_secs", "colour", "told"),
    [
        (0, 0, "green", "1 HTTP dates agree"),
        (30, 0, "yellow", "behind the endpoints' clocks"),
        (-300, 0, "red", "ahead of the endpoints' clocks"),
        (0, 20, "yellow", "behind the endpoints' clocks"),
        (0, 500, "red", "behind the endpoints' clocks"),
        (0, -600, "yellow", "the newest block is"),
    ],
)
async def test_the_clock_is_compared_with_blocks_and_http_dates(
    date_secs: int, block_secs: int, colour: str, told: str, tmp_path: Path
) -> None:
    async with ledger_node(Node()) as node:
        node.date_secs, node.block_secs = date_secs, int(time.time()) + block_secs
        found = await chain.Examiner(patient(tmp_path, node)).clock()
    assert (found.colour, told in found.told) == (colour, True), found


@pytest.mark.parametrize(("base_fee_wei", "colour"), [(7, "green"), (6 * 10**8, "yellow"), (2 * 10**9, "red")])
async def test_fees_are_compared_with_the_cap(base_fee_wei: int, colour: str, tmp_path: Path) -> None:
    found = await of_node(tmp_path, chain.fees, lambda node: setattr(node, "base_fee_wei", base_fee_wei))
    assert found.colour == colour, found


async def test_an_address_without_code_is_red_by_its_name(tmp_path: Path) -> None:
    assert (await of_node(tmp_path, chain.contracts, lambda node: None)).colour == "green"
    found = await of_node(tmp_path, chain.contracts, lambda node: node.code.discard(DATA))
    assert found.colour == "red"
    assert f"no code at ghostnet.data_token ({DATA})" in found.told


@pytest.mark.parametrize(("rich", "colour"), [((1, 2), "green"), ((1,), "yellow"), ((), "red")])
async def test_wallets_that_cannot_pay_are_counted(rich: tuple[int, ...], colour: str, tmp_path: Path) -> None:
    funds = {f"0x{n:040x}": 10**18 for n in rich}
    found = await of_node(tmp_path, chain.balances, lambda node: node.native.update(funds))
    assert found.colour == colour, found


@pytest.mark.parametrize(("free", "colour"), [(2**40, "green"), (2**30, "yellow"), (2**20, "red")])
async def test_a_disk_that_fills_up_is_seen(free: int, colour: str, tmp_path: Path, monkeypatch: Any) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda _path: usage._replace(free=free))
    assert (await machine.disk(patient(tmp_path, Node()))).colour == colour


async def test_the_lock_is_seen_without_being_touched(tmp_path: Path) -> None:
    database = tmp_path / "log.db"
    assert holder_of(database) == ""
    with WriterLock(database):
        assert holder_of(database).startswith(f"process {os.getpid()} on ")
    assert holder_of(database) == "", "what is written in the file is no lock"


async def test_the_writer_of_a_log_by_a_symbolic_link_is_seen(tmp_path: Path) -> None:
    """The lock lies beside the log itself."""
    of = patient(tmp_path, Node())
    assert of.database is not None
    real = tmp_path / "elsewhere" / "fleet.db"
    real.parent.mkdir()
    real.touch()
    of.database.symlink_to(real)
    with WriterLock(real):
        assert holder_of(of.database).startswith(f"process {os.getpid()} on ")


async def test_no_check_outlives_its_time_and_none_that_fails_stops_the_others(
    tmp_path: Path, monkeypatch: Any
) -> None:
    async def hangs(_patient: Patient) -> Finding:
        await asyncio.sleep(60)
        raise AssertionError("unreachable")

    async def breaks(_patient: Patient) -> Finding:
        raise RuntimeError("nobody foresaw this")

    monkeypatch.setattr(examination, "CHECK_SECS", 2.0)
    monkeypatch.setattr(log, "database", hangs)
    monkeypatch.setattr(machine, "disk", breaks)
    async with ledger_node(Node()) as node:
        found = {finding.name: finding for finding in await examine(patient(tmp_path, node))}
    assert (found["database"].colour, "no answer within 2 s" in found["database"].told) == ("red", True)
    assert "nobody foresaw this" in found["disk"].told
    assert found["contracts"].colour == found["permissions"].colour == "green"


def test_of_settings_that_cannot_be_used_the_rest_is_read(tmp_path: Path) -> None:
    path = settings_file(tmp_path, "http://127.0.0.1:1")
    whole = admitted(path, {}, lambda: "", lambda: "").parts
    path.write_text(path.read_text().replace("max_fee_gwei = 1", "max_fee_gwei = 'x'").replace('"wallet-2"', "7"))
    rest = admitted(path, {}, lambda: "", lambda: "").parts
    assert (rest.chain, rest.store_url, rest.plugins[0].name) == (whole.chain, whole.store_url, "ghostnet")
    assert (rest.max_fee_wei, [wallet.id for wallet in rest.wallets]) == (None, ["wallet-1"])
    path.write_bytes(b"\xff\x00[[[")
    assert admitted(path, {}, lambda: "", lambda: "").parts == Partly(
        store_url=whole.store_url, max_fee_wei=100 * 10**9
    )


async def test_a_service_that_runs_says_itself_why_it_is_not_ready(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log, "holder_of", lambda _file: "process 1")
    missing = "the service answered 503: keys: 59 keys are still being opened"
    for said in ("", missing):
        fleet = admitted(settings_file(tmp_path), {}, lambda: "", lambda said=said: said)  # type: ignore[misc]
        found = await log.service(fleet)
        told = [(it.name, it.colour, it.told) for it in (found if isinstance(found, list) else [found])]
        runs = ("service", "green", "runs: process 1 writes the log, and answers")
        assert told == [runs, *([("readiness", "yellow", said)] if said else [])]


async def test_a_service_that_answers_who_has_a_certificate_only_is_not_told_to_hang(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor that a restart would help."""
    monkeypatch.setattr(log, "holder_of", lambda _file: "process 1")
    fleet = admitted(settings_file(tmp_path), {}, lambda: "hung up", lambda: "hung up")
    kept = SimpleNamespace(admin=SimpleNamespace(tls=SimpleNamespace(client_ca=tmp_path / "ca.pem"), socket=None))
    for loaded, colour, told in (
        (kept, "yellow", "tls_client_ca"),
        (None, "red", "does not answer as it should: hung up"),
    ):
        found = await log.service(dataclasses.replace(fleet, loaded=loaded))  # type: ignore[arg-type]
        assert isinstance(found, Finding)
        assert (found.colour, told in found.told) == (colour, True), found


async def test_a_password_that_only_the_unit_has_is_yellow_and_hides_nothing_else(tmp_path: Path) -> None:
    """As under deploy/ghost-fleet.service: the doctor is asked in a shell."""
    path = settings_file(tmp_path, "http://127.0.0.1:1/")
    key = Secret(bytes.fromhex("22" * 32))
    write_keystore(tmp_path / "key.json", key, Secret(b"pw"), scrypt_n=2)
    address = checksummed(address_of(coincurve.PrivateKey(key.reveal())))
    text = path.read_text().split("[[wallets]]")[0]
    path.write_text(
        f'{text}[[wallets]]\nid = "wallet-1"\naddress = "{address}"\nprofile = "casual"\nkeyfile = "key.json"\n'
        '[keys]\ncredential = "keystore-password"\n'
    )
    await (await open_log(f"sqlite:///{tmp_path / 'ghostfleet.db'}")).close()
    asked = admitted(path, {}, lambda: "", lambda: "")
    found = await machine.config(asked)
    assert (found.colour, "the keystores' password is not here" in found.told) == ("yellow", True), found
    assert (await backups(asked)).told == "not configured"
    inside = admitted(path, {"CREDENTIALS_DIRECTORY": str(tmp_path)}, lambda: "", lambda: "")
    assert (await machine.config(inside)).colour == "red"
