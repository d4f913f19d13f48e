"""Every event survives the way to JSON and back, and events of other releases are understood, skipped or refused."""

from typing import ClassVar

import pytest
from hypothesis import given

from ghostfleet.domain.events import CATALOGUE, Event, NewEvent, UnknownEvent
from ghostfleet.domain.values import JsonObject
from ghostfleet.store.codec import CODEC, UPCASTERS, Codec
from ghostfleet.store.errors import LogCorrupt, UnknownCriticalEvent
from ghostfleet.store.rows import GENESIS, EventRow
from tests.unit.store.any_event import any_event


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
