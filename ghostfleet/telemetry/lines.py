"""How does an event read in the log output? One line for each type in the catalogue, with a level.

`circuit breaker` and `ERROR` are words that operators grep for (RUNBOOK.md); tests pin them.
"""

import logging
from collections.abc import Callable
from typing import Any

from ghostfleet.domain import events as ev
from ghostfleet.domain.amounts import decimal_text
from ghostfleet.telemetry.moments import iso

WEI_PER_ETH = 10**18
DEBUG, INFO, WARNING, ERROR = logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR

Level = int | Callable[[Any], int]


def eth(wei: int) -> str:
    """An amount in ETH, exact, without needless zeros."""
    return f"{decimal_text(wei)} ETH"


def _config_applied(event: ev.ConfigApplied) -> str:
    what = f" while running by {event.actor}: {len(event.changes)} changes" if event.actor else ""
    return f"config applied{what}: {event.digest[:12]}"


def _as_command(event: ev.AdminCommandReceived | ev.AdminCommandRefused) -> str:
    target = getattr(event, "target", "")
    return f"{event.command} {target}".rstrip()


def _because(reason: str) -> str:
    return f": {reason}" if reason else ""


def _by(actor: str) -> str:
    return f" by {actor}" if actor else ""


def _replaced(event: ev.LogRestored) -> str:
    return f", in the place of one that ended at #{event.replaced_position}" if event.replaced_position else ""


def _mined(event: ev.TransactionMined) -> str:
    how = "mined" if event.success else f"reverted class=reverted ({event.revert_reason or 'no reason given'})"
    return f"{event.action_id} {how} in block {event.block.number}: {event.hash}, nonce {event.nonce}"


def _signed(event: ev.TransactionSigned) -> str:
    what = "signed" if event.attempt == 1 else f"signed again (attempt {event.attempt}, {event.purpose})"
    return f"{event.action_id} {what}: {event.hash}, nonce {event.nonce}"


def _decided(event: ev.ActionDecided) -> str:
    return f"{event.action_id} decided: {event.plugin} {event.kind}"


def _counted(event: ev.ActionFailed | ev.ActionRejected | ev.ErrorRecorded) -> int:
    return ERROR if event.counts else WARNING


LINES: dict[type[ev.Event], tuple[Level, Callable[[Any], str]]] = {
    ev.ServiceStarted: (
        INFO,
        lambda e: (
            f"service {e.version} started on chain {e.chain_id}, config {e.config_digest[:12]}"
            + (", dry run: nothing is sent" if e.dry_run else "")
        ),
    ),
    ev.ServiceStopped: (INFO, lambda e: f"service stopped{_because(e.reason)}"),
    ev.ConfigApplied: (INFO, _config_applied),
    ev.FleetPaused: (WARNING, lambda e: f"fleet paused by {e.actor}{_because(e.reason)}"),
    ev.FleetResumed: (INFO, lambda e: f"fleet resumed by {e.actor}{_because(e.reason)}"),
    ev.FleetThrottled: (WARNING, lambda e: f"fleet goes at {e.factor:g} of its pace, by {e.actor}{_because(e.reason)}"),
    ev.AdminCommandReceived: (
        INFO,
        lambda e: f"command {_as_command(e)} from {e.actor} at {e.remote}{_because(e.reason)}",
    ),
    ev.AdminCommandRefused: (WARNING, lambda e: f"command {e.command} from {e.actor} at {e.remote} refused: {e.why}"),
    ev.AdminLockedOut: (
        WARNING,
        lambda e: f"{e.remote} is locked out until {iso(e.until_us)}: {e.failures} wrong credentials ({e.actor})",
    ),
    ev.AdminTokenCreated: (
        WARNING,
        lambda e: (
            f"admin token {e.name} ({e.role}) created by {e.actor}, "
            + ("without an end" if e.expires_us is None else f"valid until {iso(e.expires_us)}")
        ),
    ),
    ev.AdminTokenRevoked: (WARNING, lambda e: f"admin token {e.name} revoked by {e.actor}"),
    ev.OperatorCheckedIn: (INFO, lambda e: f"{e.actor} checked in"),
    ev.EndpointTripped: (ERROR, lambda e: f"endpoint {e.endpoint} is left alone: class=endpoint_tripped {e.reason}"),
    ev.EndpointRecovered: (INFO, lambda e: f"endpoint {e.endpoint} answers again"),
    ev.EndpointDrained: (WARNING, lambda e: f"endpoint {e.endpoint} is drained by {e.actor}{_because(e.reason)}"),
    ev.EndpointRestored: (INFO, lambda e: f"endpoint {e.endpoint} is restored by {e.actor}{_because(e.reason)}"),
    ev.StoreRecovered: (
        ERROR,
        lambda e: (
            f"the log can be written again, after it could not since {iso(e.failed_us)}: class=log_unavailable {e.reason}"
        ),
    ),
    ev.OperationStarted: (
        WARNING,
        lambda e: f"operation {e.operation_id} started by {e.actor}, {len(e.wallets)} wallets{_because(e.reason)}",
    ),
    ev.OperationWalletPlanned: (DEBUG, lambda e: f"operation {e.operation_id} has looked at {e.wallet}"),
    ev.OperationSuspended: (WARNING, lambda e: f"operation {e.operation_id} suspended{_because(e.reason)}"),
    ev.OperationContinued: (
        WARNING,
        lambda e: f"operation {e.operation_id} continued by {e.actor}{_because(e.reason)}",
    ),
    ev.OperationWalletDone: (INFO, lambda e: f"operation {e.operation_id} is done with {e.wallet}"),
    ev.OperationFinished: (WARNING, lambda e: f"operation {e.operation_id} ended: {e.outcome}"),
    ev.BackupMade: (INFO, lambda e: f"backup made{_by(e.actor)}: {e.file}, up to #{e.position}, {e.size_bytes} bytes"),
    ev.BackupFailed: (ERROR, lambda e: f"backup failed: class=backup {e.reason}"),
    ev.LogRestored: (WARNING, lambda e: f"log restored from a backup that ends at #{e.position}{_replaced(e)}"),
    ev.FleetSpendingCarriedOver: (INFO, lambda e: "the replaced log's spending of the fleet counts towards its limits"),
    ev.SpendingCarriedOver: (INFO, lambda e: "the replaced log's spending counts towards limits"),
    ev.LogArchived: (INFO, lambda e: f"events #{e.first_position} to #{e.last_position} moved to archive {e.file}"),
    ev.HeadSigned: (INFO, lambda e: f"head of the log signed: #{e.position} {e.head_hash} by {e.signer}"),
    ev.HeadNotSigned: (WARNING, lambda e: f"head of the log not signed: {e.reason}"),
    ev.ChainReorganised: (
        WARNING,
        lambda e: f"chain reorganised: {e.depth} blocks after {e.ancestor} replaced, head now {e.new_head.number}",
    ),
    ev.WalletRegistered: (INFO, lambda e: f"registered: {e.address}, profile {e.profile}, plugin {e.plugin}"),
    ev.WalletRetired: (INFO, lambda e: f"retired: {e.reason}"),
    ev.WalletRested: (DEBUG, lambda e: f"rests until {iso(e.until_us)}: {e.reason}"),
    ev.ActionDecided: (INFO, _decided),
    ev.ActionRejected: (
        lambda e: ERROR if e.counts else INFO,
        lambda e: f"{e.action_id} rejected: class={e.error_class} {e.reason}",
    ),
    ev.ActionSucceeded: (INFO, lambda e: f"{e.action_id} succeeded"),
    ev.ActionFailed: (_counted, lambda e: f"{e.action_id} failed: {e.reason}"),
    ev.TransactionSigned: (DEBUG, _signed),
    ev.BroadcastAccepted: (DEBUG, lambda e: f"{e.action_id} accepted by {e.endpoint}: {e.hash}, nonce {e.nonce}"),
    ev.BroadcastFailed: (
        ERROR,
        lambda e: (
            f"{e.action_id} not taken by {e.endpoint or 'any endpoint'}: class={e.error_class} {e.message} ({e.hash})"
        ),
    ),
    ev.TransactionMined: (lambda e: INFO if e.success else ERROR, _mined),
    ev.TransactionFinal: (DEBUG, lambda e: f"{e.action_id} final: {e.hash}, nonce {e.nonce}"),
    ev.TransactionReorged: (
        WARNING,
        lambda e: f"{e.action_id} is open again, block {e.block.number} was replaced: {e.hash}",
    ),
    ev.TransactionDropped: (WARNING, lambda e: f"{e.action_id} was dropped by {e.endpoint}, is sent again: {e.hash}"),
    ev.TransactionSuperseded: (
        ERROR,
        lambda e: (
            f"{e.action_id} lost nonce {e.nonce} to a transaction of somebody else: class=superseded "
            f"{e.by or 'unknown'}"
        ),
    ),
    ev.OutsideTransactionSeen: (
        WARNING,
        lambda e: f"a transaction that the log does not know: {e.hash}, nonce {e.nonce}, block {e.block.number}",
    ),
    ev.NonceResynced: (WARNING, lambda e: f"nonce moved from {e.from_nonce} to {e.to_nonce}: {e.why}"),
    ev.ErrorRecorded: (ERROR, lambda e: f"error class={e.error_class} {e.message}"),
    ev.WalletParked: (WARNING, lambda e: f"parked: has {eth(e.balance_wei)}, needs {eth(e.need_wei)}"),
    ev.WalletUnparked: (INFO, lambda e: f"can pay again: has {eth(e.balance_wei)}"),
    ev.BreakerTripped: (
        ERROR,
        lambda e: f"circuit breaker tripped after {e.errors} errors in a row, until {iso(e.until_us)}",
    ),
    ev.BreakerProbing: (INFO, lambda e: "circuit breaker probing: the next action decides"),
    ev.BreakerReset: (INFO, lambda e: f"circuit breaker reset by {e.actor}"),
    ev.BalanceObserved: (DEBUG, lambda e: f"balance {eth(e.balance_wei)}"),
}
"""Level and words of every event type."""


def level_of(event: ev.Event) -> int:
    """The level of an event's line, without making the line."""
    level = LINES[type(event)][0]
    return level if isinstance(level, int) else level(event)


def words_of(event: ev.Event) -> str:
    """An event in words, without time, level and wallet."""
    return LINES[type(event)][1](event)
