"""Whatever held the fleet back in the log that a restore replaces holds in the restored one as well."""

import time
from pathlib import Path

from lived_log import everything, live
from log_stage import mined, note, registered, signed, tx_hash
from test_backup import edit, told
from typer.testing import CliRunner

from ghostfleet.cli.main import app
from ghostfleet.domain import events as ev
from ghostfleet.domain.events import FLEET_STREAM, NewEvent
from ghostfleet.domain.state import State
from ghostfleet.domain.values import Address, Call, Octets
from ghostfleet.engine.recovery import recover
from ghostfleet.operations.backup import back_up
from ghostfleet.operations.restore import restore
from ghostfleet.store.log import open_log
from tests.simulation.memory_recorder import Commit

OPERATOR = "operator"
BEFORE_US = time.time_ns() // 1000 - 60_000_000
"""A minute ago: what limits have counted then still counts."""


def fleet(*events: ev.Event) -> list[NewEvent]:
    return [NewEvent(FLEET_STREAM, event) for event in events]


def token(name: str, byte: int = 1) -> ev.AdminTokenCreated:
    return ev.AdminTokenCreated(name=name, role="operator", sha256=tx_hash(name, byte), actor=OPERATOR)


async def write(url: str, *events: NewEvent, time_us: int = BEFORE_US) -> None:
    log = await open_log(url)
    await log.append(events, time_us=time_us)
    await log.close()


async def state_of(url: str) -> State:
    """However it is folded."""
    log = await open_log(url, read_only=True)
    try:
        return await recover(log, use_snapshot=False)
    finally:
        await log.close()


async def test_a_pause_made_after_the_backup_holds_after_the_restore(url: str, tmp_path: Path) -> None:
    await write(url, note("a"))
    await back_up(url, tmp_path / "backup.gz")
    await write(url, *fleet(ev.FleetPaused(actor=OPERATOR, reason="stolen key?")))
    done = await restore(url, tmp_path / "backup.gz", force=True)
    assert done.paused
    assert "ghost-fleet resume" in done.carried_over[0]
    pause = (await state_of(url)).fleet.paused
    assert pause is not None
    assert pause.actor == "restore"
    for word in ("backup.gz", OPERATOR, "stolen key?"):
        assert word in pause.reason
    assert [type(it.event) for it in await told(url)][-2:] == [ev.LogRestored, ev.FleetPaused]

    again = await restore(url, tmp_path / "backup.gz")
    assert again.paused, "the restored log holds nothing else than the backup, and is paused"
    assert (await state_of(url)).fleet.paused.reason == pause.reason  # type: ignore[union-attr]


async def test_a_log_that_was_not_paused_is_not_restored_paused(url: str, tmp_path: Path) -> None:
    await write(url, note("a"))
    await back_up(url, tmp_path / "backup.gz")
    await write(url, *fleet(ev.FleetPaused(actor=OPERATOR), ev.FleetResumed(actor=OPERATOR)))
    done = await restore(url, tmp_path / "backup.gz", force=True)
    assert (done.paused, done.carried_over) == (False, ())
    assert (await state_of(url)).fleet.paused is None


async def test_a_resume_since_the_backup_is_not_carried_over(url: str, tmp_path: Path) -> None:
    await write(url, *fleet(ev.FleetPaused(actor=OPERATOR)))
    await back_up(url, tmp_path / "backup.gz")
    await write(url, *fleet(ev.FleetResumed(actor=OPERATOR)))
    assert (await restore(url, tmp_path / "backup.gz", force=True)).paused


async def test_a_log_that_cannot_be_read_is_taken_for_paused(
    sqlite_url: str, tmp_path: Path, commits: tuple[Commit, ...]
) -> None:
    """Overwritten, damaged in the middle, or with a fold that does not hold."""
    path = Path(sqlite_url.removeprefix("sqlite:///"))
    await write(sqlite_url, note("a"))
    await back_up(sqlite_url, tmp_path / "backup.gz")
    for damage in (
        "overwritten",
        "UPDATE events SET payload = '{}' WHERE position = 5",
        "DELETE FROM events WHERE position = 9",
    ):
        for name in ("", "-wal", "-shm", ".witness"):
            path.with_name(path.name + name).unlink(missing_ok=True)
        await live(sqlite_url, commits)
        if damage == "overwritten":
            path.write_bytes(b"\xff" * 8192)
        else:
            edit(path, damage)
        done = await restore(sqlite_url, tmp_path / "backup.gz", force=True)
        assert done.paused, damage
        assert any("ended tokens" in line for line in done.not_taken_over), damage
        pause = (await state_of(sqlite_url)).fleet.paused
        assert pause is not None
        assert "is not known" in pause.reason or "was paused by" in pause.reason


async def test_tokens_that_were_ended_stay_ended_and_new_ones_are_named(url: str, tmp_path: Path) -> None:
    await write(url, *fleet(token("stolen"), token("kept"), token("renewed")))
    await back_up(url, tmp_path / "backup.gz")
    ended = [ev.AdminTokenRevoked(name=name, actor=OPERATOR) for name in ("stolen", "renewed")]
    await write(url, *fleet(*ended, token("renewed", 2), token("new")))
    done = await restore(url, tmp_path / "backup.gz", force=True)
    assert [it.name for it in (await state_of(url)).fleet.operators.tokens] == ["kept"]
    assert "stolen" in " ".join(done.carried_over)
    assert "new" in " ".join(done.not_taken_over)


async def test_lock_outs_pace_and_drained_endpoints_hold(url: str, tmp_path: Path) -> None:
    await write(url, note("a"))
    await back_up(url, tmp_path / "backup.gz")
    lasting = ev.AdminLockedOut(remote="10.0.0.9", actor="?", failures=10, until_us=BEFORE_US + 600_000_000)
    over = ev.AdminLockedOut(remote="10.0.0.8", actor="?", failures=10, until_us=BEFORE_US + 1)
    slower = ev.FleetThrottled(actor=OPERATOR, factor=0.25)
    await write(url, *fleet(lasting, over, slower, ev.EndpointDrained(endpoint="one", actor=OPERATOR)))
    await restore(url, tmp_path / "backup.gz", force=True)
    state = await state_of(url)
    assert (state.fleet.pace, state.fleet.drained_endpoints) == (0.25, ("one",))
    events = [it.event for it in await told(url)]
    assert [it for it in events if isinstance(it, ev.AdminLockedOut)] == [lasting]


async def test_what_was_spent_today_is_not_forgotten(url: str, tmp_path: Path) -> None:
    """Of wallets and of the fleet: mined, still open, and of a wallet that the backup does not know."""
    await write(url, registered("w1"), *acting("w1", 1), mined("w1", 1))
    await back_up(url, tmp_path / "backup.gz")
    later = (*acting("w1", 2), mined("w1", 2), *acting("w1", 3), registered("w2", 2), *acting("w2", 1), mined("w2", 1))
    await write(url, *later)
    now_us = time.time_ns() // 1000
    before = await state_of(url)
    done = await restore(url, tmp_path / "backup.gz", force=True)
    assert any("limits" in line for line in done.carried_over)
    after = await state_of(url)
    for name in ("w1", "w2"):
        was, now = before.wallets[name], after.wallets[name]
        assert now.actions.total(now_us) == was.actions.total(now_us) > 0
        assert now.gas_spent.total(now_us) == was.gas_spent.total(now_us) + was.at_worst.gas_wei > 0
        assert now.value_spent.total(now_us) == was.value_spent.total(now_us) + was.at_worst.value_wei > 0
    ledger, had = after.fleet.ledger, before.fleet.ledger
    assert ledger.gas.total(now_us) == had.gas.total(now_us) + had.reserved.gas_wei
    assert ledger.value.total(now_us) == had.value.total(now_us) + had.reserved.value_wei
    await restore(url, tmp_path / "backup.gz")
    again = await state_of(url)
    assert again.fleet.ledger == ledger, "restored once more nothing counts twice"


def acting(wallet: str, n: int) -> tuple[NewEvent, NewEvent]:
    call = Call(to=Address(b"\x09" * 20), value_wei=10**24, data=Octets(b""))
    decided = ev.ActionDecided(
        action_id=f"{wallet}/{n}", plugin="p", kind="k", params={}, seed=0, observation={}, profile="whale",
        config_digest="", call=call, spend_wei=0, balance_wei=10**25, next_turn_us=0,
    )  # fmt: skip
    return NewEvent(ev.wallet_stream(wallet), decided), signed(wallet, n)


async def test_an_operation_under_way_in_the_backup_waits_for_somebody(url: str, tmp_path: Path) -> None:
    started = ev.OperationStarted(operation_id="fund-1", kind="fund", wallets=("w1",), params={}, actor=OPERATOR)
    await write(url, registered("w1"), *fleet(started))
    await back_up(url, tmp_path / "backup.gz")
    finished = ev.OperationFinished(operation_id="fund-1", outcome="done", actor="service", summary={})
    await write(url, *fleet(finished))
    done = await restore(url, tmp_path / "backup.gz", force=True)
    [operation] = (await state_of(url)).fleet.operations
    assert not operation.running
    assert "fund-1" in " ".join(done.carried_over)


async def test_one_that_was_suspended_in_the_backup_waits_for_a_look_as_well(url: str, tmp_path: Path) -> None:
    """It went on since, and was done: asked for once more it would have paid again, and nothing had been said."""
    started = ev.OperationStarted(operation_id="fund-1", kind="fund", wallets=("w1",), params={}, actor=OPERATOR)
    suspended = ev.OperationSuspended(operation_id="fund-1", actor=OPERATOR, reason=f"paused by {OPERATOR}")
    await write(url, *fleet(started, suspended))
    await back_up(url, tmp_path / "backup.gz")
    continued = ev.OperationContinued(operation_id="fund-1", actor=OPERATOR)
    finished = ev.OperationFinished(operation_id="fund-1", outcome="done", actor="service", summary={})
    await write(url, *fleet(continued, finished))
    done = await restore(url, tmp_path / "backup.gz", force=True)
    [operation] = (await state_of(url)).fleet.operations
    assert "restored from a backup" in operation.suspended
    assert "fund-1" in " ".join(done.carried_over)


def test_the_command_says_what_was_carried_over_and_what_to_do(tmp_path: Path) -> None:
    """On a log of its own, by the command line alone."""
    import asyncio

    url = f"sqlite:///{tmp_path}/log.db"
    asyncio.run(write(url, note("a")))
    asyncio.run(back_up(url, tmp_path / "backup.gz"))
    asyncio.run(write(url, *fleet(ev.FleetPaused(actor=OPERATOR, reason="stolen key?"))))
    settings = tmp_path / "config.toml"
    settings.write_text(f'[chain]\nrpc_url = "http://127.0.0.1:1"\nchain_id = 31337\n[store]\nurl = "{url}"\n')
    settings.chmod(0o600)
    run = ("--config", str(settings), "db", "restore", str(tmp_path / "backup.gz"), "--force", "--no-chain")
    ran = CliRunner().invoke(app, run)
    assert ran.exit_code == 0, ran.output
    assert "carried over: the fleet is paused" in ran.output
    assert "stolen key?" in ran.output
    assert "ghost-fleet resume" in ran.output


async def test_the_restored_log_is_the_backup_and_that_alone(url: str, tmp_path: Path) -> None:
    await write(url, note("a"), note("b"))
    await back_up(url, tmp_path / "backup.gz")
    await write(url, *fleet(ev.FleetPaused(actor=OPERATOR)))
    await restore(url, tmp_path / "backup.gz", force=True)
    log = await open_log(url)
    restored = (await everything(log))[2].event
    await log.close()
    assert isinstance(restored, ev.LogRestored)
    assert restored.effects == 1
