"""How is a contract's function called, and what did it answer? Signatures as text, values as Python, bytes for the chain.

Integers are int, `address` is Address, `bytes` is bytes, arrays are lists, structs are tuples.
"""

import re
from collections.abc import Sequence
from functools import cache
from typing import Any

import msgspec
from eth_abi.abi import decode, encode, is_encodable_type
from eth_abi.exceptions import ABITypeError, DecodingError, EncodingError, ParseError
from eth_abi.grammar import normalize, parse
from eth_utils.crypto import keccak

from ghostfleet.domain.values import Address, Hash, Octets
from ghostfleet.errors import BadInput, GhostFleetError
from ghostfleet.plugins.api import ChainView

_SIGNATURE = re.compile(r"\s*([A-Za-z_$][A-Za-z0-9_$]*)\s*\((.*)\)\s*", re.DOTALL)
_WORD = re.compile(r"uint[0-9]+|bool|address")
MAX_SIGNATURE = 2_000
"""Characters of a signature; the longest in use have a few hundred."""


class BadSignature(BadInput):
    """A text is no function signature such as `jackIn(uint256,uint8)`, or the arguments do not fit it."""


class UnreadableAnswer(GhostFleetError):
    """A contract's answer is not what its function returns: mostly a wrong address, or the wrong chain."""


class Function(msgspec.Struct, frozen=True, kw_only=True):
    """A function (or a custom error) of a contract: its selector, and the types that go in and come out."""

    signature: str
    """Canonical: no spaces, no names, no aliases; what the selector is made of."""
    selector: bytes
    inputs: tuple[str, ...]
    outputs: tuple[str, ...] = ()
    flat: tuple[str, ...] | None = None
    """The outputs' leaves where each is a word of its own (numbers, booleans, addresses, or one struct of them): these
    are decoded on every turn of every wallet, and eight times faster than in general."""

    def encode(self, *values: Any) -> Octets:
        """The calldata. Raises BadSignature when the values do not fit."""
        if len(values) != len(self.inputs):
            raise BadSignature(f"{self.signature} takes {len(self.inputs)} arguments, got {len(values)}")
        try:
            return Octets(self.selector + encode(self.inputs, [_outgoing(value) for value in values]))
        except (EncodingError, TypeError, ValueError, OverflowError) as error:
            raise BadSignature(f"{self.signature} does not take these arguments: {error}") from error

    def decode(self, answer: bytes) -> tuple[Any, ...]:
        """The returned values. Raises UnreadableAnswer."""
        try:
            if self.flat is not None:
                leaves = _leaves(self.flat, answer)
                return (leaves,) if self.outputs[0].startswith("(") else leaves
            values = decode(self.outputs, bytes(answer), strict=False)
        except (DecodingError, ValueError, OverflowError) as error:
            what = f"{len(answer)} bytes" if answer else "nothing (is there a contract?)"
            raise UnreadableAnswer(f"{self.signature} answered {what}, not ({','.join(self.outputs)})") from error
        return tuple(_incoming(kind, value) for kind, value in zip(self.outputs, values, strict=True))

    def decode_call(self, data: bytes) -> tuple[Any, ...]:
        """The arguments in this calldata. Raises UnreadableAnswer when it calls another function."""
        if data[:4] != self.selector:
            raise UnreadableAnswer(f"calls 0x{data[:4].hex()}, not {self.signature}")
        return Function(signature=self.signature, selector=b"", inputs=(), outputs=self.inputs).decode(data[4:])


@cache
def function(signature: str, outputs: str = "") -> Function:
    """`function("balanceOf(address)", "uint256")`. Structs are written as tuples: `"(uint8,uint64)"`.
    Raises BadSignature with what is wrong."""
    match = _SIGNATURE.fullmatch(signature) if len(signature) <= MAX_SIGNATURE else None
    if match is None:
        raise BadSignature(f"{signature[:80]!r} is no signature; expected for example jackIn(uint256,uint8)")
    inputs, returned = _canonical(match[2], signature), _canonical(outputs, signature)
    canonical = f"{match[1]}({','.join(inputs)})"
    return Function(
        signature=canonical,
        selector=bytes(keccak(text=canonical)[:4]),
        inputs=inputs,
        outputs=returned,
        flat=_flat(returned),
    )


def event_topic(signature: str) -> Hash:
    """The first topic of an event, for example of `Transfer(address,address,uint256)`."""
    return Hash(keccak(text=function(signature).signature))


async def read(chain: ChainView, contract: Address, asked: Function, *values: Any) -> Any:
    """Ask a view function: its one result, or the tuple of them."""
    answer = asked.decode(await chain.call(contract, asked.encode(*values)))
    return answer[0] if len(answer) == 1 else answer


def split_types(text: str) -> list[str]:
    """`uint8,(bool,bytes)[]` as its top-level parts."""
    parts, depth, start = [], 0, 0
    for index, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if character == "," and depth == 0:
            parts.append(text[start:index].strip())
            start = index + 1
    return [*parts, text[start:].strip()] if text.strip() else []


def _canonical(text: str, signature: str) -> tuple[str, ...]:
    kinds = []
    for part in split_types(text):
        try:
            parsed = parse(normalize(part))  # type: ignore[no-untyped-call]
            parsed.validate()
            if not is_encodable_type(parsed.to_type_str()):
                raise ParseError(part)
        except (ParseError, ABITypeError, ValueError) as error:
            raise BadSignature(
                f"{signature[:80]!r}: {part[:40]!r} is no ABI type (give types only, no names)"
            ) from error
        kinds.append(parsed.to_type_str())
    return tuple(kinds)


def _flat(outputs: tuple[str, ...]) -> tuple[str, ...] | None:
    single_struct = len(outputs) == 1 and outputs[0].startswith("(") and outputs[0].endswith(")")
    leaves = tuple(split_types(outputs[0][1:-1])) if single_struct else outputs
    return leaves if leaves and all(_WORD.fullmatch(leaf) for leaf in leaves) else None


def _leaves(kinds: tuple[str, ...], answer: bytes) -> tuple[Any, ...]:
    if len(answer) < 32 * len(kinds):
        raise ValueError("too short")
    return tuple(_leaf(kind, answer[32 * at : 32 * at + 32]) for at, kind in enumerate(kinds))


def _leaf(kind: str, word: bytes) -> Any:
    if kind == "address":
        if any(word[:12]):
            raise ValueError("no address")
        return Address(word[12:])
    value = int.from_bytes(word)
    if value >> (1 if kind == "bool" else int(kind[4:])):
        raise ValueError(f"no {kind}")
    return value == 1 if kind == "bool" else value


def _outgoing(value: Any) -> Any:
    return [_outgoing(item) for item in value] if isinstance(value, list | tuple) else value


def _incoming(kind: str, value: Any) -> Any:
    if kind == "address":
        return Address.from_hex(value)
    if kind.endswith("]"):
        inner = kind[: kind.rindex("[")]
        return [_incoming(inner, item) for item in value]
    if kind.startswith("("):
        return tuple(_incoming(part, item) for part, item in zip(split_types(kind[1:-1]), value, strict=True))
    return value


def words(data: bytes) -> Sequence[int]:
    """Data made of 32-byte words only, as integers: what static event arguments look like."""
    return [int.from_bytes(data[index : index + 32]) for index in range(0, len(data) - len(data) % 32, 32)]
