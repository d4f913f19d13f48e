"""What is known of the fleet as a whole, and how each event changes it. Pure; dispatch by event type."""

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec.structs import replace

from ghostfleet.domain import events as ev
from ghostfleet.domain.limits import PER_MINUTE, Window
from ghostfleet.domain.values import Hash


class Pause(msgspec.Struct, frozen=True, kw_only=True):
    """Who paused the fleet, why and since when."""

    actor: str
    reason: str
    since_us: int


class FleetPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """When so many wallets trip within `trip_window_us` that the fleet pauses itself; a share of 0 never does."""

    trip_share: float = 0.5
    trip_window_us: int = 600_000_000


class Fleet(msgspec.Struct, frozen=True, kw_only=True):
    """The fold of the fleet's stream, and of those wallet events that limits and pauses of the whole fleet need."""

    version: int = 0
    chain_id: int | None = None
    genesis_hash: Hash | None = None
    release: str = ""
    config_digest: str = ""
    running: bool = False
    starts: int = 0
    paused: Pause | None = None
    tripped_endpoints: tuple[str, ...] = ()
    reorganisations: int = 0
    transactions: Window = PER_MINUTE
    trips: tuple[tuple[int, str], ...] = ()
    """(time, wallet) of the latest breaker trip of each wallet, until it is reset or the fleet resumed."""


def evolve(fleet: Fleet, recorded: ev.Recorded) -> Fleet:
    """The fleet after one more event, of its own stream or of a wallet's."""
    handler = HANDLERS.get(type(recorded.event))
    if handler is not None:
        fleet = handler(fleet, recorded.event, recorded)
    if recorded.stream == ev.FLEET_STREAM:
        fleet = replace(fleet, version=recorded.version)
    return fleet


def _started(fleet: Fleet, event: ev.ServiceStarted, recorded: ev.Recorded) -> Fleet:
    return replace(
        fleet,
        chain_id=event.chain_id,
        genesis_hash=event.genesis_hash,
        release=event.version,
        config_digest=event.config_digest,
        running=True,
        starts=fleet.starts + 1,
        tripped_endpoints=(),
    )


def _stopped(fleet: Fleet, event: ev.ServiceStopped, recorded: ev.Recorded) -> Fleet:
    return replace(fleet, running=False)


def _config(fleet: Fleet, event: ev.ConfigApplied, recorded: ev.Recorded) -> Fleet:
    return replace(fleet, config_digest=event.digest)


def _paused(fleet: Fleet, event: ev.FleetPaused, recorded: ev.Recorded) -> Fleet:
    return replace(fleet, paused=Pause(actor=event.actor, reason=event.reason, since_us=recorded.time_us))


def _resumed(fleet: Fleet, event: ev.FleetResumed, recorded: ev.Recorded) -> Fleet:
    return replace(fleet, paused=None, trips=())


def _endpoint_tripped(fleet: Fleet, event: ev.EndpointTripped, recorded: ev.Recorded) -> Fleet:
    others = tuple(name for name in fleet.tripped_endpoints if name != event.endpoint)
    return replace(fleet, tripped_endpoints=(*others, event.endpoint))


def _endpoint_recovered(fleet: Fleet, event: ev.EndpointRecovered, recorded: ev.Recorded) -> Fleet:
    return replace(fleet, tripped_endpoints=tuple(name for name in fleet.tripped_endpoints if name != event.endpoint))


def _reorganised(fleet: Fleet, event: ev.ChainReorganised, recorded: ev.Recorded) -> Fleet:
    return replace(fleet, reorganisations=fleet.reorganisations + 1)


def _signed(fleet: Fleet, event: ev.TransactionSigned, recorded: ev.Recorded) -> Fleet:
    return replace(fleet, transactions=fleet.transactions.add(recorded.time_us, 1))


def _tripped(fleet: Fleet, event: ev.BreakerTripped, recorded: ev.Recorded) -> Fleet:
    wallet = recorded.wallet or ""
    return replace(fleet, trips=(*_trips_without(fleet, wallet), (recorded.time_us, wallet)))


def _untripped(fleet: Fleet, event: ev.BreakerReset, recorded: ev.Recorded) -> Fleet:
    return replace(fleet, trips=_trips_without(fleet, recorded.wallet or ""))


def _unchanged(fleet: Fleet, event: ev.Event, recorded: ev.Recorded) -> Fleet:
    return fleet


def _trips_without(fleet: Fleet, wallet: str) -> tuple[tuple[int, str], ...]:
    return tuple(trip for trip in fleet.trips if trip[1] != wallet)


HANDLERS: dict[type[ev.Event], Callable[[Fleet, Any, ev.Recorded], Fleet]] = {
    ev.ServiceStarted: _started,
    ev.ServiceStopped: _stopped,
    ev.ConfigApplied: _config,
    ev.FleetPaused: _paused,
    ev.FleetResumed: _resumed,
    ev.AdminCommandReceived: _unchanged,
    ev.AdminCommandRefused: _unchanged,
    ev.EndpointTripped: _endpoint_tripped,
    ev.EndpointRecovered: _endpoint_recovered,
    ev.ChainReorganised: _reorganised,
    ev.StoreRecovered: _unchanged,
    ev.TransactionSigned: _signed,
    ev.BreakerTripped: _tripped,
    ev.BreakerReset: _untripped,
}
"""Every event type that changes the fleet, wherever it stands."""
