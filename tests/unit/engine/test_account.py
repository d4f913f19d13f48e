"""What is known of a wallet's account without asking: never more than there is, and nothing once something else has happened."""

import msgspec
import pytest

from ghostfleet.domain.slot import Attempt, Included, Pending
from ghostfleet.domain.values import Address, BlockRef, Call, Fees, Hash, Octets, Unsigned
from ghostfleet.domain.wallet import Wallet
from ghostfleet.engine.account import Account

ADDRESS = Address(b"\1" * 20)
READ = Account(balance_wei=1_000_000, next_nonce=7, read_us=5, read_at=0.5, generation=3, last_error="old")


def attempt(number: int) -> Attempt:
    return Attempt(
        number=number,
        purpose="action",
        hash=Hash(bytes(31) + bytes((number,))),
        raw=Octets(b"\2"),
        gas=10,
        fees=Fees(9, 1),
        signed_us=1,
    )


def slot(attempts: int) -> Pending:
    return Pending(
        action_id="w/1", kind="k", nonce=6, spend_wei=0, attempts=tuple(attempt(n + 1) for n in range(attempts))
    )


def included(attempts: int) -> Included:
    pending = slot(attempts)
    return Included(
        pending=pending, attempt=pending.newest, block=BlockRef(1, Hash(bytes(32))), success=True, reason=""
    )


WALLET = Wallet(
    id="w",
    address=ADDRESS,
    profile="p",
    plugin="t",
    next_nonce=7,
    last_error="old",
    slots=(included(1),),
    balance_wei=1,
)


def test_what_was_signed_is_taken_off_at_its_worst() -> None:
    unsigned = Unsigned(chain_id=1, nonce=7, call=Call(to=ADDRESS, value_wei=400), gas=10, fees=Fees(9, 1))
    after = READ.after(unsigned)
    assert (after.balance_wei, after.next_nonce) == (1_000_000 - 400 - 90, 8)
    assert (after.read_us, after.read_at) == (5, 0.5), "it grows older by that, not younger"


def test_it_stands_while_only_what_was_brought_forward_has_happened() -> None:
    assert READ.stands(WALLET, 3, 0.4)


@pytest.mark.parametrize(
    "changes",
    [{"next_nonce": 8}, {"next_nonce": None}, {"last_error": "new"}, {"slots": (slot(1),)}, {"slots": (included(2),)}],
    ids=["another nonce", "a nonce unknown", "an error", "an open slot", "a replacement, which may have cost more"],
)
def test_it_does_not_once_the_wallet_has_changed(changes: dict[str, object]) -> None:
    assert not READ.stands(msgspec.structs.replace(WALLET, **changes), 3, 0.4)


def test_it_does_not_after_a_reorganisation() -> None:
    assert not READ.stands(WALLET, 4, 0.4)


def test_it_does_not_when_it_has_grown_old() -> None:
    assert not READ.stands(WALLET, 3, 0.5)
