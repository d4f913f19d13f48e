"""Is this text an address, and which address belongs to this key?"""

import re
from functools import lru_cache

import coincurve
from eth_hash.auto import keccak

from ghostfleet.domain.values import Address

_FORM = re.compile(r"0[xX][0-9a-fA-F]{40}")
ADDRESSES_REMEMBERED = 16_384
"""Spellings kept: every decision of a transfer asks for its receiver's again."""


def parse_address(text: str) -> Address:
    """20 bytes from hex. All lower or all upper case is taken as it is; mixed case has to fit its EIP-55 checksum.
    Raises ValueError with what is wrong and what would be right."""
    if not _FORM.fullmatch(text):
        raise ValueError("expected an address: 0x and 40 hexadecimal digits")
    digits = text[2:]
    address = Address(bytes.fromhex(digits))
    if digits not in (digits.lower(), digits.upper()) and "0x" + digits != checksummed(address):
        raise ValueError(f"the checksum (EIP-55) does not fit; the same digits with it are {checksummed(address)}")
    return address


@lru_cache(ADDRESSES_REMEMBERED)
def checksummed(address: Address) -> str:
    """The EIP-55 spelling, for people and files."""
    digits = address.hex()
    nibbles = keccak(digits.encode("ascii")).hex()
    return "0x" + "".join(
        digit.upper() if nibble > "7" else digit for digit, nibble in zip(digits, nibbles[:40], strict=True)
    )


def address_of(key: coincurve.PrivateKey) -> Address:
    return address_of_point(key.public_key.format(compressed=False))


def address_of_point(point: bytes) -> Address:
    """Of an uncompressed public key: 65 bytes, the first of them 4."""
    return Address(keccak(point[1:])[-20:])
