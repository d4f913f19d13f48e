"""Tokens are found by symbol and address, and what a transfer loses on the way is counted to the last unit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ghostfleet.domain.amounts import decimal_text, parse_decimal
from ghostfleet.domain.values import Address
from ghostfleet.plugins.api import Token
from ghostfleet.plugins.loading import load_plugins
from ghostfleet.plugins.tokens import UnknownToken, find_token, tokens_of

CORE, DATA, OTHER = (Address(bytes([byte]) * 20) for byte in (1, 2, 3))
TAXED = Token(symbol="DATA", address=DATA, decimals=18, tax_bps=1_000)
units = st.integers(0, 2**256 - 1)


def test_ghostnet_names_data_with_its_tax():
    plugins = load_plugins({"ghostnet": {"ghost_core": str(CORE), "data_token": str(DATA)}}, ["ghostnet"], 6343)
    assert tokens_of(plugins.values()) == (TAXED,)
    assert plugins["ghostnet"].contracts() == {"ghost_core": CORE, "data_token": DATA}


def test_transfer_names_its_token_as_the_settings_call_it_and_nothing_for_the_native_coin():
    table = {"asset": str(OTHER), "symbol": "USD", "decimals": 6}
    plugin = load_plugins({"transfer": table}, ["transfer"], 1)["transfer"]
    assert plugin.tokens() == (Token(symbol="USD", address=OTHER, decimals=6),)
    assert plugin.contracts() == {"USD": OTHER}
    native = load_plugins({}, ["transfer"], 1)["transfer"]
    assert (native.tokens(), native.contracts()) == ((), {})


def test_a_token_that_two_plugins_name_is_listed_once_with_its_tax():
    tables = {"ghostnet": {"ghost_core": str(CORE), "data_token": str(DATA)}, "transfer": {"asset": str(DATA)}}
    assert tokens_of(load_plugins(tables, ["ghostnet", "transfer"], 1).values()) == (TAXED,)


def test_every_contract_that_is_called_is_named():
    calls = [{"address": str(OTHER), "signature": "save()"}, {"address": str(DATA), "signature": "save()"}]
    plugin = load_plugins({"call": {"calls": calls}}, ["call"], 1)["call"]
    assert list(plugin.contracts().values()) == [OTHER, DATA]


def test_a_token_is_found_by_symbol_in_any_case_and_by_address():
    assert find_token((TAXED,), "data") is TAXED
    assert find_token((TAXED,), str(DATA)) is TAXED
    assert find_token((TAXED,), str(OTHER)) is None


@pytest.mark.parametrize("text", ["GOLD", "", "0x12", "0x" + "zz" * 20])
def test_what_names_no_token_is_refused(text):
    with pytest.raises(UnknownToken):
        find_token((TAXED,), text)


def test_a_symbol_of_two_tokens_is_refused():
    with pytest.raises(UnknownToken, match="2 tokens"):
        find_token((TAXED, Token(symbol="DATA", address=OTHER)), "DATA")


@given(units, st.integers(0, 9_999))
def test_the_least_to_send_for_an_amount_delivers_it_and_one_unit_less_does_not(received, tax_bps):
    token = Token(symbol="T", address=OTHER, tax_bps=tax_bps)
    sent = token.sent_for(received)
    assert token.received_of(sent) >= received
    assert sent == 0 or token.received_of(sent - 1) < received


def test_a_tenth_of_data_is_lost_on_the_way():
    assert TAXED.received_of(100 * 10**18) == 90 * 10**18
    assert TAXED.sent_for(90 * 10**18) == 100 * 10**18 - 1, "the tax is rounded down"


@given(units, st.integers(0, 77))
def test_amounts_read_back_exactly(amount, decimals):
    text = decimal_text(amount, decimals)
    assert parse_decimal(text, decimals) == amount
    assert not text.endswith(".")


@pytest.mark.parametrize("text", ["", ".", "1.", ".5", "-1", "1e3", "1,5", " 1", "0x1", "٣", "1.0000000000000000001"])
def test_what_is_no_amount_is_refused(text):
    with pytest.raises(ValueError, match=r"is no amount|digits after the point"):
        parse_decimal(text)


def test_zeros_beyond_the_smallest_unit_are_no_part_of_it():
    assert parse_decimal("1.50", 1) == 15
