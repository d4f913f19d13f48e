"""Checkpoints are judged by the walk that verifies a log: on SQLite and on PostgreSQL, in archives and in backups."""

import re
from collections.abc import Sequence
from pathlib import Path

import coincurve
import pytest
from eth_hash.auto import keccak
from log_stage import T0_US, note
from msgspec.structs import replace

from ghostfleet.domain import events as ev
from ghostfleet.domain.checkpoint import text_of
from ghostfleet.domain.events import FLEET_STREAM, NewEvent, Recorded, wallet_stream
from ghostfleet.domain.values import HOUR_US, Address, Hash, Octets
from ghostfleet.keys.addresses import address_of
from ghostfleet.keys.messages import personal_message, signer_of_text
from ghostfleet.operations.archive import archive
from ghostfleet.operations.backup import back_up
from ghostfleet.operations.restore import restore
from ghostfleet.store.checkpoints import Asked
from ghostfleet.store.log import EventLog, open_log, verify_log
from ghostfleet.store.verification import Verification
from tests.forger import rewrite

KEY, STRANGER = (coincurve.PrivateKey(bytes([byte]) * 32) for byte in (1, 2))
OURS, THEIRS = address_of(KEY), address_of(STRANGER)
GENESIS_HASH = Hash(b"\x07" * 32)
STARTED = NewEvent(
    FLEET_STREAM, ev.ServiceStarted(version="1", config_digest="d", chain_id=6343, genesis_hash=GENESIS_HASH)
)
CHECKPOINTS = 4


def registered(name: str, address: Address) -> NewEvent:
    event = ev.WalletRegistered(address=address, profile="p", plugin="t", first_turn_us=0)
    return NewEvent(wallet_stream(name), event)


def signature(text: str, key: coincurve.PrivateKey) -> Octets:
    """EIP-191."""
    raw = key.sign_recoverable(keccak(personal_message(text.encode())), hasher=None)
    return Octets(raw[:64] + bytes((27 + raw[64],)))


def signed_by(key: coincurve.PrivateKey, event: ev.HeadSigned) -> ev.HeadSigned:
    return replace(event, signature=signature(text_of(event), key))


async def sign_head(log: EventLog, **fields: object) -> Recorded:
    """A checkpoint of the log as it ends now, signed by its wallet over whatever is different."""
    event = ev.HeadSigned(
        chain_id=6343,
        genesis_hash=GENESIS_HASH,
        position=log.head.position,
        head_hash=log.head.hash,
        signer=OURS,
        signature=Octets(),
    )
    event = signed_by(KEY, replace(event, **fields))
    return await write(log, event)


async def write(log: EventLog, event: ev.Event) -> Recorded:
    hour = log.head.position * HOUR_US
    (recorded,) = await log.append([NewEvent(FLEET_STREAM, event)], time_us=T0_US + hour)
    return recorded


async def a_fleets_log(url: str) -> list[Recorded]:
    """A log with checkpoints; returns those."""
    log = await open_log(url)
    try:
        await log.append([note("before"), STARTED, registered("w1", OURS)], time_us=T0_US)
        found = []
        for number in range(CHECKPOINTS):
            await write(log, ev.ServiceStopped(reason=f"stop {number}"))
            found.append(await sign_head(log))
        return found
    finally:
        await log.close()


def noted_in(recorded: Sequence[Recorded]) -> list[ev.HeadSigned]:
    return [it.event for it in recorded if isinstance(it.event, ev.HeadSigned)]


async def judged(url: str, noted: Sequence[ev.HeadSigned] = (), archives: Path | None = None) -> Verification:
    return await verify_log(url, archives=archives, asked=Asked(signer_of=signer_of_text, noted=noted))


async def test_every_checkpoint_is_checked_and_the_newest_is_told(url: str) -> None:
    made = await a_fleets_log(url)
    found = await judged(url, noted_in(made))
    assert (found.ok, found.checkpoints, found.not_contained) == (True, CHECKPOINTS, "")
    newest = found.newest_checkpoint
    assert newest is not None
    assert (newest.covers, newest.position, newest.signer) == (made[-1].position - 1, made[-1].position, OURS)
    log = await open_log(url)
    try:
        assert (await log.verify()).checkpoints == 0, "nobody asked"
        await write(log, ev.ServiceStopped(reason="while somebody verifies"))
        beside_a_writer = await judged(url)
        assert (beside_a_writer.ok, beside_a_writer.checkpoints) == (True, CHECKPOINTS)
    finally:
        await log.close()


FORGERIES = {
    "another hash": ({"head_hash": Hash(b"\xee" * 32)}, r"position \d+ had the hash 0xee"),
    "a position to come": ({"position": 10**6}, "it names position 1000000, which does not come before it"),
    "no position": ({"position": 0}, "it names position 0"),
    "another row's hash": ({"position": 2}, "position 2 had the hash"),
    "another chain": ({"chain_id": 1}, "it is of chain 1 with genesis"),
    "another genesis": ({"genesis_hash": Hash(bytes(32))}, "it is of chain 6343 with genesis 0x0000"),
    "an address that it is not signed by": ({"signer": THEIRS}, "the signature is not that of"),
}


@pytest.mark.parametrize("what", FORGERIES)
async def test_a_checkpoint_that_says_something_false_is_named(url: str, what: str) -> None:
    fields, why = FORGERIES[what]
    await a_fleets_log(url)
    log = await open_log(url)
    forged = await sign_head(log, **fields)
    await sign_head(log)
    await log.close()
    found = await judged(url)
    assert (found.ok, found.position) == (False, forged.position)
    assert found.problem.startswith(f"position {forged.position}: HeadSigned: ")
    assert found.rows == forged.position - 1, "those before it verify"
    assert re.search(why, found.problem), found.problem


async def test_a_stranger_who_signs_is_no_wallet_that_the_log_knows(url: str) -> None:
    """Not yet known is not known either: somebody may add himself later."""
    await a_fleets_log(url)
    log = await open_log(url)
    event = ev.HeadSigned(
        chain_id=6343,
        genesis_hash=GENESIS_HASH,
        position=log.head.position,
        head_hash=log.head.hash,
        signer=THEIRS,
        signature=Octets(),
    )
    forged = await write(log, signed_by(STRANGER, event))
    await log.append([registered("w2", THEIRS)], time_us=T0_US)
    await log.close()
    found = await judged(url)
    assert (found.ok, found.position) == (False, forged.position)
    assert "which is no wallet that the log knows" in found.problem


@pytest.mark.parametrize("broken", [b"", b"\x01" * 65, b"\x00" * 64 + b"\x1b", b"\xff" * 200])
async def test_bytes_that_are_no_signature_are_a_finding_and_no_crash(url: str, broken: bytes) -> None:
    (*_, last) = await a_fleets_log(url)
    log = await open_log(url)
    assert isinstance(last.event, ev.HeadSigned)
    forged = await write(log, replace(last.event, signature=Octets(broken)))
    await log.close()
    found = await judged(url)
    assert (found.position, "the signature is not that of" in found.problem) == (forged.position, True)


async def test_whoever_recomputes_the_chain_and_keeps_the_checkpoints_is_found_at_the_first_of_them(
    sqlite_url: str,
) -> None:
    made = await a_fleets_log(sqlite_url)
    path = Path(sqlite_url.removeprefix("sqlite:///"))
    rewrite(path, lambda row: replace(row, payload='{"reason":"was never here"}') if row.position == 1 else row)
    assert (await verify_log(sqlite_url)).ok, "the chain alone hangs together"
    found = await judged(sqlite_url)
    assert (found.ok, found.position) == (False, made[0].position)
    assert "was rewritten and the chain recomputed" in found.problem


async def test_whoever_takes_the_checkpoints_out_as_well_is_told_by_one_that_was_noted(sqlite_url: str) -> None:
    made = noted_in(await a_fleets_log(sqlite_url))
    path = Path(sqlite_url.removeprefix("sqlite:///"))
    rewrite(path, lambda row: None if row.type == "HeadSigned" or row.position == 1 else row)
    assert (await judged(sqlite_url)).ok, "nobody can tell from the log alone"
    for one in made:
        found = await judged(sqlite_url, [one])
        assert not found.ok
        assert found.problem == ""
        assert f"checkpoint of position {one.position}: " in found.not_contained
    assert "the log ends at" in found.not_contained


async def test_a_log_that_was_restored_says_that_itself(sqlite_url: str, tmp_path: Path) -> None:
    """A checkpoint of what was put aside is not in it: that is told, with what the log says of itself."""
    await a_fleets_log(sqlite_url)
    backup = tmp_path / "backup.db.gz"
    await back_up(sqlite_url, backup)
    log = await open_log(sqlite_url)
    for _ in range(3):
        await write(log, ev.ServiceStopped(reason="after the backup"))
    lost = await sign_head(log)
    await log.close()
    await restore(sqlite_url, backup, force=True)
    found = await judged(sqlite_url, noted_in([lost]))
    assert (found.ok, found.checkpoints) == (False, CHECKPOINTS)
    assert "(LogRestored) a backup that ended at" in found.not_contained
    log = await open_log(sqlite_url)
    for _ in range(5):
        await write(log, ev.ServiceStopped(reason="goes on"))
    await sign_head(log)
    await log.close()
    found = await judged(sqlite_url, noted_in([lost]))
    assert (found.ok, found.checkpoints) == (False, CHECKPOINTS + 1)
    assert "has 0x" in found.not_contained
    assert "(LogRestored)" in found.not_contained


async def test_those_of_archives_are_checked_where_the_files_are_at_hand(url: str, tmp_path: Path) -> None:
    made = await a_fleets_log(url)
    place = tmp_path / "archives"
    place.mkdir()
    cut = made[2].time_us  # the row that this one signs goes, and the checkpoint itself stays
    done = await archive(url, cut, place / "old.db", archives=place)
    assert done.last_position == made[2].position - 1
    found = await judged(url, noted_in(made), archives=place)
    assert (found.ok, found.checkpoints, found.checkpoints_unseen) == (True, CHECKPOINTS, 0)
    (place / "old.db").rename(place / "elsewhere.db")
    found = await judged(url, archives=place)
    assert (found.ok, found.checkpoints, found.checkpoints_unseen) == (True, 2, 0), "the anchor's hash is known"
    found = await judged(url, noted_in(made[:1]), archives=place)
    assert (found.ok, "nobody can tell" in found.not_contained) == (False, True)
    assert (await judged(url, noted_in(made[2:]), archives=place)).ok
    log = await open_log(url, archives=place)
    assert isinstance(made[0].event, ev.HeadSigned)
    await write(log, made[0].event)
    await log.close()
    found = await judged(url, archives=place)
    assert (found.ok, found.checkpoints, found.checkpoints_unseen) == (True, 3, 1)


async def test_a_forged_one_in_an_archive_is_found_too(url: str, tmp_path: Path) -> None:
    log = await open_log(url)
    await log.append([STARTED, registered("w1", OURS)], time_us=T0_US)
    forged = await sign_head(log, signer=THEIRS)
    await write(log, ev.ServiceStopped(reason="later"))
    await log.close()
    place = tmp_path / "archives"
    place.mkdir()
    await archive(url, 2**62, place / "old.db", archives=place)
    found = await judged(url, archives=place)
    assert (found.ok, found.position) == (False, forged.position)


async def test_those_of_a_backup_are_checked_where_it_is_put(url: str, sqlite_url: str, tmp_path: Path) -> None:
    made = await a_fleets_log(url)
    await back_up(url, tmp_path / "backup.db.gz")
    elsewhere = f"sqlite:///{tmp_path}/elsewhere.db"
    await restore(elsewhere, tmp_path / "backup.db.gz")
    found = await judged(elsewhere, noted_in(made))
    assert (found.ok, found.checkpoints) == (True, CHECKPOINTS)


async def test_a_service_of_an_older_release_or_without_a_start_has_none(sqlite_url: str) -> None:
    log = await open_log(sqlite_url)
    await log.append([note("only this")], time_us=T0_US)
    await log.close()
    found = await judged(sqlite_url)
    assert (found.ok, found.checkpoints, found.newest_checkpoint) == (True, 0, None)
