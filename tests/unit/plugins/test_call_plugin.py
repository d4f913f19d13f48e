"""Declared calls are checked when they are read, so that every one that is drawn encodes."""

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ghostfleet.domain.profile import CASUAL
from ghostfleet.domain.values import Address, WalletId, encode_json
from ghostfleet.plugins.abi import function
from ghostfleet.plugins.api import Action, WalletFacts
from ghostfleet.plugins.call import CallPlugin, NothingSeen
from ghostfleet.plugins.loading import PluginUnusable, load_plugins

OWN = Address(bytes(range(20)))
CONTRACT = "0x" + "c0" * 20
FACTS = WalletFacts(id=WalletId("wallet-001"), address=OWN, balance_wei=0)


def plugin(*calls: dict) -> CallPlugin:
    return load_plugins({"call": {"calls": [{"address": CONTRACT, **call} for call in calls]}}, ["call"], 1)["call"]


def decide(calls: CallPlugin, seed: int = 1) -> Action:
    return calls.decide(NothingSeen(), FACTS, CASUAL, random.Random(seed))


def arguments(signature: str, *args: object, seed: int = 1) -> tuple:
    choice = decide(plugin({"signature": signature, "args": list(args)}), seed)
    assert encode_json(choice)
    return function(signature).decode_call(choice.call.data)


def test_literals_of_every_kind():
    signature = "f(uint256,int8,bool,address,bytes,bytes4,string,uint8[2],(bool,int16)[])"
    literals = ["1" + "0" * 30, -3, True, "self", "0x0102", "0x01020304", "self", [1, 2], [[True, -7]]]
    expected = (10**30, -3, True, OWN, b"\1\2", b"\1\2\3\4", "self", [1, 2], [(True, -7)])
    assert arguments(signature, *literals) == expected


@given(st.integers(0, 2**256 - 1), st.integers(0, 2**256 - 1), st.integers(0, 2**32))
def test_a_range_is_kept(one, other, seed):
    low, high = sorted((one, other))
    (drawn,) = arguments("f(uint256)", {"min": str(low), "max": str(high)}, seed=seed)
    assert low <= drawn <= high


def test_every_choice_occurs():
    drawn = {arguments("f(address)", {"choices": ["self", CONTRACT]}, seed=seed) for seed in range(50)}
    assert drawn == {(OWN,), (Address.from_hex(CONTRACT),)}


def test_weights_say_how_often():
    calls = plugin({"signature": "often()", "weight": 9.0}, {"signature": "rarely()"})
    drawn = Counter(decide(calls, seed).params["function"] for seed in range(1_000))
    assert 850 < drawn["often()"] < 950


def test_value_and_gas_go_along_and_people_can_read_what_was_called():
    call = {"signature": "pay(address)", "args": ["self"], "value_wei": "7", "gas": 50_000}
    choice = decide(plugin(call))
    assert (choice.kind, choice.call.value_wei, choice.gas) == ("call", 7, 50_000)
    assert choice.params == {"function": "pay(address)", "args": [str(OWN)]}


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ({"signature": "f(uint8"}, "no signature"),
        ({"signature": "f(uint9)"}, "no ABI type"),
        ({"signature": "f(uint8)"}, "takes 1 arguments, args has 0"),
        ({"signature": "f(uint8)", "args": [256]}, r"args\[0\] of f\(uint8\): .* from 0 to 255"),
        ({"signature": "f(uint8)", "args": [True]}, "whole number"),
        ({"signature": "f(int8)", "args": [-129]}, "from -128 to 127"),
        ({"signature": "f(uint8)", "args": [{"min": 3, "max": 2}]}, "min is more than max"),
        ({"signature": "f(uint8)", "args": [{"min": 0, "max": 300}]}, "from 0 to 255"),
        ({"signature": "f(uint8)", "args": [{"mim": 0, "max": 3}]}, "whole number"),
        ({"signature": "f(bool)", "args": ["true"]}, "true or false"),
        ({"signature": "f(bool)", "args": [{"min": 0, "max": 1}]}, "a range is for whole numbers"),
        ({"signature": "f(address)", "args": ["0x12"]}, "expected an address"),
        ({"signature": "f(address)", "args": [{"choices": []}]}, "address"),
        ({"signature": "f(bytes2)", "args": ["0x010203"]}, "2 bytes"),
        ({"signature": "f(bytes)", "args": ["0102"]}, "bytes as 0x"),
        ({"signature": "f(bytes)", "args": ["0x010"]}, "bytes as 0x"),
        ({"signature": "f(uint8[2])", "args": [[1]]}, "list of 2 uint8"),
        ({"signature": "f((bool,uint8))", "args": [[True]]}, "list of 2 values"),
        ({"signature": "f()", "weight": 0}, "weight"),
        ({"signature": "f()", "gas": 1}, "gas"),
        ({"signature": "f()", "value": 1}, "value"),
        ({"signature": "f()", "address": "self"}, "address"),
    ],
)
def test_a_call_that_cannot_work_is_refused_in_words(call, words):
    with pytest.raises(PluginUnusable, match=words):
        plugin(call)
