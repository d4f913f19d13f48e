"""What became of one transaction, in sentences: who decided what, with which bytes it was tried, who said what, how it ended.

Pure: the events of its action come in, as the log has them.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ghostfleet.domain import events as ev
from ghostfleet.domain.amounts import decimal_text
from ghostfleet.domain.values import Hash, encode_json
from ghostfleet.telemetry.logs import one_line
from ghostfleet.telemetry.moments import clock_time, span

MAX_WORDS = 200
"""Characters of what a node, a plugin or a contract said."""

SIGNED_ELSEWHERE = (
    "Now: signed elsewhere with this wallet's key. If by nobody of yours, the key is stolen: pause, extract."
)


def tell(tx: Hash, found: Sequence[ev.Recorded], now_us: int) -> tuple[str, ...]:
    """The story of the action that this transaction belongs to, oldest first, and how things stand now."""
    said = [
        f"{clock_time(recorded.time_us)}: {sentence}"
        for recorded in found
        if (sentence := _sentence(recorded)) is not None
    ]
    return (*said, _standing(tx, found, now_us))


def _sentence(recorded: ev.Recorded) -> str | None:
    teller = TELLERS.get(type(recorded.event))
    return None if teller is None else teller(recorded.event, recorded.wallet or "the fleet")


def _standing(tx: Hash, found: Sequence[ev.Recorded], now_us: int) -> str:
    """The last word: final, in a block, open, or never to come."""
    mined = superseded = signed = None
    final = rejected = False
    for recorded in found:
        match recorded.event:
            case ev.TransactionSigned():
                signed = signed or recorded
            case ev.TransactionMined():
                mined = recorded.event
            case ev.TransactionReorged():
                mined = None
            case ev.TransactionFinal():
                final = True
            case ev.TransactionSuperseded():
                superseded = recorded.event
            case ev.ActionRejected():
                rejected = True
            case ev.OutsideTransactionSeen():
                return SIGNED_ELSEWHERE
    if superseded is not None:
        by = superseded.by or "another transaction"
        return f"Now: it never takes effect: nonce {superseded.nonce} was used by {by}."
    if mined is not None:
        which = "It" if mined.hash == tx else f"Another attempt at the same nonce, {mined.hash},"
        how = "succeeded" if mined.success else "reverted"
        return f"Now: {which} {how} in block {mined.block.number}{', which is final' if final else ', not final yet'}."
    if rejected:
        return "Now: nothing was sent, no nonce was spent."
    since = f" for {span(now_us - signed.time_us)}" if signed is not None else ""
    return f"Now: the chain has not settled it{since}; ghost-fleet explain {found[0].wallet or 'WALLET'} says what it waits for."


def _decided(event: ev.ActionDecided, wallet: str) -> str:
    params = encode_json(event.params).decode()
    return (
        f"{wallet}, a {event.profile} holding {decimal_text(event.balance_wei)} ETH, decided to {event.kind} on {event.plugin}"
        f" ({event.action_id}): {_cut(params)}."
    )


def _signed(event: ev.TransactionSigned, wallet: str) -> str:
    what = {"action": "for the action", "cancel": "to give the nonce away"}[event.purpose]
    again = "It was signed" if event.attempt == 1 else f"It was signed anew (attempt {event.attempt}, {what})"
    value = f", {decimal_text(event.value_wei)} ETH" if event.value_wei else ""
    return (
        f"{again} for nonce {event.nonce} to {event.to}{value}, at most {decimal_text(event.fees.max_fee_wei, 9)} gwei a unit of"
        f" gas: {event.hash}."
    )


def _accepted(event: ev.BroadcastAccepted, wallet: str) -> str:
    return f"{event.endpoint} {'had it already' if event.known else 'took it'}: {event.hash}."


def _not_taken(event: ev.BroadcastFailed, wallet: str) -> str:
    where = event.endpoint or "no endpoint could be asked, and none"
    return f"{where} did not take {event.hash}: {event.error_class}, {_cut(event.message)}."


def _mined(event: ev.TransactionMined, wallet: str) -> str:
    cost = decimal_text(event.gas_used * event.gas_price_wei)
    how = "It was mined" if event.success else f"It reverted ({_cut(event.revert_reason) or 'without a reason'})"
    return f"{how} in block {event.block.number} for {cost} ETH: {event.hash}."


def _dropped(event: ev.TransactionDropped, wallet: str) -> str:
    return f"{event.endpoint} lost it; the same bytes were sent again."


def _reorged(event: ev.TransactionReorged, wallet: str) -> str:
    return f"Block {event.block.number} was replaced: it is open again, the same bytes."


def _superseded(event: ev.TransactionSuperseded, wallet: str) -> str:
    return f"Nonce {event.nonce} was used by somebody else's transaction: {event.by or 'which one is not known'}."


def _outside(event: ev.OutsideTransactionSeen, wallet: str) -> str:
    return f"A transaction of {wallet} that the log does not know was seen in block {event.block.number}, nonce {event.nonce}."


TELLERS: Mapping[type[ev.Event], Callable[[Any, str], str]] = {
    ev.ActionDecided: _decided,
    ev.ActionRejected: lambda event, wallet: f"It was rejected: {event.error_class}, {_cut(event.reason)}.",
    ev.ActionSucceeded: lambda event, wallet: f"{event.action_id} counts as succeeded.",
    ev.ActionFailed: lambda event, wallet: f"{event.action_id} counts as failed: {_cut(event.reason)}.",
    ev.TransactionSigned: _signed,
    ev.BroadcastAccepted: _accepted,
    ev.BroadcastFailed: _not_taken,
    ev.TransactionMined: _mined,
    ev.TransactionFinal: lambda event, wallet: "Its block is final.",
    ev.TransactionDropped: _dropped,
    ev.TransactionReorged: _reorged,
    ev.TransactionSuperseded: _superseded,
    ev.OutsideTransactionSeen: _outside,
}
"""Every event type that belongs to the story of a transaction."""


def _cut(text: str) -> str:
    """What others said, on one line, unable to steer a terminal."""
    return one_line(" ".join(text.split()).rstrip("."), MAX_WORDS)
