"""A sweep that is signed anew moves what its gas leaves, to the wei, and says so where its gas leaves nothing."""

import pytest

from ghostfleet.domain.slot import SWEEP
from ghostfleet.domain.values import Address, AnswerClass, Call
from ghostfleet.engine.replacements import NoReplacement, _all_but_gas
from tests.unit.chain import virtual_time
from tests.unit.engine.follow_stage import COST_WEI, following, stage

SAFE = Address(b"s" * 20)


@pytest.mark.parametrize(("gas_wei", "moved_wei"), [(0, 1000), (400, 600), (999, 1), (1000, 0)])
def test_gas_and_what_is_moved_are_together_what_there_is(gas_wei: int, moved_wei: int) -> None:
    swept = _all_but_gas(Call(to=SAFE, value_wei=5), outlay_wei=1000, gas_wei=gas_wei)
    assert (swept.to, swept.value_wei) == (SAFE, moved_wei)


def test_where_gas_leaves_nothing_funds_are_missing_and_both_amounts_are_named() -> None:
    with pytest.raises(
        NoReplacement, match="the 1000 wei that a sweep has left do not pay for its gas, 1001 wei"
    ) as told:
        _all_but_gas(Call(to=SAFE, value_wei=5), outlay_wei=1000, gas_wei=1001)
    assert told.value.error_class == AnswerClass.INSUFFICIENT_FUNDS


def test_where_the_wallet_has_less_than_was_signed_away_all_that_is_left_is_moved_and_nobody_is_parked() -> None:
    """Gas of an earlier step cost more than it was expected to: a wallet that is emptied is funded by nobody."""

    async def story() -> None:
        async with stage() as on:
            left_wei = on.node.balance_wei
            signed = await on.signed(value_wei=left_wei - COST_WEI + 1, kind=SWEEP)
            await on.follower.broadcast_new(signed.nonce)
            async with following(on):
                await on.blocks(10)
            assert [it.worst_cost_wei for it in on.node.sent] == [left_wei + 1, left_wei]
            assert "WalletParked" not in on.kinds
            assert on.wallet.pending == ()

    virtual_time.run(story())
