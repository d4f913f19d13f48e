"""What does a wallet sign when it signs a text, and who signed it? Source: EIP-191, version 0x45 (`personal_sign`)."""

from eth_hash.auto import keccak

from ghostfleet.domain.values import Address
from ghostfleet.keys.far import signer_of

SIGNATURE_BYTES = 65


def personal_message(text: bytes) -> bytes:
    """The bytes whose keccak hash is signed. They begin with 0x19, and no transaction does."""
    return b"\x19Ethereum Signed Message:\n" + str(len(text)).encode() + text


def signer_of_text(text: bytes, signature: bytes) -> Address | None:
    """Whose signature (r, s, v of 27 or 28) over a text this is; None where nobody can have made it."""
    if len(signature) != SIGNATURE_BYTES or signature[64] not in (27, 28):
        return None
    return signer_of(signature[:64] + bytes((signature[64] - 27,)), keccak(personal_message(text)))
