"""P7 for everything that this release can write: the previous one knows it or may skip it."""

import re
from typing import Any

import pytest

from ghostfleet.domain import events as ev
from tests.releases.every_event import as_row, every_event
from tests.releases.previous_release import REPOSITORY, Release
from tests.releases.reading import events_skipped_by, verdicts


def test_every_event_is_known_to_the_previous_release_or_may_be_skipped(previous: Release) -> None:
    rows = [as_row(event) for event in every_event()]
    assert {row["type"] for row in rows} == set(ev.CATALOGUE)
    read = list(zip(rows, verdicts(previous, rows), strict=True))
    stopped = [f"{row['type']} {row['payload']}: {said}" for row, said in read if said not in ("known", "skipped")]
    assert stopped == []
    assert {row["type"] for row, said in read if said == "known"} >= {"ActionDecided", "TransactionSigned"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"type": "WalletPromoted", "critical": 1},
            "event WalletPromoted version 1 is not known to this release (0.1.0)",
        ),
        ({"type_version": 2}, "event FleetPaused version 2 is not known to this release (0.1.0)"),
        ({"payload": '{"reason": "who?"}'}, "the payload is no FleetPaused version 1"),
    ],
)
def test_what_a_release_may_not_do_would_be_found(previous: Release, change: dict[str, Any], said: str) -> None:
    """The rules of docs/decisions/0023: no critical type, no new version, no other meaning of a field that is there."""
    [verdict] = verdicts(previous, [as_row(ev.FleetPaused(actor="on-call", reason="")) | change])
    assert said in verdict


def test_what_a_rollback_loses_is_written_down_for_each_event_that_the_previous_release_skips(
    previous: Release,
) -> None:
    decision = REPOSITORY / "docs" / "decisions" / "0023-what-a-release-may-not-do.md"
    table = re.findall(r"^\| (`\w+`(?:, `\w+`)*) \| \S.* \|$", decision.read_text(), re.MULTILINE)
    named = {name for names in table for name in re.findall(r"\w+", names)}
    skipped = {kind.__name__ for kind in events_skipped_by(previous)}
    assert named == skipped, f"{decision.name} has to say what is lost with {sorted(named ^ skipped)}"
