"""A funder pays each target once, whatever the chain takes back, and whoever cannot be paid keeps nobody else waiting."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from ghostfleet.chain.answers import sort_error
from ghostfleet.chain.edge import RpcRefused
from ghostfleet.domain import events as ev
from ghostfleet.domain.allow_list import AllowList
from ghostfleet.domain.decisions import Refused
from ghostfleet.domain.operation import Operation, Step
from ghostfleet.domain.values import Address, Call, Hash, JsonObject, LogEntry, Octets
from ghostfleet.domain.wallet import Wallet
from ghostfleet.engine.duties import Later
from ghostfleet.engine.errands import run_errands
from ghostfleet.operations.fund import FundDuty, _results, transfers
from ghostfleet.plugins.api import Token
from ghostfleet.plugins.tokens import TRANSFERRED
from tests.unit.chain import virtual_time
from tests.unit.engine.follow_stage import FINALITY_BLOCKS, GAS, KEY, Stage, operation_started, stage
from tests.unit.operations.test_what_cannot_be_read import Protocol

SHUT, *OPEN = (Address(bytes(19) + bytes([number])) for number in (1, 2, 3))
DATA = Token(symbol="DATA", address=Address(b"\x0d" * 20))


def params(*targets: Address, **tokens: str) -> JsonObject:
    named = {f"t{to[-1]}": str(to) for to in targets}
    return {"targets": named, "native_wei": "1000", "tokens": tokens, "destinations": list(named.values())}


@asynccontextmanager
async def funding(wanted: JsonObject) -> AsyncIterator[tuple[Stage, FundDuty]]:
    """Asked for and planned; its funder has a lane that does nothing else."""
    async with stage() as on:

        async def estimate_gas(sender: Address, call: Call) -> int:
            if call.to == SHUT:
                raise RpcRefused(sort_error(3, "execution reverted: no thanks"))
            return GAS

        on.node.estimate_gas = estimate_gas  # type: ignore[method-assign]
        planned = ev.OperationWalletPlanned(operation_id="fund-1", wallet="w", plan={})
        await on.fleet(operation_started("fund", wanted), planned)
        duty = FundDuty("fund-1", on.world)

        async def lane() -> None:
            while True:
                await on.follower.follow()
                try:
                    outcome = await run_errands(on.world, "w", duty)
                except Refused:  # it is done
                    await asyncio.sleep(1)
                    continue
                for nonce in outcome.opened:
                    await on.follower.broadcast_new(nonce)
                await asyncio.sleep(outcome.wait_secs)

        running = asyncio.create_task(lane())
        await asyncio.sleep(0.1)
        try:
            yield on, duty
        finally:
            running.cancel()
            await asyncio.wait([running])


def test_what_failed_in_a_block_that_may_be_replaced_is_not_paid_a_second_time_before_that_is_final() -> None:
    """It was paid again at once, and then another block had the first one succeed."""

    async def story() -> None:
        async with funding(params(OPEN[0])) as (on, duty):
            on.node.succeeds = False
            await on.blocks(1)
            on.node.succeeds = True
            await on.blocks(3)
            (first,) = [it for it in on.told if isinstance(it, ev.TransactionSigned)]
            assert "ActionFailed" in on.kinds
            assert duty.waiting == "t2/native failed in a block that is not final yet"
            on.node.take_back(4)
            on.node.grow(1, "b")
            on.node.include(first)
            await on.blocks(FINALITY_BLOCKS + 10, "b")
            assert [sent.nonce for sent in on.node.sent] == [0], "the other block has it, and nothing else was sent"
            assert on.kinds[-1] == "TransactionFinal"
            assert "OperationWalletDone" in on.kinds

    virtual_time.run(story())


def test_what_failed_for_good_is_tried_again() -> None:
    async def story() -> None:
        async with funding(params(OPEN[0])) as (on, _):
            on.node.succeeds = False
            await on.blocks(1)
            on.node.succeeds = True
            await on.blocks(FINALITY_BLOCKS + 10)
            assert [(sent.nonce, sent.call.to) for sent in on.node.sent] == [(0, OPEN[0]), (1, OPEN[0])]
            assert "OperationWalletDone" in on.kinds

    virtual_time.run(story())


def test_one_that_takes_no_coin_keeps_nobody_else_waiting_and_is_named() -> None:
    async def story() -> None:
        async with funding(params(SHUT, *OPEN)) as (on, duty):
            await on.blocks(3)
            assert [sent.call.to for sent in on.node.sent] == OPEN
            assert duty.waiting == "the chain refuses t1/native now: reverted: execution reverted: no thanks"
            assert "OperationWalletDone" not in on.kinds, "somebody may open it, or give the funding up"

    virtual_time.run(story())


def test_hundreds_that_are_refused_keep_nobody_else_waiting() -> None:
    async def story() -> None:
        wanted = params(OPEN[0])
        wanted["targets"] = {**{f"shut{number}": str(SHUT) for number in range(250)}, **wanted["targets"]}
        async with funding(wanted) as (on, _):
            await on.blocks(2)
            assert [sent.call.to for sent in on.node.sent] == [OPEN[0]]

    virtual_time.run(story())


def test_a_token_that_the_settings_have_lost_is_said() -> None:
    """It was a defect of the lane, again and again, of which the operation said nothing."""

    async def story() -> None:
        async with funding(params(OPEN[0], DATA="5")) as (on, duty):
            wish = await duty.next(on.wallet)
            assert isinstance(wish, Later)
            assert wish.why == "the settings name no token DATA any more"

    virtual_time.run(story())


def test_nothing_of_a_token_is_not_sent() -> None:
    steps = [it.step for it in transfers(params(OPEN[0], DATA="0"), {"t": Protocol("", [DATA])})]
    assert steps == ["t2/native"]


def transferred(amount: int) -> tuple[LogEntry, ...]:
    topics = (TRANSFERRED, *(Hash(address.rjust(32, b"\0")) for address in (KEY.address, OPEN[0])))
    return (LogEntry(address=DATA.address, topics=topics, data=Octets(amount.to_bytes(32, "big"))),)


@pytest.mark.parametrize(
    ("logs", "received", "remarks"),
    [
        pytest.param(transferred(4), "4", [], id="a token that the wallet's own plugin does not know"),
        pytest.param((), "0", ["DATA: its transfer went through and nothing arrived"], id="a token that says false"),
    ],
)
def test_what_arrived_is_what_the_token_says(logs: tuple[LogEntry, ...], received: str, remarks: list[str]) -> None:
    """Only the wallet's own plugin was asked: of another one's token nothing had arrived, and it would have been paid again."""

    class Other(Protocol):
        name = "u"

    async def story() -> None:
        wanted = params(OPEN[0], DATA="4") | {"native_wei": "0"}
        async with stage({"t": Protocol(), "u": Other("", [DATA])}) as on:
            on.node.logs = logs

            async def held(*_: object) -> Octets:
                return Octets((9).to_bytes(32, "big"))

            on.node.call = held  # type: ignore[method-assign, assignment]
            on.world.in_force.now = dataclasses.replace(
                on.world.in_force.now, allowed=AllowList({DATA.address: "a token"})
            )
            planned = ev.OperationWalletPlanned(operation_id="fund-1", wallet="w", plan={})
            await on.fleet(operation_started("fund", wanted), planned)
            duty = FundDuty("fund-1", on.world)
            (nonce,) = (await run_errands(on.world, "w", duty)).opened
            await on.follower.broadcast_new(nonce)
            await on.blocks(1)
            await on.follower.follow()
            await run_errands(on.world, "w", duty)
            line = next(it.result for it in on.told if isinstance(it, ev.OperationWalletDone))
            assert (line["moved"]["DATA"]["received"], line["remarks"]) == (received, remarks)

    virtual_time.run(story())


def test_a_line_has_the_steps_of_its_own_target_and_no_other_ones() -> None:
    """They were looked for among all steps, for each target: with 10,000 the service stood still for 45 seconds."""

    def paid(number: int) -> Step:
        action = f"w/{number}"
        return Step(
            wallet="w", kind="fund", state="done", action_id=action, asset="native", amount=7, to="0x1", received=7
        )

    wanted = {"targets": {"a": "0x1", "a/b": "0x2"}, "tokens": {"DATA": "5"}}
    steps = {"a/native": paid(1), "a/b/native": paid(2)}
    operation = Operation(id="fund-1", kind="fund", wallets=("w",), params=wanted, actor="", since_us=0, steps=steps)
    funder = Wallet(id="w", address=KEY.address, profile="p", plugin="t")
    lines = _results(operation, funder, {})
    assert [lines[name]["moved"]["native"]["sent"] for name in wanted["targets"]] == ["7", "7"]
