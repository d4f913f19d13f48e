"""A wallet signs in favour of those it was told of, whatever a call looks like."""

import pytest
from eth_abi import encode
from hypothesis import given
from hypothesis import strategies as st

from ghostfleet.chain.keccak import keccak
from ghostfleet.domain.allow_list import SELECTOR_BYTES, TOKEN_CALLS, AllowList, TokenCall, named_in
from ghostfleet.domain.values import Address, Call, Octets

TOKEN, FRIEND, STRANGER = (Address(bytes((n,)) * 20) for n in (1, 2, 3))
ALLOWED = AllowList().allow([TOKEN, FRIEND], "the settings")
ADDRESSES = st.sampled_from([TOKEN, FRIEND, STRANGER]) | st.binary(min_size=20, max_size=20).map(Address)


def nobody_else(_: Address) -> bool:
    return False


def kinds_of(signature: str) -> list[str]:
    return signature.partition("(")[2].removesuffix(")").split(",")


def written(token_call: TokenCall, selector: bytes, receiver: Address, other: Address) -> Octets:
    """The call with `receiver` where it belongs, `other` in every other place for an address."""
    sample = {"uint256": 7, "bool": True, "bytes": b"x", "uint256[]": [1, 2], "address": other}
    kinds = kinds_of(token_call.signature)
    values = [sample[kind] for kind in kinds]
    values[token_call.receiver] = receiver
    return Octets(selector + encode(kinds, values))


@pytest.mark.parametrize(("selector", "token_call"), TOKEN_CALLS.items(), ids=lambda it: getattr(it, "signature", ""))
def test_each_token_call_is_known_by_its_own_selector_and_its_receiver_is_an_address(
    selector: bytes, token_call: TokenCall
) -> None:
    assert keccak(token_call.signature.encode())[:SELECTOR_BYTES] == selector
    assert kinds_of(token_call.signature)[token_call.receiver] == "address"


@given(to=ADDRESSES, value_wei=st.integers(0, 2**96), data=st.binary(max_size=200))
def test_nothing_goes_to_a_stranger_whatever_the_data(to: Address, value_wei: int, data: bytes) -> None:
    call = Call(to=to, value_wei=value_wei, data=Octets(data))
    allowed = ALLOWED.refusal(call, nobody_else) is None
    assert not allowed or to in (TOKEN, FRIEND)
    assert not allowed or set(named_in(call)) <= {TOKEN, FRIEND}


@given(which=st.sampled_from(sorted(TOKEN_CALLS)), to=ADDRESSES, receiver=ADDRESSES, other=ADDRESSES)
def test_tokens_and_approvals_go_to_friends_only(which: bytes, to: Address, receiver: Address, other: Address) -> None:
    call = Call(to=to, data=written(TOKEN_CALLS[which], which, receiver, other))
    refusal = ALLOWED.refusal(call, nobody_else)
    assert (refusal is None) == (to in (TOKEN, FRIEND) and receiver in (TOKEN, FRIEND))
    assert named_in(call) == (to, receiver)
    if refusal is not None:
        assert str(receiver if to in (TOKEN, FRIEND) else to) in refusal


@given(which=st.sampled_from(sorted(TOKEN_CALLS)), keep=st.integers(0, 35))
def test_a_token_call_that_is_cut_short_is_refused(which: bytes, keep: int) -> None:
    """Contracts of old fill what is missing with zeros, or with what comes next (the short address attack)."""
    data = written(TokenCall("transfer(address,uint256)", 0), which, FRIEND, FRIEND)[: SELECTOR_BYTES + keep]
    allowed = ALLOWED.refusal(Call(to=TOKEN, data=Octets(data)), nobody_else) is None
    assert not allowed or (TOKEN_CALLS[which].receiver == 0 and keep >= 32)


@pytest.mark.parametrize("at", range(12))
def test_an_address_with_something_before_it_is_none(at: int) -> None:
    """Old compilers ignore the upper bytes of an address, so the receiver would be somebody else than it looks."""
    selector = bytes.fromhex("a9059cbb")
    data = bytearray(written(TOKEN_CALLS[selector], selector, FRIEND, FRIEND))
    data[SELECTOR_BYTES + at] = 1
    assert ALLOWED.refusal(Call(to=TOKEN, data=Octets(bytes(data))), nobody_else) is not None


def test_it_asks_about_whom_it_does_not_know_and_keeps_the_first_reason() -> None:
    asked: list[Address] = []
    refusal = ALLOWED.refusal(Call(to=STRANGER), lambda address: not asked.append(address))
    assert refusal is None
    assert asked == [STRANGER]
    again = ALLOWED.allow([TOKEN, STRANGER], "an operation")
    assert again.why == {TOKEN: "the settings", FRIEND: "the settings", STRANGER: "an operation"}
    assert STRANGER not in ALLOWED
