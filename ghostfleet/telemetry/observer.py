"""What happens to metrics and log output when an event is durable? Dispatch by event type, and one line."""

import logging
from collections.abc import Callable
from typing import Any

from prometheus_client import Counter

from ghostfleet.domain import events as ev
from ghostfleet.domain.breakdown import Wrong, wrong_of
from ghostfleet.domain.limits import BUCKETS_PER_WINDOW
from ghostfleet.domain.slot import Pending
from ghostfleet.domain.state import State
from ghostfleet.domain.values import SECOND_US
from ghostfleet.telemetry.labels import OTHER, Label
from ghostfleet.telemetry.lines import WEI_PER_ETH, level_of, words_of
from ghostfleet.telemetry.logs import LOGGER, tell
from ghostfleet.telemetry.metrics import Metrics

MAX_OPEN_ACTIONS = 200_000
"""Decisions whose outcome is awaited: at most a few per wallet; beyond that the oldest loses its kind, not its count."""
MAX_WALLETS_NAMED = 500
"""Wallets that `ghost_fleet_errors_total` names, in the order of their first error."""
MAX_ERROR_SERIES = 2_000
"""Different (class, wallet, endpoint) of `ghost_fleet_errors_total`; those beyond count under their class only."""


class Telemetry:
    """Derives metrics and log lines from recorded events. Never raises into the engine."""

    def __init__(self, metrics: Metrics, logger: logging.Logger | None = None) -> None:
        self.metrics = metrics
        self._logger = logger or logging.getLogger(LOGGER)
        self._open: dict[str, tuple[str, str]] = {}
        self._counts: dict[type[ev.Event], Counter] = {}
        self._statuses: dict[str, Counter] = {}
        self._outcomes: dict[tuple[str, str, str], Counter] = {}
        self._errors: dict[tuple[str, str, str], Counter] = {}
        self._error_class = Label()
        self._wallet = Label(limit=MAX_WALLETS_NAMED)
        self._endpoint = Label()
        self._plugin = Label()
        self._kind = Label()
        self._command = Label()
        self._limit = Label()

    def start(self, state: State) -> None:
        """Take over from the fold: which actions are open, when the last one was (to the minute)."""
        last_us = 0
        for wallet in state.wallets.values():
            if not wallet.retired:
                self.metrics.breaker_trips.expect(wallet.id)
            if wallet.actions.buckets:
                width_us = wallet.actions.span_us // BUCKETS_PER_WINDOW
                last_us = max(last_us, wallet.actions.buckets[-1][0] * width_us)
            for slot in wallet.slots:
                pending = slot if isinstance(slot, Pending) else slot.pending
                newest = pending.action_id == f"{wallet.id}/{wallet.decisions}"
                self._remember(pending.action_id, wallet.plugin, wallet.previous_kind if newest else OTHER)
        self.metrics.last_action.set(last_us / SECOND_US)

    def on_event(self, recorded: ev.Recorded) -> None:
        """Called for each event once it is durable, in order."""
        try:
            kind = type(recorded.event)
            count = self._counts.get(kind)
            if count is None:
                count = self._counts[kind] = self.metrics.events.labels(kind.__name__)
            self.metrics.tally.inc(count)
            handler = HANDLERS.get(kind)
            if handler is not None:
                handler(self, recorded.event, recorded)
            wrong = wrong_of(recorded)
            if wrong is not None:
                self._error(wrong)
            self._write(recorded)
        except Exception as problem:  # the event is recorded; that it could not be told must not stop the fleet
            self._logger.error("event #%d could not be told: %r", recorded.position, problem)

    def _write(self, recorded: ev.Recorded) -> None:
        if isinstance(recorded.event, ev.UnknownEvent):
            return  # of another release, which told it when it was written
        level = level_of(recorded.event)
        if self._logger.isEnabledFor(level):
            tell(self._logger, recorded, level, words_of(recorded.event))

    def _remember(self, action_id: str, plugin: str, kind: str) -> None:
        if len(self._open) >= MAX_OPEN_ACTIONS:
            del self._open[next(iter(self._open))]
        self._open[action_id] = (self._plugin(plugin), self._kind(kind))

    def _outcome(self, action_id: str, outcome: str, *, last: bool) -> None:
        labels = (*self._open.get(action_id, (OTHER, OTHER)), outcome)
        count = self._outcomes.get(labels)
        if count is None:
            count = self._outcomes[labels] = self.metrics.actions.labels(*labels)
        self.metrics.tally.inc(count)
        if last:
            self._open.pop(action_id, None)

    def _error(self, wrong: Wrong) -> None:
        cls, wallet, endpoint = wrong.cls, wrong.wallet, wrong.endpoint
        count = self._errors.get((cls, wallet, endpoint))
        if count is None:
            labels = (self._error_class(cls), wallet and self._wallet(wallet), endpoint and self._endpoint(endpoint))
            if len(self._errors) >= MAX_ERROR_SERIES:
                self.metrics.errors.labels(labels[0], OTHER, OTHER).inc()
                return
            count = self._errors[cls, wallet, endpoint] = self.metrics.errors.labels(*labels)
        count.inc()

    def _status(self, status: str) -> None:
        count = self._statuses.get(status)
        if count is None:
            count = self._statuses[status] = self.metrics.transactions.labels(status)
        self.metrics.tally.inc(count)

    def _started(self, event: ev.ServiceStarted, recorded: ev.Recorded) -> None:
        self.metrics.start_time.set(recorded.time_us / SECOND_US)

    def _decided(self, event: ev.ActionDecided, recorded: ev.Recorded) -> None:
        self._remember(event.action_id, event.plugin, event.kind)

    def _rejected(self, event: ev.ActionRejected, recorded: ev.Recorded) -> None:
        self._outcome(event.action_id, "rejected", last=True)
        if event.limit:
            self.metrics.limit_rejections.labels(self._limit(event.limit)).inc()

    def _succeeded(self, event: ev.ActionSucceeded, recorded: ev.Recorded) -> None:
        self._outcome(event.action_id, "succeeded", last=False)

    def _failed(self, event: ev.ActionFailed, recorded: ev.Recorded) -> None:
        self._outcome(event.action_id, "failed", last=False)

    def _signed(self, event: ev.TransactionSigned, recorded: ev.Recorded) -> None:
        self._status("signed")
        if event.attempt > 1:
            self._status("replacement")
        else:
            self.metrics.last_action.set(recorded.time_us / SECOND_US)

    def _accepted(self, event: ev.BroadcastAccepted, recorded: ev.Recorded) -> None:
        self._status("accepted")

    def _broadcast_failed(self, event: ev.BroadcastFailed, recorded: ev.Recorded) -> None:
        self._status("refused")

    def _mined(self, event: ev.TransactionMined, recorded: ev.Recorded) -> None:
        self._status("mined" if event.success else "reverted")
        self.metrics.tally.inc(self.metrics.gas_used, event.gas_used)
        self.metrics.tally.inc(self.metrics.fees, event.gas_used * event.gas_price_wei / WEI_PER_ETH)

    def _final(self, event: ev.TransactionFinal, recorded: ev.Recorded) -> None:
        self._status("final")
        self._open.pop(event.action_id, None)

    def _reorged(self, event: ev.TransactionReorged, recorded: ev.Recorded) -> None:
        self._status("reorged")

    def _dropped(self, event: ev.TransactionDropped, recorded: ev.Recorded) -> None:
        self._status("dropped")

    def _superseded(self, event: ev.TransactionSuperseded, recorded: ev.Recorded) -> None:
        self._status("superseded")
        self._open.pop(event.action_id, None)

    def _registered(self, event: ev.WalletRegistered, recorded: ev.Recorded) -> None:
        self.metrics.breaker_trips.expect(recorded.wallet or "")

    def _backup_made(self, event: ev.BackupMade, recorded: ev.Recorded) -> None:
        if not event.actor:
            self.metrics.backups.labels("made").inc()

    def _backup_failed(self, event: ev.BackupFailed, recorded: ev.Recorded) -> None:
        self.metrics.backups.labels("failed").inc()

    def _head_signed(self, event: ev.HeadSigned, recorded: ev.Recorded) -> None:
        self.metrics.checkpoints.labels("signed").inc()

    def _head_not_signed(self, event: ev.HeadNotSigned, recorded: ev.Recorded) -> None:
        self.metrics.checkpoints.labels("failed").inc()

    def _tripped(self, event: ev.BreakerTripped, recorded: ev.Recorded) -> None:
        self.metrics.breaker_trips.inc(recorded.wallet or "")

    def _reorganised(self, event: ev.ChainReorganised, recorded: ev.Recorded) -> None:
        self.metrics.reorganisations.inc()

    def _received(self, event: ev.AdminCommandReceived, recorded: ev.Recorded) -> None:
        self.metrics.commands.labels(self._command(event.command), "accepted").inc()

    def _locked_out(self, event: ev.AdminLockedOut, recorded: ev.Recorded) -> None:
        self.metrics.lockouts.inc()

    def _refused(self, event: ev.AdminCommandRefused, recorded: ev.Recorded) -> None:
        self.metrics.commands.labels(self._command(event.command), "refused").inc()


HANDLERS: dict[type[ev.Event], Callable[[Telemetry, Any, ev.Recorded], None]] = {
    ev.ServiceStarted: Telemetry._started,
    ev.ActionDecided: Telemetry._decided,
    ev.ActionRejected: Telemetry._rejected,
    ev.ActionSucceeded: Telemetry._succeeded,
    ev.ActionFailed: Telemetry._failed,
    ev.TransactionSigned: Telemetry._signed,
    ev.BroadcastAccepted: Telemetry._accepted,
    ev.BroadcastFailed: Telemetry._broadcast_failed,
    ev.TransactionMined: Telemetry._mined,
    ev.TransactionFinal: Telemetry._final,
    ev.TransactionReorged: Telemetry._reorged,
    ev.TransactionDropped: Telemetry._dropped,
    ev.TransactionSuperseded: Telemetry._superseded,
    ev.WalletRegistered: Telemetry._registered,
    ev.BackupMade: Telemetry._backup_made,
    ev.BackupFailed: Telemetry._backup_failed,
    ev.HeadSigned: Telemetry._head_signed,
    ev.HeadNotSigned: Telemetry._head_not_signed,
    ev.BreakerTripped: Telemetry._tripped,
    ev.ChainReorganised: Telemetry._reorganised,
    ev.AdminCommandReceived: Telemetry._received,
    ev.AdminCommandRefused: Telemetry._refused,
    ev.AdminLockedOut: Telemetry._locked_out,
}
"""Event types that count somewhere else than in ghost_fleet_events_total."""
