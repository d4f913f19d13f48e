"""What does a benchmark say? Lines: a rate, its limit in the same run, the ratio, the goal. As a table for people, as JSON."""

import json
import os
import platform
import time
from statistics import median
from typing import Any

import msgspec
from rich.table import Table


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One measurement: medians over rounds in which ours and the limit took turns."""

    benchmark: str
    case: str
    unit: str
    rate: float
    limit: float
    ratio: float
    """Median of the rounds' own ratios; what the goal is about."""
    spread: tuple[float, float]
    """The lowest and the highest of those ratios."""
    goal: float | None = None
    """Of the ratio."""
    least: float | None = None
    """Of the rate."""
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the goals are met; None where there is none."""
        if self.goal is None and self.least is None:
            return None
        return self.ratio >= (self.goal or 0.0) and self.rate >= (self.least or 0.0)


class Round(msgspec.Struct, frozen=True):
    """What one turn of each found, in units a second."""

    rate: float
    limit: float


def line(rounds: list[Round], *, benchmark: str, case: str, unit: str, **more: Any) -> Line:
    """The rounds of one case as a line."""
    ratios = [each.rate / each.limit for each in rounds]
    return Line(
        benchmark=benchmark,
        case=case,
        unit=unit,
        rate=median(each.rate for each in rounds),
        limit=median(each.limit for each in rounds),
        ratio=median(ratios),
        spread=(min(ratios), max(ratios)),
        **more,
    )


def as_table(lines: list[Line]) -> Table:
    """For people."""
    table = Table(title="Ghost Fleet, each beside its limit in the same run")
    for heading in ("benchmark", "case"):
        table.add_column(heading)
    for heading in ("rate", "limit", "ratio", "lowest–highest", "goal", "met"):
        table.add_column(heading, justify="right")
    table.add_column("note", overflow="fold")
    for one in lines:
        goals = [f"{one.goal:.0%}"] if one.goal is not None else []
        goals += [f"{one.least:,.0f}/s"] if one.least is not None else []
        table.add_row(
            one.benchmark,
            one.case,
            f"{one.rate:,.0f} {one.unit}",
            f"{one.limit:,.0f}",
            f"{one.ratio:.0%}",
            f"{one.spread[0]:.0%}–{one.spread[1]:.0%}",
            ", ".join(goals),
            {None: "", True: "yes", False: "no"}[one.met],
            one.note,
        )
    return table


def as_json(lines: list[Line]) -> str:
    """For machines: the lines, and what they were measured on."""
    measured = {
        "measured_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "machine": {
            "system": platform.platform(),
            "processors": os.cpu_count(),
            "python": platform.python_version(),
            "load": os.getloadavg()[0],
        },
        "lines": [{**msgspec.to_builtins(one), "met": one.met} for one in lines],
    }
    return json.dumps(measured, indent=2)
