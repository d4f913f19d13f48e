"""What does the fleet say when it signs the head of its log? The text is the whole statement; the event only repeats it."""

from ghostfleet.domain.events import HeadSigned
from ghostfleet.domain.values import Hash

CHECKPOINT_TITLE = "Ghost Fleet checkpoint 1"


def checkpoint_text(chain_id: int, genesis_hash: Hash, position: int, head_hash: Hash) -> str:
    """What is signed, as EIP-191 has people sign texts. No newline at the end, which shells would drop."""
    lines = (f"chain {chain_id}", f"genesis {genesis_hash}", f"position {position}", f"hash {head_hash}")
    return "\n".join((CHECKPOINT_TITLE, *lines))


def text_of(signed: HeadSigned) -> str:
    """What a checkpoint's signer signed."""
    return checkpoint_text(signed.chain_id, signed.genesis_hash, signed.position, signed.head_hash)
