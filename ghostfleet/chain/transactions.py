"""EIP-1559 transactions to bytes and back: our own few lines of RLP, because signing is on the hot path.

Source: EIP-2718 (typed envelopes), EIP-1559 (field order), EIP-2 (low s; libsecp256k1 signs that way).
"""

from collections.abc import Iterator
from typing import Protocol

import coincurve

from ghostfleet.chain.keccak import keccak
from ghostfleet.domain.values import Address, Call, Fees, Hash, Octets, Signed, Unsigned

TYPE_1559 = b"\x02"
NO_ACCESS_LIST = b"\xc0"
FIELDS_SIGNED = 12
ADDRESS_BYTES = 20


class RecoverableSigner(Protocol):
    """A private key as far as it is needed here."""

    def sign_recoverable(self, message: bytes, hasher: None = None) -> bytes: ...


def encode_unsigned(unsigned: Unsigned) -> bytes:
    """The bytes whose keccak hash is signed."""
    return TYPE_1559 + _list(_fields(unsigned))


def sign(unsigned: Unsigned, key: RecoverableSigner) -> Signed:
    """The signed bytes and their hash. The access list is empty."""
    fields = _fields(unsigned)
    return _signed(fields, key.sign_recoverable(keccak(TYPE_1559 + _list(fields)), hasher=None))


def with_signature(unsigned: Unsigned, signature: bytes) -> Signed:
    """The same with a signature from elsewhere: 65 bytes r, s, v (0 or 1) over the hash of `encode_unsigned`."""
    return _signed(_fields(unsigned), signature)


def decode(raw: bytes) -> tuple[Unsigned, Address]:
    """What signed bytes say, and who signed them. Raises ValueError unless `sign` could have written them."""
    try:
        fields = list(_items(raw)) if raw[:1] == TYPE_1559 else []
    except IndexError:
        fields = []
    if len(fields) != FIELDS_SIGNED or len(fields[5]) != ADDRESS_BYTES or fields[8] != NO_ACCESS_LIST:
        raise ValueError("not the fields of an EIP-1559 transaction with a recipient and no access list")
    chain_id, nonce, tip, cap, gas = map(_number, fields[:5])
    unsigned = Unsigned(
        chain_id=chain_id,
        nonce=nonce,
        call=Call(to=Address(fields[5]), value_wei=_number(fields[6]), data=Octets(fields[7])),
        gas=gas,
        fees=Fees(cap, tip),
    )
    v, r, s = fields[9:]
    signature = r.rjust(32, b"\0") + s.rjust(32, b"\0") + (v or b"\0")
    own = _fields(unsigned)
    if len(signature) != 65 or TYPE_1559 + _list(own + _signature(signature)) != raw:
        raise ValueError("not the bytes of an EIP-1559 transaction: some number is not written the one way it may be")
    try:
        signer = coincurve.PublicKey.from_signature_and_message(
            signature, keccak(TYPE_1559 + _list(own)), hasher=None
        ).format(compressed=False)
    except Exception as problem:  # coincurve raises plain Exception for a signature that nobody can have made
        raise ValueError(f"not the signature of an EIP-1559 transaction: {problem}") from None
    return unsigned, Address(keccak(signer[1:])[12:])


def _fields(tx: Unsigned) -> list[bytes]:
    call, fees = tx.call, tx.fees
    return [
        _int(tx.chain_id),
        _int(tx.nonce),
        _int(fees.priority_fee_wei),
        _int(fees.max_fee_wei),
        _int(tx.gas),
        _bytes(call.to),
        _int(call.value_wei),
        _bytes(call.data),
        NO_ACCESS_LIST,
    ]


def _signature(signature: bytes) -> list[bytes]:
    """y parity, r and s as RLP, from libsecp256k1's r, s, recovery id."""
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:64], "big")
    return [_int(signature[64]), _int(r), _int(s)]


def _signed(fields: list[bytes], signature: bytes) -> Signed:
    raw = TYPE_1559 + _list(fields + _signature(signature))
    return Signed(hash=Hash(keccak(raw)), raw=Octets(raw))


def _number(data: bytes) -> int:
    return int.from_bytes(data, "big")


def _int(value: int) -> bytes:
    if 0 < value < 0x80:
        return bytes((value,))
    data = value.to_bytes((value.bit_length() + 7) // 8, "big")
    return _length(len(data), 0x80) + data


def _bytes(data: bytes) -> bytes:
    if len(data) == 1 and data[0] < 0x80:
        return bytes(data)
    return _length(len(data), 0x80) + data


def _list(items: list[bytes]) -> bytes:
    body = b"".join(items)
    return _length(len(body), 0xC0) + body


def _length(size: int, offset: int) -> bytes:
    if size < 56:
        return bytes((offset + size,))
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((offset + 55 + len(length),)) + length


def _items(raw: bytes) -> Iterator[bytes]:
    """The byte strings of the one list behind the type byte; of lists in it only the empty one, as it is written.

    Lenient: what it makes of bytes that are not canonical RLP does not encode back to them. Raises IndexError.
    """
    at, _ = _span(raw, 1, 0xC0)
    while at < len(raw):
        if raw[at] < 0x80 or raw[at] == NO_ACCESS_LIST[0]:
            start, end = at, at + 1
        else:
            start, end = _span(raw, at, 0x80)
        if end > len(raw):
            raise IndexError("an item that ends behind the end")
        yield bytes(raw[start:end])
        at = end


def _span(raw: bytes, at: int, offset: int) -> tuple[int, int]:
    """Where the payload of the item at `at` begins and ends."""
    size = raw[at] - offset
    if not 0 <= size < 64:
        raise IndexError("not the kind of item that belongs here")
    if size < 56:
        return at + 1, at + 1 + size
    start = at + 1 + size - 55
    return start, start + _number(raw[at + 1 : start])
