"""Whatever Python value a plugin may answer with: of the right type with wrong fields, and of any other."""

import datetime
import decimal
import enum
from typing import Any

import msgspec
from hypothesis import strategies as st

from ghostfleet.domain.values import Address, Call, Octets
from ghostfleet.plugins.api import Action, Rest, Verdict

KINDS = ("save", "empty")


class Text(str):
    """A str whose own words are others."""

    __slots__ = ()

    def __str__(self) -> str:
        return "other"


class Kind(enum.StrEnum):
    SAVE = "save"


class Number(enum.IntEnum):
    ONE = 1


class Renamed(Call, frozen=True, kw_only=True, rename="camel"):
    """A Call that is written otherwise."""


class Listed(msgspec.Struct, array_like=True):
    amount: Any = None


def _itself() -> dict[str, Any]:
    value: dict[str, Any] = {}
    value["itself"] = value
    return value


def _nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return {"nested": value}


TO = Address(b"\x07" * 20)
surrogates = st.text(st.characters(exclude_categories=()), max_size=6)
ODD = [
    object(),
    object,
    10**5000,
    2**256,
    -1,
    float("nan"),
    float("inf"),
    1e300,
    decimal.Decimal("1.5"),
    datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC),
    {1, 2},
    Text("save"),
    Kind.SAVE,
    Number.ONE,
    TO,
    Address(b"\x07" * 19),
    bytes(TO),
    Octets(b""),
    bytearray(b"1"),
    msgspec.Raw(b"{"),
    msgspec.Raw(b'{"a":1}'),
    msgspec.UNSET,
    Listed(),
    _itself(),
    _nested(40),
    _nested(200),
    _nested(5_000),
    {1: 2},
    {"a": msgspec.Raw(b"1,")},
    "x" * 100_000,
    "\0",
]
odd = st.integers(0, len(ODD) - 1).map(lambda number: ODD[number])
"""By number: hypothesis prints what it chooses among, and not all of these can be printed."""
scalars = st.none() | st.booleans() | st.integers() | st.floats() | surrogates | st.binary(max_size=40) | odd
junk = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(surrogates | st.integers() | st.none(), inner, max_size=3)
    ),
    max_leaves=4,
)


def mostly(good: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """So that one wrong field stands among right ones."""
    return st.integers(0, 7).flatmap(lambda drawn: junk if drawn == 0 else good)


amounts = mostly(st.integers(0, 2**256 - 1) | st.just(0))
calls = mostly(
    st.builds(Call, to=mostly(st.just(TO)), value_wei=amounts, data=mostly(st.binary(max_size=40).map(Octets)))
    | st.builds(Renamed, to=st.just(TO), value_wei=st.integers(1, 9))
)
actions = st.builds(
    Action,
    kind=mostly(st.sampled_from([*KINDS, Kind.SAVE, Text("save")])),
    call=calls,
    params=mostly(st.dictionaries(st.text("abc", max_size=3), junk, max_size=2)),
    spend_wei=amounts,
    gas=mostly(st.none() | st.just(21_000)),
)
secs = mostly(st.none() | st.floats(0, 1e9) | st.integers(0, 2**80))
rests = st.builds(Rest, reason=mostly(surrogates), secs=secs)
verdicts = st.builds(Verdict, counts=mostly(st.booleans()), rest_secs=secs)
choices = actions | rests | junk
