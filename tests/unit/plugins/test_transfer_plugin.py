"""Transfers stay within their range and leave what is to be kept."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ghostfleet.domain.profile import CASUAL
from ghostfleet.domain.values import Address, Hash, LogEntry, Octets, WalletId
from ghostfleet.plugins.api import Action, Rest, WalletFacts
from ghostfleet.plugins.loading import load_plugins
from ghostfleet.plugins.tokens import TRANSFERRED
from ghostfleet.plugins.transfer import TRANSFER, TransferPlugin, TransferSettings, TransferView

OWN, FRIEND, OTHER, TOKEN = (Address(bytes([byte]) * 20) for byte in (0x11, 0x22, 0x33, 0x44))
FACTS = WalletFacts(id=WalletId("wallet-001"), address=OWN, balance_wei=10**18)


def plugin(**table) -> TransferPlugin:
    return load_plugins({"transfer": table}, ["transfer"], 1)["transfer"]


def decide(transfers: TransferPlugin, holds_wei: int = 10**18, seed: int = 1) -> Action | Rest:
    return transfers.decide(TransferView(holds_wei=holds_wei), FACTS, CASUAL, random.Random(seed))


def test_without_settings_one_wei_goes_to_itself():
    choice = decide(plugin())
    assert (choice.call.to, choice.call.value_wei, choice.call.data) == (OWN, 1, b"")
    assert choice.spend_wei == 0
    assert choice.gas is None


def test_a_fixed_gas_limit_needs_no_estimation():
    assert decide(plugin(gas=21_000)).gas == 21_000


def test_a_token_moves_by_its_contract_and_counts_as_spent():
    choice = decide(plugin(asset=str(TOKEN), to=str(FRIEND), amount_wei="5"))
    assert choice.call.to == TOKEN
    assert choice.call.value_wei == 0
    assert TRANSFER.decode_call(choice.call.data) == (FRIEND, 5)
    assert (choice.spend_wei, choice.params) == (5, {"to": "0x" + "22" * 20, "amount_wei": 5})


def test_every_recipient_of_a_list_is_served():
    transfers = plugin(to=[str(FRIEND), str(OTHER)])
    assert {decide(transfers, seed=seed).call.to for seed in range(50)} == {FRIEND, OTHER}


@given(st.integers(0, 10**30), st.integers(0, 10**30), st.integers(0, 10**30), st.integers(0, 10**30), st.integers())
def test_the_amount_is_in_range_and_the_rest_is_kept(least_wei, more_wei, keep_wei, holds_wei, seed):
    amount = {"min": str(least_wei), "max": str(least_wei + more_wei)}
    choice = decide(plugin(amount_wei=amount, keep_wei=str(keep_wei), to=str(FRIEND)), holds_wei, seed)
    if isinstance(choice, Rest):
        assert holds_wei - keep_wei < least_wei
        return
    assert least_wei <= choice.call.value_wei <= least_wei + more_wei
    assert holds_wei - choice.call.value_wei >= keep_wei


def test_gas_money_is_kept_unless_told_otherwise():
    assert isinstance(decide(plugin(), holds_wei=5 * 10**15), Rest)
    assert isinstance(decide(plugin(), holds_wei=5 * 10**15 + 1), Action)
    assert isinstance(decide(plugin(asset=str(TOKEN)), holds_wei=1), Action)


@pytest.mark.parametrize(
    "table",
    [
        {"asset": "gold"},
        {"to": []},
        {"to": "0x12"},
        {"amount_wei": {"min": "2", "max": "1"}},
        {"amount_wei": -1},
        {"amount_wei": {"min": "2"}},
        {"gas": 20_999},
        {"gas": 50_000, "asset": "0x" + "44" * 20},
        {"amout_wei": "1"},
    ],
)
def test_settings_that_cannot_work_are_refused(table):
    with pytest.raises(ValidationError):
        TransferSettings.model_validate(table)


def test_only_the_tokens_own_transfers_are_read():
    transfers = plugin(asset=str(TOKEN))
    topics = (TRANSFERRED, *(Hash(address.rjust(32, b"\0")) for address in (OWN, FRIEND)))
    entry = LogEntry(address=TOKEN, topics=topics, data=Octets((5).to_bytes(32)))
    decoded = {"event": "Transfer", "from": str(OWN), "to": str(FRIEND), "amount_wei": 5}
    assert transfers.decode_log(entry) == decoded
    assert plugin().decode_log(entry) is None
    assert transfers.decode_log(LogEntry(address=TOKEN, topics=topics[:2], data=entry.data)) is None
