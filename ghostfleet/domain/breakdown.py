"""What went wrong, how often and where? One reading of the log for metric, command and HTTP answer, so that they agree.

Every error is told by exactly one event; what only follows from it (a failed action, a tripped breaker) counts no second time.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

import msgspec

from ghostfleet.domain import events as ev

MAX_GROUPS = 10_000
"""Different (class, wallet, endpoint) that one breakdown keeps apart; those beyond are counted without wallet and endpoint."""
MAX_EXAMPLE_CHARS = 300
By = Literal["class", "wallet", "endpoint"]
WAYS: tuple[By, ...] = ("class", "wallet", "endpoint")


class Wrong(msgspec.Struct, frozen=True, kw_only=True):
    """One error as it counts. `wallet` and `endpoint` are empty where none is to blame."""

    cls: str
    wallet: str = ""
    endpoint: str = ""
    message: str = ""


class Counted(msgspec.Struct, frozen=True, kw_only=True):
    """Errors of one group: how many, between which moments, and what the newest said."""

    count: int
    first_us: int
    last_us: int
    example: str
    position: int
    """Of the newest one in the log."""


class Group(msgspec.Struct, frozen=True):
    """What the errors of one line have in common. Empty: not known, or not told apart."""

    cls: str
    wallet: str = ""
    endpoint: str = ""


def wrong_of(recorded: ev.Recorded) -> Wrong | None:
    """The error that this event tells, or None when it tells none."""
    reader = READERS.get(type(recorded.event))
    return None if reader is None else reader(recorded.event, recorded.wallet or "")


def breakdown(log: Iterable[ev.Recorded]) -> dict[Group, Counted]:
    """Every error of these events by class, wallet and endpoint."""
    groups: dict[Group, Counted] = {}
    for recorded in log:
        add(groups, recorded)
    return groups


def add(groups: dict[Group, Counted], recorded: ev.Recorded) -> None:
    """One more event, which may tell an error."""
    wrong = wrong_of(recorded)
    if wrong is None:
        return
    group = Group(wrong.cls, wrong.wallet, wrong.endpoint)
    if group not in groups and len(groups) >= MAX_GROUPS:
        group = Group(wrong.cls)
    seen = Counted(
        count=1,
        first_us=recorded.time_us,
        last_us=recorded.time_us,
        example=wrong.message[:MAX_EXAMPLE_CHARS],
        position=recorded.position,
    )
    before = groups.get(group)
    groups[group] = seen if before is None else _together(before, seen)


def by(way: By, groups: Mapping[Group, Counted]) -> list[tuple[str, Counted]]:
    """The groups put together by one of their three sides, most frequent first."""
    sums: dict[str, Counted] = {}
    for group, counted in groups.items():
        side = {"class": group.cls, "wallet": group.wallet, "endpoint": group.endpoint}[way]
        if side:
            sums[side] = counted if side not in sums else _together(sums[side], counted)
    return sorted(sums.items(), key=lambda item: (-item[1].count, item[0]))


def _together(one: Counted, other: Counted) -> Counted:
    newest = max(one, other, key=lambda counted: counted.position)
    return Counted(
        count=one.count + other.count,
        first_us=min(one.first_us, other.first_us),
        last_us=max(one.last_us, other.last_us),
        example=newest.example,
        position=newest.position,
    )


def _rejected(event: ev.ActionRejected, wallet: str) -> Wrong | None:
    return Wrong(cls=event.error_class, wallet=wallet, message=event.reason) if event.counts else None


def _not_taken(event: ev.BroadcastFailed, wallet: str) -> Wrong:
    return Wrong(cls=event.error_class, wallet=wallet, endpoint=event.endpoint, message=event.message)


def _mined(event: ev.TransactionMined, wallet: str) -> Wrong | None:
    if event.success:
        return None
    return Wrong(cls="reverted", wallet=wallet, message=event.revert_reason or f"{event.hash} reverted")


def _superseded(event: ev.TransactionSuperseded, wallet: str) -> Wrong:
    return Wrong(cls="superseded", wallet=wallet, message=f"nonce {event.nonce} was used by {event.by or 'somebody'}")


def _recorded(event: ev.ErrorRecorded, wallet: str) -> Wrong:
    return Wrong(cls=event.error_class, wallet=wallet, message=event.message)


def _endpoint_tripped(event: ev.EndpointTripped, wallet: str) -> Wrong:
    return Wrong(cls="endpoint_tripped", endpoint=event.endpoint, message=event.reason)


def _store(event: ev.StoreRecovered, wallet: str) -> Wrong:
    return Wrong(cls="log_unavailable", message=event.reason)


READERS: Mapping[type[ev.Event], Callable[[Any, str], Wrong | None]] = {
    ev.ActionRejected: _rejected,
    ev.BroadcastFailed: _not_taken,
    ev.TransactionMined: _mined,
    ev.TransactionSuperseded: _superseded,
    ev.ErrorRecorded: _recorded,
    ev.EndpointTripped: _endpoint_tripped,
    ev.StoreRecovered: _store,
}
"""The event types that tell an error."""
ERROR_TYPES: tuple[str, ...] = tuple(sorted(event.__name__ for event in READERS))
"""Their names, for a query."""
