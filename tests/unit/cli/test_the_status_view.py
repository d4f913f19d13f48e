"""What a person sees of the status: one line a wallet, no JSON in it, nothing cut off."""

import pytest

from ghostfleet.cli.output import print_error
from ghostfleet.cli.status_view import show_pause, show_reload, show_status

WALLET = {
    "id": "wallet-001",
    "address": "0x" + "ab" * 20,
    "profile": "whale",
    "plugin": "ghostnet",
    "state": "tripped",
    "breaker": {"state": "tripped", "errors": 5, "until": "2026-02-03T04:05:06.000000Z"},
    "balance_wei": "998564481121481666",
    "needs_wei": None,
    "next_turn": "2026-02-03T04:05:07.123456Z",
    "next_nonce": 13,
    "open_slots": [{"nonce": 12, "action_id": "wallet-001/13", "attempts": 1, "hash": "0x12", "accepted_by": "site"}],
    "actions": {"decided": 13, "succeeded": 11, "failed": 1, "rejected": 2},
    "rest": "",
    "last_error": "reverted: LevelAtCapacity",
}
ENDPOINT = {
    "name": "http://127.0.0.1:8545",
    "handle": "127.0.0.1:8545",
    "healthy": True,
    "drained": False,
    "reason": "",
    "requests": 340,
    "in_flight": 0,
    "faults": 0,
    "limits_seen": 0,
    "latency_secs": 0.0012,
    "height": 37,
}


def test_a_line_a_wallet_says_what_counts(capsys: pytest.CaptureFixture[str]) -> None:
    head = {"paused": False, "log": {"position": 251}, "open_slots": 1, "in_flight": {"requests": 2, "transactions": 0}}
    nothing = {"pause": None, "throttle": None, "operations": [], "not_ready": [], "wallets_left_out": 0}
    show_status({**head, **nothing, "wallets": [WALLET], "endpoints": [ENDPOINT]})
    said = capsys.readouterr().out
    for line in ("paused: false", "log: position 251", "in_flight: requests 2, transactions 0"):
        assert line in said.splitlines()
    (line,) = [it for it in said.splitlines() if it.startswith("wallet-001")]
    assert line.split() == [
        *("wallet-001", "whale", "tripped", "0.998564481121481666", "ETH", "13", "1", "11", "1", "2"),
        *("2026-02-03T04:05:07Z", "reverted:", "LevelAtCapacity"),
    ]
    assert not set("{[") & set(said)
    assert not [line for line in said.splitlines() if line.partition(":")[0] in nothing]
    assert "1 ms" in said


def test_what_there_is_to_say_of_the_fleet_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    missing = ["keys: 59 keys are still being opened", "chain: no endpoint has told the head"]
    show_status(
        {"pause": {"actor": "ada"}, "not_ready": missing, "wallets_left_out": 2, "wallets": [], "endpoints": []}
    )
    said = capsys.readouterr().out.splitlines()
    assert {"pause: actor ada", f"not_ready: {'; '.join(missing)}", "wallets_left_out: 2"} <= set(said)


def test_a_reload_tells_what_it_changed_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    nothing = {"changes": [], "changes_left_out": 0, "unchecked_endpoints": []}
    show_reload({"status": "unchanged", **nothing, "wallets": {"added": [], "removed": [], "changed": []}})
    assert capsys.readouterr().out == "status: unchanged\n"
    change = {"key": "safety.max_consecutive_errors", "before": 5, "after": 7}
    wallets = {"added": ["w3", "w4"], "removed": [], "changed": ["w1"]}
    show_reload({"status": "reloaded", **nothing, "changes": [change], "wallets": wallets})
    said = capsys.readouterr().out.splitlines()
    assert said[:2] == ["status: reloaded", "wallets: added w3, w4; changed w1"]
    assert said[-1].split() == ["safety.max_consecutive_errors", "5", "7"]


def test_a_wallet_that_was_not_looked_at_yet_has_no_balance(capsys: pytest.CaptureFixture[str]) -> None:
    show_status({"wallets": [{**WALLET, "balance_wei": None, "next_nonce": None}], "endpoints": []})
    assert "ETH" not in capsys.readouterr().out


def test_a_pause_tells_of_each_nonce_that_was_to_be_given_away(capsys: pytest.CaptureFixture[str]) -> None:
    slot = {"nonce": 12, "action_id": "wallet-001/13", "kind": "add_stake", "hash": "0x12"}
    gone = {"address": "0x", "slots": [{**slot, "became": "cancelled"}]}
    kept = {
        "address": "0x",
        "slots": [{**slot, "became": "still open"}, {**slot, "nonce": 11, "became": "mined"}],
        "remarks": ["the key of w2 is not loaded"],
    }
    show_pause({"status": "paused", "cancelled": {"w1": gone, "w2": kept}})
    lines = [" ".join(it.split()) for it in capsys.readouterr().out.splitlines()]
    assert lines[0] == "status: paused"
    assert lines[-3:] == [
        "w1 12 add_stake cancelled",
        "w2 12 add_stake still open the key of w2 is not loaded",
        "w2 11 add_stake mined",
    ]


def test_a_pause_that_cancels_nothing_is_as_it_was(capsys: pytest.CaptureFixture[str]) -> None:
    show_pause({"status": "paused", "open_slots": 0})
    assert capsys.readouterr().out == "status: paused\nopen_slots: 0\n"


def test_a_pause_that_the_log_has_not_yet_is_told_as_a_pause(capsys: pytest.CaptureFixture[str]) -> None:
    head = {"paused": True, "pause": {"actor": "local", "reason": "", "since": None}}
    show_status({**head, "pause_unwritten": True})
    assert "paused: true (not written yet)\n" in capsys.readouterr().out
    show_status({**head, "pause_unwritten": False})
    told = capsys.readouterr().out
    assert "paused: true\n" in told
    assert "unwritten" not in told


def test_words_of_others_write_no_lines_of_ours_and_steer_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """Reasons and errors as a token's holder, a plugin or a service behind --url may send them."""
    hostile = "x\npaused: false\x1b[2J\x9b31m\u202e"
    show_status({"paused": True, "pause": {"reason": hostile}, "wallets": [WALLET | {"last_error": hostile}]})
    print_error(hostile)
    told = capsys.readouterr()
    written = told.out + told.err
    assert not {"\x1b", "\x9b", "\u202e"} & set(written)
    assert written.count(r"\x1b[2J\x9b31m\u202e") == 3
    assert [line for line in told.out.splitlines() if line.startswith("paused")] == ["paused: true"]
