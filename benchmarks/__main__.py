"""`python -m benchmarks`: every benchmark beside its limit, as a table and as JSON (out/bench.json)."""

import argparse
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from benchmarks import append, end_to_end, replay, signing
from benchmarks.lines import Line, as_json, as_table

BENCHMARKS: dict[str, Callable[..., list[Line]]] = {
    "append": append.measure,
    "replay": replay.measure,
    "signing": signing.measure,
    "end-to-end": end_to_end.measure,
}
RESULT = Path("out/bench.json")
TABLE_WIDTH = 150
"""Where the output is no terminal: wide enough for every column."""


def main() -> None:
    """Run what was asked for, print it, and keep the JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    parser.add_argument("--only", default=",".join(BENCHMARKS), help="some of them, with commas (default: %(default)s)")
    parser.add_argument(
        "--quick", action="store_true", help="tiny sizes, to see that they run; the figures mean nothing"
    )
    chosen = parser.parse_args()
    names = chosen.only.split(",")
    if unknown := set(names) - set(BENCHMARKS):
        parser.error(f"no benchmark {', '.join(sorted(unknown))}: there are {', '.join(BENCHMARKS)}")
    progress = Console(stderr=True)
    lines: list[Line] = []
    try:
        for name in names:
            progress.print(f"{name} ...", style="dim")
            lines += BENCHMARKS[name](quick=chosen.quick)
    finally:  # one that fails does not take the others' figures with it
        _tell(lines, json_wanted=chosen.json)


def _tell(lines: list[Line], *, json_wanted: bool) -> None:
    """Keep the JSON, and print it or the table."""
    text = as_json(lines)
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(text + "\n", encoding="utf-8")
    if json_wanted:
        print(text)
        return
    console = Console()
    console.width = console.width if console.is_terminal else TABLE_WIDTH
    console.print(as_table(lines))


if __name__ == "__main__":
    main()
