"""The log of a real service is signed as it grows: who rewrites it is told by what he cannot sign, or by what was noted."""

import asyncio
import json
import re
import time
from functools import partial
from pathlib import Path

import coincurve
import pytest
from eth_hash.auto import keccak
from msgspec.structs import replace

from ghostfleet.devnet.client import DevnetClient
from ghostfleet.domain import events as ev
from ghostfleet.domain.checkpoint import text_of
from ghostfleet.domain.values import Address, Hash, Octets, encode_json
from ghostfleet.keys.addresses import address_of
from ghostfleet.keys.messages import personal_message
from ghostfleet.store.rows import EventRow
from tests.acceptance.service_process import Fleet, ServiceProcess, listening_port, prepared_fleet
from tests.forger import rewrite
from tests.signers.processes import web3signer

pytestmark = [pytest.mark.anvil, pytest.mark.timeout(900), pytest.mark.parametrize("anvil", [0.3], indirect=True)]

CAST = Path(__file__).parents[2] / "node_modules/.bin/cast"
OFTEN: dict[str, object] = {"audit.checkpoint_every_secs": 5}


@pytest.fixture
async def fleet(chain: DevnetClient, tmp_path: Path) -> Fleet:
    return await prepared_fleet(
        chain,
        tmp_path / "fleet",
        wallets=2,
        chain__finality_blocks=3,
        chain__block_time_secs=0.3,
        fees__stuck_after_secs=3,
    )


async def noted(fleet: Fleet, name: str, *arguments: str) -> tuple[str, list[ev.HeadSigned]]:
    """What `audit checkpoints` prints, kept in a file elsewhere; and the events themselves."""
    printed = await fleet.command("audit", "checkpoints", *arguments)
    assert printed.code == 0, printed.err
    kept = fleet.directory.parent / name
    kept.write_text(printed.out)
    found = [it.event for it in await fleet.recorded(ev.HeadSigned)]
    return str(kept), [it for it in found if isinstance(it, ev.HeadSigned)]


async def cast_verifies(line: dict[str, str], text: str) -> bool:
    """By a program that is not ours."""
    process = await asyncio.create_subprocess_exec(
        *(str(CAST), "wallet", "verify", "--address", line["signer"], text, line["signature"]),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await process.communicate()
    assert b"Validation" in out
    return b"Validation succeeded" in out


async def lived(fleet: Fleet) -> None:
    """A service that acts, signs at its beginning, in between and at its end."""
    async with fleet.service(settings=OFTEN) as service:
        await service.ready()
        await fleet.acted()
        await fleet.see(ev.HeadSigned, count=2)
        assert await service.terminate() == 0


async def test_checkpoints_are_written_told_and_verified_while_the_service_runs_and_after_it(fleet: Fleet) -> None:
    async with fleet.service(settings=OFTEN) as service:
        await service.ready()
        await fleet.acted()
        await fleet.see(ev.HeadSigned, count=2)
        running = await fleet.command("audit", "verify")
        assert (running.code, "checkpoints verified: " in running.out) == (0, True), running.err
        await _told_over_http(service, fleet)
        kept, events = await noted(fleet, "kept.jsonl", "--json")
        lines = [json.loads(line) for line in Path(kept).read_text().splitlines()]
        assert await cast_verifies(lines[0], lines[0]["text"])
        assert not await cast_verifies(lines[0], lines[0]["text"].replace("chain 31337", "chain 1"))
        assert {it["signer"].lower() for it in lines} == {str(fleet.wallets["wallet-001"])}
        contained = await fleet.command("audit", "verify", "--checkpoint", kept)
        assert (contained.code, "the log holds what was noted" in contained.out) == (0, True), contained.err
        assert await service.terminate() == 0

    everything = await fleet.recorded()
    assert [type(it.event).__name__ for it in everything[-2:]] == ["HeadSigned", "ServiceStopped"]
    last = everything[-2]
    assert isinstance(last.event, ev.HeadSigned)
    assert last.event.position == last.position - 1
    assert len(await fleet.recorded(ev.HeadSigned)) > len(events)
    stopped = await fleet.command("audit", "verify", "--checkpoint", kept, "--json")
    assert (stopped.code, stopped.lines[0]["checkpoints"]) == (0, len(await fleet.recorded(ev.HeadSigned)))
    as_text, _ = await noted(fleet, "kept.txt")
    assert (await fleet.command("audit", "verify", "--checkpoint", as_text)).code == 0
    newest = await fleet.command("audit", "checkpoints", "--limit", "1", "--json")
    assert [it["event"] for it in newest.lines] == [last.position]

    backup = str(fleet.directory.parent / "backup.gz")
    assert (await fleet.command("db", "backup", backup)).code == 0
    fleet.settings |= {"store.url": f"sqlite:///{fleet.directory.parent}/elsewhere.db"}
    assert (await fleet.command("db", "restore", backup, "--no-chain")).code == 0
    restored = await fleet.command("audit", "verify", "--checkpoint", as_text)
    assert (restored.code, "checkpoints verified: " in restored.out) == (0, True), restored.err


async def _told_over_http(service: ServiceProcess, fleet: Fleet) -> None:
    metrics = await service.get("/metrics")
    signed = re.search(r'ghost_fleet_checkpoints_total\{outcome="signed"\} (\S+)', metrics)
    assert signed is not None
    assert float(signed[1]) >= 2
    at = re.search(r"^ghost_fleet_last_checkpoint_timestamp_seconds (\S+)", metrics, re.MULTILINE)
    assert at is not None
    assert float(at[1]) > 1e9
    log = (await service.get("/admin/status"))["log"]
    assert re.fullmatch("0x[0-9a-f]{64}", log["hash"])
    assert log["signed_position"] < log["position"]
    (row,) = (await service.get(f"/audit/events?after={log['position'] - 1}&limit=1"))["events"]
    assert row["hash"] == log["hash"]
    assert "head of the log signed: #" in service.output


@pytest.mark.long
async def test_a_log_whose_chain_is_recomputed_is_told_by_a_checkpoint_that_was_noted(fleet: Fleet) -> None:
    """The forger takes the checkpoints out, since he cannot sign: verify alone is satisfied, and the noted one is not in it."""
    await lived(fleet)
    kept, _ = await noted(fleet, "kept.jsonl", "--json")
    honest = await fleet.command("audit", "verify", "--checkpoint", kept)
    assert honest.code == 0, honest.err
    when = (await fleet.recorded(ev.ServiceStarted))[0].position

    def another_past(row: EventRow) -> EventRow | None:
        if row.type == "HeadSigned":
            return replace(row, type="ServiceStopped", payload='{"reason":""}')
        return replace(row, time_us=row.time_us - 60_000_000) if row.position == when else row

    rewrite(fleet.database, another_past)
    satisfied = await fleet.command("audit", "verify")
    assert (satisfied.code, "no checkpoint among them" in satisfied.out) == (0, True), satisfied.err
    told = await fleet.command("audit", "verify", "--checkpoint", kept)
    assert told.code == 1
    assert "events verified" in told.out, "it hangs together"
    assert re.search(r"error: checkpoint of position \d+: it had the hash 0x[0-9a-f]{64} then, and has 0x", told.err)
    as_json = await fleet.command("audit", "verify", "--checkpoint", kept, "--json")
    assert (as_json.code, as_json.lines[0]["ok"], as_json.lines[0]["problem"]) == (1, False, "")
    assert as_json.lines[0]["not_contained"]


@pytest.mark.long
async def test_whoever_keeps_the_checkpoints_or_forges_one_is_found_without_any_note(fleet: Fleet) -> None:
    await lived(fleet)
    made = await fleet.recorded(ev.HeadSigned)
    before = fleet.database.read_bytes()

    rewrite(fleet.database, lambda row: replace(row, time_us=row.time_us - 1) if row.position == 1 else row)
    kept = await fleet.command("audit", "verify")
    assert kept.code == 1
    assert f"position {made[0].position}: HeadSigned: position" in kept.err

    thief = coincurve.PrivateKey(b"\x77" * 32)
    for signer, why in ((address_of(thief), "no wallet that the log knows"), (None, "the signature is not that of")):
        fleet.database.write_bytes(before)
        forged = await _with_own_signatures(fleet, thief, signer)
        found = await fleet.command("audit", "verify")
        assert found.code == 1
        assert f"position {forged}: HeadSigned: " in found.err
        assert why in found.err


async def _with_own_signatures(fleet: Fleet, thief: coincurve.PrivateKey, signer: Address | None) -> int:
    """Another first row, and every checkpoint signed anew: by his key in his own name, or in that of the fleet's wallet."""
    rows = rewrite(fleet.database, lambda row: replace(row, time_us=row.time_us - 1) if row.position == 1 else row)
    made = [row.position for row in rows if row.type == "HeadSigned"]
    for position in made:
        said = json.loads(rows[position - 1].payload)
        event = ev.HeadSigned(
            chain_id=said["chain_id"],
            genesis_hash=Hash.from_hex(said["genesis_hash"]),
            position=said["position"],
            head_hash=rows[said["position"] - 1].hash,
            signer=signer or Address.from_hex(said["signer"]),
            signature=Octets(),
        )
        raw = thief.sign_recoverable(keccak(personal_message(text_of(event).encode())), hasher=None)
        payload = encode_json(replace(event, signature=Octets(raw[:64] + bytes((27 + raw[64],))))).decode()
        rows = rewrite(fleet.database, partial(with_payload, position, payload))
    return made[0]


def with_payload(position: int, payload: str, row: EventRow) -> EventRow:
    return replace(row, payload=payload) if row.position == position else row


@pytest.mark.long
async def test_a_dry_run_and_an_operation_with_the_service_down_write_none_and_a_reload_begins_to(fleet: Fleet) -> None:
    async with fleet.service("--dry-run", settings=OFTEN) as service:
        await service.ready()
        await fleet.see(ev.ActionRejected)
        await asyncio.sleep(7)
        assert await service.terminate() == 0
    assert await fleet.recorded(ev.HeadSigned, ev.HeadNotSigned) == []

    fleet.settings |= OFTEN
    done = await fleet.command("extract-all", "--to", "0x" + "5afe" * 10, "--wallets", "wallet-002", "--yes")
    assert done.code == 0, done.err
    assert await fleet.recorded(ev.OperationFinished)
    assert await fleet.recorded(ev.HeadSigned, ev.HeadNotSigned) == []
    del fleet.settings["audit.checkpoint_every_secs"]

    with fleet.config.open("a") as file:
        file.write("\n[audit]\ncheckpoint_every_secs = 0\n")
    async with fleet.service() as service:
        await service.ready()
        await asyncio.sleep(7)
        assert await fleet.recorded(ev.HeadSigned) == []
        fleet.edit_config(("checkpoint_every_secs = 0\n", "checkpoint_every_secs = 5\n"))
        answer = await service.post("/admin/reload")
        assert [it["key"] for it in answer["changes"]] == ["audit.checkpoint_every_secs"]
        await fleet.see(ev.HeadSigned, count=2)
        assert await service.terminate() == 0


@pytest.mark.long
async def test_a_signer_that_is_away_is_said_once_and_holds_nobody_up(fleet: Fleet) -> None:
    port, keys = listening_port(), [fleet.key(wallet).secret for wallet in fleet.wallets]
    fleet.edit_config(*((f'keyfile = "keystores/{wallet}.json"', "remote_signer = true") for wallet in fleet.wallets))
    with fleet.config.open("a") as file:
        file.write(f'\n[keys.remote]\nurl = "http://127.0.0.1:{port}"\ntimeout_secs = 2.0\n')
    for _ in range(2):
        async with fleet.service(settings=OFTEN) as service:
            await service.ready()
            (away,) = await fleet.see(ev.HeadNotSigned)
            await asyncio.sleep(12)
            asked_to_end = time.monotonic()
            assert await service.terminate() == 0
            assert time.monotonic() - asked_to_end < 10
    assert len(await fleet.recorded(ev.HeadNotSigned)) == 1, "over two intervals, two stops and a restart"
    assert isinstance(away.event, ev.HeadNotSigned)
    assert f"127.0.0.1:{port}" in away.event.reason
    assert await fleet.recorded(ev.HeadSigned) == []
    async with (
        web3signer(dict(zip(keys, keys, strict=True)), "--port", str(port)),
        fleet.service(settings=OFTEN) as service,
    ):
        await service.ready()
        await fleet.see(ev.HeadSigned)
        assert await service.terminate() == 0
    signed = len(await fleet.recorded(ev.HeadSigned))
    assert signed >= 1, "the stop signs only where something has happened since"
    found = await fleet.command("audit", "verify")
    assert (found.code, f"checkpoints verified: {signed}," in found.out) == (0, True), (found.out, found.err)
