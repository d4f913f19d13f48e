"""How are the fleet's status, a pause and a reload shown to people? One short line a wallet, as on the page; JSON has all of it.

A service of another release may say less: what it does not say stays empty.
"""

from typing import Any

from ghostfleet.cli.output import print_document
from ghostfleet.telemetry.lines import eth

OF_STATUS = frozenset({"pause", "throttle", "operations", "not_ready", "wallets_left_out"})
OF_RELOAD = frozenset({"changes", "changes_left_out", "wallets", "unchecked_endpoints"})
"""Lines that are left out where there is nothing to say."""
ENDPOINT_KEYS = ("name", "healthy", "drained", "requests", "in_flight", "faults", "height", "reason")


def show_status(answer: dict[str, Any]) -> None:
    """The answer of /admin/status."""
    rows = {"wallets": _wallet, "endpoints": _endpoint}
    shown = {**answer, **{key: [row(it) for it in answer[key]] for key, row in rows.items() if key in answer}}
    if shown.pop("pause_unwritten", False):
        shown["paused"] = "true (not written yet)"
    if "not_ready" in shown:
        shown["not_ready"] = "; ".join(shown["not_ready"])
    _print_without(OF_STATUS, shown)


def show_reload(answer: dict[str, Any]) -> None:
    """The answer of a reload: what it changed."""
    if "wallets" in answer:
        named = {how: names for how, names in answer["wallets"].items() if names}
        answer = {**answer, "wallets": "; ".join(f"{how} {', '.join(names)}" for how, names in named.items())}
    _print_without(OF_RELOAD, answer)


def show_pause(answer: dict[str, Any]) -> None:
    """The answer of a pause, with a line for each nonce that was to be given away."""
    if "cancelled" in answer:
        lines = answer["cancelled"].items()
        answer = {**answer, "cancelled": [_nonce(name, line, slot) for name, line in lines for slot in line["slots"]]}
    print_document(answer)


def _nonce(wallet: str, line: dict[str, Any], slot: dict[str, Any]) -> dict[str, Any]:
    why = "; ".join(line.get("remarks", [])) if slot["became"] == "still open" else ""
    return {"wallet": wallet, **{key: slot[key] for key in ("nonce", "kind", "became")}, "why": why}


def _print_without(empty: frozenset[str], shown: dict[str, Any]) -> None:
    print_document({key: value for key, value in shown.items() if value or key not in empty})


def _wallet(it: dict[str, Any]) -> dict[str, Any]:
    balance_wei, next_turn, actions = it.get("balance_wei"), it.get("next_turn"), it.get("actions", {})
    return {
        "wallet": it["id"],
        "profile": it.get("profile"),
        "state": it.get("state"),
        "balance": None if balance_wei is None else eth(int(balance_wei)),
        "next nonce": it.get("next_nonce"),
        "open": len(it.get("open_slots", [])),
        **{key: actions.get(key) for key in ("succeeded", "failed", "rejected")},
        "next turn": next_turn and f"{next_turn[:19]}Z",
        "last error or rest": it.get("rest") or it.get("last_error"),
    }


def _endpoint(it: dict[str, Any]) -> dict[str, Any]:
    secs = it.get("latency_secs")
    return {**{key: it.get(key) for key in ENDPOINT_KEYS}, "latency": None if secs is None else f"{secs * 1000:.0f} ms"}
