"""Why does a wallet act or not act now? Every reason that holds, in sentences, the most decisive first, each with what to do.

Pure: the state, the newest events of the wallet, the settings and what the state cannot know (`Circumstances`) come in.
"""

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from ghostfleet.domain import events as ev
from ghostfleet.domain.amounts import decimal_text
from ghostfleet.domain.breakdown import wrong_of
from ghostfleet.domain.breaker import Probing, Tripped
from ghostfleet.domain.decisions import CONFIG_ACTOR, SERVICE_ACTOR, Rules, limits_reached
from ghostfleet.domain.limits import LIMIT_REACHED, Spending
from ghostfleet.domain.profile import Profile
from ghostfleet.domain.schedule import is_active
from ghostfleet.domain.slot import Included, Pending
from ghostfleet.domain.state import State
from ghostfleet.domain.throttle import FULL_PACE, due_us
from ghostfleet.domain.values import MINUTE_US
from ghostfleet.domain.wallet import Wallet
from ghostfleet.errors import BadInput
from ghostfleet.keys.keyring import BEING_OPENED
from ghostfleet.telemetry.lines import words_of
from ghostfleet.telemetry.logs import one_line
from ghostfleet.telemetry.moments import clock_time, span

LEAST = Spending(gas_wei=1, value_wei=1, tokens=1)
"""The cheapest action: a limit that forbids this one forbids all."""
RECENT_EVENTS = 200
"""Newest events of a wallet that an explanation needs: more than a slot's attempts and a trip's errors."""
MAX_ANSWERS_TOLD = 3
MAX_ERRORS_TOLD = 3
MAX_WORDS = 160
"""Characters of what a node or a plugin said."""
MAX_ERROR_WORDS = 360
"""Of what a failed turn is told with: all that was recorded, for the place in a plugin's code stands at its end."""
FAILED_TURNS = ("defect", "observation")
"""Classes of errors that end a turn; the rest after it has the same word as its reason."""
ENDS_OF_TURNS = (
    ev.ActionDecided,
    ev.ActionRejected,
    ev.ActionSucceeded,
    ev.ActionFailed,
    ev.TransactionMined,
    ev.WalletRegistered,
    ev.WalletRested,
)
"""Once one of these came, an earlier failure is the past."""


class UnknownSubject(BadInput):
    """There is no such wallet or transaction; the message names the nearest that there is."""


class EndpointStanding(msgspec.Struct, frozen=True, kw_only=True):
    """An RPC endpoint as the service sees it now."""

    name: str
    healthy: bool
    reason: str = ""


class Circumstances(msgspec.Struct, frozen=True, kw_only=True):
    """What is so now and stands in no event."""

    now_us: int
    running: bool = True
    dry_run: bool = False
    troubles: tuple[str, ...] = ()
    """Conditions of readiness that do not hold, other than those of endpoints and keys, in the service's words."""
    withheld: str = ""
    """Why the wallet's key is not at hand although the settings have one."""
    endpoints: tuple[EndpointStanding, ...] = ()


class Reason(msgspec.Struct, frozen=True, kw_only=True):
    """One reason. `keeps` is whether it keeps the wallet from acting; `until_us` when it passes by itself, if it does."""

    code: str
    sentence: str
    remedy: str = ""
    keeps: bool = True
    until_us: int | None = None


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """All that can be said of a wallet now."""

    wallet: str
    acts: bool
    reasons: tuple[Reason, ...]


def explain(
    state: State,
    name: str,
    circumstances: Circumstances,
    *,
    rules: Rules | None = None,
    profiles: Mapping[str, Profile] | None = None,
    recent: Sequence[ev.Recorded] = (),
) -> Explanation:
    """Why the wallet acts or does not. `recent` are newest events of its stream, in any order. Raises UnknownSubject."""
    wallet = state.wallets.get(name)
    if wallet is None:
        raise UnknownSubject(f"there is no wallet {name[:64]!r}; {nearest(name, state.wallets)}")
    newest_first = sorted(recent, key=lambda recorded: -recorded.position)
    reasons = [
        *_not_running(circumstances),
        *_retired(wallet),
        *_log_and_chain(circumstances),
        *_withheld(circumstances),
        *_errands(wallet, state),
        *_paused(state, circumstances.now_us),
        *_endpoints(circumstances),
        *_dry_run(circumstances),
        *_slots(wallet, state, circumstances.now_us, newest_first),
        *_parked(wallet),
        *_breaker(wallet, circumstances.now_us, newest_first),
        *_limits(wallet, state, rules, circumstances.now_us),
        *_failed_turn(wallet, state, circumstances.now_us, newest_first),
        *_throttled(state),
        *_asleep(wallet, state, (profiles or {}).get(wallet.profile), circumstances.now_us),
    ]
    acts = not any(reason.keeps for reason in reasons)
    if acts:
        reasons.append(_acts(wallet, state, circumstances.now_us))
    return Explanation(wallet=name, acts=acts, reasons=tuple(reasons))


def nearest(name: str, known: Iterable[str]) -> str:
    """The closest of those that there are, as a hint."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, 1, 0.5)
    if close:
        return f"did you mean {close[0]}?"
    return f"there is {', '.join(names[:5])}{' and others' if len(names) > 5 else ''}" if names else "there is none yet"


def _not_running(circumstances: Circumstances) -> Iterator[Reason]:
    if not circumstances.running:
        yield Reason(
            code="not_running",
            sentence="The service is not running, so no wallet acts. What follows is as the log has it.",
            remedy="Start it (systemctl start ghost-fleet, docker start ghost-fleet); ghost-fleet doctor says if it can.",
        )


def _retired(wallet: Wallet) -> Iterator[Reason]:
    if wallet.retired:
        yield Reason(
            code="retired",
            sentence=f"{wallet.id} is retired{_because(wallet.rest)}. Open transactions are followed, nothing new is decided.",
            remedy="If it is to act again, put it back into the settings with enabled = true and apply them.",
        )


def _log_and_chain(circumstances: Circumstances) -> Iterator[Reason]:
    for trouble in circumstances.troubles:
        yield Reason(
            code="unready",
            sentence=f"The service is not ready: {_cut(trouble)}. Until it is, nothing is decided or sent.",
            remedy="ghost-fleet doctor names what is wrong; the fleet goes on by itself once it is mended.",
        )


def _withheld(circumstances: Circumstances) -> Iterator[Reason]:
    if circumstances.withheld:
        yield Reason(
            code="no_key",
            sentence=f"It cannot sign: {_cut(circumstances.withheld)}. Its open transactions are followed all the same.",
            remedy="Nothing: it acts once its key is there."
            if circumstances.withheld == BEING_OPENED
            else "Mend the keystore or its password, then: ghost-fleet reload",
        )


def _errands(wallet: Wallet, state: State) -> Iterator[Reason]:
    for operation in state.fleet.operations:
        if not operation.covers(wallet.id):
            continue
        asked = f"{operation.id} ({operation.kind}), asked for by {operation.actor} at {clock_time(operation.since_us)}"
        if operation.running:
            yield Reason(
                code="errands",
                sentence=f"It does the errands of {asked}, in place of its own actions; a pause does not hold these back.",
                remedy="Let it come to its end, or pause: that suspends the operation.",
            )
        else:
            yield Reason(
                code="errands_suspended",
                sentence=f"{asked} still has something to ask of it and is suspended{_because(operation.suspended)}.",
                remedy="Give the same command again to go on with it, or give it up: ghost-fleet operations abandon"
                f" {operation.id}",
                keeps=False,
            )


def _paused(state: State, now_us: int) -> Iterator[Reason]:
    pause = state.fleet.paused
    if pause is None:
        return
    who = {CONFIG_ACTOR: "by the settings (global_pause)", SERVICE_ACTOR: "by the service itself"}.get(
        pause.actor, f"by {pause.actor}"
    )
    remedies = {
        CONFIG_ACTOR: "Set [safety] global_pause = false and apply the settings, or: ghost-fleet resume",
        SERVICE_ACTOR: "Find out why so many wallets tripped (ghost-fleet errors), mend it, then: ghost-fleet resume",
    }
    yield Reason(
        code="paused",
        sentence=f"The whole fleet is paused {who} since {clock_time(pause.since_us)}, {span(now_us - pause.since_us)} ago"
        f"{_because(pause.reason)}.",
        remedy=remedies.get(pause.actor, "When that is settled: ghost-fleet resume"),
    )


def _endpoints(circumstances: Circumstances) -> Iterator[Reason]:
    down = [it for it in circumstances.endpoints if not it.healthy]
    if not down:
        return
    told = "; ".join(f"{it.name} ({_cut(it.reason) or 'no reason known'})" for it in down[:MAX_ANSWERS_TOLD])
    if len(down) == len(circumstances.endpoints):
        yield Reason(
            code="endpoints_down",
            sentence=f"No RPC endpoint answers: {told}.",
            remedy="Test one by hand (ghost-fleet doctor does), add another one to [chain] rpc_urls, or wait for the provider.",
        )
    else:
        yield Reason(
            code="endpoint_down",
            sentence=f"{len(down)} of {len(circumstances.endpoints)} RPC endpoints do not answer: {told}. The others are asked.",
            keeps=False,
        )


def _dry_run(circumstances: Circumstances) -> Iterator[Reason]:
    if circumstances.dry_run:
        yield Reason(
            code="dry_run",
            sentence="This is a dry run: decisions are recorded, nothing is signed or sent.",
            remedy="Start the service without --dry-run and without GHOST_FLEET_DRY_RUN.",
        )


def _slots(wallet: Wallet, state: State, now_us: int, newest_first: Sequence[ev.Recorded]) -> Iterator[Reason]:
    for slot in wallet.slots:
        if isinstance(slot, Pending):
            yield _open_slot(slot, state, now_us, newest_first)
        elif not slot.settled:
            yield _unconfirmed(slot)


def _open_slot(slot: Pending, state: State, now_us: int, newest_first: Sequence[ev.Recorded]) -> Reason:
    since_us, newest = slot.attempts[0].signed_us, slot.newest
    times = "1 attempt" if len(slot.attempts) == 1 else f"{len(slot.attempts)} attempts"
    taken = (
        f"{slot.accepted_by} has it"
        if slot.accepted == newest.hash
        else f"{slot.accepted_by} has an earlier attempt"
        if slot.accepted is not None
        else "no endpoint is known to have it"
    )
    answers = [
        f"{answer.event.endpoint or 'no endpoint'} said {answer.event.error_class}: {_cut(answer.event.message)}"
        for answer in newest_first
        if isinstance(answer.event, ev.BroadcastFailed) and answer.event.nonce == slot.nonce
    ][:MAX_ANSWERS_TOLD]
    said = f" Newest answers: {'; '.join(answers)}." if answers else ""
    if state.fleet.paused is not None:
        remedy = "While the fleet is paused only its receipt is looked for; after a resume it is sent and outbid again."
    elif len(slot.attempts) > 1 or now_us - since_us > MINUTE_US:
        remedy = (
            f"It is sent again and outbid by itself. If it does not move: ghost-fleet explain {newest.hash}, compare"
            " [fees] max_fee_gwei with the base fee (ghost-fleet doctor), and look at the node's pool."
        )
    else:
        remedy = "Nothing: it is young, and followed by itself."
    return Reason(
        code="open_slot",
        sentence=f"It waits for the chain to settle nonce {slot.nonce} ({slot.action_id}, {slot.kind}) since"
        f" {clock_time(since_us)}, {span(now_us - since_us)} ago: {times}, newest {newest.hash} ({newest.purpose}) at most"
        f" {decimal_text(newest.fees.max_fee_wei, 9)} gwei; {taken}.{said}",
        remedy=remedy,
    )


def _unconfirmed(slot: Included) -> Reason:
    return Reason(
        code="unconfirmed",
        sentence=f"{slot.action_id} is in block {slot.block.number} (nonce {slot.nonce}) and waits for the configured"
        " confirmations before the next decision.",
        remedy="Nothing: it comes with the next blocks. If no blocks come, see ghost-fleet doctor.",
    )


def _parked(wallet: Wallet) -> Iterator[Reason]:
    need_wei = wallet.parked_until_wei
    if need_wei is None:
        return
    has_wei = wallet.balance_wei or 0
    missing = f", {decimal_text(need_wei - has_wei)} ETH more" if need_wei > has_wei else ""
    yield Reason(
        code="no_funds",
        sentence=f"It cannot pay: it needs {decimal_text(need_wei)} ETH and had {decimal_text(has_wei)} ETH when last looked at"
        f"{missing}.",
        remedy=f"Send native coin to {wallet.address}; it goes on by itself within a minute of the balance being there, or at a"
        " regular turn whose action it can pay for, such as when fees have fallen.",
    )


def _breaker(wallet: Wallet, now_us: int, newest_first: Sequence[ev.Recorded]) -> Iterator[Reason]:
    breaker = wallet.breaker
    errors = _counted_errors(newest_first)
    told = f" The newest errors: {'; '.join(errors)}." if errors else f" The newest error: {_cut(wallet.last_error)}."
    if isinstance(breaker, Probing):
        yield Reason(
            code="probing",
            sentence=f"Its circuit breaker is probing: the action under way decides whether it closes.{told}",
            keeps=False,
        )
    if not isinstance(breaker, Tripped):
        return
    times = "" if breaker.trips == 1 else f" ({breaker.trips} trips in a row, each for longer)"
    if breaker.until_us <= now_us:
        yield Reason(
            code="breaker_over",
            sentence=f"Its circuit breaker has tripped{times}; the cooldown ended at {clock_time(breaker.until_us)}, the next"
            f" action is the probe.{told}",
            keeps=False,
        )
        return
    yield Reason(
        code="breaker",
        sentence=f"Its circuit breaker has tripped{times}, until {clock_time(breaker.until_us)} (in"
        f" {span(breaker.until_us - now_us)}); then one action probes.{told}",
        remedy=f"Mend the cause, then: ghost-fleet reset {wallet.id}",
        until_us=breaker.until_us,
    )


def _counted_errors(newest_first: Sequence[ev.Recorded]) -> list[str]:
    """What went wrong before the newest trip, or lately where it is further back than we look."""
    told: list[str] = []
    for recorded in newest_first:
        wrong = wrong_of(recorded)
        if wrong is not None and len(told) < MAX_ERRORS_TOLD:
            told.append(f"{wrong.cls} at {clock_time(recorded.time_us)} ({_cut(wrong.message)})")
    return told


def _limits(wallet: Wallet, state: State, rules: Rules | None, now_us: int) -> Iterator[Reason]:
    reached = [] if rules is None else list(limits_reached(wallet, state.fleet, rules.limits, LEAST, now_us))
    for limit in reached:
        yield Reason(
            code="limit",
            sentence=f"It is held by a limit: {limit.reason.removeprefix(LIMIT_REACHED + ': ')}. There is room again at"
            f" {clock_time(limit.room_at_us)} (in {span(limit.room_at_us - now_us)}).",
            remedy="Wait, or raise it in [safety] or [limits] of the settings.",
            until_us=limit.room_at_us,
        )


def _failed_turn(wallet: Wallet, state: State, now_us: int, newest_first: Sequence[ev.Recorded]) -> Iterator[Reason]:
    """Its newest turn came to nothing since a plugin, or we, failed at it. What a plugin says of a receipt is no turn."""
    failed = _newest_failure(newest_first)
    if failed is None or wallet.retired:
        return
    until_us = due_us(wallet, state.fleet.throttles)
    again = f"at its next turn, {clock_time(until_us)}" if until_us > now_us else "within minutes"
    yield Reason(
        code="turn_failed",
        sentence=f"Its last turn failed at {clock_time(failed.time_us)}, {span(now_us - failed.time_us)} ago:"
        f" {_cut(words_of(failed.event), MAX_ERROR_WORDS)}. It is tried again {again}.",
        remedy='Mend what it names: a plugin\'s method, file and line. [service] log_level = "debug" and a reload put the'
        " traceback into the service's output. A mended plugin comes with a restart.",
        until_us=until_us if until_us > now_us else None,
    )


def _newest_failure(newest_first: Sequence[ev.Recorded]) -> ev.Recorded | None:
    for recorded in newest_first:
        event = recorded.event
        if isinstance(event, ev.ErrorRecorded) and event.error_class in FAILED_TURNS:
            return recorded
        if isinstance(event, ENDS_OF_TURNS) and not (
            isinstance(event, ev.WalletRested) and event.reason in FAILED_TURNS
        ):
            return None
    return None


def _throttled(state: State) -> Iterator[Reason]:
    if state.fleet.pace == FULL_PACE:
        return
    throttle = state.fleet.throttles[-1]
    yield Reason(
        code="throttled",
        sentence=f"The whole fleet is throttled to {throttle.factor:g} of its pace by {throttle.actor} since"
        f" {clock_time(throttle.since_us)}{_because(throttle.reason)}: waits are longer, limits lower.",
        remedy="At full pace again: ghost-fleet throttle 1.0",
        keeps=False,
    )


def _asleep(wallet: Wallet, state: State, profile: Profile | None, now_us: int) -> Iterator[Reason]:
    until_us = due_us(wallet, state.fleet.throttles)
    if profile is not None and not is_active(profile, now_us):
        hours = f"{profile.active_hours_start} to {profile.active_hours_end} o'clock UTC"
        yield Reason(
            code="off_hours",
            sentence=f"It is outside the active hours of its profile {wallet.profile} ({hours}): it acts"
            f" {'not at all' if profile.off_hours_factor <= 0 else f'at {profile.off_hours_factor:g} of its usual pace'}.",
            keeps=False,
        )
    if until_us <= now_us or wallet.retired:
        return
    yield Reason(
        code="resting",
        sentence=f"Its next turn is at {clock_time(until_us)} (in {span(until_us - now_us)})"
        f"{_because(wallet.rest or 'the interval of its profile ' + wallet.profile)}.",
        remedy="Nothing: it acts then. Its pace is that of its profile; a reset brings the turn forward:"
        f" ghost-fleet reset {wallet.id}",
        until_us=until_us,
    )


def _acts(wallet: Wallet, state: State, now_us: int) -> Reason:
    since = span(now_us - due_us(wallet, state.fleet.throttles))
    return Reason(
        code="acts",
        sentence=f"Nothing keeps {wallet.id} from acting: its turn has come {since} ago.",
        remedy="If it stays so for more than a minute, look at the service's log lines of this wallet: ghost-fleet audit"
        f" wallet {wallet.id}",
        keeps=False,
    )


def _because(reason: str) -> str:
    return f": {_cut(reason)}" if reason else ""


def _cut(text: str, limit: int = MAX_WORDS) -> str:
    """What others said, on one line, unable to steer a terminal."""
    return one_line(" ".join(text.split()).rstrip("."), limit)
