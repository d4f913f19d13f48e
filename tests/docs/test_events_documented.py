"""docs/events.md has every event with its version, stream, criticality and fields, and names none that does not exist."""

import re
from pathlib import Path

import msgspec
import pytest

from ghostfleet.domain import fleet, wallet
from ghostfleet.domain.events import CATALOGUE, Event
from ghostfleet.domain.values import AnswerClass
from ghostfleet.store.codec import Codec
from ghostfleet.store.errors import UnknownCriticalEvent
from ghostfleet.store.rows import GENESIS, EventRow

DOCUMENT = (Path(__file__).parents[2] / "docs/events.md").read_text()
HEADING = re.compile(r"^### (\w+)$", re.MULTILINE)
ROW = re.compile(r"^\| `(\w+)` \| (\S.*) \|$", re.MULTILINE)


def section(heading: str) -> str:
    """What stands between a heading and the next."""
    found = re.search(rf"^(#+) {re.escape(heading)}\n(.*?)(?=^#|\Z)", DOCUMENT, re.MULTILINE | re.DOTALL)
    assert found, f"docs/events.md has no {heading!r}"
    return found[2]


def default_as_told(field: msgspec.structs.FieldInfo) -> str | None:
    """How the document says what a missing field means."""
    if field.default is msgspec.NODEFAULT:
        return None
    told = {"": "empty", "None": "null", "()": "none", "False": "false", "0": "0", "1.0": "1"}[str(field.default)]
    return f"({told}) "


@pytest.mark.parametrize("kind", CATALOGUE.values(), ids=CATALOGUE)
def test_every_event_stands_there_with_version_criticality_and_when_it_is_written(kind: type[Event]) -> None:
    text = section(kind.__name__)
    critical = "critical" if kind.CRITICAL else "not critical"
    assert re.match(rf"\nVersion {kind.VERSION}, {critical}\. [A-Z`]\S* \S+ ", text), text[:120]


@pytest.mark.parametrize("kind", CATALOGUE.values(), ids=CATALOGUE)
def test_every_field_stands_there_in_order_with_its_meaning_and_its_default(kind: type[Event]) -> None:
    rows = ROW.findall(section(kind.__name__))
    fields = msgspec.structs.fields(kind)
    assert [name for name, _ in rows] == [field.name for field in fields]
    for (name, meaning), field in zip(rows, fields, strict=True):
        told = re.match(r"\((?:empty|null|none|false|0|1)\) ", meaning)
        assert (told[0] if told else None) == default_as_told(field), f"{kind.__name__}.{name}: {meaning}"


def test_each_event_stands_under_the_stream_that_it_is_written_to() -> None:
    of_fleet, of_wallets = DOCUMENT.split("\n## Wallet: turns", maxsplit=1)
    for name in HEADING.findall(of_fleet):
        assert CATALOGUE[name] not in wallet.HANDLERS, f"{name} is an event of wallets"
        assert CATALOGUE[name] in fleet.HANDLERS, name
    for name in HEADING.findall(of_wallets):
        assert CATALOGUE[name] in wallet.HANDLERS, f"{name} is no event of wallets"


def test_the_envelope_is_the_row_of_the_log() -> None:
    assert [name for name, _ in ROW.findall(section("The envelope"))] == list(EventRow.__struct_fields__)


def test_every_class_of_answer_that_a_broadcast_can_fail_with_is_named() -> None:
    named = set(re.findall(r"`(\w+)`", dict(ROW.findall(section("BroadcastFailed")))["error_class"]))
    assert named == set(AnswerClass) - {AnswerClass.ACCEPTED, AnswerClass.ALREADY_KNOWN}


def test_the_refusal_of_an_unknown_event_is_in_the_words_of_the_reader() -> None:
    """With RELEASE for whichever release reads: the page names none, so that it cannot go stale."""
    row = EventRow(
        position=812, stream="fleet", version=1, type="Fed", type_version=3, critical=1, time_us=0,
        correlation="", payload="{}", hash=GENESIS,
    )  # fmt: skip
    with pytest.raises(UnknownCriticalEvent) as refused:
        Codec(release="RELEASE").decode(row)
    assert f"`{refused.value.needing('0.4.0')}`" in " ".join(DOCUMENT.split())
    assert f"`{str(refused.value).partition('; ')[2]}`" in " ".join(DOCUMENT.split())


def test_code_names_in_the_text_are_events_and_fields_that_exist() -> None:
    fields = {field for kind in CATALOGUE.values() for field in kind.__struct_fields__}
    for name in set(re.findall(r"\b(?:[A-Z][a-z]+){2,}\b", DOCUMENT)):
        assert name in CATALOGUE or name in {"UnknownEvent"}, f"{name} is no event"
    for name in set(re.findall(r"`(\w+_(?:us|wei))`", DOCUMENT)):
        assert name in fields | set(EventRow.__struct_fields__), f"no event has a field {name}"
