"""Which keccak is the fastest at hand? safe-pysha3's C function takes 1 us, eth-hash on pycryptodome 8 (measured, 120 bytes)."""

from collections.abc import Callable

keccak: Callable[[bytes], bytes]
"""Keccak-256, as Ethereum hashes."""

try:
    from sha3 import keccak_256  # type: ignore[import-untyped, import-not-found, unused-ignore]
except ImportError:  # not on every platform: the same hash, slower
    from eth_hash.auto import keccak as _keccak

    keccak = _keccak
else:

    def keccak(data: bytes) -> bytes:
        """Keccak-256, as Ethereum hashes."""
        digest: bytes = keccak_256(data).digest()
        return digest
