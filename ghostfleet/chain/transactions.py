"""EIP-1559 transactions to bytes and back: our own few lines of RLP, because signing is on the hot path.

Source: EIP-2718 (typed envelopes), EIP-1559 (field order), EIP-2 (low s; libsecp256k1 signs that way).
"""

from typing import Protocol

import coincurve
import rlp
from eth_hash.auto import keccak
from rlp.exceptions import RLPException

from ghostfleet.domain.values import Address, Call, Fees, Hash, Octets, Signed, Unsigned

TYPE_1559 = b"\x02"


class RecoverableSigner(Protocol):
    """A private key as far as it is needed here."""

    def sign_recoverable(self, message: bytes, hasher: None = None) -> bytes: ...


def sign(unsigned: Unsigned, key: RecoverableSigner) -> Signed:
    """The signed bytes and their hash. The access list is empty."""
    fields = _fields(unsigned)
    digest = keccak(TYPE_1559 + _list(fields))
    signature = key.sign_recoverable(digest, hasher=None)
    r, s, v = signature[:32].lstrip(b"\0"), signature[32:64].lstrip(b"\0"), signature[64]
    raw = TYPE_1559 + _list([*fields, _int(v), _bytes(r), _bytes(s)])
    return Signed(hash=Hash(keccak(raw)), raw=Octets(raw))


def decode(raw: bytes) -> tuple[Unsigned, Address]:
    """What signed bytes say, and who signed them. Raises ValueError when they are not an EIP-1559 transaction."""
    if raw[:1] != TYPE_1559:
        raise ValueError("not an EIP-1559 transaction")
    try:
        chain_id, nonce, tip, cap, gas, to, value, data, _access, v, r, s = rlp.decode(raw[1:])
    except (RLPException, ValueError, TypeError):
        raise ValueError("not the fields of an EIP-1559 transaction") from None
    unsigned = Unsigned(
        chain_id=_number(chain_id),
        nonce=_number(nonce),
        call=Call(to=Address(to), value_wei=_number(value), data=Octets(data)),
        gas=_number(gas),
        fees=Fees(_number(cap), _number(tip)),
    )
    digest = keccak(TYPE_1559 + _list(_fields(unsigned)))
    signature = r.rjust(32, b"\0") + s.rjust(32, b"\0") + bytes([_number(v)])
    public = coincurve.PublicKey.from_signature_and_message(signature, digest, hasher=None)
    return unsigned, Address(keccak(public.format(compressed=False)[1:])[12:])


def _fields(tx: Unsigned) -> list[bytes]:
    return [
        _int(tx.chain_id),
        _int(tx.nonce),
        _int(tx.fees.priority_fee_wei),
        _int(tx.fees.max_fee_wei),
        _int(tx.gas),
        _bytes(tx.call.to),
        _int(tx.call.value_wei),
        _bytes(tx.call.data),
        b"\xc0",
    ]


def _number(data: bytes) -> int:
    return int.from_bytes(data, "big")


def _int(value: int) -> bytes:
    return _bytes(value.to_bytes((value.bit_length() + 7) // 8, "big"))


def _bytes(data: bytes) -> bytes:
    if len(data) == 1 and data[0] < 0x80:
        return bytes(data)
    return _length(len(data), 0x80) + data


def _list(items: list[bytes]) -> bytes:
    body = b"".join(items)
    return _length(len(body), 0xC0) + body


def _length(size: int, offset: int) -> bytes:
    if size < 56:
        return bytes([offset + size])
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([offset + 55 + len(length)]) + length
