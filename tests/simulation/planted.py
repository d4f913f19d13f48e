"""Bugs that people really write, each as a small patch of the engine: the simulator has to find every one of them.

They are planted from here, for the length of a test; the production code has no switches for them.
"""

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any
from unittest.mock import patch

import msgspec

from ghostfleet import assembly, lifetime
from ghostfleet.chain import fees, transactions
from ghostfleet.chain.edge import RpcEdge
from ghostfleet.chain.reads import Chain
from ghostfleet.domain import decisions, operating, slot
from ghostfleet.domain import events as ev
from ghostfleet.domain import fleet as fleets
from ghostfleet.domain import wallet as wallets
from ghostfleet.domain.fleet import Fleet
from ghostfleet.domain.limits import PER_MINUTE, Ledger, Spending
from ghostfleet.domain.slot import Pending, SlotPolicy, Wait
from ghostfleet.domain.state import FOLD_VERSION, Candidate, State, encode_state
from ghostfleet.domain.values import AnswerClass, Fees, Hash
from ghostfleet.engine import follow, outsiders, recovery, replacements, signing, tuning
from ghostfleet.engine.duties import Do
from ghostfleet.engine.follow import Follower
from ghostfleet.engine.gate import Gate, Passage
from ghostfleet.engine.heads import Heads
from ghostfleet.engine.lane import Lane
from ghostfleet.engine.recovery import Snapshots
from ghostfleet.engine.service import FleetService
from ghostfleet.engine.state import LiveState
from ghostfleet.operations import extract, fund, holdings
from ghostfleet.operations.fund import FundDuty
from ghostfleet.store.commits import GroupCommit

replace = msgspec.structs.replace
Plant = Callable[[], AbstractContextManager[Any]]


@dataclass(frozen=True)
class Planted:
    """A bug, the faults that bring it out, and how many seeds may pass before it is found."""

    plant: Plant
    families: tuple[str, ...]
    within: int
    promises: tuple[str, ...]
    """Any of them may be the one that is seen broken first."""

    @property
    def name(self) -> str:
        return self.plant.__name__


PLANTED: list[Planted] = []


def planted(*families: str, within: int, promises: tuple[str, ...]) -> Callable[[Plant], Plant]:
    """Decorator: keep a bug in PLANTED."""

    def keep(plant: Plant) -> Plant:
        PLANTED.append(Planted(plant, families, within, promises))
        return plant

    return keep


STOP = ("stop means stop",)
STUCK = ("nothing stuck",)
FOLD = ("state is a fold",)
ONE_SLOT = ("one slot at a time", "nothing doubled", "one action, one nonce")


# --- signing and sending -----------------------------------------------------------------------------------------------


async def _send_anew(follower: Follower, nonce: int) -> None:
    """The same call once more, under the next nonce, properly recorded as an action of its own."""
    world, wallet = follower._world, follower._wallet
    pending = wallet.slot(nonce)
    if not isinstance(pending, Pending) or pending is not wallet.pending[-1] or len(wallet.pending) > 2:
        return
    body, _ = transactions.decode(pending.newest.raw)
    unsigned = replace(body, nonce=nonce + 1)
    decided = ev.ActionDecided(
        action_id=f"{wallet.id}/{wallet.decisions + 1}",
        plugin=wallet.plugin,
        kind="fill_gap",
        params={},
        seed=0,
        observation={},
        profile=wallet.profile,
        config_digest=world.state.fleet.config_digest,
        throttle=world.state.fleet.pace,
        call=body.call,
        spend_wei=0,
        balance_wei=0,
        next_turn_us=wallet.next_turn_us,
    )
    signed = await signing.sign_attempt(world, wallet.id, decided.action_id, unsigned, number=1)
    await world.live.write(decisions.for_wallet(wallet.id, decided.action_id, [decided, signed]))
    await BROADCAST(follower, nonce + 1)


BROADCAST = Follower.broadcast


def _anew_after(*classes: AnswerClass) -> AbstractContextManager[Any]:
    async def broadcast(self: Follower, nonce: int) -> None:
        await BROADCAST(self, nonce)
        pursuit = self._pursuits.get(nonce)
        if pursuit is not None and pursuit.refused in classes:
            await _send_anew(self, nonce)

    return patch.object(Follower, "broadcast", broadcast)


@planted("lost", within=12, promises=ONE_SLOT)
def sign_anew_after_a_timeout() -> AbstractContextManager[Any]:
    return _anew_after(AnswerClass.MAYBE_SENT, AnswerClass.ENDPOINT_FAULT)


@planted("lost", "lag", "late", within=40, promises=("nonces without gaps", *ONE_SLOT))
def a_new_nonce_after_nonce_too_low() -> AbstractContextManager[Any]:
    return _anew_after(AnswerClass.NONCE_TOO_LOW)


@planted(within=2, promises=("signed bytes are durable before they leave",))
def broadcast_before_the_commit() -> AbstractContextManager[Any]:
    record = Lane._record

    async def broadcast_first(self: Lane, signed: Any) -> None:
        await self._world.chain.broadcast(signed.transaction.raw, signed.transaction.hash)
        await record(self, signed)

    return patch.object(Lane, "_record", broadcast_first)


@planted("admin", "crashes", "disk", within=40, promises=("nonces without gaps", *STUCK))
def count_the_nonce_at_preparation() -> AbstractContextManager[Any]:
    prepare = Lane._prepare

    async def counting(self: Lane, observed: Any, decision: Any) -> Any:
        prepared = await prepare(self, observed, decision)
        if prepared is None:
            return None
        nonce = max(getattr(self, "counter", 0), prepared.unsigned.nonce)
        self.counter = nonce + 1  # type: ignore[attr-defined]
        return dataclasses.replace(prepared, unsigned=replace(prepared.unsigned, nonce=nonce))

    return patch.object(Lane, "_prepare", counting)


@planted("fees", within=10, promises=("a replacement outbids", *STUCK))
def bump_only_one_cap() -> AbstractContextManager[Any]:
    bump = fees.bump

    def one(old: Fees, *args: Any, **kwargs: Any) -> Fees | None:
        bumped = bump(old, *args, **kwargs)
        return replace(bumped, priority_fee_wei=old.priority_fee_wei) if bumped is not None else None

    return patch.object(fees, "bump", one)


@planted("fees", "stalls", within=60, promises=STUCK)
def never_replace_what_is_stuck() -> AbstractContextManager[Any]:
    return patch.object(slot, "is_stuck", lambda *_: False)


@planted("drops", "forgetful", within=25, promises=STUCK)
def what_was_dropped_is_gone() -> AbstractContextManager[Any]:
    def wait(pending: Pending, look: slot.Look, policy: SlotPolicy) -> slot.Step:
        return Wait() if look.sent_since_look else slot.SendAgain()

    return patch.object(follow, "next_step", wait)


@planted("limits", within=12, promises=STUCK)
def never_again_after_a_rate_limit() -> AbstractContextManager[Any]:
    retry = Follower._retry_later

    def never(self: Follower, pursuit: Any, sent: Any) -> None:
        retry(self, pursuit, sent)
        if sent.cls is AnswerClass.RATE_LIMITED:
            pursuit.retry_at = float(10**9)

    return patch.object(Follower, "_retry_later", never)


@planted(within=8, promises=ONE_SLOT)
def decide_again_while_a_slot_is_open() -> AbstractContextManager[Any]:
    @contextmanager
    def both() -> Iterator[None]:
        async def follow_no_more(self: Follower) -> None:
            return

        def open_slot(state: Candidate, now_us: int, *, name: str, decided: Any, signed: Any, rules: Any) -> Any:
            return decisions.for_wallet(name, decided.action_id, [decided, signed])

        with patch.object(Follower, "follow", follow_no_more), patch.object(decisions, "open_slot", open_slot):
            yield

    return both()


@planted("hides", "outages", within=20, promises=STUCK)
def an_endpoint_that_nobody_needs_rests_for_ever() -> AbstractContextManager[Any]:
    """As it was before the simulator found it."""
    return patch.object(RpcEdge, "_start_probes", lambda *_: float("inf"))


# --- receipts, finality, reorganisations -------------------------------------------------------------------------------


@planted("stalls", "fees", within=8, promises=("dropped needs several answers",))
def a_null_receipt_means_dropped() -> AbstractContextManager[Any]:
    looked = Follower._looked

    async def gone(self: Follower, pending: Pending, pursuit: Any) -> slot.Look:
        return replace(await looked(self, pending, pursuit), unknown_answers=3)

    return patch.object(Follower, "_looked", gone)


@planted("reorganisations", within=10, promises=("final is final", *STUCK))
def ignore_reorganisations() -> AbstractContextManager[Any]:
    async def believe(self: Heads, head: Any, new: Any, **_: Any) -> None:
        self._accept([new])

    async def forward(self: Heads, head: Any, new: Any) -> None:
        self._accept([new])

    return _patched((Heads, "_suspect", believe), (Heads, "_forward", forward), (Heads, "_lower", believe))


@planted("reorganisations", "lag", within=20, promises=("final is final",))
def receipts_of_any_block_count() -> AbstractContextManager[Any]:
    async def canonical(self: Heads, block: Any) -> bool:
        return True

    return patch.object(Heads, "canonical", canonical)


@planted("reorganisations", within=10, promises=("final is final",))
def final_too_early() -> AbstractContextManager[Any]:
    rules_of = tuning.rules_of
    return patch.object(tuning, "rules_of", lambda loaded: replace(rules_of(loaded), finality_blocks=2))


@planted("late", "lag", "outsider", within=30, promises=("a slot is given up only to a stranger",))
def superseded_at_the_first_look() -> AbstractContextManager[Any]:
    async def give_up(self: Follower, pending: Pending, pursuit: Any) -> None:
        await self._give_up(pending, None)

    return patch.object(Follower, "_settle_by_nonce", give_up)


@planted("fees", "forgetful", "stalls", within=40, promises=STUCK)
def forget_the_earlier_attempts() -> AbstractContextManager[Any]:
    include = Follower._include

    async def newest_only(self: Follower, pending: tuple[Pending, ...], *, everywhere: bool) -> bool:
        newest = tuple(replace(it, attempts=it.attempts[-1:]) for it in pending)
        return await include(self, newest, everywhere=everywhere)

    return patch.object(Follower, "_include", newest_only)


@planted("outsider", "lag", within=40, promises=STUCK)
def nodes_without_history_are_asked_for_ever() -> AbstractContextManager[Any]:
    class Never(Exception):
        """Nothing raises this."""

    return patch.object(outsiders, "NotServed", Never)


# --- the log and the state ---------------------------------------------------------------------------------------------


@planted("crashes", within=10, promises=FOLD)
def forget_open_slots_on_replay() -> AbstractContextManager[Any]:
    recover = recovery.recover

    async def forgetting(log: Any, **kwargs: Any) -> State:
        state = await recover(log, **kwargs)
        state.wallets = {name: replace(it, slots=it.included) for name, it in state.wallets.items()}
        return state

    return patch.object(assembly, "recover", forgetting)


@planted("stops", within=40, promises=("limits hold",))
def limits_begin_afresh_at_a_start() -> AbstractContextManager[Any]:
    started = fleets._started

    def afresh(fleet: Any, event: Any, recorded: Any) -> Any:
        return replace(started(fleet, event, recorded), transactions=PER_MINUTE)

    return patch.dict(fleets.HANDLERS, {ev.ServiceStarted: afresh})


@planted(within=25, promises=("limits hold",))
def limits_are_checked_before_the_commit_only() -> AbstractContextManager[Any]:
    return _patched((decisions, "limit_reached", _as_seen_by_lanes()))


def _as_seen_by_lanes() -> Callable[..., Any]:
    check = decisions.limit_reached

    def outside_only(wallet: Any, state: Any, rules: Any, wanted: Spending, now_us: int) -> Any:
        return None if wanted.gas_wei else check(wallet, state, rules, wanted, now_us)

    return outside_only


@planted(within=40, promises=("limits hold",))
def what_was_spent_is_forgotten() -> AbstractContextManager[Any]:
    succeeded = wallets.HANDLERS[ev.ActionSucceeded]

    def forgetting(wallet: Any, event: Any, now_us: int) -> Any:
        return replace(succeeded(wallet, event, now_us), tokens_spent=wallet.tokens_spent)

    return patch.dict(wallets.HANDLERS, {ev.ActionSucceeded: forgetting})


@planted(within=2, promises=("no hash without its bytes",))
def an_acceptance_of_other_bytes() -> AbstractContextManager[Any]:
    """The hash as some node told it, not as it was signed."""
    write = Follower._write

    async def as_told(self: Follower, slot: Any, event: ev.Event) -> None:
        if isinstance(event, ev.BroadcastAccepted):
            event = replace(event, hash=Hash(bytes(event.hash[::-1])))
        await write(self, slot, event)

    return patch.object(Follower, "_write", as_told)


@planted(within=2, promises=("the ledger is of the slots",))
def open_slots_are_not_in_the_fleets_ledger() -> AbstractContextManager[Any]:
    moved = Ledger.moved

    def unreserved(self: Ledger, now_us: int, spent: Spending, reserved: Spending) -> Ledger:
        return moved(self, now_us, spent, Spending())

    return patch.object(Ledger, "moved", unreserved)


@planted(within=80, promises=("limits hold",))
def what_other_wallets_have_open_counts_towards_no_limit() -> AbstractContextManager[Any]:
    bounds = decisions.bounds

    def blind(wallet: Any, fleet: Any, limits: Any, wanted: Spending) -> Any:
        unheld = replace(fleet, ledger=replace(fleet.ledger, reserved=Spending()))
        return bounds(wallet, unheld, limits, wanted)

    return patch.object(decisions, "bounds", blind)


@planted(within=3, promises=("nothing unexplained",))
def lose_the_seed() -> AbstractContextManager[Any]:
    decided = Lane._decided

    def seedless(self: Lane, *args: Any) -> ev.ActionDecided:
        return replace(decided(self, *args), seed=0)

    return patch.object(Lane, "_decided", seedless)


@planted("stops", within=10, promises=FOLD)
def a_snapshot_of_another_position() -> AbstractContextManager[Any]:
    async def save(self: Snapshots) -> None:
        state = self._live.state
        older = State(position=state.position, fleet=state.fleet, wallets={})
        await self._log.save_snapshot(state.position, FOLD_VERSION, encode_state(older))
        self._saved = state.position

    return patch.object(Snapshots, "save", save)


@planted(within=2, promises=("nothing is visible before it is durable", "signed bytes are durable before they leave"))
def visible_before_durable() -> AbstractContextManager[Any]:
    decide = LiveState._decide

    def early(self: LiveState) -> None:
        decide(self)
        candidate = self._batches[-1].candidate
        self.state.wallets.update(candidate._touched)
        self.state.fleet, self.state.position = candidate.fleet, candidate.position

    return patch.object(LiveState, "_decide", early)


@planted("disk", within=25, promises=(*FOLD, *STUCK, "no defect", "the log folds"))
def a_doubtful_commit_counts_as_failed() -> AbstractContextManager[Any]:
    async def not_looked(self: LiveState) -> tuple[dict[int, ev.Recorded], bool]:
        return {}, False

    return patch.object(LiveState, "_catch_up", not_looked)


@planted("disk", within=15, promises=("nothing is visible before it is durable",))
def what_stands_on_a_batch_that_failed_is_written() -> AbstractContextManager[Any]:
    conflict = GroupCommit._conflict

    def blind(self: GroupCommit, waiting: Any, batch: Any) -> Any:
        waiting.follows = None
        return conflict(self, waiting, batch)

    return patch.object(GroupCommit, "_conflict", blind)


@planted("crashes", "config", within=120, promises=STUCK)
def retired_wallets_are_not_followed() -> AbstractContextManager[Any]:
    """Its lane is over with the wallet's last turn."""
    return patch.object(Lane, "over", property(lambda self: self.wallet.retired))


# --- pause, and whose fault it is --------------------------------------------------------------------------------------


@planted("admin", "drops", within=12, promises=STOP)
def send_again_while_paused() -> AbstractContextManager[Any]:
    @asynccontextmanager
    async def always(self: Gate, senders: Any) -> Any:
        yield Passage(self, frozenset(senders), len(senders))

    return _patched((Gate, "sending", always), (Gate, "lets", lambda self, sender: True))


@planted("admin", "limits", "drops", within=160, promises=STOP)
def the_gate_before_the_queue() -> AbstractContextManager[Any]:
    sending, send = Gate.sending, Chain.broadcast
    gates: list[Gate] = []
    wired = lifetime.assembled

    async def wire(loaded: Any, ports: Any, edge: Any, news: Any, gate: Gate, *others: Any) -> Any:
        gates[:] = [gate]
        return await wired(loaded, ports, edge, news, gate, *others)

    @asynccontextmanager
    async def unasked(self: Gate, senders: Any) -> Any:
        yield Passage(self, frozenset(senders), len(senders))

    async def asked_first(self: Any, *args: Any, **kwargs: Any) -> Any:
        async with sending(gates[0], [kwargs.get("sender", "")]):
            pass
        return await send(self, *args, **kwargs)

    def leave(self: Passage) -> None:
        return

    return _patched(
        (lifetime, "assembled", wire),
        (Gate, "sending", unasked),
        (Passage, "leave", leave),
        (Chain, "broadcast", asked_first),
    )


@planted("admin", "crashes", "drops", within=25, promises=STOP)
def a_pause_that_a_restart_forgets() -> AbstractContextManager[Any]:
    wired = lifetime.assembled

    async def opened(loaded: Any, ports: Any, edge: Any, news: Any, gate: Gate, *others: Any) -> Any:
        parts = await wired(loaded, ports, edge, news, gate, *others)
        gate.open()
        return parts

    return patch.object(lifetime, "assembled", opened)


@planted("config", "admin", within=100, promises=STOP)
def a_pause_of_the_settings_hides_the_operators() -> AbstractContextManager[Any]:
    """As it was before the simulator found it."""

    def pause(state: Candidate, actor: str, reason: str, correlation: str = "") -> Any:
        if state.fleet.paused is not None:
            return []
        return [ev.NewEvent(ev.FLEET_STREAM, ev.FleetPaused(actor=actor, reason=reason), correlation)]

    return patch.object(decisions, "pause", pause)


@planted("admin", "disk", within=130, promises=STUCK)
def a_pause_that_the_log_could_not_take_is_never_written() -> AbstractContextManager[Any]:
    async def forgotten(self: FleetService) -> None:
        return

    return patch.object(FleetService, "log_recovered", forgotten)


@planted("lost", within=10, promises=("only its own errors count against a wallet",))
def an_endpoints_fault_counts_against_the_wallet() -> AbstractContextManager[Any]:
    note = Follower._note_broadcast

    async def blame(self: Follower, pending: Pending, sent: Any) -> None:
        await note(self, pending, sent)
        if sent.cls is AnswerClass.ENDPOINT_FAULT:
            error = ev.ErrorRecorded(error_class=sent.cls, message=sent.message, counts=True)
            await self._world.live.commit(
                partial(decisions.record_error, name=self._name, error=error, rules=self._world.rules)
            )

    return patch.object(Follower, "_note_broadcast", blame)


@planted("drained", "lag", within=60, promises=STUCK)
def parked_for_a_balance_it_once_had() -> AbstractContextManager[Any]:
    """As it was before the simulator found it, and before a parked wallet asked at its turns what it needs by then."""

    async def park(self: Lane, decided: ev.ActionDecided) -> None:
        await self._park(decided.balance_wei + 1, decided.balance_wei, 2**62)

    return patch.object(Lane, "_short_of_funds", park)


# --- operations --------------------------------------------------------------------------------------------------------


PAYS_ONCE = ("a step has one effect", "nothing doubled", "a funding pays exactly once")


@planted("operations", "crashes", within=15, promises=PAYS_ONCE)
def a_duty_remembers_what_it_paid() -> AbstractContextManager[Any]:
    """In place of asking the log: it knows nothing after a crash."""
    ask = FundDuty.next

    async def remembering(self: Any, wallet: Any) -> Any:
        operation = self._world.state.fleet.operation(self.operation_id)
        sent: set[str] = self.__dict__.setdefault("sent", set())
        if operation is None or wallet.id not in operation.plans:
            return await ask(self, wallet)
        owed = [it for it in fund.transfers(operation.params, {}) if it.step not in sent]
        sent.update(it.step for it in owed)
        return Do(tuple(owed)) if owed else await ask(self, wallet)

    return patch.object(FundDuty, "next", remembering)


@planted("operations", within=25, promises=PAYS_ONCE)
def what_was_paid_is_forgotten() -> AbstractContextManager[Any]:
    """The same funding once more, after it is done, pays once more."""
    finished = fleets.HANDLERS[ev.OperationFinished]

    def forgetting(fleet: Any, event: Any, recorded: Any) -> Any:
        return replace(finished(fleet, event, recorded), paid=())

    return patch.dict(fleets.HANDLERS, {ev.OperationFinished: forgetting})


@planted("operations", "drops", within=25, promises=STOP)
def a_pause_leaves_the_permits() -> AbstractContextManager[Any]:
    permit = Gate.permit

    def more_and_more(self: Gate, senders: frozenset[str]) -> None:
        permit(self, self._permitted | senders)

    return patch.object(Gate, "permit", more_and_more)


@planted("operations", within=15, promises=(*STOP, "an operation asks its own wallets while it runs"))
def a_suspended_operation_goes_on() -> AbstractContextManager[Any]:
    def of(self: Fleet, wallet: str) -> Any:
        return next((it for it in self.operations if it.covers(wallet)), None)

    permitted = property(lambda self: frozenset(wallet for it in self.operations for wallet in it.wallets))
    return _patched(
        (Fleet, "operation_of", of),
        (Fleet, "permitted", permitted),
        (operating, "require_running", lambda *_: None),
        (decisions, "require_running", lambda *_: None),
    )


@planted("operations", within=3, promises=("an outcome is recorded once",))
def an_outcome_is_recorded_twice() -> AbstractContextManager[Any]:
    """By the duty, and by whoever waits for it."""
    done = operating.wallet_done

    def twice(state: Candidate, now_us: int, **kwargs: Any) -> Any:
        events = done(state, now_us, **kwargs)
        return [*events, *(it for it in events if isinstance(it.event, ev.OperationWalletDone))]

    return patch.object(operating, "wallet_done", twice)


@planted("operations", "config", within=15, promises=STUCK)
def a_wallet_without_a_key_keeps_all_others_waiting() -> AbstractContextManager[Any]:
    """As it was before the simulator found it."""
    asked = extract.ExtractDuty.next

    async def next_(self: Any, wallet: Any) -> Any:
        wish = await asked(self, wallet)
        return replace(wish, needs_the_key=True) if isinstance(wish, Do) else wish

    return patch.object(extract.ExtractDuty, "next", next_)


@planted("operations", "lag", "crashes", within=130, promises=PAYS_ONCE)
def a_node_that_lags_is_believed() -> AbstractContextManager[Any]:
    """As it was before the simulator found it: the balances of a time before the wallet's own latest transaction."""
    return patch.object(holdings, "BlockView", lambda chain, _head: chain)


@planted("operations", "drops", "fees", "forgetful", within=60, promises=STUCK)
def what_cannot_be_outbid_is_never_cancelled() -> AbstractContextManager[Any]:
    """As it was before the simulator found it."""
    make = replacements.replacement

    async def dearer_only(*args: Any, **_: Any) -> Any:
        return await make(*args)

    return patch.object(follow, "replacement", dearer_only)


@contextmanager
def _patched(*places: tuple[Any, str, Any]) -> Iterator[None]:
    """Several patches at once."""
    if not places:
        yield
        return
    owner, name, new = places[0]
    with patch.object(owner, name, new), _patched(*places[1:]):
        yield
