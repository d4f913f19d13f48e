"""Signed bytes equal eth-account's; fees follow the base fee under a cap; a bump raises both caps enough or is refused."""

import coincurve
import pytest
import rlp
from eth_account import Account
from hypothesis import given, settings
from hypothesis import strategies as st

from ghostfleet.chain import transactions
from ghostfleet.chain.fees import FeeRules, bump, suggest
from ghostfleet.chain.reads import FeeHistory
from ghostfleet.domain.values import Address, Call, Fees, Octets, Unsigned

wei = st.integers(0, 2**128)
unsigned = st.builds(
    Unsigned,
    chain_id=st.integers(1, 2**53),
    nonce=st.integers(0, 2**64 - 2),
    gas=st.integers(21_000, 2**40),
    fees=wei.flatmap(lambda cap: st.builds(Fees, st.just(cap), st.integers(0, cap))),
    call=st.builds(
        Call,
        to=st.binary(min_size=20, max_size=20).map(Address),
        value_wei=wei,
        data=st.binary(max_size=400).map(Octets),
    ),
)
secrets = st.integers(1, 2**250).map(lambda number: number.to_bytes(32, "big"))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(unsigned, secrets)
def test_the_bytes_are_those_of_eth_account_and_decode_to_what_was_signed(tx: Unsigned, secret: bytes) -> None:
    signed = transactions.sign(tx, coincurve.PrivateKey(secret))
    account = Account.from_key(secret)
    expected = account.sign_transaction(
        {
            "type": 2,
            "chainId": tx.chain_id,
            "nonce": tx.nonce,
            "gas": tx.gas,
            "maxFeePerGas": tx.fees.max_fee_wei,
            "maxPriorityFeePerGas": tx.fees.priority_fee_wei,
            "to": bytes(tx.call.to),
            "value": tx.call.value_wei,
            "data": bytes(tx.call.data),
        }
    )
    assert bytes(signed.raw) == bytes(expected.raw_transaction)
    assert bytes(signed.hash) == bytes(expected.hash)
    assert transactions.decode(signed.raw) == (tx, Address.from_hex(account.address.lower()))


@pytest.mark.parametrize("raw", [b"", b"\x01\x02", b"\x02", b"\x02\xc0", b"\x02" + b"\xff" * 50])
def test_bytes_that_are_no_transaction_are_refused_with_a_value_error(raw: bytes) -> None:
    with pytest.raises(ValueError, match="EIP-1559"):
        transactions.decode(raw)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(unsigned, st.data())
def test_only_the_bytes_that_were_signed_decode_to_what_was_signed(tx: Unsigned, data: st.DataObject) -> None:
    key = coincurve.PrivateKey(b"\1" * 32)
    raw = bytes(transactions.sign(tx, key).raw)
    at = data.draw(st.integers(0, len(raw)))
    other = raw[:at] + data.draw(st.binary(max_size=3)) + raw[at + data.draw(st.integers(0, 3)) :]
    try:
        decoded, sender = transactions.decode(other)
    except ValueError:
        return
    assert other == raw or (decoded, sender) != transactions.decode(raw)


@pytest.mark.parametrize("field", [0, 1, 4, 6, 9, 10, 11])
def test_a_number_with_a_leading_zero_is_refused(field: int) -> None:
    tx = Unsigned(chain_id=1, nonce=2, call=Call(to=Address(b"\3" * 20), value_wei=4), gas=21_000, fees=Fees(6, 5))
    fields = rlp.decode(bytes(transactions.sign(tx, coincurve.PrivateKey(b"\1" * 32)).raw)[1:])
    assert transactions.decode(b"\2" + rlp.encode(fields))[0] == tx
    fields[field] = b"\0" + fields[field]
    with pytest.raises(ValueError, match="EIP-1559"):
        transactions.decode(b"\2" + rlp.encode(fields))


def history(base_fee_wei: int, *tips_wei: int) -> FeeHistory:
    return FeeHistory(base_fees_wei=(1, base_fee_wei), tips_wei=tips_wei)


def test_fees_are_twice_the_next_base_fee_and_the_median_tip() -> None:
    assert suggest(history(100, 1, 9, 5), FeeRules(cap_wei=10**9)) == Fees(205, 5)


def test_fees_stay_under_the_cap_and_the_tip_under_both() -> None:
    assert suggest(history(100, 500), FeeRules(cap_wei=150)) == Fees(150, 150)


def test_the_configured_minimum_tip_holds_where_nobody_tips() -> None:
    assert suggest(history(10**6), FeeRules(cap_wei=10**9, min_priority_fee_wei=7)) == Fees(2 * 10**6 + 7, 7)


fees = wei.flatmap(lambda cap: st.builds(Fees, st.just(cap), st.integers(0, cap)))


@settings(deadline=None, derandomize=True)
@given(fees, fees, st.one_of(st.none(), wei), st.floats(0, 100))
def test_a_bump_raises_both_caps_by_a_tenth_at_least_or_is_refused(
    old: Fees, suggestion: Fees, cap: int | None, percent: float
) -> None:
    """nucypher 2398, chainlink 2509: a replacement below the node's minimum loops for ever; one above the cap is no answer."""
    new = bump(old, suggestion, cap, percent=percent)
    if new is None:
        assert cap is not None
        return
    assert new.max_fee_wei * 10 >= old.max_fee_wei * 11
    assert new.priority_fee_wei * 10 >= old.priority_fee_wei * 11
    assert new.max_fee_wei > old.max_fee_wei
    assert new.priority_fee_wei > old.priority_fee_wei
    assert new.priority_fee_wei <= new.max_fee_wei
    assert cap is None or new.max_fee_wei <= cap


def test_a_tip_above_the_cap_does_not_keep_a_bump_from_using_it() -> None:
    assert bump(Fees(100, 1), Fees(900, 800), 150) == Fees(150, 150)


def test_a_bump_reaches_the_suggestion_when_the_base_fee_jumped() -> None:
    """INFURA 219: fees follow the base fee, with a cap."""
    assert bump(Fees(100, 1), Fees(10_000, 3), 50_000) == Fees(10_000, 3)
    assert bump(Fees(100, 1), Fees(10_000, 3), 5_000) == Fees(5_000, 3)
    assert bump(Fees(4_900, 1), Fees(10_000, 3), 5_000) is None


def test_a_tip_of_zero_is_raised_too() -> None:
    raised = bump(Fees(10**6, 0), Fees(10**6, 0), None)
    assert raised is not None
    assert raised.priority_fee_wei == 1
