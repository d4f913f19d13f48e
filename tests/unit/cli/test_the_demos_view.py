"""The live view stays whole on a terminal: what is logged while it stands goes by above it."""

import logging
from dataclasses import dataclass, field

import pytest

from ghostfleet.cli.demo_view import live_view, plain_view
from ghostfleet.domain.slot import Attempt, Included, Pending
from ghostfleet.domain.state import State
from ghostfleet.domain.values import Address, BlockRef, Fees, Hash, Octets
from ghostfleet.domain.wallet import Wallet

ERASE_LINE = "\x1b[2K"


@dataclass
class Head:
    position: int = 0
    hash: Hash = field(default_factory=lambda: Hash(bytes(32)))


@dataclass
class Up:
    """What the view looks at: a state, a head, an address."""

    url: str = "http://127.0.0.1:8080"
    state: State = field(default_factory=State)
    head: Head = field(default_factory=Head)

    @property
    def live(self) -> "Up":
        return self

    @property
    def log(self) -> "Up":
        return self


def test_a_log_line_goes_by_above_the_view_and_not_through_it(monkeypatch, capsys):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    with live_view(Up()) as refresh:  # type: ignore[arg-type]
        refresh()
        logging.getLogger("ghostfleet.demo").warning("a breaker tripped")
        refresh()
    before, line, after = capsys.readouterr().out.partition("a breaker tripped")
    assert line
    assert ERASE_LINE in before.rpartition("Ghost Fleet")[2], "the view was not taken away before the line"
    assert "Ghost Fleet" in after, "the view was not drawn again below the line"
    assert logging.getLogger("ghostfleet").handlers == []


def slot_of(nonce: int) -> Pending:
    attempt = Attempt(
        number=1, purpose="action", hash=Hash(bytes(32)), raw=Octets(b""), gas=21_000, fees=Fees(2, 1), signed_us=0
    )
    return Pending(action_id=f"w/{nonce}", kind="k", nonce=nonce, spend_wei=0, attempts=(attempt,))


def test_it_counts_transactions_that_are_mined_final_or_not_and_those_that_are_open(monkeypatch, capsys):
    """Issue 2: wallets, actions, transactions, events a second, the head of the log."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "160")
    mined = slot_of(5)
    block = BlockRef(1, Hash(bytes(32)))
    slots = (Included(pending=mined, attempt=mined.newest, block=block, success=True, reason=""), slot_of(6))
    acting = Wallet(id="w", address=Address(bytes(20)), profile="p", plugin="g", next_nonce=7, slots=slots)
    new = Wallet(id="v", address=Address(bytes(20)), profile="p", plugin="g")
    with live_view(Up(state=State(wallets={"w": acting, "v": new}))) as refresh:  # type: ignore[arg-type]
        refresh()
    assert "transactions 6 mined, 1 open" in capsys.readouterr().out


def test_without_a_terminal_it_says_once_where_to_ask(capsys):
    with plain_view(Up()) as refresh:  # type: ignore[arg-type]
        refresh()
    assert capsys.readouterr().out == "running: http://127.0.0.1:8080 answers, Ctrl-C ends it\n"


@pytest.fixture(autouse=True)
def no_handlers(monkeypatch):
    monkeypatch.setattr(logging.getLogger("ghostfleet"), "handlers", [])
