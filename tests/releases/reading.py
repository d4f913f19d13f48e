"""What does the previous release make of what this one writes? It is asked itself, in a process of its own."""

import json
import subprocess
from pathlib import Path
from typing import Any

from ghostfleet.domain.events import CATALOGUE, Event
from tests.releases.every_event import as_row, every_event
from tests.releases.previous_release import Release

READER = Path(__file__).with_name("read_rows.py")


def verdicts(release: Release, rows: list[dict[str, Any]]) -> list[str]:
    """What the release says of each row: `known`, `skipped`, or why it has to stop."""
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    done = subprocess.run([*release.python, str(READER)], input=lines, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr
    found = done.stdout.splitlines()
    assert len(found) == len(rows)
    return found


def events_skipped_by(release: Release) -> set[type[Event]]:
    """The events that the release does not know and goes on without."""
    rows = [as_row(event) for event in every_event()]
    said = zip(rows, verdicts(release, rows), strict=True)
    return {CATALOGUE[row["type"]] for row, verdict in said if verdict == "skipped"}
