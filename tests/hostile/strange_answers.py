"""What a node can say that is no answer: any JSON, any type, any size, in the place of a result, of an error, or of the whole."""

import json
from collections.abc import Callable
from random import Random
from typing import Any

HUGE_CHARS = 5_000_000
DEEP = 100_000
RAW = "\0raw\0"
"""Marks a text that goes into the JSON as it is: what Python's own writer would not write."""
STRANGE: tuple[Any, ...] = (
    None, True, False, 0, -1, 1.5, 2**64, 10**400, "", "0x", "0X1", "0xzz", "x", "null", "latest", "0x-1", "0x1_0", " 0x1", "１",
    "0x" + "f" * 500, "0x" + "0" * 200 + "1g", "\ud800", "\0", [], [[]], [None], ["0x1"], {}, {"": None}, {"number": "0x1"},
    {"hash": {"hash": {}}}, f"{RAW}NaN", f"{RAW}-Infinity", f"{RAW}1e999", f"{RAW}0x10", f"{RAW}" + "[" * 500 + "]" * 500,
)  # fmt: skip
"""None of them is of the shape that any question is answered in, except for None: that a node has nothing."""
ERRORS: tuple[Any, ...] = (
    *STRANGE[1:],
    {"code": "-32000", "message": "text for a number"},
    {"code": -32000, "message": {"not": "text"}},
    {"code": 10**30, "message": None},
    {"message": "no code"},
    {"code": -32000},
    {"code": -32000, "message": "m" * HUGE_CHARS, "data": ["d"] * 1000},
    {"code": 3, "message": "execution reverted", "data": "0xzz"},
    {"code": 3, "message": "execution reverted", "data": {"data": 5}},
)
Entry = dict[str, Any]


def written(document: Any) -> bytes:
    """JSON, with what JSON does not have where it is marked."""
    text = json.dumps(document)
    marked = json.dumps(RAW)[1:-1]
    while marked in text:
        before, _, rest = text.partition(f'"{marked}')
        raw, _, after = rest.partition('"')
        text = before + raw + after
    return text.encode("utf-8", "surrogatepass")


def strange_entry(entry: Entry, random: Random) -> Any:
    """One answer of a batch, made strange: its result, a part of it, its error, its id, or all of it."""
    return random.choice((_result, _part, _part, _error, _number, _whole))(entry, random)


def _result(entry: Entry, random: Random) -> Any:
    return {**entry, "result": random.choice((*STRANGE, "x" * HUGE_CHARS, ["0x1"] * 10_000))}


def _part(entry: Entry, random: Random) -> Any:
    """A document that is nearly right."""
    result = entry.get("result")
    if not isinstance(result, dict):
        return _result(entry, random)
    key = random.choice(sorted(result))
    return {**entry, "result": {**result, key: random.choice(STRANGE)}}


def _error(entry: Entry, random: Random) -> Any:
    both = {"result": entry.get("result")} if random.random() < 0.3 else {}
    return {"jsonrpc": "2.0", "id": entry["id"], "error": random.choice(ERRORS), **both}


def _number(entry: Entry, random: Random) -> Any:
    return {**entry, "id": random.choice((None, -1, 1.5, "1", [1], {}, True, 10**30, entry["id"] + 1))}


def _whole(_entry: Entry, random: Random) -> Any:
    return random.choice(STRANGE)


def strange_body(entries: list[Entry], random: Random) -> bytes:
    """The whole answer, made strange."""
    shapes: tuple[Callable[[], bytes], ...] = (
        lambda: b"",
        lambda: b"\xff\xfe\x00",
        lambda: b"[" * DEEP,
        lambda: b'{"a":' * DEEP + b"1" + b"}" * DEEP,
        lambda: b"[" + b"1," * 1_000_000 + b"1]",
        lambda: b" " * HUGE_CHARS,
        lambda: written(entries)[:-1],
        lambda: written(entries) + b"x",
        lambda: written([*entries, *entries]),
        lambda: written({"entries": entries}),
        lambda: written(random.choice(STRANGE)),
        lambda: written([random.choice(STRANGE) for _ in entries]),
        lambda: written(entries).replace(b'"result"', b'"result":1,"result"'),
    )
    return random.choice(shapes)()
