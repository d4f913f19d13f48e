"""What does a signed transaction cost beside the signature itself?

Ours is `chain.transactions.sign` of an EIP-1559 transfer: fields to RLP, keccak, signature, the signed bytes and their hash.
The limit is libsecp256k1's recoverable signature of a ready digest, by the same key through the same coincurve.
"""

from collections.abc import Callable
from time import perf_counter

import coincurve

from benchmarks.lines import Line, Round, line
from ghostfleet.chain import transactions
from ghostfleet.chain.keccak import keccak
from ghostfleet.domain.values import Address, Call, Fees, Unsigned

SIGNATURES = 2_000
"""In one turn."""
ROUNDS = 9
QUICK_SIGNATURES, QUICK_ROUNDS = 50, 1
GOAL = 0.5
GWEI = 10**9
KEY = coincurve.PrivateKey(b"benchmark".rjust(32, b"\1"))


def transfer(nonce: int) -> Unsigned:
    """A transfer as the fleet makes it."""
    call = Call(to=Address(b"a transfer's receiver"[:20]), value_wei=10**15 + nonce)
    return Unsigned(chain_id=6343, nonce=nonce, call=call, gas=21_000, fees=Fees(2 * GWEI, GWEI))


def measure(*, quick: bool = False) -> list[Line]:
    """Ours and the limit, in turns."""
    count = QUICK_SIGNATURES if quick else SIGNATURES
    rounds = [_round(count, number * count) for number in range(QUICK_ROUNDS if quick else ROUNDS)]
    return [line(rounds, benchmark="signing", case="EIP-1559 transfer", unit="signatures/s", goal=GOAL)]


def _round(count: int, first: int) -> Round:
    unsigned = [transfer(nonce) for nonce in range(first, first + count)]
    digests = [keccak(transactions.encode_unsigned(each)) for each in unsigned]
    ours = _rate(count, lambda index: transactions.sign(unsigned[index], KEY))
    limit = _rate(count, lambda index: KEY.sign_recoverable(digests[index], hasher=None))
    return Round(ours, limit)


def _rate(count: int, sign: Callable[[int], object]) -> float:
    started = perf_counter()
    for index in range(count):
        sign(index)
    return count / (perf_counter() - started)
