"""A sweep that is signed anew moves what its gas leaves, to the wei, and says so where its gas leaves nothing."""

import pytest

from ghostfleet.domain.values import Address, AnswerClass, Call
from ghostfleet.engine.replacements import NoReplacement, _all_but_gas

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
