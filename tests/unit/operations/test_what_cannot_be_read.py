"""An emergency has to go on where one part of a wallet cannot be read: a broken plugin, a paused token, no token at all."""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from ghostfleet.chain.answers import sort_error
from ghostfleet.chain.edge import RpcRefused
from ghostfleet.domain import events as ev
from ghostfleet.domain.values import Address, Call, JsonObject, Octets, WalletId
from ghostfleet.engine.duties import Do, Done, Later
from ghostfleet.errors import TryAgain
from ghostfleet.operations.destroy import DestroyDuty
from ghostfleet.operations.extract import ExtractDuty
from ghostfleet.operations.fund import FundDuty
from ghostfleet.operations.holdings import look
from ghostfleet.operations.runner import OperationRunner
from ghostfleet.plugins.api import Action, Plugin, Token
from tests.unit.chain import virtual_time
from tests.unit.engine.follow_stage import EXTRACT, KEY, SAFE, Stage, operation_started, stage

GOOD = Token(symbol="GOOD", address=Address(b"\x0a" * 20))
PAUSED = Token(symbol="PAUSED", address=Address(b"\x0b" * 20))
GONE = Token(symbol="GONE", address=Address(b"\x0c" * 20))
FILE = r"test_what_cannot_be_read\.py"
FIVE = Octets((5).to_bytes(32, "big"))


class Seen(msgspec.Struct, frozen=True):
    """Nothing."""


class Protocol(Plugin[Any]):
    """With these tokens; one of its answers fails, or is another one."""

    name = "t"
    kinds = ("k",)
    Observation = Seen

    def __init__(self, fails: str = "", tokens: Sequence[Token] = (), **said: Any) -> None:
        super().__init__({}, chain_id=1)
        self._fails, self._tokens, self._said = fails, tokens, said

    def _maybe(self, asked: str) -> None:
        if self._fails == asked:
            raise KeyError("positions")

    async def observe(self, wallet: Any, chain: Any) -> Any:
        self._maybe("observe")
        return self._said.get("observe", Seen())

    def decide(self, view: Any, wallet: Any, profile: Any, random: Any) -> Any:
        raise NotImplementedError

    def withdraw(self, view: Any, wallet: Any) -> Sequence[Any]:
        self._maybe("withdraw")
        return self._said.get("withdraw", ())  # type: ignore[no-any-return]

    def remarks(self, view: Any) -> Sequence[str]:
        self._maybe("remarks")
        return self._said.get("remarks", ())  # type: ignore[no-any-return]

    def coming(self, view: Any) -> str:
        self._maybe("coming")
        return self._said.get("coming", "")  # type: ignore[no-any-return]

    def tokens(self) -> Sequence[Token]:
        return self._tokens


async def call(to: Address, data: bytes, sender: Address | None = None, block: str | int = "latest") -> Octets:
    """`balanceOf` of each token; others are transfers, and go through."""
    if to == PAUSED.address:
        raise RpcRefused(sort_error(3, "execution reverted: paused"))
    return Octets(b"") if to == GONE.address else FIVE


@asynccontextmanager
async def operation(plugin: Protocol, kind: str, params: JsonObject) -> AsyncIterator[tuple[Stage, OperationRunner]]:
    """Started, with the runner that plans it."""
    async with stage({"t": plugin}) as on:
        on.node.call = call  # type: ignore[method-assign]
        duties: Any = on.world.duties
        runner = OperationRunner(on.world, duties, lambda _wallet: None, lambda _wallet: None)
        await on.fleet(operation_started(kind, params))
        running = asyncio.create_task(runner.run())
        await asyncio.sleep(10)
        try:
            yield on, runner
        finally:
            running.cancel()
            await asyncio.wait([running])


@pytest.mark.parametrize("fails", ["observe", "withdraw", "remarks", "coming"])
def test_a_plugin_that_fails_keeps_nothing_else_in_the_wallet(fails: str) -> None:
    """It would have ended the service, at every start again."""

    async def story() -> None:
        async with operation(Protocol(fails, [GOOD]), "extract", EXTRACT) as (on, _):
            (planned,) = [it for it in on.told if isinstance(it, ev.OperationWalletPlanned)]
            (remark,) = planned.plan["remarks"]
            assert re.fullmatch(rf"t cannot be read: {fails}: KeyError: 'positions' \({FILE}:\d+\)", remark)
            wish = await ExtractDuty("extract-1", SAFE, on.world).next(on.wallet)
            assert isinstance(wish, Do)
            assert wish.errands[0].action.params["asset"] == "GOOD"

    virtual_time.run(story())


class Listed(Seen, frozen=True, array_like=True):
    """Written as a list, and an observation is read as an object."""


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        ("observe", None),
        ("observe", Listed()),
        ("withdraw", None),
        ("withdraw", [Action(kind=None, call=Call(to=SAFE))]),  # type: ignore[arg-type]
        ("withdraw", [Action(kind="k", call=Call(to=SAFE, value_wei=-1))]),
        ("remarks", "lost"),
        ("remarks", [5]),
        ("coming", None),
    ],
)
def test_a_plugin_that_answers_wrongly_keeps_nothing_else_in_the_wallet(asked: str, answer: Any) -> None:
    """Of what it answered nothing is signed or written."""

    async def story() -> None:
        async with operation(Protocol("", [GOOD], **{asked: answer}), "extract", EXTRACT) as (on, _):
            (planned,) = [it for it in on.told if isinstance(it, ev.OperationWalletPlanned)]
            (remark,) = planned.plan["remarks"]
            assert re.fullmatch(rf"t cannot be read: {asked}: .* \({FILE}:\d+\)", remark)
            assert planned.plan["way_out"] == []
            wish = await ExtractDuty("extract-1", SAFE, on.world).next(on.wallet)
            assert isinstance(wish, Do)
            assert [it.action.params["asset"] for it in wish.errands] == ["GOOD"]

    virtual_time.run(story())


def test_a_token_that_cannot_be_read_keeps_nothing_else_in_the_wallet() -> None:
    """The plan was never written, for any wallet, and nobody was told why."""

    async def story() -> None:
        async with operation(Protocol("", [PAUSED, GOOD, GONE]), "extract", EXTRACT) as (on, runner):
            assert runner.waiting("extract-1") == {}
            held = await look(on.world, on.wallet)
            assert held.tokens == {"GOOD": 5}
            assert list(held.unread_tokens) == ["PAUSED", "GONE"]
            assert held.remarks[0] == "PAUSED cannot be read: reverted: execution reverted: paused"
            wish = await ExtractDuty("extract-1", SAFE, on.world).next(on.wallet)
            assert isinstance(wish, Do)
            assert wish.errands[0].action.params["asset"] == "GOOD"

    virtual_time.run(story())


def funding(**tokens: str) -> JsonObject:
    return {"targets": {"x": str(SAFE)}, "native_wei": "1000", "tokens": tokens, "destinations": [str(SAFE)]}


def test_a_funder_pays_what_does_not_depend_on_the_token_that_cannot_be_read() -> None:
    async def story(params: JsonObject) -> Do | Later:
        async with operation(Protocol("", [PAUSED, GOOD]), "fund", params) as (on, _):
            wish = await FundDuty("fund-1", on.world).next(on.wallet)
            assert isinstance(wish, Do | Later)
            return wish

    assert isinstance(virtual_time.run(story(funding())), Do)
    assert isinstance(virtual_time.run(story(funding(GOOD="2"))), Do)
    wish = virtual_time.run(story(funding(PAUSED="2")))
    assert isinstance(wish, Later)
    assert wish.why == "what w has of PAUSED cannot be read: reverted: execution reverted: paused"


def test_a_key_is_kept_where_one_token_cannot_be_read() -> None:
    async def story(tokens: Sequence[Token], readable_today: bool) -> str:
        async with operation(Protocol("", tokens), "destroy", {"keyfiles": {"w": "/nowhere"}}) as (on, _):
            if readable_today:  # only the block at finality cannot be asked for

                async def today(
                    to: Address, data: bytes, sender: Address | None = None, block: str | int = "latest"
                ) -> Octets:
                    if block == 0:
                        raise RpcRefused(sort_error(-32000, "execution reverted"))
                    return Octets(bytes(32))

                on.node.call = today  # type: ignore[method-assign]
            wish = await DestroyDuty("destroy-1", {"w": "/nowhere"}, on.world).next(on.wallet)
            assert isinstance(wish, Done)
            line = wish.results[WalletId("w")]
            assert line["destroyed"] is False
            return str(line["remarks"][0])

    told = virtual_time.run(story([PAUSED], readable_today=False))
    assert told == "PAUSED cannot be read: reverted: execution reverted: paused"
    told = virtual_time.run(story([GOOD], readable_today=True))
    assert told == "what it held of GOOD at finality cannot be read"


def test_what_keeps_an_operation_from_being_planned_is_told() -> None:
    async def story() -> None:
        async with operation(Protocol(), "extract", EXTRACT) as (on, runner):

            async def nobody(*_: Any) -> int:
                raise TryAgain("no endpoint answers")

            balance = on.node.balance
            on.node.balance = nobody  # type: ignore[method-assign, assignment]
            registered = ev.WalletRegistered(address=KEY.address, profile="p", plugin="t", first_turn_us=0)
            await on.live.write([ev.NewEvent(ev.wallet_stream("v"), registered)])
            await on.fleet(operation_started("extract", EXTRACT, number=2, wallet="v"))
            await asyncio.sleep(5)
            assert runner.waiting("extract-2") == {"v": "no endpoint answers"}
            on.node.balance = balance  # type: ignore[method-assign]
            await asyncio.sleep(5)
            assert runner.waiting("extract-2") == {}

    virtual_time.run(story())


def test_a_defect_suspends_its_operation_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: Any) -> JsonObject:
        raise ZeroDivisionError("nobody thought of it")

    monkeypatch.setattr(OperationRunner, "plan_of", broken)

    async def story() -> None:
        async with operation(Protocol(), "extract", EXTRACT) as (on, _):
            (suspended,) = [it for it in on.told if isinstance(it, ev.OperationSuspended)]
            assert suspended.reason == "ZeroDivisionError: nobody thought of it"

    virtual_time.run(story())
