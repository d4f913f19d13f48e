"""A log that takes nothing is told of once, on standard error, at once and not when it is over."""

import asyncio
import contextlib
import io

import pytest
from live_stage import Clock, Fixture, live_state

from ghostfleet.domain import events as ev
from ghostfleet.engine import store_watch
from ghostfleet.engine.gate import Gate
from ghostfleet.engine.store_watch import watch_store
from ghostfleet.store.errors import LogUnavailable
from ghostfleet.telemetry import configure_logging

NOTE = ev.NewEvent(ev.FLEET_STREAM, ev.ServiceStopped(reason="n"))


async def recovered() -> None:
    """Nothing was missed."""


async def until_recovered(it: Fixture) -> None:
    for _ in range(1000):
        if not it.live.troubled.is_set():
            return
        await asyncio.sleep(0.001)
    raise AssertionError("the log takes events, and nobody noticed")


async def test_it_is_said_once_and_why_while_it_lasts(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_watch, "PROBE_SECS", 0.001)
    undo = configure_logging("info", stream=io.StringIO())
    async with live_state() as it:
        watching = asyncio.create_task(watch_store(it.live, Gate(), Clock(), recovered))
        try:
            for times in (1, 2):
                it.disk.full = "the disk is full"
                with pytest.raises(LogUnavailable):
                    await it.live.write([NOTE])
                await asyncio.sleep(0.05)  # many probes
                lines = capsys.readouterr().err.splitlines()
                assert len(lines) == 1, f"trouble number {times}: {lines}"
                for word in ("ERROR", "class=log_unavailable", "the disk is full", "The fleet stands", "IR-006"):
                    assert word in lines[0]
                it.disk.full = ""
                await until_recovered(it)
        finally:
            watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watching
            undo()
