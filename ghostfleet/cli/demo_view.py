"""What a person sees while the demo runs: wallets, actions, transactions, events a second, the head of the log."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Literal, TextIO

from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ghostfleet.cli.output import print_line
from ghostfleet.domain.breaker import Closed
from ghostfleet.domain.wallet import Wallet
from ghostfleet.telemetry import configure_logging

if TYPE_CHECKING:
    from ghostfleet.assembly import Running

MAX_WALLETS_SHOWN = 25
LOG_LEVEL = "warning"


@contextlib.contextmanager
def live_view(up: "Running") -> Iterator[Callable[[], None]]:
    """A view that redraws itself in place; the function refreshes it. Log lines go by above it."""
    seen = [(time.monotonic(), up.live.state.position)]
    with Live(_drawn(up, 0.0), auto_refresh=False) as live, _log_lines_go_to(sys.stdout):

        def refresh() -> None:
            now, position = time.monotonic(), up.live.state.position
            seen.append((now, position))
            del seen[:-10]
            (before, from_position), secs = seen[0], max(now - seen[0][0], 0.001)
            live.update(_drawn(up, (position - from_position) / secs if now > before else 0.0), refresh=True)

        yield refresh


def plain_view(up: "Running") -> AbstractContextManager[Callable[[], None]]:
    """Where nothing can be redrawn: where to ask, once; log lines go by."""
    print_line(f"running: {up.url or 'no HTTP'} answers, Ctrl-C ends it")
    return no_view()


def no_view() -> AbstractContextManager[Callable[[], None]]:
    """Only the result counts: there is nothing to refresh."""
    return contextlib.nullcontext(lambda: None)


@contextlib.contextmanager
def _log_lines_go_to(stream: TextIO) -> Iterator[None]:
    """Within the view standard output is the view's own: what is written elsewhere would go through it."""
    undo = configure_logging(LOG_LEVEL, stream=stream)
    try:
        yield
    finally:
        undo()


def _drawn(up: "Running", events_per_sec: float) -> Group:
    state = up.live.state
    wallets = list(state.wallets.values())
    succeeded = sum(wallet.totals.succeeded for wallet in wallets)
    failed = sum(wallet.totals.failed for wallet in wallets)
    rejected = sum(wallet.totals.rejected for wallet in wallets)
    open_slots = sum(len(wallet.pending) for wallet in wallets)
    mined = sum(_used_nonces(wallet) for wallet in wallets)
    head = up.log.head
    paused = f"   PAUSED by {state.fleet.paused.actor}" if state.fleet.paused else ""
    lines = Text.assemble(
        ("Ghost Fleet", "bold"),
        f"   {up.url or 'no HTTP'}   {len(wallets)} wallets   Ctrl-C ends it{paused}\n",
        f"actions {succeeded} succeeded, {failed} failed, {rejected} rejected   transactions {mined} mined, {open_slots} open\n",
        f"log {head.position} events, {events_per_sec:.0f}/s   head {str(head.hash)[:18]}...",
    )
    return Group(lines, _wallet_table(wallets))


def _used_nonces(wallet: Wallet) -> int:
    """How many of its nonces the chain has settled: the wallets of a demo are new, so each is by a transaction of ours."""
    return (wallet.next_nonce or 0) - len(wallet.pending)


def _wallet_table(wallets: list[Wallet]) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("wallet", "profile", "done", "latest", "nonce", "open", "ETH", "state"):
        justify: Literal["left", "right"] = "right" if column in ("done", "nonce", "open", "ETH") else "left"
        table.add_column(column, justify=justify, no_wrap=True, overflow="ellipsis")
    for wallet in wallets[:MAX_WALLETS_SHOWN]:
        balance = "" if wallet.balance_wei is None else f"{wallet.balance_wei / 10**18:.4f}"
        table.add_row(
            wallet.id,
            wallet.profile,
            str(wallet.totals.succeeded),
            wallet.previous_kind,
            "" if wallet.next_nonce is None else str(wallet.next_nonce),
            str(len(wallet.pending)),
            balance,
            _state(wallet),
        )
    return table


def _state(wallet: Wallet) -> str:
    if not isinstance(wallet.breaker, Closed):
        return "breaker " + type(wallet.breaker).__name__.lower()
    if wallet.parked_until_wei is not None:
        return "parked until funded"
    return wallet.rest or "acting"
