"""A plugin that fails at what has happened already: it is said, and what is true is recorded all the same."""

import re
from typing import Any

from ghostfleet.domain import events as ev
from ghostfleet.domain.breaker import Closed
from ghostfleet.domain.values import Hash, JsonObject, LogEntry, Octets
from ghostfleet.plugins.api import Plugin, Verdict
from tests.unit.chain import virtual_time
from tests.unit.engine.follow_stage import SAFE, Stage, following, stage


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
            started = ev.OperationStarted(
                operation_id="extract-1",
                kind="extract",
                wallets=("w",),
                params={"to": str(SAFE), "wait": True, "retire": False, "destinations": [str(SAFE)]},
                actor="local",
                reason="",
            )
            await on.fleet(started)
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
