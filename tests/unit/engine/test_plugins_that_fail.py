"""A plugin that fails: it is said where, a turn is lost and no more, and what has happened already is recorded all the same."""

import asyncio
import json
import logging
import re
from pathlib import Path
from typing import Any

import pytest

from ghostfleet.chain.answers import sort_error
from ghostfleet.chain.edge import RpcRefused
from ghostfleet.config.foreign_code import place_of
from ghostfleet.domain import events as ev
from ghostfleet.domain.breaker import Closed
from ghostfleet.domain.values import Hash, JsonObject, LogEntry, Octets
from ghostfleet.plugins.api import Plugin, Verdict
from tests.unit.chain import virtual_time
from tests.unit.engine.follow_stage import EXTRACT, SAFE, Stage, following, operation_started, stage
from tests.unit.engine.lane_stage import GOOD, Answering, acting


class Failing(Plugin[Any]):
    """Reads one topic more than an entry has, and knows no word of a revert."""

    name = "t"
    kinds = ("k",)

    async def observe(self, wallet: Any, chain: Any) -> Any:
        raise NotImplementedError

    def decide(self, view: Any, wallet: Any, profile: Any, random: Any) -> Any:
        raise NotImplementedError

    def decode_log(self, entry: LogEntry) -> JsonObject | None:
        return {"topic": str(entry.topics[0])}

    def judge(self, kind: str, reason: str) -> Verdict:
        raise KeyError(reason)


FILE = r"test_plugins_that_fail\.py"
TOPIC = Hash(b"\x01" * 32)
WHOLE = LogEntry(address=SAFE, topics=(TOPIC,), data=Octets(b""))
BARE = LogEntry(address=SAFE, topics=(), data=Octets(b""))


async def acted(on: Stage, *, success: bool, logs: tuple[LogEntry, ...] = ()) -> ev.TransactionMined:
    on.node.succeeds, on.node.logs = success, logs
    signed = await on.signed()
    async with following(on):
        await on.follower.broadcast_new(signed.nonce)
        await on.blocks(3)
    (mined,) = [it for it in on.told if isinstance(it, ev.TransactionMined)]
    return mined


def errors(on: Stage) -> list[tuple[str, str]]:
    return [(it.error_class, it.message) for it in on.told if isinstance(it, ev.ErrorRecorded)]


def test_what_a_plugin_cannot_decode_is_left_out_and_said_once() -> None:
    async def story() -> None:
        async with stage({"t": Failing({}, chain_id=1)}) as on:
            mined = await acted(on, success=True, logs=(BARE, WHOLE, BARE))
            assert mined.logs == ({"topic": str(TOPIC)},)
            ((error_class, message),) = errors(on)
            assert error_class == "defect"
            assert re.fullmatch(rf"t: decode_log: IndexError: tuple index out of range \({FILE}:\d+\)", message)
            assert on.wallet.pending == ()

    virtual_time.run(story())


def test_a_revert_that_a_plugin_cannot_judge_counts() -> None:
    async def story() -> None:
        async with stage({"t": Failing({}, chain_id=1)}) as on:
            mined = await acted(on, success=False)
            assert not mined.success
            ((error_class, message),) = errors(on)
            assert error_class == "defect"
            assert re.fullmatch(rf"t: judge: KeyError: '' \({FILE}:\d+\)", message)
            assert on.wallet.breaker == Closed(errors=1)
            assert on.wallet.pending == ()

    virtual_time.run(story())


def test_what_an_operation_asked_for_counts_towards_nothing_even_after_its_end() -> None:
    """Its step reverts when it has been given up already; an action of the wallet's own counts while an operation runs."""

    async def story(of_step: str, runs: bool) -> Closed:
        async with stage() as on:
            await on.fleet(operation_started("extract", EXTRACT))
            on.node.succeeds = False
            signed = await on.signed(operation=of_step)
            if not runs:
                suspended = ev.OperationSuspended(operation_id="extract-1", actor="local", reason="")
                finished = ev.OperationFinished(
                    operation_id="extract-1", outcome="abandoned", actor="local", summary={}
                )
                await on.fleet(suspended, finished)
            async with following(on):
                await on.follower.broadcast_new(signed.nonce)
                await on.blocks(3)
            breaker = on.wallet.breaker
            assert isinstance(breaker, Closed)
            return breaker

    assert virtual_time.run(story("extract-1", runs=False)) == Closed(errors=0)
    assert virtual_time.run(story("extract-1", runs=True)) == Closed(errors=0)
    assert virtual_time.run(story("", runs=True)) == Closed(errors=1)


class Undecided(Answering):
    """Looks for what is not there, by way of others."""

    async def observe(self, wallet: Any, chain: Any) -> Any:
        if self.said["observe"] is None:
            raise RpcRefused(sort_error(3, "execution reverted: paused"))
        return self.said["observe"]

    def decide(self, view: Any, wallet: Any, profile: Any, random: Any) -> Any:
        if self.said["decide"] is None:
            secret = "hunter2"  # noqa: F841 - what stands in a variable is told nobody
            return _level({}, wallet)
        return self.said["decide"]


def _level(levels: dict[str, int], wallet: Any) -> int:
    return max([1, 2], key=lambda _it: levels["nope"])


def line_of(words: str) -> int:
    """Where they stand in this file."""
    (number,) = [n for n, line in enumerate(Path(__file__).read_text().splitlines(), 1) if line.endswith(words)]
    return number


def test_an_exception_in_decide_costs_one_turn_and_says_where(caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        plugin = Undecided(decide=None)
        async with acting(plugin) as on:
            await asyncio.sleep(1)
            line = line_of('levels["nope"])')
            said = f"t: decide: KeyError: 'nope' (test_plugins_that_fail.py:{line})"
            assert errors(on) == [("defect", said)]
            assert on.wallet.rest == "defect"
            assert on.wallet.next_turn_us == on.world.clock.now_us() + 99_000_000
            assert on.wallet.breaker == Closed(errors=0)
            await asyncio.sleep(98)
            assert errors(on) == [("defect", said)]
            await asyncio.sleep(2)
            assert errors(on) == [("defect", said)] * 2
            plugin.said["decide"] = GOOD
            await on.blocks(103)
            assert "ActionSucceeded" in on.kinds

    with caplog.at_level(logging.DEBUG, "ghostfleet"):
        virtual_time.run(story())
    assert "Traceback (most recent call last):" in caplog.messages
    assert '    return max([1, 2], key=lambda _it: levels["nope"])' in caplog.messages
    assert not any("hunter2" in line for line in caplog.messages if "secret =" not in line)


def test_a_traceback_is_for_debug_only(caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        async with acting(Undecided(decide=None)):
            await asyncio.sleep(1)

    with caplog.at_level(logging.INFO, "ghostfleet"):
        virtual_time.run(story())
    assert caplog.messages == []


def test_a_refusal_of_the_chain_that_observe_lets_pass_costs_one_turn() -> None:
    async def story() -> None:
        async with acting(Undecided(observe=None)) as on:
            await asyncio.sleep(1)
            ((error_class, message),) = errors(on)
            assert error_class == "observation"
            assert re.fullmatch(
                rf"t: observe: RpcRefused: reverted: execution reverted: paused \({FILE}:\d+\)", message
            )
            assert on.wallet.rest == "observation"

    virtual_time.run(story())


class Speechless(Exception):
    def __str__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize("problem", [Speechless(), ValueError("\ud800"), ValueError("x" * 10_000)])
def test_whatever_an_exception_says_it_can_be_recorded(problem: Exception) -> None:
    class Raising(Answering):
        def decide(self, view: Any, wallet: Any, profile: Any, random: Any) -> Any:
            raise problem

    async def story() -> None:
        async with acting(Raising()) as on:
            await asyncio.sleep(1)
            ((_, message),) = errors(on)
            assert message.startswith(f"t: decide: {type(problem).__name__}")
            assert re.search(rf"\({FILE}:\d+\)$", message)
            assert len(message) <= 300

    virtual_time.run(story())


def test_a_place_is_in_the_plugins_own_code_wherever_it_failed() -> None:
    """Not where a library that it calls failed, and of the fleet's own plugins the module beside the class."""
    with pytest.raises(ValueError, match="property name") as failed:
        json.loads("{")
    line = line_of("json.loads(" + '"{")')
    assert place_of(failed.value, __name__) == f"test_plugins_that_fail.py:{line}"
    assert place_of(failed.value, "json").startswith("decoder.py:")
    assert place_of(failed.value, "ghostfleet.plugins.ghostnet.plugin") == ""
    with pytest.raises(SyntaxError) as unreadable:
        compile("a =\nb", "/somewhere/piggy.py", "exec")
    assert place_of(unreadable.value, "piggy") == "piggy.py:1"
