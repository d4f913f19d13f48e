"""`ghost-fleet demo`: a development chain, stand-in contracts, funded wallets and the real service, in one command."""

import asyncio
import contextlib
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from ghostfleet.cli.output import print_json, print_line
from ghostfleet.domain.values import JsonObject
from ghostfleet.errors import BadInput, GhostFleetError

if TYPE_CHECKING:
    from ghostfleet.assembly import Running
    from ghostfleet.config.loaded import Loaded

DEFAULT_WALLETS = 20
INTERVAL_SECS = 2.0
BLOCK_SECS = 1.0
VIEW_SECS = 0.5
SETTLE_SECS = 20.0
"""After its last second the demo waits so long for open transactions before it compares log and chain."""


class Mismatches(GhostFleetError):
    """The log and the chain do not say the same, or the log does not verify."""

    exit_code = 1


class StoppedMeanwhile(GhostFleetError):
    """The service of the demo was asked to stop, by `ghost-fleet stop` or over HTTP, so there is nothing left to compare with the
    chain. Ctrl-C ends a demo in order."""


def demo(
    wallets: Annotated[int, typer.Option("--wallets", min=1, max=1000, help="How many.")] = DEFAULT_WALLETS,
    seconds: Annotated[float, typer.Option("--seconds", min=0, help="Stop after so long; 0 runs until Ctrl-C.")] = 0,
    engine: Annotated[str, typer.Option("--engine", help="embedded (no Node needed), anvil or auto.")] = "embedded",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Of HTTP; 0 takes a free one.")] = 8080,
    as_json: Annotated[bool, typer.Option("--json", help="No live view; one JSON object at the end.")] = False,
) -> None:
    """Run a fleet on a development chain, live. Ctrl-C stops it gracefully and compares the log with the chain."""
    if engine not in ("auto", "anvil", "embedded"):
        raise BadInput(f"--engine {engine}: there is auto, anvil, embedded")
    result = asyncio.run(_demo(wallets, seconds, engine, port, as_json))
    if as_json:
        print_json(result)
    else:
        print_line("\n" + _in_words(result))
    wrong = _wrong(result)
    if wrong:
        raise Mismatches("; ".join(wrong))


async def _demo(wallets: int, seconds: float, engine: str, port: int, as_json: bool) -> JsonObject:
    from ghostfleet.config.loading import load
    from ghostfleet.devnet.launch import running_devnet
    from ghostfleet.devnet.prepare import prepare
    from ghostfleet.devnet.process import free_port
    from ghostfleet.telemetry import configure_logging

    configure_logging("error" if as_json else "warning")
    with tempfile.TemporaryDirectory(prefix="ghost-fleet-demo-") as folder:
        out = Path(folder) / "fleet"
        if not as_json:
            print_line(f"starting a development chain ({engine}) and {wallets} wallets ...")
        async with running_devnet(engine, block_time_secs=BLOCK_SECS) as chain:  # type: ignore[arg-type]
            await prepare(chain.url, wallets, out, INTERVAL_SECS, health_port=port or free_port())
            settings = load(out / "config.toml", {})
            return await _run(settings, seconds, chain.engine, as_json)


async def _run(settings: "Loaded", seconds: float, engine: str, as_json: bool) -> JsonObject:
    """The service with a view on it; at the end pause, settle, compare."""
    from ghostfleet.lifetime import run_service

    running: asyncio.Future[Running] = asyncio.get_running_loop().create_future()
    service = asyncio.create_task(run_service(settings, on_running=running.set_result))
    waits: list[asyncio.Future[Any]] = [service, running]
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    if service.done():
        await service
    up = running.result()
    try:
        with _ended_by_signals() as end:
            started = time.monotonic()
            await _watch(up, end, service, seconds, as_json)
            elapsed = time.monotonic() - started
        result = await _compared(up, settings, engine)
        return {"wallets": len(up.live.state.wallets), "seconds": round(elapsed, 1), **result}
    finally:
        up.stop.set()
        await asyncio.wait([service])


async def _watch(
    up: "Running", end: asyncio.Event, service: "asyncio.Task[None]", seconds: float, as_json: bool
) -> None:
    """Until the time is over or somebody asks to end. Raises what ended the service, StoppedMeanwhile for a command."""
    from ghostfleet.cli.demo_view import live_view, no_view, plain_view

    until = time.monotonic() + seconds if seconds else None
    view = no_view() if as_json else live_view(up) if sys.stdout.isatty() else plain_view(up)
    with view as refresh:
        while not end.is_set() and not service.done() and (until is None or time.monotonic() < until):
            refresh()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(VIEW_SECS):
                    await end.wait()
    if service.done():
        await service
        raise StoppedMeanwhile("the service was asked to stop: nothing was compared. Ctrl-C ends a demo in order")


async def _compared(up: "Running", settings: "Loaded", engine: str) -> JsonObject:
    """End in order, and ask the chain about everything that the log says."""
    from ghostfleet.operations.reconcile import ON_CHAIN, reconcile
    from ghostfleet.store.queries import MAX_PAGE_ROWS, TransactionQuery, every

    await _calmed(up)
    wallets = up.live.state.wallets
    attempts = [row async for row in every(up.log.transactions, TransactionQuery(limit=MAX_PAGE_ROWS))]
    found = await reconcile(attempts, {name: wallet.address for name, wallet in wallets.items()}, frozenset(), up.chain)
    verified = await up.log.verify()
    totals = [wallet.totals for wallet in wallets.values()]
    statuses = [row.status for row in attempts]
    return {
        "actions": {
            "succeeded": sum(it.succeeded for it in totals),
            "failed": sum(it.failed for it in totals),
            "rejected": sum(it.rejected for it in totals),
        },
        "transactions": {
            "mined": sum(status in ON_CHAIN for status in statuses),
            "reverted": statuses.count("reverted"),
            "open": statuses.count("open"),
        },
        "log": {"events": verified.rows, "head": str(verified.head.hash), "verified": verified.ok},
        "chain": {"engine": engine, "mismatches": len(found)},
    }


async def _calmed(up: "Running") -> None:
    """Nobody begins anything new, what is open settles, and then a pause: one in full swing would hold back for good what is
    signed at that moment and has not left."""
    from ghostfleet.domain.throttle import MIN_FACTOR
    from ghostfleet.engine.ports import AdminCommand

    ends = AdminCommand(command="throttle", actor="demo", remote="", request_id="demo-slows", reason="the demo ends")
    if up.live.state.fleet.paused is None:
        await up.service.throttle(ends, MIN_FACTOR)
        await _settled(up)
    await up.service.pause(msgspec.structs.replace(ends, command="pause", request_id="demo-end"))
    await _settled(up)


async def _settled(up: "Running") -> None:
    """Until nothing is open, or for SETTLE_SECS."""
    for _ in range(int(SETTLE_SECS / VIEW_SECS)):
        await asyncio.sleep(VIEW_SECS)  # first of all: a turn that has begun may not be in the log yet
        if not any(wallet.pending for wallet in up.live.state.wallets.values()):
            return


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[asyncio.Event]:
    end = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, end.set)
    try:
        yield end
    finally:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.remove_signal_handler(number)


def _wrong(result: JsonObject) -> list[str]:
    mismatches, verified = result["chain"]["mismatches"], result["log"]["verified"]
    differences = [f"{mismatches} differences between log and chain"] if mismatches else []
    return differences + ([] if verified else ["the log does not verify"])


def _in_words(result: JsonObject) -> str:
    actions, transactions, log, chain = (result[key] for key in ("actions", "transactions", "log", "chain"))
    return (
        f"{result['wallets']} wallets, {result['seconds']} s: {actions['succeeded']} actions succeeded, "
        f"{actions['failed']} failed, "
        f"{actions['rejected']} rejected; {transactions['mined']} transactions mined ({transactions['reverted']} reverted), "
        f"{transactions['open']} open; {log['events']} events, head {log['head']}, "
        f"{'verified' if log['verified'] else 'NOT VERIFIED'}; {chain['mismatches']} differences from the {chain['engine']} chain"
    )
