"""Under a pause only the wallets of running operations send; of a cancel only those that it has not left."""

import pytest

from ghostfleet.domain.fleet import Fleet
from ghostfleet.domain.operation import Operation


def operation(kind: str, *, done: tuple[str, ...] = (), suspended: str = "") -> Operation:
    return Operation(
        id=f"{kind}-1", kind=kind, wallets=("a", "b"), params={}, actor="op", since_us=1, done=done, suspended=suspended
    )


@pytest.mark.parametrize("kind", ["extract", "fund", "destroy"])
def test_the_last_transaction_of_a_wallet_that_is_done_may_be_sent_again(kind: str) -> None:
    assert Fleet(operations=(operation(kind, done=("a",)),)).permitted == {"a", "b"}


def test_what_a_cancel_left_open_is_held_back_while_it_runs_for_others() -> None:
    """The key of `a` is not loaded: its second open nonce went out again, under the pause, once the first was given up on."""
    assert Fleet(operations=(operation("cancel", done=("a",)),)).permitted == {"b"}


def test_a_suspended_operation_permits_nobody() -> None:
    assert Fleet(operations=(operation("extract", suspended="a pause"),)).permitted == frozenset()
