"""A turn without a transaction is recorded with its reason, costs no nonce, and the wallet rests until its next one."""

import asyncio
import dataclasses
from typing import Any

import pytest

from ghostfleet.chain.answers import sort_error
from ghostfleet.chain.edge import RpcRefused
from ghostfleet.domain import events as ev
from ghostfleet.domain.breaker import Closed
from ghostfleet.domain.decisions import Rules
from ghostfleet.domain.limits import Limits
from ghostfleet.domain.values import SECOND_US, Address, Call, Signed, Unsigned
from ghostfleet.engine.signing import NoKey
from ghostfleet.plugins.api import Action, Rest, Verdict
from tests.unit.chain import virtual_time
from tests.unit.engine.follow_stage import FEES, GAS, SAFE, Stage
from tests.unit.engine.lane_stage import GOOD, Answering, acting
from tests.unit.engine.live_stage import NOW_US

ESTIMATED = Action(kind="k", call=Call(to=SAFE, value_wei=100))
"""Its gas is asked for."""
NO_FUNDS = RpcRefused(sort_error(-32000, "insufficient funds for gas * price + value"))
REVERTED = RpcRefused(sort_error(3, "execution reverted: NoPosition"))
INTERVAL_SECS = 100


class Asked(Answering):
    """Counts how often it was asked what to do."""

    turns = 0

    def decide(self, *asked: Any) -> Any:
        self.turns += 1
        return super().decide(*asked)


def refuses(on: Stage, refusal: RpcRefused) -> None:
    async def estimate_gas(sender: Address, call: Call) -> int:
        raise refusal

    on.node.estimate_gas = estimate_gas  # type: ignore[method-assign]


def test_a_plugin_that_rests_is_asked_again_at_the_next_turn_and_not_before() -> None:
    async def story() -> None:
        plugin = Asked(decide=Rest(reason="nothing to do"))
        async with acting(plugin) as on:
            await asyncio.sleep(INTERVAL_SECS - 1)
            assert (plugin.turns, on.wallet.rest, on.kinds[-2:]) == (
                1,
                "nothing to do",
                ["WalletRested", "BalanceObserved"],
            )
            await asyncio.sleep(2)
            assert (plugin.turns, on.kinds[-1]) == (2, "WalletRested")

    virtual_time.run(story())


@pytest.mark.parametrize(
    ("verdict", "errors", "turns"), [(Verdict(), 1, 1), (Verdict(counts=False), 0, 1), (Verdict(rest_secs=250.0), 1, 1)]
)
def test_what_would_revert_is_rejected_and_counts_where_the_plugin_says_it_was_the_wallets_fault(
    verdict: Verdict, errors: int, turns: int
) -> None:
    async def story() -> None:
        plugin = Asked(decide=ESTIMATED, judge=verdict)
        async with acting(plugin) as on:
            refuses(on, REVERTED)
            await asyncio.sleep(INTERVAL_SECS - 1)
            (rejected,) = [it for it in on.told if isinstance(it, ev.ActionRejected)]
            assert (rejected.error_class, rejected.counts) == ("reverted", verdict.counts)
            assert "NoPosition" in rejected.reason
            assert (plugin.turns, on.node.sent) == (turns, [])
            assert on.wallet.breaker == Closed(errors=errors)
            assert on.wallet.next_nonce is None
            await asyncio.sleep(2)
            assert plugin.turns == (1 if verdict.rest_secs else 2)

    virtual_time.run(story())


@pytest.mark.parametrize("missing_wei", [0, 1])
def test_a_node_that_says_insufficient_funds_is_believed_where_the_balance_says_so_too(missing_wei: int) -> None:
    async def story() -> None:
        plugin = Asked(decide=ESTIMATED)
        async with acting(plugin) as on:
            refuses(on, NO_FUNDS)
            need_wei = ESTIMATED.call.value_wei + GAS * FEES.max_fee_wei
            on.node.balance_wei = need_wei - missing_wei
            await asyncio.sleep(INTERVAL_SECS - 1)
            assert plugin.turns == 1
            assert on.wallet.parked_until_wei == (need_wei if missing_wei else None)
            assert ("WalletParked" in on.kinds) == bool(missing_wei)
            assert "ActionRejected" not in on.kinds
            on.node.balance_wei = need_wei
            del on.node.estimate_gas
            await on.blocks(INTERVAL_SECS)
            assert ("WalletUnparked" in on.kinds) == bool(missing_wei)
            assert plugin.turns > 1

    virtual_time.run(story())


def test_at_its_limit_a_wallet_rests_until_there_is_room_and_its_plugin_is_not_asked() -> None:
    async def story() -> None:
        plugin = Asked(decide=GOOD)
        async with acting(plugin) as on:
            rules = Rules(limits=Limits(actions_per_hour=2))
            on.world.in_force.now = dataclasses.replace(on.world.in_force.now, rules=rules)
            await on.blocks(10 * INTERVAL_SECS)
            assert plugin.turns == on.kinds.count("ActionSucceeded") == 2
            assert on.wallet.rest == "limit reached: actions per hour 2"
            (rested,) = [it for it in on.told if isinstance(it, ev.WalletRested)]
            assert rested.until_us >= NOW_US + 3600 * SECOND_US
            assert "ActionRejected" not in on.kinds

    virtual_time.run(story())


def test_what_a_wallet_had_a_turn_ago_is_not_what_it_has_now() -> None:
    """A reading is kept for turns that follow each other closely, and for no others."""

    async def story() -> None:
        async with acting(Answering(decide=GOOD)) as on:
            await on.blocks(10)
            assert on.kinds[-1] == "ActionSucceeded"
            on.node.balance_wei = GAS * FEES.max_fee_wei - 1
            await on.blocks(INTERVAL_SECS)
            assert on.kinds[-1] == "WalletParked"
            assert len(on.node.sent) == 1

    virtual_time.run(story())


@pytest.mark.parametrize("retired", [True, False])
def test_a_key_that_goes_while_a_turn_is_under_way_ends_the_turn_and_is_no_defect(retired: bool) -> None:
    """A reload takes the wallet out of the settings, and its key with it. Of any other wallet it is said."""

    async def story() -> None:
        async with acting(Answering(decide=GOOD)) as on:

            async def sign(wallet: str, unsigned: Unsigned) -> Signed:
                if retired:
                    await on.happened(ev.WalletRetired(reason="not in the settings"))
                raise NoKey("the key of w is not loaded")

            on.world.signer.sign = sign  # type: ignore[method-assign]
            await on.blocks(10)
            errors = [it.error_class for it in on.told if isinstance(it, ev.ErrorRecorded)]
            assert errors == ([] if retired else ["no_key"])
            assert on.node.sent == []

    virtual_time.run(story())
