"""How does one operation read, open or ended? How far it is, then the table of its kind: a line for each wallet that is done."""

from collections.abc import Callable, Mapping
from typing import Any

from ghostfleet.cli import operation_tables as tables
from ghostfleet.cli.operation_tables import Shown
from ghostfleet.plugins.api import Token
from ghostfleet.telemetry.moments import iso

Operation = Mapping[str, Any]
"""As GET /admin/operations/{operation} has it."""


def lines_of(found: Operation) -> list[str]:
    """How far it is; of an open one who wants it since when, and what keeps it from going on."""
    lines = [tables.progress_line(found)]
    if "actor" in found:
        lines.append(f"asked for by {found['actor']} at {iso(int(found['since_us']))}")
    if found.get("why"):
        lines.append(f"suspended: {found['why']}; the same command once more goes on with it")
    return lines


def table_of(found: Operation, tokens: Mapping[str, Token]) -> Shown | None:
    """The table of its kind; None for a kind that this release does not know."""
    make = TABLES.get(found["kind"])
    return make(found, tokens) if make is not None else None


def _given_away(found: Operation, tokens: Mapping[str, Token]) -> Shown:
    """Per nonce that was open: what became of it."""
    rows = [
        [name, str(slot["nonce"]), slot["kind"], slot["action_id"], slot["became"], slot["hash"]]
        for name, row in sorted(found["rows"].items())
        for slot in row["slots"]
    ]
    return Shown(("wallet", "nonce", "kind", "action", "became", "transaction"), rows, [])


def _destroyed(found: Operation, tokens: Mapping[str, Token]) -> Shown:
    """Per wallet: at which block it was empty, and what became of its key."""
    rows = [
        [
            name,
            row["address"],
            str(row["block"]),
            tables.texts(row["left"], tokens),
            "destroyed" if row["destroyed"] else "kept",
            "; ".join(row["remarks"]),
        ]
        for name, row in sorted(found["rows"].items())
    ]
    return Shown(("wallet", "address", "looked at block", "left", "key", "remarks"), rows, [])


TABLES: Mapping[str, Callable[[Operation, Mapping[str, Token]], Shown]] = {
    "extract": tables.extraction_end,
    "fund": tables.funding_end,
    "cancel": _given_away,
    "destroy": _destroyed,
}
