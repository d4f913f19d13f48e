"""One wallet's life, top to bottom: observe, decide, prepare, sign, record, broadcast, follow.

There is no batching here and no state: a lane looks at the state that the log has accepted, and does the next thing.
"""

import asyncio
import contextlib
from dataclasses import dataclass
from functools import partial
from typing import Any

import msgspec

from ghostfleet.chain.edge import GateClosed, RpcRefused
from ghostfleet.domain import decisions, throttle
from ghostfleet.domain import events as ev
from ghostfleet.domain.breaker import Tripped
from ghostfleet.domain.decisions import Refused
from ghostfleet.domain.limits import NOTHING
from ghostfleet.domain.schedule import next_turn
from ghostfleet.domain.state import Candidate
from ghostfleet.domain.values import SECOND_US, AnswerClass, JsonObject, Unsigned, WalletId
from ghostfleet.domain.wallet import Wallet
from ghostfleet.engine import asking
from ghostfleet.engine.account import Account
from ghostfleet.engine.asking import PluginFailed
from ghostfleet.engine.duties import Duty
from ghostfleet.engine.errands import run_errands
from ghostfleet.engine.follow import Follower
from ghostfleet.engine.funds import may_pay, park_or_say, unpark
from ghostfleet.engine.in_force import Tuning
from ghostfleet.engine.judgement import judged
from ghostfleet.engine.outsiders import note_outside_transactions, require_first_nonce
from ghostfleet.engine.signing import (
    ERROR_CLASSES,
    NoKey,
    NotAllowed,
    estimate_gas,
    sign_attempt,
)
from ghostfleet.engine.trouble import describe, revert_reason
from ghostfleet.engine.view import TurnView
from ghostfleet.engine.waits import Wait
from ghostfleet.engine.world import World
from ghostfleet.errors import StopService, TryAgain
from ghostfleet.keys.far import SignerUnavailable, WrongSignature
from ghostfleet.keys.keyring import BEING_OPENED
from ghostfleet.plugins.api import Action, ChainView, Plugin, Rest, WalletFacts

LONGEST_NAP_SECS = 60.0
"""A waiting lane looks at the clock and the state at least this often, so that a clock that jumps cannot strand it."""
MOVED_ON_SECS = 0.05
"""After a refusal by a state that has moved on, it is looked at again so soon."""


@dataclass(frozen=True)
class Observed:
    """What a turn saw before deciding, under which settings."""

    wallet: Wallet
    tuning: Tuning
    facts: WalletFacts
    view: msgspec.Struct
    account: Account
    kept: bool
    """Whether the account was not asked for anew."""


@dataclass(frozen=True)
class Decision:
    """What the plugin wants, with the seed it was drawn from and the turn after it."""

    seed: int
    choice: Action | Rest
    observation: JsonObject
    """What it was decided on, for the record of an action."""
    next_turn_us: int


@dataclass(frozen=True)
class Prepared:
    """A decision that can be signed."""

    decided: ev.ActionDecided
    unsigned: Unsigned
    account: Account
    """As it will be then."""


@dataclass(frozen=True)
class Recordable:
    """Decision and signed bytes, ready for the log."""

    decided: ev.ActionDecided
    transaction: ev.TransactionSigned
    account: Account


class Lane:
    """Runs one wallet until it is retired and its last slot has ended. `nudge` wakes it when others wrote to its stream."""

    def __init__(self, name: str, world: World, view: ChainView) -> None:
        self.name = name
        self.nudge = asyncio.Event()
        self._world = world
        self._view = view
        self._follower = Follower(name, world)
        self._account: Account | None = None
        """After a turn that ended in a signature, for the next one."""
        self._silent_secs = 0.0
        """How long a signer that does not answer is left alone; 0 while it answers."""
        self._turn_wait = Wait()
        self._parked_turn_at = 0.0
        """When a parked wallet takes a turn all the same, by the loop's clock."""

    @property
    def wallet(self) -> Wallet:
        return self._world.wallet(self.name)

    async def run(self) -> None:
        """Turn after turn. What passes by itself is waited for; a defect goes up to the supervisor."""
        while not self.over:
            try:
                await self._turn()
            except (GateClosed, Refused):
                await asyncio.sleep(MOVED_ON_SECS)
            except SignerUnavailable as silence:
                await self._wait_for_signer(silence)
            except (TryAgain, RpcRefused):
                await self._nap(self._world.pace.first_retry_secs)

    @property
    def over(self) -> bool:
        """Whether nothing is left to do for this wallet, unless somebody asks for something new."""
        return self.wallet.retired and not self.wallet.slots and self.name not in self._world.duties

    async def _turn(self) -> None:
        await self._follower.follow()
        duty = self._world.duties.get(self.name)
        if duty is not None:
            await self._serve(duty)
            return
        if not await self._turn_comes():
            return
        try:
            observed = await self._observe()
            if observed is None:
                return
            decision = self._decide(observed)
        except PluginFailed as failure:
            failure.tell_traceback()
            await self._skip_turn(failure.error_class, str(failure))
            return
        prepared = await self._prepare(observed, decision)
        if prepared is None:
            return
        signed = await self._sign(prepared)
        if signed is None:
            return
        await self._record(signed)
        await self._follower.broadcast_new(signed.transaction.nonce)

    async def _serve(self, duty: Duty) -> None:
        """The next errands of an operation in place of a turn; one that is refused by a state that moved on is over."""
        cannot_sign = ""
        if self._world.dry_run:
            cannot_sign = "this is a dry run, which signs and sends nothing"
        elif self._world.signer.awaits(WalletId(self.name)):
            cannot_sign = BEING_OPENED
        if cannot_sign:
            duty.waiting = cannot_sign
        if cannot_sign or not self._world.gate.lets(self.name):
            await self._nap(self._world.pace.look_secs)
            return
        outcome = await run_errands(self._world, self.name, duty)
        for nonce in outcome.opened:
            await self._follower.broadcast_new(nonce)
        if outcome.wait_secs:
            await self._nap(outcome.wait_secs)

    async def _turn_comes(self) -> bool:
        """Whether the wallet may act now. Otherwise waits for a while and says no."""
        world, wallet = self._world, self.wallet
        if not world.gate.lets(self.name):
            await (self._nap(world.pace.look_secs) if wallet.slots else self._passable())
            return False
        if world.state.fleet.paused is not None:  # it may send for an operation, and that asks nothing of it now
            await self._nap(world.pace.look_secs)
            return False
        if world.signer.withheld(WalletId(self.name)):  # whoever opens it nudges
            await self._nap(LONGEST_NAP_SECS)
            return False
        if wallet.parked_until_wei is not None and not await may_pay(world, wallet, self._parked_turn_at):
            await self._nap(world.pace.park_secs)
            return False
        due_us, now_us = throttle.due_us(wallet, world.state.fleet.throttles), world.clock.now_us()
        wait_us = self._turn_wait.left_us(wallet.scheduled_us, due_us, now_us)
        if isinstance(wallet.breaker, Tripped):
            wait_us = max(wait_us, wallet.breaker.until_us - now_us)
        if wait_us > 0 or wallet.retired:
            await self._nap(max(wait_us / SECOND_US, 0) if not wallet.retired else LONGEST_NAP_SECS)
            return False
        return await self._within_limits(wallet)

    async def _observe(self) -> Observed | None:
        """Read what the decision needs, in one batch. None when the wallet's account could not be read; that is recorded.
        Raises PluginFailed when the protocol could not be."""
        world, wallet, tuning = self._world, self.wallet, self._world.in_force.now
        kept, self._account = self._account, None
        now, generation = asyncio.get_running_loop().time(), world.heads.generation
        if kept is not None and not kept.stands(wallet, generation, now - world.pace.account_secs):
            kept = None
        facts = WalletFacts(
            id=WalletId(wallet.id),
            address=wallet.address,
            balance_wei=wallet.balance_wei or 0,
            previous_kind=wallet.previous_kind,
            decisions=wallet.decisions,
        )
        balance = asyncio.ensure_future(world.chain.balance(wallet.address)) if kept is None else kept.known_balance()
        plugin, own_view = tuning.plugins[wallet.plugin], TurnView(self._view, wallet.address, balance)
        observing = asking.observed(plugin, facts, own_view)
        try:
            if kept is None:
                asked = asyncio.gather(balance, world.chain.nonce(wallet.address, "pending"), observing)
                balance_wei, nonce, view = await asked
            else:
                view = await observing
        except (TryAgain, StopService, PluginFailed):
            raise
        except Exception as problem:  # such as a node that refuses to say what the wallet has
            await self._skip_turn("observation", describe(problem))
            return None
        account = kept
        if account is None:
            if await note_outside_transactions(world, wallet, nonce):
                nonce = self.wallet.next_nonce or nonce
            await require_first_nonce(world, self.wallet, nonce)
            account = Account(balance_wei, nonce, world.clock.now_us(), now, generation, self.wallet.last_error)
        facts = msgspec.structs.replace(facts, balance_wei=account.balance_wei)
        return Observed(wallet, tuning, facts, view, account, kept=kept is not None)

    def _decide(self, observed: Observed) -> Decision:
        """Ask the plugin, with a seed that is recorded. Raises PluginFailed."""
        world, wallet, tuning = self._world, observed.wallet, observed.tuning
        seed = world.entropy.seed()
        random = world.random(seed)
        profile = tuning.profiles[wallet.profile]
        plugin = tuning.plugins[wallet.plugin]
        choice = asking.decided(plugin, observed.view, observed.facts, profile, random)
        seen = asking.record_of(plugin, observed.view, observed.facts) if isinstance(choice, Action) else {}
        now_us = world.clock.now_us()
        turn = next_turn(profile, now_us, random)
        rest_us = int((choice.secs or 0) * SECOND_US) if isinstance(choice, Rest) else 0
        next_turn_us = max(turn.at_us, now_us + rest_us)
        return Decision(seed=seed, choice=choice, observation=seen, next_turn_us=next_turn_us)

    async def _prepare(self, observed: Observed, decision: Decision) -> Prepared | None:
        """Gas, fees and funds. None when the turn ends without a transaction; why is recorded, unless the account was not asked
        for: then the turn is taken once more, and it will be."""
        world, wallet, choice = self._world, self.wallet, decision.choice
        if isinstance(choice, Rest):
            if not observed.kept:
                await self._rest(choice.reason, decision, observed)
            return None
        decided = self._decided(observed, decision, choice)
        try:
            gas = await estimate_gas(world, wallet, choice)
        except RpcRefused as refused:
            await self._refused_in_estimation(decided, refused, observed.tuning.plugins[decided.plugin])
            return None
        fees = await world.fees.suggest(await world.heads.first())
        nonce = wallet.next_nonce if wallet.next_nonce is not None else observed.account.next_nonce
        unsigned = Unsigned(chain_id=world.chain_rules.chain_id, nonce=nonce, call=choice.call, gas=gas, fees=fees)
        if unsigned.worst_cost_wei > observed.account.balance_wei:
            if not observed.kept:
                await self._park(unsigned.worst_cost_wei, observed.account.balance_wei, decided.next_turn_us)
            return None
        if wallet.parked_until_wei is not None:
            await unpark(world, self.name, observed.account.balance_wei)
        if world.dry_run:
            await self._reject(decided, "dry_run", "dry run: nothing is signed or sent", counts=False)
            return None
        return Prepared(decided=decided, unsigned=unsigned, account=observed.account.after(unsigned))

    async def _sign(self, prepared: Prepared) -> Recordable | None:
        """The transaction's final bytes. From here on they are what is sent, however often. None when they may not be signed."""
        decided = prepared.decided
        try:
            signed = await sign_attempt(self._world, self.name, decided.action_id, prepared.unsigned, number=1)
        except (NotAllowed, WrongSignature) as refused:
            await self._reject(decided, ERROR_CLASSES[type(refused)], str(refused), counts=True)
            return None
        except NoKey as gone:
            # a retired wallet's went with its place in the settings, while this turn was under way
            if not self.wallet.retired:
                await self._skip_turn(ERROR_CLASSES[NoKey], str(gone))
            return None
        self._silent_secs = 0.0
        return Recordable(decided=decided, transaction=signed, account=prepared.account)

    async def _wait_for_signer(self, silence: SignerUnavailable) -> None:
        """Whoever signs is not there: said once, and asked again ever later. No nonce is spent, and no error counted."""
        world = self._world
        if not self._silent_secs:
            error = ev.ErrorRecorded(error_class=ERROR_CLASSES[SignerUnavailable], message=describe(silence))
            await world.live.write(decisions.for_wallet(self.name, "", [error]))
        self._silent_secs = min(max(2 * self._silent_secs, world.pace.first_retry_secs), world.pace.longest_retry_secs)
        await self._nap(self._silent_secs)

    async def _record(self, signed: Recordable) -> None:
        """Decision and bytes, durable, before the first byte leaves."""
        rules = self._world.rules
        await self._world.live.commit(
            partial(decisions.open_slot, name=self.name, decided=signed.decided, signed=signed.transaction, rules=rules)
        )
        self._account = signed.account

    async def _within_limits(self, wallet: Wallet) -> bool:
        """Whether one more action fits; otherwise the wallet rests until one does."""
        world, now_us = self._world, self._world.clock.now_us()
        reached = decisions.limit_reached(wallet, Candidate(world.state), world.rules, NOTHING, now_us)
        if reached is None:
            return True
        rested = ev.WalletRested(reason=reached.reason, until_us=max(reached.room_at_us, now_us + SECOND_US))
        await world.live.write(decisions.for_wallet(self.name, "", [rested]))
        return False

    async def _rest(self, reason: str, decision: Decision, observed: Observed) -> None:
        events: list[ev.Event] = [ev.WalletRested(reason=reason, until_us=decision.next_turn_us, seed=decision.seed)]
        if observed.facts.balance_wei != self.wallet.balance_wei:
            events.append(ev.BalanceObserved(balance_wei=observed.facts.balance_wei))
        await self._world.live.write(decisions.for_wallet(self.name, "", events))

    async def _refused_in_estimation(self, decided: ev.ActionDecided, refused: RpcRefused, plugin: Plugin[Any]) -> None:
        """The node says now that it would fail: no nonce is spent. Whose fault it is, the plugin knows."""
        if refused.answer.cls is AnswerClass.INSUFFICIENT_FUNDS:
            await self._short_of_funds(decided)
            return
        reason = revert_reason(refused, plugin.errors)
        verdict = await judged(self._world, self.name, plugin, decided.kind, reason)
        await self._reject(
            decided, refused.answer.cls, reason, counts=verdict.counts and refused.answer.cls is AnswerClass.REVERTED
        )
        if verdict.rest_secs is not None:
            until_us = self._world.clock.now_us() + int(verdict.rest_secs * SECOND_US)
            rested = ev.WalletRested(reason=reason, until_us=max(until_us, decided.next_turn_us))
            await self._world.live.write(decisions.for_wallet(self.name, "", [rested]))

    async def _short_of_funds(self, decided: ev.ActionDecided) -> None:
        """The node says the wallet cannot pay, after a balance that said it can: read again, and wait for the least it needs."""
        world = self._world
        fees = await world.fees.suggest(await world.heads.first())
        need_wei = decided.call.value_wei + world.chain_rules.transfer_gas * fees.max_fee_wei
        balance_wei = await world.chain.balance(self.wallet.address)
        if balance_wei < need_wei:
            await self._park(need_wei, balance_wei, decided.next_turn_us)
            return
        rested = ev.WalletRested(reason="a node says insufficient funds", until_us=decided.next_turn_us)
        await world.live.write(decisions.for_wallet(self.name, "", [rested]))

    async def _reject(self, decided: ev.ActionDecided, error_class: str, reason: str, *, counts: bool) -> None:
        rules = self._world.rules
        rejected = ev.ActionRejected(action_id=decided.action_id, error_class=error_class, reason=reason, counts=counts)
        await self._world.live.commit(
            partial(decisions.reject, name=self.name, decided=decided, rejected=rejected, rules=rules)
        )

    async def _park(self, need_wei: int, balance_wei: int, next_turn_us: int) -> None:
        turn_secs = (next_turn_us - self._world.clock.now_us()) / SECOND_US
        self._parked_turn_at = asyncio.get_running_loop().time() + max(turn_secs, self._world.pace.park_secs)
        await park_or_say(self._world, self.wallet, need_wei, balance_wei)

    async def _skip_turn(self, error_class: str, message: str) -> None:
        """A turn came to nothing: say so, leave the wallet alone until its next regular one."""
        world = self._world
        seed = world.entropy.seed()
        turn = next_turn(world.profiles[self.wallet.profile], world.clock.now_us(), world.random(seed))
        error = ev.ErrorRecorded(error_class=error_class, message=message)
        rested = ev.WalletRested(reason=error_class, until_us=turn.at_us, seed=seed)
        await world.live.write(decisions.for_wallet(self.name, "", [error, rested]))

    def _decided(self, observed: Observed, decision: Decision, action: Action) -> ev.ActionDecided:
        wallet = observed.wallet
        return ev.ActionDecided(
            action_id=f"{wallet.id}/{wallet.decisions + 1}",
            plugin=wallet.plugin,
            kind=action.kind,
            params=action.params,
            seed=decision.seed,
            observation=decision.observation,
            profile=wallet.profile,
            config_digest=observed.tuning.config_digest,
            call=action.call,
            spend_wei=action.spend_wei,
            balance_wei=observed.facts.balance_wei,
            balance_read_us=observed.account.read_us if observed.kept else 0,
            next_turn_us=decision.next_turn_us,
        )

    async def _passable(self) -> None:
        """Wait for the gate, or for a nudge."""
        self.nudge.clear()
        waits = [asyncio.ensure_future(it) for it in (self._world.gate.passable(self.name), self.nudge.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    async def _nap(self, secs: float) -> None:
        """Wait, but not past a new head while a slot may change, nor past a nudge."""
        secs = min(secs, LONGEST_NAP_SECS)
        if self.wallet.slots:
            await self._world.heads.changed(secs)
            return
        self.nudge.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(secs):
                await self.nudge.wait()
