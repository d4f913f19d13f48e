"""What a rotation is called: its fundings are told apart by all its wallets, people are told of a few."""

import msgspec
import pytest

from ghostfleet.engine.commands import MAX_REASON_CHARS
from ghostfleet.operations.rotation import OtherRotation, Rotation, begun

LONGEST_NAME = "w" * 58
A_FEW = Rotation(
    old=("wallet-001", "wallet-002"), keyfiles={}, profiles={"whale": 2}, to="0x", native_wei="0", tokens={}
)
MANY = msgspec.structs.replace(A_FEW, old=tuple(f"{LONGEST_NAME}{number:06d}" for number in range(3_000)))


def test_a_reason_names_all_of_a_few_and_some_of_many() -> None:
    assert A_FEW.reason == "rotation of wallet-001, wallet-002"
    assert MANY.reason.endswith(f", {MANY.old[3]} and 2996 others")
    assert len(MANY.reason) <= MAX_REASON_CHARS


def test_its_fundings_are_named_by_all_wallets() -> None:
    assert A_FEW.name == "rotation of wallet-001,wallet-002"
    assert MANY.name != msgspec.structs.replace(MANY, old=MANY.old[:-1]).name


def test_another_rotation_of_many_is_refused_in_one_sentence(tmp_path) -> None:
    begun(tmp_path, MANY)
    with pytest.raises(OtherRotation) as refused:
        begun(tmp_path, msgspec.structs.replace(MANY, old=MANY.old[1:]))
    assert len(str(refused.value)) < 1_000
