"""What are the stand-ins' ABI and bytecode, and how is a call to them written?

scripts/compile-contracts.mjs makes the artifacts.
"""

from functools import cache
from importlib.resources import files
from typing import Any

import msgspec
from eth_abi.abi import decode, encode
from eth_hash.auto import keccak
from eth_utils.abi import collapse_if_tuple

from ghostfleet.domain.values import Octets

NAMES = ("ArcadeCore", "DATA", "Faucet", "GhostCore", "HashCrash")


class Artifact(msgspec.Struct, frozen=True):
    """A compiled contract."""

    abi: list[dict[str, Any]]
    bytecode: str

    def entry(self, kind: str, name: str = "") -> dict[str, Any]:
        """The ABI entry of a function, event or error. Raises KeyError when there is none."""
        for entry in self.abi:
            if entry["type"] == kind and entry.get("name", "") == name:
                return entry
        raise KeyError(f"no {kind} {name}")

    def creation(self, *arguments: Any) -> Octets:
        """Bytecode and constructor arguments: the data of a transaction that deploys it."""
        entry: dict[str, Any] = next((one for one in self.abi if one["type"] == "constructor"), {"inputs": []})
        return Octets(bytes.fromhex(self.bytecode.removeprefix("0x")) + encode(_types(entry["inputs"]), arguments))

    def call(self, function: str, *arguments: Any) -> Octets:
        """Selector and arguments."""
        entry = self.entry("function", function)
        return Octets(selector(entry) + encode(_types(entry["inputs"]), arguments))

    def result(self, function: str, output: bytes) -> Any:
        """What a function gave: the value, or a tuple of several."""
        values = decode(_types(self.entry("function", function)["outputs"]), output)
        return values[0] if len(values) == 1 else values


@cache
def artifact(name: str) -> Artifact:
    """One of NAMES."""
    return msgspec.json.decode(
        files("ghostfleet.devnet").joinpath("artifacts", f"{name}.json").read_bytes(), type=Artifact
    )


def signature(entry: dict[str, Any]) -> str:
    """`name(type,...)` with tuples spelled out."""
    return f"{entry['name']}({','.join(_types(entry['inputs']))})"


def selector(entry: dict[str, Any]) -> bytes:
    """The first four bytes of keccak of the signature."""
    return bytes(keccak(signature(entry).encode())[:4])


def _types(parameters: list[dict[str, Any]]) -> list[str]:
    return [str(collapse_if_tuple(one)) for one in parameters]
