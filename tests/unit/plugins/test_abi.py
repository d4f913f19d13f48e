"""Signatures as text become selectors, calldata and answers; whatever is wrong with them is said in words."""

import eth_abi.abi
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ghostfleet.domain.values import Address, Octets
from ghostfleet.plugins.abi import BadSignature, UnreadableAnswer, event_topic, function, read

WALLET = Address(bytes(range(20)))


@pytest.mark.parametrize(
    ("signature", "selector"),
    [
        ("jackIn(uint256 , uint8)", "440ad4e2"),
        (" transfer( address,uint )", "a9059cbb"),
        ("f()", "26121ff0"),
        ("fulfill((address,uint256[2])[],bytes)", function("fulfill((address,uint256[2])[],bytes)").selector.hex()),
    ],
)
def test_a_selector_is_made_of_the_canonical_signature(signature, selector):
    assert function(signature).selector.hex() == selector


@pytest.mark.parametrize(
    "signature",
    [
        "",
        "jackIn",
        "jackIn(",
        "jackIn(uint256 amount)",
        "f(uint7)",
        "f(uint8,)",
        "f(foo)",
        "1f()",
        "f(uint8)[]",
        "f" * 3_000,
    ],
)
def test_what_is_no_signature_is_refused_in_words(signature):
    with pytest.raises(BadSignature, match=r"no signature|no ABI type"):
        function(signature)


@pytest.mark.parametrize("values", [(1,), (1, 256), (-1, 1), ("1", 1), (1, 1, 1), (2**256, 1)])
def test_arguments_that_do_not_fit_are_refused(values):
    with pytest.raises(BadSignature, match="jackIn"):
        function("jackIn(uint256,uint8)").encode(*values)


def test_calldata_can_be_read_back():
    called = function("f(address,(bool,int8)[],bytes4,string)")
    values = (WALLET, [(True, -3), (False, 127)], b"abcd", "héllo")
    assert called.decode_call(called.encode(*values)) == values
    with pytest.raises(UnreadableAnswer, match="calls 0x00000000"):
        called.decode_call(bytes(40))


@given(st.integers(0, 2**256 - 1), st.integers(0, 255), st.booleans(), st.binary(min_size=20, max_size=20))
def test_the_fast_way_and_the_general_one_agree(number, small, flag, address):
    kinds = ["uint256", "uint8", "bool", "address"]
    answer = eth_abi.abi.encode(kinds, [number, small, flag, address])
    expected = (number, small, flag, Address(address))
    assert function("f()", ",".join(kinds)).decode(answer) == expected
    assert function("f()", f"({','.join(kinds)})").decode(answer) == (expected,)
    assert function("f()", f"({','.join(kinds)})[1]").decode(answer) == ([expected],)


@pytest.mark.parametrize("answer", [b"", bytes(31), b"\xff" * 32])
@pytest.mark.parametrize("outputs", ["uint8", "(uint8)", "bool", "address", "string", "uint8[]"])
def test_an_answer_of_another_shape_is_refused(answer, outputs):
    with pytest.raises(UnreadableAnswer, match=r"level\(\) answered"):
        function("level()", outputs).decode(answer)


def test_no_contract_at_the_address_is_named():
    with pytest.raises(UnreadableAnswer, match="is there a contract"):
        function("level()", "uint8").decode(b"")


@given(st.binary(max_size=200))
def test_any_answer_is_decoded_or_refused(answer):
    for outputs in ("uint64,bool", "(address,uint8)", "string,bytes[]", "((uint8,bool)[],bytes)"):
        try:
            function("f()", outputs).decode(answer)
        except UnreadableAnswer:
            continue


async def test_one_result_comes_alone_and_several_as_a_tuple():
    class Chain:
        async def call(self, to, data, sender=None):
            return Octets(bytes(31) + b"\x07" + bytes(31) + b"\x01")

    assert await read(Chain(), WALLET, function("f()", "uint8")) == 7
    assert await read(Chain(), WALLET, function("f()", "uint8,bool")) == (7, True)


def test_the_topic_of_a_transfer_is_the_well_known_one():
    known = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
    assert str(event_topic("Transfer(address,address,uint256)")) == known
