"""What do the long runs with a summary have in common? An output folder made anew, JSON at the end, the fleet kept where
something is wrong."""

import asyncio
import shutil
import sys
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec

Summary = TypeVar("Summary", bound=msgspec.Struct)


def run_and_report(
    out: Path, work: Callable[[Path], Coroutine[Any, Any, Summary]], wrong: Callable[[Summary], Sequence[object]]
) -> None:
    """Run `work` in `out`, print its summary and keep it there. Exit code 1, and `out/fleet` kept, where anything is wrong."""
    out = out.resolve()
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    try:
        summary = asyncio.run(work(out))
    except BaseException:
        print(f"kept: {out}", file=sys.stderr)
        raise
    text = msgspec.json.format(msgspec.json.encode(summary)).decode()
    (out / "summary.json").write_text(text + "\n")
    print(text)
    if wrong(summary):
        print(f"kept: {out}", file=sys.stderr)
        sys.exit(1)
    shutil.rmtree(out / "fleet")
