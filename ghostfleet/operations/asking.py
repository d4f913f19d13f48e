"""What is an explanation made of? Read from the log, for whoever asks: the running service, or a command beside it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ghostfleet.domain import events as ev
from ghostfleet.domain.state import State
from ghostfleet.domain.values import Hash
from ghostfleet.operations.explain import RECENT_EVENTS, nearest
from ghostfleet.store.queries import EventQuery, TransactionQuery

if TYPE_CHECKING:
    from ghostfleet.store.log import EventLog

NEWEST_TRANSACTIONS = 1000
"""Among so many the one is looked for that a mistyped hash may have meant."""


def wallet_named(state: State, text: str) -> str:
    """The id of the wallet that is meant: by its id or its address. The text itself where there is none."""
    if text in state.wallets or not text.lower().startswith("0x"):
        return text
    wanted = text.lower()
    return next((name for name, wallet in state.wallets.items() if str(wallet.address) == wanted), text)


async def recent_events(log: "EventLog", wallet: str) -> Sequence[ev.Recorded]:
    """The newest events of a wallet, newest first."""
    page = await log.rows(EventQuery(wallet=wallet, descending=True, limit=RECENT_EVENTS))
    return [log.decode(row) for row in page.items]


async def nearest_transaction(log: "EventLog", tx: Hash) -> str:
    """A hint at the hash that a mistyped one may have meant."""
    page = await log.transactions(TransactionQuery(descending=True, limit=NEWEST_TRANSACTIONS))
    return nearest(str(tx), [str(row.hash) for row in page.items])
