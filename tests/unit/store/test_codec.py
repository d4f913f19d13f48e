"""Every event survives the way to JSON and back, and events of other releases are understood, skipped or refused."""

from typing import Any, ClassVar

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ghostfleet.domain.events import CATALOGUE, Event, NewEvent, UnknownEvent
from ghostfleet.domain.values import Address, BlockRef, Call, Fees, Hash, JsonObject, Octets
from ghostfleet.store.codec import CODEC, UPCASTERS, Codec
from ghostfleet.store.errors import LogCorrupt, UnknownCriticalEvent
from ghostfleet.store.rows import GENESIS, EventRow

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


def row(type_: str, payload: str, *, version: int = 1, critical: int = 1, position: int = 812) -> EventRow:
    return EventRow(position, "fleet", position, type_, version, critical, 7, "", payload, GENESIS)


@pytest.mark.parametrize("kind", CATALOGUE.values(), ids=CATALOGUE)
def test_every_event_of_the_catalogue_comes_back_equal(kind: type[Event]) -> None:
    @given(any_event(kind))
    def comes_back(event: Event) -> None:
        encoded = CODEC.encode(NewEvent("fleet", event, "c"))
        assert (encoded.type, encoded.type_version, encoded.critical) == (kind.__name__, kind.VERSION, kind.CRITICAL)
        back = CODEC.decode(row(encoded.type, encoded.payload, version=encoded.type_version))
        assert back.event == event
        assert CODEC.encode(NewEvent("fleet", back.event, "c")).payload == encoded.payload

    comes_back()


def test_every_older_version_in_the_catalogue_has_an_upcaster() -> None:
    for name, kind in CATALOGUE.items():
        for version in range(1, kind.VERSION):
            assert (name, version) in UPCASTERS, f"{name} {version} cannot be read any more"


def test_fields_of_a_newer_release_are_ignored() -> None:
    found = CODEC.decode(row("FleetPaused", '{"actor":"a","reason":"r","mood":{"of":"the day"}}'))
    assert found.event == CATALOGUE["FleetPaused"](actor="a", reason="r")  # type: ignore[call-arg]


@pytest.mark.parametrize(("name", "version"), [("Foo", 3), ("FleetPaused", 2)])
def test_an_unknown_event_or_version_is_skipped_or_stops_the_reader(name: str, version: int) -> None:
    skipped = CODEC.decode(row(name, '{"x":1}', version=version, critical=0))
    assert skipped.event == UnknownEvent(type=name, type_version=version)
    assert skipped.position == 812
    with pytest.raises(
        UnknownCriticalEvent, match=rf"^position 812: event {name} version {version} is not known to this"
    ):
        CODEC.decode(row(name, '{"x":1}', version=version))


@pytest.mark.parametrize("payload", ["", "{", "[]", '{"actor":1}', '{"reason":"r"}', "null", '{"actor":"a"} {}'])
def test_a_payload_that_is_not_what_its_type_says_is_a_corrupt_log(payload: str) -> None:
    with pytest.raises(LogCorrupt, match="position 812"):
        CODEC.decode(row("FleetPaused", payload))


class Fed(Event, frozen=True, kw_only=True):
    """Version 3 of an event that had `food` in version 1 and `grams` as text in version 2."""

    VERSION: ClassVar[int] = 3
    meal: str
    grams: int


def test_older_versions_go_through_their_upcasters_one_a_step() -> None:
    steps: list[int] = []

    def renamed(content: JsonObject) -> JsonObject:
        steps.append(1)
        return {"meal": content["food"], "grams": "0"}

    def counted(content: JsonObject) -> JsonObject:
        steps.append(2)
        return {**content, "grams": int(content["grams"])}

    codec = Codec({"Fed": Fed}, {("Fed", 1): renamed, ("Fed", 2): counted})
    assert codec.decode(row("Fed", '{"food":"fish"}')).event == Fed(meal="fish", grams=0)
    assert codec.decode(row("Fed", '{"meal":"fish","grams":"70"}', version=2)).event == Fed(meal="fish", grams=70)
    assert codec.decode(row("Fed", '{"meal":"fish","grams":70}', version=3)).event == Fed(meal="fish", grams=70)
    assert steps == [1, 2, 2]
    with pytest.raises(LogCorrupt):
        codec.decode(row("Fed", '{"meal":"fish"}', version=2))
    with pytest.raises(LogCorrupt):
        Codec({"Fed": Fed}, {}).decode(row("Fed", "{}"))
