"""What the demo's comparison found decides how it ends: a difference, or a log that does not verify, is exit code 1 and said."""

from collections.abc import Sequence
from typing import Any

import pytest
from typer.testing import CliRunner

from ghostfleet.cli import demo
from ghostfleet.cli.main import app


@pytest.mark.parametrize("options", [[], ["--json"]])
@pytest.mark.parametrize(
    ("mismatches", "verified", "code", "said"),
    [
        (0, True, 0, ""),
        (1, True, 1, "1 differences between log and chain"),
        (0, False, 1, "the log does not verify"),
        (2, False, 1, "2 differences between log and chain; the log does not verify"),
    ],
)
def test_it_fails_where_log_and_chain_differ_or_the_log_does_not_verify(
    monkeypatch: pytest.MonkeyPatch, options: Sequence[str], mismatches: int, verified: bool, code: int, said: str
) -> None:
    async def found(*_: object) -> dict[str, Any]:
        return {
            "wallets": 2,
            "seconds": 1.0,
            "actions": {"succeeded": 1, "failed": 0, "rejected": 0},
            "transactions": {"mined": 1, "reverted": 0, "open": 0},
            "log": {"events": 9, "head": "0x00", "verified": verified},
            "chain": {"engine": "embedded", "mismatches": mismatches},
        }

    monkeypatch.setattr(demo, "_demo", found)
    ended = CliRunner().invoke(app, ["demo", *options])
    assert ended.exit_code == code
    assert ended.stderr.strip().endswith(said)
    assert bool(ended.stderr) == bool(said)
