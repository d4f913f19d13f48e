"""What do the wallets spend together? The fleet's ledger, kept from what each event changes in its wallet.

The worst case of every open slot is in it from the moment it is signed, so that wallets that act at the same time cannot
pass a limit together. A replacement may raise that worst case beyond a limit: a slot has to end.
"""

from msgspec.structs import replace

from ghostfleet.domain import events as ev
from ghostfleet.domain.fleet import Fleet
from ghostfleet.domain.limits import NOTHING, Spending
from ghostfleet.domain.slot import Included, Slot
from ghostfleet.domain.wallet import Wallet

MOVES: frozenset[type[ev.Event]] = frozenset(
    {
        ev.TransactionSigned,
        ev.TransactionMined,
        ev.TransactionReorged,
        ev.TransactionSuperseded,
        ev.ActionSucceeded,
        ev.ActionFailed,
    }
)
"""Events after which a wallet has spent something, or its slots may spend something else than before."""


def follow(fleet: Fleet, before: Wallet | None, after: Wallet, recorded: ev.Recorded) -> Fleet:
    """The fleet after one of its wallets was changed by an event."""
    if type(recorded.event) not in MOVES:
        return fleet
    reserved = fleet.ledger.reserved
    had = before.slots if before is not None else ()
    for slot in _changed(had, after.slots):
        reserved -= slot.at_worst
    for slot in _changed(after.slots, had):
        reserved += slot.at_worst
    spent = _spent(after, recorded.event)
    if spent == NOTHING and reserved == fleet.ledger.reserved:
        return fleet
    return replace(fleet, ledger=fleet.ledger.moved(recorded.time_us, spent, reserved))


def _changed(slots: tuple[Slot, ...], others: tuple[Slot, ...]) -> list[Slot]:
    """The slots that an event changed; it leaves a wallet's others as they are."""
    return [slot for slot in slots if slot not in others]


def _spent(wallet: Wallet, event: ev.Event) -> Spending:
    match event:
        case ev.TransactionMined(nonce=nonce, gas_used=gas_used, gas_price_wei=price_wei):
            slot = wallet.slot(nonce)
            assert isinstance(slot, Included)
            return Spending(gas_wei=gas_used * price_wei, value_wei=slot.moved_wei)
        case ev.ActionSucceeded(action_id=action_id):
            slots = [slot for slot in wallet.slots if slot.action_id == action_id]
            return Spending(tokens=sum(it.pending.counted_tokens for it in slots if isinstance(it, Included)))
        case _:
            return NOTHING
