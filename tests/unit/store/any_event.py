"""Any event of the catalogue, with anything in its fields that their types allow."""

from typing import Any

import msgspec
from hypothesis import strategies as st

from ghostfleet.domain.events import Event
from ghostfleet.domain.values import Address, BlockRef, Call, Fees, Hash, JsonObject, Octets

st.register_type_strategy(Hash, st.binary(min_size=32, max_size=32).map(Hash))
st.register_type_strategy(Address, st.binary(min_size=20, max_size=20).map(Address))
st.register_type_strategy(Octets, st.binary(max_size=40).map(Octets))
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**300) | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=3)
    ),
    max_leaves=5,
)
objects = st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=5), json_values, max_size=3)
values: dict[Any, Any] = {
    str: st.text(st.characters(codec="utf-8")),
    int: st.integers(-(2**300), 2**300),
    bool: st.booleans(),
    float: st.floats(allow_nan=False, allow_infinity=False),  # factors: JSON has no other numbers
    Hash: st.from_type(Hash),
    Address: st.from_type(Address),
    Octets: st.from_type(Octets),
    JsonObject: objects,
    BlockRef: st.builds(BlockRef, st.integers(0, 2**64), st.from_type(Hash)),
    Fees: st.builds(Fees, st.integers(0, 2**256), st.integers(0, 2**256)),
    Call: st.builds(Call, to=st.from_type(Address), value_wei=st.integers(0, 2**256), data=st.from_type(Octets)),
    tuple[JsonObject, ...]: st.lists(objects, max_size=2).map(tuple),
    int | None: st.none() | st.integers(0, 2**63),
    Hash | None: st.none() | st.from_type(Hash),
}


def any_event(kind: type[Event]) -> st.SearchStrategy[Event]:
    fields = msgspec.structs.fields(kind)
    return st.builds(
        kind, **{it.name: values[it.type] if it.type in values else st.from_type(it.type) for it in fields}
    )
