"""`operations show` tells an operation in lines and a table, of every kind that there is."""

from typing import Any

import pytest
from typer.testing import CliRunner

from ghostfleet.cli.main import app
from ghostfleet.cli.operation_shown import TABLES, table_of
from ghostfleet.cli.operations import PAY_THESE, NotDone, _show_end
from ghostfleet.http.operations import _PARTS

ADDRESS, SAFE = "0x" + "11" * 20, "0x" + "22" * 20
SUMMARY = {
    "wallets": 2,
    "done": 1,
    "moved": {
        "native": {"sent": "5", "received": "5", "tax": "0"},
        "DATA": {"sent": "10", "received": "9", "tax": "1"},
    },
    "fees_wei": "42000000000000",
    "steps": {"open": 1, "done": 2, "failed": 0},
}
LINE = {
    "address": ADDRESS,
    "before": {"native": "1000000000000000000", "DATA": "10000000000000000000"},
    "moved": {
        "DATA": {"sent": "10000000000000000000", "received": "9000000000000000000", "tax": "1000000000000000000"}
    },
    "fees_wei": "42000000000000",
    "left": {"native": "7", "DATA": "0"},
    "remarks": ["locked until 12:00"],
    "empty": True,
}
SLOT = {"nonce": 7, "action_id": "wallet-001/8", "kind": "jack_in", "hash": "0x" + "ab" * 32, "became": "cancelled"}
DESTROYED = {
    "address": ADDRESS,
    "block": 812,
    "left": {"native": "0"},
    "destroyed": True,
    "remarks": ["a.json is gone"],
}
ROWS: dict[str, Any] = {
    "extract": LINE,
    "fund": LINE,
    "cancel": {"address": ADDRESS, "slots": [SLOT]},
    "destroy": DESTROYED,
}
TOLD = {
    "extract": ["wallet-001", "1 ETH, 10 DATA", "9 DATA", "0.000042", "locked until 12:00", "sum of 1"],
    "fund": ["wallet-001", "9 DATA", "0.000042", "sum of 1"],
    "cancel": ["wallet-001", "7", "jack_in", "cancelled", "0xabab"],
    "destroy": ["wallet-001", "812", "nothing", "destroyed", "a.json is gone"],
}


def document(kind: str, **more: Any) -> dict[str, Any]:
    ended = {
        "id": f"{kind}-1",
        "kind": kind,
        "state": "done",
        "summary": SUMMARY,
        "rows": {"wallet-001": ROWS.get(kind, {})},
    }
    return ended | more


@pytest.fixture
def show(monkeypatch: pytest.MonkeyPatch) -> Any:
    """What the command prints of such an answer of the service."""

    def shown(found: dict[str, Any], *options: str) -> str:
        monkeypatch.setattr("ghostfleet.cli.operations_door.ask_service", lambda *_args, **_more: found)
        result = CliRunner().invoke(app, ["operations", "show", found["id"], "--url", "http://127.0.0.1:1", *options])
        assert result.exit_code == 0, result.output
        return result.stdout

    return shown


def test_every_kind_has_its_table() -> None:
    assert set(TABLES) == set(_PARTS) == set(ROWS)


@pytest.mark.parametrize("kind", ROWS)
def test_it_is_told_in_words_and_not_as_json(kind: str, show: Any) -> None:
    out = show(document(kind))
    assert out.startswith(f"{kind}-1 done: 1 of 2 wallets, 2 transactions done, 1 open, 0 failed\n")
    for words in TOLD[kind]:
        assert words in out
    assert not set('{}"') & set(out)


def test_of_an_open_one_it_is_told_who_wants_it_and_what_holds_it_up(show: Any) -> None:
    held = document(
        "extract", state="suspended", why="paused by ada", actor="local", since_us=0, waiting={}, waiting_count=0
    )
    out = show(held | {"rows": {}})
    assert "asked for by local at 1970-01-01T00:00:00" in out
    assert "suspended: paused by ada; the same command once more goes on with it" in out
    assert "wallet-001" not in out


def test_a_kind_of_a_newer_release_is_told_as_it_comes(show: Any) -> None:
    assert table_of(document("merge"), {}) is None
    assert "kind: merge" in show(document("merge"))


def test_json_is_the_services_answer(show: Any) -> None:
    assert '"kind":"extract"' in show(document("extract"), "--json")


@pytest.mark.parametrize(
    ("asked", "remedy"),
    [({}, "run the same command again"), ({"remedy": PAY_THESE}, "to these wallets only, with --again NAME")],
)
def test_what_did_not_come_out_as_it_was_asked_for_says_what_to_do(asked: dict[str, str], remedy: str) -> None:
    """The same funding again pays nobody, for it is done: that was the advice."""
    with pytest.raises(NotDone, match=remedy):
        _show_end(table_of(document("fund"), {}), document("fund"), ["wallet-001: 0 of 1 DATA"], as_json=False, **asked)  # type: ignore[arg-type]
