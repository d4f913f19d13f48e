"""What an operator may not wish for, and is told why."""

from pathlib import Path

import pytest

from ghostfleet.cli.operation_tables import _from_csv
from ghostfleet.domain.operating import funder_id
from ghostfleet.domain.state import State
from ghostfleet.domain.values import Address, WalletId
from ghostfleet.domain.wallet import Wallet
from ghostfleet.errors import BadInput
from ghostfleet.operations.wishes import BadWish, Funding, funding

OWN, TARGET = Address(b"\x01" * 20), Address(b"\x02" * 20)
ASKED = Funding(funder=str(OWN), targets={"new": str(TARGET)}, native_wei="1")


def fleet_of(**wallets: Wallet) -> State:
    state = State()
    state.wallets.update({WalletId(it.id): it for it in wallets.values()})
    return state


def wallet(name: str, address: Address = OWN, *, retired: bool = False) -> Wallet:
    return Wallet(id=name, address=address, profile="p", plugin="t", retired=retired)


def test_a_wallet_of_the_fleet_does_not_pay_under_a_second_name() -> None:
    """Two lanes took nonces of one address, and the log told of its own payments as sent from outside."""
    with pytest.raises(BadWish, match=r"is wallet-001, which takes nonces of its own"):
        funding(fleet_of(a=wallet("wallet-001")), {}, ASKED)


def test_one_that_is_out_of_use_and_one_that_has_paid_before_pay() -> None:
    out_of_use, before = wallet("wallet-001", retired=True), wallet(funder_id(OWN), retired=True)
    assert funding(fleet_of(a=out_of_use, b=before), {}, ASKED).wallets == (funder_id(OWN),)


def test_another_address_does_not_pay_under_a_name_that_is_taken() -> None:
    """A name is the first four bytes of an address, and addresses that begin with zeros are made on purpose."""
    alike = Address(OWN[:4] + b"\x09" * 16)
    with pytest.raises(BadWish, match="is the name of another funder"):
        funding(fleet_of(a=wallet(funder_id(OWN), alike, retired=True)), {}, ASKED)


def test_an_address_under_two_names_is_not_paid_twice() -> None:
    with pytest.raises(BadWish, match="a and b are the same address"):
        funding(State(), {}, Funding(funder=str(OWN), targets={"a": str(TARGET), "b": str(TARGET)}, native_wei="1"))


def test_of_two_rows_with_one_id_neither_is_left_out_silently(tmp_path: Path) -> None:
    listed = tmp_path / "wallets.csv"
    listed.write_text(f"address,key,id,profile\n{OWN},,new,whale\n{TARGET},,new,whale\n")
    with pytest.raises(BadInput, match="row 2: new was 0x0101"):
        _from_csv(listed)
