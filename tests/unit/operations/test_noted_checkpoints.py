"""What was noted elsewhere is read back as it was printed, and believed only as its signer signed it."""

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from ghostfleet.domain.checkpoint import checkpoint_text
from ghostfleet.domain.events import FLEET_STREAM, HeadSigned, Recorded
from ghostfleet.domain.values import Address, Hash, WalletId, encode_json
from ghostfleet.engine.signing import KeyringSigner
from ghostfleet.errors import BadInput
from ghostfleet.keys.addresses import checksummed
from ghostfleet.keys.keyring import Keyring
from ghostfleet.operations.noted_checkpoints import NotACheckpoint, as_block, checkpoints_in, noted

NAME = WalletId("w1")
KEYRING = Keyring.of({NAME: b"\x05" * 32})
OTHER = Keyring.of({NAME: b"\x06" * 32}).address(NAME)
GENESIS_HASH = Hash(b"\x07" * 32)


def signed(position: int) -> Recorded:
    """A checkpoint as a log has it."""
    head = Hash(position.to_bytes(32, "big"))
    text = checkpoint_text(6343, GENESIS_HASH, position, head)
    signature = asyncio.run(KeyringSigner(KEYRING).sign_message(NAME, text.encode()))
    event = HeadSigned(
        chain_id=6343,
        genesis_hash=GENESIS_HASH,
        position=position,
        head_hash=head,
        signer=KEYRING.address(NAME),
        signature=signature,
    )
    return Recorded(position + 1, FLEET_STREAM, position + 1, 1_767_225_600_000_000, "", event)


FEW = [signed(7), signed(1234)]
BLOCKS = "\n".join(as_block(noted(it)) for it in FEW)
LINES = "\n".join(encode_json(noted(it)).decode() for it in FEW)


@pytest.mark.parametrize("text", [BLOCKS, LINES], ids=["as people read it", "as JSON"])
def test_what_is_printed_is_read_back(text: str) -> None:
    assert checkpoints_in(text) == [it.event for it in FEW]
    assert checkpoints_in(f"\n{text}\n\n") == [it.event for it in FEW]


def test_the_signed_text_stands_there_as_it_was_signed_for_whoever_has_another_program() -> None:
    assert msgspec.json.decode(LINES.splitlines()[0])["text"] in BLOCKS
    assert checksummed(KEYRING.address(NAME)) in BLOCKS


def test_a_block_that_was_quoted_in_a_mail_is_read_all_the_same() -> None:
    wrapped = "Hello Ada,\n\n  " + BLOCKS.replace("\n", "\n  ") + "\nthe other one will follow.\n"
    assert checkpoints_in(wrapped) == [it.event for it in FEW]


def test_nobody_signs_the_place_before_the_first_row() -> None:
    with pytest.raises(NotACheckpoint):
        checkpoints_in(encode_json(noted(signed(0))).decode())


@pytest.mark.parametrize("empty", ["", "\n\n", "hello", "position 7"])
def test_a_file_without_one_is_refused(empty: str) -> None:
    with pytest.raises(BadInput, match="audit checkpoints"):
        checkpoints_in(empty)


@pytest.mark.parametrize(
    "change",
    [
        lambda it: replace(it, position=it.position + 1),
        lambda it: replace(it, position=0),
        lambda it: replace(it, chain_id=1),
        lambda it: replace(it, head_hash=GENESIS_HASH),
        lambda it: replace(it, genesis_hash=it.head_hash),
        lambda it: replace(it, signer=checksummed(OTHER)),
        lambda it: replace(it, signer=checksummed(Address(b"\1" * 20))[:-1] + "x"),
        lambda it: replace(it, signature=type(it.signature)(it.signature[:-1] + b"\0")),
        lambda it: replace(it, signature=type(it.signature)()),
        lambda it: replace(it, text=it.text.replace("position 7", "position 8")),
    ],
)
def test_whatever_is_changed_it_is_not_believed(change: Callable[[Any], Any]) -> None:
    changed = change(noted(FEW[0]))
    with pytest.raises(NotACheckpoint):
        checkpoints_in(encode_json(changed).decode())


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("position 7", "position 8"),
        ("chain 6343", "chain 1"),
        ("signature 0x", "signature 0x00"),
        ("signer 0x", "signed by 0x"),
        ("\nhash", "\nhush"),
    ],
)
def test_a_block_that_is_not_whole_or_was_changed_is_not_passed_over(old: str, new: str) -> None:
    assert old in BLOCKS
    with pytest.raises(NotACheckpoint):
        checkpoints_in(BLOCKS.replace(old, new, 1))


@pytest.mark.parametrize("line", ["{", "{}", '{"position": "7"}', "{" * 100_000, '{"position": 1e99}'])
def test_what_is_no_checkpoint_is_said_to_be_none(line: str) -> None:
    with pytest.raises(NotACheckpoint):
        checkpoints_in(line)
