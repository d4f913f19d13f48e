"""How is a checkpoint taken out of the log and noted elsewhere? As its text with the signature beneath, or as a line of JSON.

Either is read again: that the log still holds what somebody noted on another machine tells against whoever rewrites the whole of
it. `cast wallet verify --address SIGNER TEXT SIGNATURE` checks one without this program.
"""

import re

import msgspec

from ghostfleet.domain.checkpoint import CHECKPOINT_TITLE, text_of
from ghostfleet.domain.events import HeadSigned, Recorded
from ghostfleet.domain.values import Hash, Octets, decode_octets
from ghostfleet.errors import BadInput, GhostFleetError
from ghostfleet.keys.addresses import checksummed, parse_address
from ghostfleet.keys.messages import signer_of_text
from ghostfleet.telemetry.moments import iso

_BLOCK = re.compile(
    rf"{CHECKPOINT_TITLE}\s+chain ([1-9][0-9]{{0,18}})\s+genesis (0x[0-9a-f]{{64}})\s+position ([1-9][0-9]{{0,17}})"
    r"\s+hash (0x[0-9a-f]{64})\s+signer (0x[0-9a-fA-F]{40})\s+signature (0x[0-9a-f]{130})\b",
    re.ASCII,
)


class NotACheckpoint(GhostFleetError):
    """What was noted is not what its signer signed: it proves nothing, for or against the log. Find where it was noted first."""


class Noted(msgspec.Struct, frozen=True, kw_only=True):
    """A checkpoint as JSON has it. `event` is where in the log it was written, and `time` when."""

    position: int
    head_hash: Hash
    chain_id: int
    genesis_hash: Hash
    signer: str
    signature: Octets
    event: int = 0
    time: str = ""
    text: str = ""


def noted(recorded: Recorded) -> Noted:
    """A checkpoint of the log, to be kept elsewhere."""
    signed = recorded.event
    assert isinstance(signed, HeadSigned)
    return Noted(
        position=signed.position,
        head_hash=signed.head_hash,
        chain_id=signed.chain_id,
        genesis_hash=signed.genesis_hash,
        signer=checksummed(signed.signer),
        signature=signed.signature,
        event=recorded.position,
        time=iso(recorded.time_us),
        text=text_of(signed),
    )


def as_block(it: Noted) -> str:
    """For people: the text that was signed, who signed it, and the signature."""
    return f"{it.text}\nsigner {it.signer}\nsignature {it.signature}\nwritten {it.time} (#{it.event})\n"


def checkpoints_in(text: str) -> list[HeadSigned]:
    """Those that were noted in this text, each one what its signer signed. Raises NotACheckpoint, BadInput for none."""
    lines = [line for line in text.splitlines() if line.strip()]
    if lines and lines[0].lstrip().startswith("{"):
        found = [_of_json(line) for line in lines]
    else:
        found = [_of_block(block) for block in _BLOCK.finditer(text)]
        if len(found) != text.count(CHECKPOINT_TITLE):
            raise NotACheckpoint("a checkpoint in it is not whole: five lines of text, then signer and signature")
    if not found:
        raise BadInput("there is no checkpoint in it: `ghost-fleet audit checkpoints` prints them")
    for signed in found:
        if signed.position < 1 or signer_of_text(text_of(signed).encode(), signed.signature) != signed.signer:
            raise NotACheckpoint(
                f"checkpoint of position {signed.position}: the signature is not that of {checksummed(signed.signer)}"
            )
    return found


def _of_json(line: str) -> HeadSigned:
    try:
        it = msgspec.json.decode(line, type=Noted, dec_hook=decode_octets)
        signed = HeadSigned(
            chain_id=it.chain_id,
            genesis_hash=it.genesis_hash,
            position=it.position,
            head_hash=it.head_hash,
            signer=parse_address(it.signer),
            signature=it.signature,
        )
    except (msgspec.MsgspecError, ValueError, NotImplementedError, RecursionError):
        raise NotACheckpoint(f"{line[:60]!r} is no checkpoint: JSON as `audit checkpoints --json` prints it") from None
    if it.text and it.text != text_of(signed):
        raise NotACheckpoint(f"checkpoint of position {it.position}: its fields say something else than its text")
    return signed


def _of_block(block: "re.Match[str]") -> HeadSigned:
    chain_id, genesis, position, head, signer, signature = block.groups()
    try:
        address = parse_address(signer)
    except ValueError as wrong:
        raise NotACheckpoint(f"checkpoint of position {position}: signer {signer}: {wrong}") from None
    return HeadSigned(
        chain_id=int(chain_id),
        genesis_hash=Hash.from_hex(genesis),
        position=int(position),
        head_hash=Hash.from_hex(head),
        signer=address,
        signature=Octets.from_hex(signature),
    )
