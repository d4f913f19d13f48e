"""A plain page of how things are: rendered here, no script, nothing from elsewhere, every value escaped."""

import base64
import hashlib
from collections.abc import Iterable, Sequence
from html import escape as escaped

from starlette.responses import Response

from ghostfleet.domain.fleet import Fleet
from ghostfleet.domain.state import State
from ghostfleet.domain.throttle import FULL_PACE, Throttle, due_us
from ghostfleet.domain.wallet import Wallet
from ghostfleet.engine.ports import Service
from ghostfleet.http.contract import Answer, Ask, Operation
from ghostfleet.telemetry.lines import eth
from ghostfleet.telemetry.logs import plain
from ghostfleet.telemetry.metrics import WALLET_STATES, wallet_state
from ghostfleet.telemetry.moments import iso

REFRESH_SECS = 5
MAX_ROWS = 200
"""Wallets on the page: those in trouble first."""
TROUBLE_FIRST = {"tripped": 0, "parked": 1, "probing": 2, "active": 3, "retired": 4}

STYLE = """body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:76rem;padding:0 1rem;color:#1c2024;background:#fff}
h1{font-size:1.3rem;margin:0}h2{font-size:1rem;margin:1.6rem 0 .3rem}
p{overflow-wrap:anywhere}p.state{font-size:1.1rem;margin:.4rem 0}
.bad{color:#a11;font-weight:600}.good{color:#175e2b;font-weight:600}
.wide{overflow-x:auto}table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{text-align:left;padding:.2rem .8rem .2rem 0;border-bottom:1px solid #ddd;white-space:nowrap}
td.text{white-space:normal}th{font-weight:600;color:#555}td.n,th.n{text-align:right}
@media(prefers-color-scheme:dark){body{color:#e6e6e6;background:#16181b}th{color:#aaa}th,td{border-color:#333}
.bad{color:#ff8a80}.good{color:#7fd99a}}"""
_STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
CSP = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


async def dashboard(ask: Ask) -> Response:
    """The page."""
    page = render(ask.doors.service, ask.doors.clock.now_us())
    return Response(page, media_type="text/html", headers={"content-security-policy": CSP})


def render(service: Service, now_us: int) -> str:
    """The page as HTML."""
    state = service.state
    return "".join(
        (
            "<!doctype html><html lang=en><head><meta charset=utf-8><title>Ghost Fleet</title>",
            f'<meta http-equiv=refresh content="{REFRESH_SECS}">',
            '<meta name=viewport content="width=device-width">',
            f"<style>{STYLE}</style></head><body><h1>Ghost Fleet</h1>",
            _headline(service),
            _operations(state.fleet),
            f"<p>chain {state.fleet.chain_id if state.fleet.chain_id is not None else 'not known yet'}, "
            f"release {escape(state.fleet.release or 'not started')}, "
            f"log at position {state.position}, up {int(service.uptime_secs)} s, as of {iso(now_us)}</p>",
            _checks(service),
            _counts(state),
            _endpoints(service),
            _wallets(state.wallets.values(), state.fleet.throttles),
            "</body></html>",
        )
    )


def _headline(service: Service) -> str:
    pause = service.state.fleet.paused
    if pause is not None:
        permitted = any(it.running for it in service.state.fleet.operations)
        leaves = "Nothing leaves but what a running operation sends" if permitted else "Nothing leaves"
        return (
            f'<p class="state bad">Paused by {escape(pause.actor)} since {iso(pause.since_us)}{_because(pause.reason)}. '
            f"{leaves}; receipts are still read.</p>"
        )
    unwritten = service.unwritten_pause
    if unwritten is not None:
        return (
            f'<p class="state bad">Paused by {escape(unwritten.actor)}, not written yet: the log takes nothing. '
            "Nothing leaves; it ends with the process.</p>"
        )
    dry = " (dry run: nothing is sent)" if service.dry_run else ""
    return f'<p class="state good">Not paused{dry}</p>{_throttle(service.state.fleet)}'


def _throttle(fleet: Fleet) -> str:
    if fleet.pace == FULL_PACE:
        return ""
    last = fleet.throttles[-1]
    return (
        f'<p class="state bad">At {last.factor:g} of its pace by {escape(last.actor)} since {iso(last.since_us)}'
        f"{_because(last.reason)}</p>"
    )


def _operations(fleet: Fleet) -> str:
    """A line each: they move money, under a pause too."""
    return "".join(
        f"<p>Operation {escape(it.id)} {'runs' if it.running else 'is suspended'}: "
        f"{len(it.done)} of {len(it.wallets)} wallets are done</p>"
        for it in fleet.operations
    )


def escape(text: str) -> str:
    """Text of others in the page: neither markup, nor what turns the words after it around."""
    return escaped(plain(text))


def _because(reason: str) -> str:
    return f": {escape(reason)}" if reason else ""


def _checks(service: Service) -> str:
    rows = ((check.name, _word(check.ok, "ok", "not ok"), ("text", check.reason)) for check in service.checks())
    return _table("Readiness", ("check", "state", "reason"), rows)


def _counts(state: State) -> str:
    counts = dict.fromkeys(WALLET_STATES, 0)
    succeeded = failed = rejected = open_slots = 0
    for wallet in state.wallets.values():
        counts[wallet_state(wallet)] += 1
        open_slots += len(wallet.pending)
        succeeded += wallet.totals.succeeded
        failed += wallet.totals.failed
        rejected += wallet.totals.rejected
    names = (*WALLET_STATES, "open slots", "actions succeeded", "failed", "rejected")
    values = (*counts.values(), open_slots, succeeded, failed, rejected)
    return _table("Fleet", names, [tuple(("n", str(value)) for value in values)])


def _endpoints(service: Service) -> str:
    rows = (
        (it.name, _word(it.healthy, "up", "down"), ("n", str(it.requests)), ("n", str(it.faults)), ("text", it.reason))
        for it in service.endpoints()
    )
    return _table("Endpoints", ("endpoint", "state", "requests", "faults", "reason"), rows)


def _wallets(wallets: Iterable[Wallet], throttles: Sequence[Throttle]) -> str:
    ordered = sorted(wallets, key=lambda wallet: (TROUBLE_FIRST[wallet_state(wallet)], wallet.id))
    names = ("wallet", "state", "balance", "open", "succeeded", "failed", "rejected", "next turn", "last error or rest")
    title = "Wallets"
    if len(ordered) > MAX_ROWS:
        title = f"Wallets (the first {MAX_ROWS} of {len(ordered)}, those in trouble first; /admin/status has all)"
    return _table(title, names, (_wallet(wallet, throttles) for wallet in ordered[:MAX_ROWS]))


def _wallet(wallet: Wallet, throttles: Sequence[Throttle]) -> "tuple[Cell, ...]":
    state = wallet_state(wallet)
    totals = wallet.totals
    return (
        wallet.id,
        ("bad", state) if state in ("tripped", "parked") else state,
        ("n", "not read yet" if wallet.balance_wei is None else eth(wallet.balance_wei)),
        ("n", str(len(wallet.pending))),
        ("n", str(totals.succeeded)),
        ("n", str(totals.failed)),
        ("n", str(totals.rejected)),
        iso(due_us(wallet, throttles))[:19] + "Z",
        ("text", (wallet.rest or wallet.last_error)[:200]),
    )


Cell = str | tuple[str, str]
"""Text, or a class and text."""
_TOTALS = ("open", "open slots", "succeeded", "actions succeeded", "failed", "rejected")
NUMBERS = frozenset((*WALLET_STATES, *_TOTALS, "balance", "requests", "faults"))
"""Columns of them: their headings stand at the right, as the numbers do."""


def _word(good: bool, yes: str, no: str) -> Cell:
    return ("good", yes) if good else ("bad", no)


def _table(title: str, names: Iterable[str], rows: Iterable[tuple[Cell, ...]]) -> str:
    head = "".join(f"<th{' class=n' if name in NUMBERS else ''}>{escape(name)}</th>" for name in names)
    body = "".join(f"<tr>{''.join(_cell(cell) for cell in row)}</tr>" for row in rows)
    return f"<h2>{escape(title)}</h2><div class=wide><table><tr>{head}</tr>{body}</table></div>"


def _cell(cell: Cell) -> str:
    if isinstance(cell, str):
        return f"<td>{escape(cell)}</td>"
    return f'<td class="{cell[0]}">{escape(cell[1])}</td>'


OPERATIONS = (
    Operation(
        method="GET",
        path="/",
        name="dashboard",
        summary="A page of how everything is",
        needs="viewer",
        respond=dashboard,
        answers={200: Answer(text="HTML without scripts.", media_type="text/html", schema={"type": "string"})},
    ),
)
