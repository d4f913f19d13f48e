"""What must hold, checked at every commit, every send, every block and every step; a second, independent book is kept here.

`Promises` sees what is durable (not what the service says), what leaves the service, and the true chain.
"""

from collections import deque
from collections.abc import Callable
from random import Random
from typing import Any

import msgspec

from ghostfleet.config.loaded import Loaded
from ghostfleet.domain import events as ev
from ghostfleet.domain.decisions import CONFIG_ACTOR
from ghostfleet.domain.limits import NOTHING
from ghostfleet.domain.operation import NATIVE, Operation
from ghostfleet.domain.slot import Pending
from ghostfleet.domain.state import State, encode_state
from ghostfleet.domain.values import DAY_US, HOUR_US, MINUTE_US, Address, AnswerClass, Hash, decode_octets
from ghostfleet.domain.wallet import BrokenFold
from ghostfleet.engine.gaps import FILL_GAP
from ghostfleet.engine.gate import Gate
from ghostfleet.plugins.api import Action, WalletFacts
from ghostfleet.store.codec import CODEC
from tests.simulation.chain import CHAIN_ID, CONTRACT, SINK, Block, SimulatedChain
from tests.simulation.memory_recorder import Commit
from tests.simulation.node import Node
from tests.simulation.practice import PracticePlugin, PracticeSettings, PracticeView
from tests.simulation.second_book import SecondBook
from tests.simulation.settings import PROFILES, SAFE
from tests.simulation.universe import Universe

UNKNOWN_ANSWERS_BEFORE_DROPPED = 3
CANCELLED = "cancelled"
LOOK_SECS = 10.0
"""An outcome may be recorded so long after the look at the chain that it tells of."""


class Promises:
    """The checks of safety. `shadow` is the fold of what is durable."""

    def __init__(self, universe: Universe, chain: SimulatedChain, addresses: dict[str, Address]) -> None:
        self.universe = universe
        self.chain = chain
        self.addresses = addresses
        self.nodes: dict[str, list[Node]] = {}
        """By the endpoint's name."""
        self.loaded: Loaded | None = None
        """The settings in force."""
        self.wanted: dict[str, Loaded] = {}
        """Those of this run's start and of its reloads, by digest: in force once they are recorded."""
        self.shadow = State()
        self.signed: dict[Hash, ev.TransactionSigned] = {}
        self.outsiders: dict[Hash, tuple[str, int]] = {}
        """Transactions that somebody else sent with a wallet's key: wallet, nonce."""
        self.explained: set[tuple[str, int]] = set()
        """(wallet, nonce) that the log says was used from outside."""
        self.paused = False
        """A pause was answered, and nobody has asked to resume since."""
        self.paused_by_operator = False
        """The same, whatever happens in between."""
        self.opened_at: dict[str, float] = {}
        """True time of each wallet's newest action."""
        self.counts: dict[str, int] = {}
        """Events by type, for reports."""
        self.emptied: set[str] = set()
        """Wallets that an extraction is done with, as long as nobody gives them anything."""
        self._given_at: dict[str, float] = {}
        self._steps: dict[str, tuple[str, str]] = {}
        """The operation and its step of each action that belongs to one."""
        self._step_effects: dict[tuple[str, str], set[Hash]] = {}
        """What steps have done on chain."""
        self._paid: dict[tuple[str, str], str] = {}
        """How each step of a funding that is over stood at its end."""
        self._nonce_of: dict[str, int] = {}
        self._used: dict[str, int] = {}
        self._effects: dict[Any, Hash] = {}
        self._now_us = 0
        self._hours: dict[str, list[int]] = {}
        self._minute: list[int] = []
        self._gas: dict[str, deque[tuple[int, int]]] = {}
        self._book = SecondBook()
        self._spend: dict[str, int] = {}
        """Tokens of each action, as it was decided."""
        self._tokens: dict[str, deque[tuple[int, int]]] = {}
        self._unknown_before: dict[tuple[str, Hash], int] = {}
        self._compared = -1
        self._final_ones: set[Hash] = set()
        self._limit_rests: dict[str, int] = {}
        self._fleet_keys = {address: name for name, address in addresses.items()}
        chain.on_block.append(self.on_block)
        chain.on_gone.append(self.on_gone)
        chain.on_credit.append(self.given)

    # --- what the service sends ----------------------------------------------------------------------------------------

    def on_send(self, raw_hex: str) -> None:
        """Bytes are leaving the service."""
        tx = self.chain.decode(bytes.fromhex(raw_hex[2:]))
        if tx.hash not in self.signed:
            self._violated(
                "signed bytes are durable before they leave", f"{tx.hash} of nonce {tx.nonce} is not in the log"
            )
        if self.paused and self._operation_of(self._fleet_keys.get(tx.sender, "")) is None:
            self._violated("stop means stop", f"{tx.hash} leaves although the pause was answered")
        if self.loaded is not None and self.loaded.run.dry_run:
            self._violated("a dry run sends nothing", f"{tx.hash} leaves")
        self.universe.story(f"        -> {tx.hash!s:.14} nonce {tx.nonce}")

    # --- what the chain does -------------------------------------------------------------------------------------------

    def on_block(self, block: Block) -> None:
        for done in block.done:
            if done.success and done.tx.body.call.value_wei:
                self.given(done.tx.body.call.to)
            name = self._fleet_keys.get(done.tx.sender)
            if name is None:
                continue
            kind = "" if done.success else " reverted"
            self.universe.story(f"  block {block.number}: {name} nonce {done.tx.nonce} {done.tx.hash!s:.14}{kind}")
            if done.tx.hash in self.outsiders:
                continue
            if done.tx.hash not in self.signed:
                self._violated("every transaction on chain is in the log", f"{done.tx.hash} of {name} is not")
                continue
            effect = done.tx.effect
            if done.success and effect is not None:
                before = self._effects.get(effect)
                if before is not None:
                    self._violated("nothing doubled", f"{name}: {before} and {done.tx.hash} do the same")
                self._effects[effect] = done.tx.hash
                self._step_took_effect(done.tx.hash)

    def _step_took_effect(self, tx: Hash) -> None:
        step = self._steps.get(self.signed[tx].action_id)
        if step is None:
            return
        effects = self._step_effects.setdefault(step, set())
        effects.add(tx)
        if len(effects) > 1:
            self._violated("a step has one effect", f"{step}: {sorted(map(str, effects))}")

    def given(self, address: Address) -> None:
        """Somebody gives native coin to this address."""
        name = self._fleet_keys.get(address, "")
        self.emptied.discard(name)
        self._given_at[name] = self.universe.now

    def on_gone(self, block: Block) -> None:
        for done in block.done:
            if done.tx.hash in self.signed:
                self._step_effects.get(self._steps.get(self.signed[done.tx.hash].action_id, ("", "")), set()).discard(
                    done.tx.hash
                )
            if done.tx.hash in self._final_ones:
                self._violated("final is final", f"{done.tx.hash} was taken back with block {block.number}")
            if done.success and done.tx.hash in self.signed and done.tx.effect is not None:
                self._effects.pop(done.tx.effect, None)

    # --- what becomes durable ------------------------------------------------------------------------------------------

    def on_durable(self, commit: Commit) -> None:
        for row in commit.rows:
            recorded = CODEC.decode(row)
            kind = type(recorded.event).__name__
            self.counts[kind] = self.counts.get(kind, 0) + 1
            self.universe.story(f"#{recorded.position} {recorded.stream} {recorded.event}"[:400])
            self._now_us = recorded.time_us
            self._bytes_are_known(recorded.event)
            check = CHECKS.get(type(recorded.event))
            if check is not None:
                check(self, recorded.wallet or "", recorded.event)
            try:
                self.shadow.apply(recorded)
            except BrokenFold as broken:
                self._violated("the log folds", str(broken))
                return
        reserved = sum((wallet.at_worst for wallet in self.shadow.wallets.values()), NOTHING)
        if self.shadow.fleet.ledger.reserved != reserved:
            self._violated("the ledger is of the slots", f"{self.shadow.fleet.ledger.reserved} is not {reserved}")

    def on_step(self, live: State, gate: Gate) -> None:
        """After every step of the service."""
        if live.position == self._compared:
            return
        if live.fleet.paused is not None and gate.is_open:
            self._violated("stop means stop", f"the gate is open at position {live.position}, the fleet is paused")
        if live.position > self.shadow.position:
            self._violated("nothing is visible before it is durable", f"{live.position} > {self.shadow.position}")
        if live.position == self.shadow.position:
            self._compared = live.position
            if live != self.shadow:
                self._violated("state is a fold", f"at position {live.position}: {_difference(live, self.shadow)}")

    def on_start(self, live: State) -> None:
        """A run has folded the log."""
        self.paused = self.shadow.fleet.paused is not None
        self._compared = -1
        if encode_state(live) != encode_state(self.shadow):
            self._violated("state is a fold", f"after a start: {_difference(live, self.shadow)}")

    # --- event by event ------------------------------------------------------------------------------------------------

    def _bytes_are_known(self, event: ev.Event) -> None:
        """An event that names a transaction of ours comes after the bytes."""
        tx = (
            None
            if isinstance(event, ev.TransactionSigned | ev.OutsideTransactionSeen)
            else getattr(event, "hash", None)
        )
        if tx is not None and tx not in self.signed:
            self._violated("no hash without its bytes", f"{type(event).__name__} names {tx}, which was never signed")

    def _config(self, name: str, event: ev.ConfigApplied) -> None:
        """From here on these are the settings in force, limits and all."""
        self.loaded = self.wanted[event.digest]

    def _signed(self, name: str, event: ev.TransactionSigned) -> None:
        wallet = self.shadow.wallets[name]
        tx = self.chain.decode(event.raw)
        if (tx.hash, tx.nonce, tx.sender) != (event.hash, event.nonce, wallet.address):
            self._violated("the log says what was signed", f"{event.hash} is nonce {tx.nonce} of {tx.sender}")
        self.signed[event.hash] = event
        known = (CONTRACT, SINK, *self.addresses.values(), *((SAFE,) if event.action_id in self._steps else ()))
        if event.to not in known:
            self._violated("a wallet signs to nobody it does not know", f"{event.action_id} goes to {event.to}")
        errand = event.action_id in self._steps
        open_ = self._book.signed(wallet.address, event, self._spend.get(event.action_id, 0), errand=errand)
        if event.attempt > 1:
            self._replacement(name, event)
            return
        if event.action_id in self._nonce_of:
            self._violated(
                "one action, one nonce", f"{event.action_id} at {self._nonce_of[event.action_id]} and {event.nonce}"
            )
        self._nonce_of[event.action_id] = event.nonce
        if wallet.deciding is not None and wallet.deciding.kind == FILL_GAP:
            return
        step = self._steps.get(event.action_id, ("", ""))
        for slot in wallet.slots:
            if isinstance(slot, Pending) and (not errand or slot.operation != step[0]):
                self._violated("one slot at a time", f"{name} opens {event.nonce} while {slot.nonce} is open")
        expected = self._used.get(name)
        if expected is not None and event.nonce != expected:
            self._violated("nonces without gaps", f"{name} signs nonce {event.nonce}, the next is {expected}")
        self._used[name] = event.nonce + 1
        if errand:
            self._count(name)
            return
        self.opened_at[name] = self.universe.now
        self._limits(name, event)
        if self.loaded is not None:
            for passed in self._book.passed(self.loaded.limits, open_, self._now_us):
                self._violated("limits hold", f"{event.action_id}: {passed}")
        if self.shadow.fleet.paused is not None:
            self._violated("stop means stop", f"{event.action_id} is signed while the fleet is paused")

    def _replacement(self, name: str, event: ev.TransactionSigned) -> None:
        slot = self.shadow.wallets[name].slot(event.nonce)
        assert isinstance(slot, Pending)
        old = slot.newest.fees
        over_a_nodes_cap = slot.accepted != slot.newest.hash and event.fees.max_fee_wei < old.max_fee_wei
        given_up = event.purpose == "cancel" and slot.newest.purpose == "action" and self._given_up(name)
        if given_up and event.fees == old:
            return
        if not over_a_nodes_cap and (
            event.fees.max_fee_wei * 100 < old.max_fee_wei * 110
            or event.fees.priority_fee_wei * 100 < old.priority_fee_wei * 110
        ):
            self._violated(
                "a replacement outbids", f"{event.action_id} attempt {event.attempt}: {old} then {event.fees}"
            )
        if len(slot.attempts) >= 16:
            self._violated("everything has a bound", f"{event.action_id} has {len(slot.attempts)} attempts")
        if self._held_back(name):
            self._violated("stop means stop", f"{event.action_id} is signed again while the fleet is paused")

    def _given_up(self, name: str) -> bool:
        """Whether an operator wants what is open to be cancelled: then also at the fee that is the highest that may be signed."""
        return any(it.kind == "cancel" and it.running and name in it.wallets for it in self.shadow.fleet.operations)

    def _held_back(self, name: str) -> bool:
        """Whether the fleet is paused, and this wallet does not act for an operation that was asked for since."""
        return self.shadow.fleet.paused is not None and self._operation_of(name) is None

    def _operation_of(self, name: str) -> Operation | None:
        """The operation that runs and has this wallet do something, or had; what a cancel left open is nothing it asks for."""
        for it in self.shadow.fleet.operations:
            if not it.suspended and name in it.wallets and not (it.kind == "cancel" and name in it.done):
                return it
        return None

    def _limits(self, name: str, event: ev.TransactionSigned) -> None:
        loaded = self.loaded
        assert loaded is not None
        hour, minute = self._count(name)
        if loaded.safety.max_actions_per_hour and hour > loaded.safety.max_actions_per_hour:
            self._violated("limits hold", f"{name}: {hour} actions in an hour")
        most = loaded.limits.transactions_per_minute
        if most and minute > most:
            self._violated("limits hold", f"{minute} transactions in a minute")
        gas = self._gas.setdefault(name, deque())
        now = max(self._now_us, gas[-1][0] if gas else 0)
        while gas and gas[0][0] <= now - DAY_US:
            gas.popleft()
        most = loaded.limits.gas_wei_per_wallet_per_day
        if most and sum(wei for _, wei in gas) + event.gas * event.fees.max_fee_wei > most:
            self._violated("limits hold", f"{name}: more gas than {most} wei in a day")
        most, spend = loaded.limits.tokens_per_wallet_per_day, self._spend.get(event.action_id, 0)
        if most and spend and self._spent(name) + spend > most:
            self._violated("limits hold", f"{name}: more tokens than {most} in a day")

    def _count(self, name: str) -> tuple[int, int]:
        """One more: how many of this wallet's in an hour, of all in a minute. A clock that was ahead, or goes back, hands out
        nothing: all that was ever signed is looked at."""
        counts = []
        for signed, span_us in ((self._hours.setdefault(name, []), HOUR_US), (self._minute, MINUTE_US)):
            signed.append(self._now_us)
            counts.append(sum(at > self._now_us - span_us for at in signed))
        return counts[0], counts[1]

    def _spent(self, name: str) -> int:
        """Tokens that the wallet's successes of the last day have spent."""
        spent = self._tokens.setdefault(name, deque())
        now = max(self._now_us, spent[-1][0] if spent else 0)
        while spent and spent[0][0] <= now - DAY_US:
            spent.popleft()
        return sum(amount for _, amount in spent)

    def _succeeded(self, name: str, event: ev.ActionSucceeded) -> None:
        self._book.succeeded(event, self._now_us)
        spent = self._tokens.setdefault(name, deque())
        spent.append((max(self._now_us, spent[-1][0] if spent else 0), self._spend.get(event.action_id, 0)))

    def at_limit(self, name: str) -> bool:
        """Whether the wallet waits because of a limit, be it one of earlier settings."""
        return self._limit_rests.get(name) == self.shadow.wallets[name].next_turn_us

    def _rested(self, name: str, event: ev.WalletRested) -> None:
        if event.reason.startswith("limit reached"):
            self._limit_rests[name] = event.until_us

    def _decided(self, name: str, event: ev.ActionDecided) -> None:
        """The decision can be made again from what it recorded."""
        self._spend[event.action_id] = event.spend_wei
        if (event.config_digest, event.throttle) != (self.shadow.fleet.config_digest, self.shadow.fleet.pace):
            self._violated("nothing unexplained", f"{event.action_id} names other settings than those in force")
        if event.operation:
            self._errand(name, event)
            return
        if event.kind == FILL_GAP:
            return
        seen = msgspec.convert(event.observation["wallet"], WalletFacts, dec_hook=decode_octets)
        view = msgspec.convert(event.observation["view"], PracticeView)
        plugin = PracticePlugin(PracticeSettings(), chain_id=CHAIN_ID)
        again = plugin.decide(view, seen, PROFILES[event.profile], Random(event.seed))
        if not isinstance(again, Action) or (again.kind, again.call) != (event.kind, event.call):
            self._violated("nothing unexplained", f"{event.action_id} cannot be decided again: {again}")

    def _errand(self, name: str, event: ev.ActionDecided) -> None:
        """Decided for an operation that runs and covers the wallet, under the name of a step that is not done or under way."""
        operation = self.shadow.fleet.operation(event.operation)
        if operation is None or operation.suspended or name not in operation.wallets or name in operation.done:
            self._violated(
                "an operation asks its own wallets while it runs", f"{event.action_id} for {event.operation}"
            )
            return
        step = operation.steps.get(event.step)
        if step is not None and step.state != "failed":
            self._violated(
                "a step has one effect", f"{event.action_id}: {event.step} is {step.state}: {step.action_id}"
            )
        self._steps[event.action_id] = (event.operation, event.step)

    def _wallet_done(self, name: str, event: ev.OperationWalletDone) -> None:
        operation = self.shadow.fleet.operation(event.operation_id)
        if operation is None or event.wallet in operation.done:
            self._violated("an outcome is recorded once", f"{event.wallet} of {event.operation_id}")
            return
        given_lately = self.universe.now - self._given_at.get(event.wallet, -LOOK_SECS) < LOOK_SECS
        if operation.kind == "extract" and not event.result["remarks"] and not given_lately:
            self.emptied.add(event.wallet)

    def _failed(self, name: str, event: ev.ActionFailed) -> None:
        """A payment that a reorganisation took back after its operation had ended, and that an operator then cancelled."""
        step = self._steps.get(event.action_id, ("", ""))
        if step in self._paid and event.reason == CANCELLED:
            self._paid[step] = "failed"

    def _finished(self, name: str, event: ev.OperationFinished) -> None:
        operation = self.shadow.fleet.operation(event.operation_id)
        if operation is None:
            self._violated("an outcome is recorded once", f"{event.operation_id} ended before")
        elif operation.kind == "fund" and event.outcome == "done":
            for target in operation.params["targets"]:
                step = operation.steps.get(f"{target}/{NATIVE}")
                self._paid[operation.id, f"{target}/{NATIVE}"] = "missing" if step is None else step.state

    def _mined(self, name: str, event: ev.TransactionMined) -> None:
        block = self.chain.by_hash.get(event.block.hash)
        if block is None or block.number != event.block.number:
            self._violated("a receipt is of a block", f"{event.hash} in {event.block}")
            return
        done = next((it for it in block.done if it.tx.hash == event.hash), None)
        if done is None or done.success != event.success or done.gas_used != event.gas_used:
            self._violated(
                "the log says what the chain did", f"{event.hash} in block {block.number}: {event} is not {done}"
            )
        gas = self._gas.setdefault(name, deque())
        now = max(self._now_us, gas[-1][0] if gas else 0)
        gas.append((now, event.gas_used * event.gas_price_wei))
        self._book.mined(event, self._now_us)

    def _reorged(self, name: str, event: ev.TransactionReorged) -> None:
        self._book.reorged(event)
        gas = self._gas.get(name)
        if gas:
            gas.pop()

    def _final(self, name: str, event: ev.TransactionFinal) -> None:
        block = self.chain.block_of(event.hash)
        if block is None:
            self._violated("final is final", f"{event.hash} is not in the chain")
        self._final_ones.add(event.hash)

    def _superseded(self, name: str, event: ev.TransactionSuperseded) -> None:
        wallet = self.shadow.wallets[name]
        slot = wallet.slot(event.nonce)
        assert slot is not None
        attempts = slot.attempts if isinstance(slot, Pending) else slot.pending.attempts
        for attempt in attempts:
            if self.chain.block_of(attempt.hash) is not None:
                self._violated("a slot is given up only to a stranger", f"{attempt.hash} is in the chain")
        taker = self.chain.used_by(wallet.address, event.nonce)
        if taker is None:
            self._violated("a slot is given up only to a stranger", f"nonce {event.nonce} of {name} is not used")
        elif event.by is not None and event.by != taker.hash:
            self._violated("the log says what the chain did", f"nonce {event.nonce} of {name} went to {taker.hash}")
        self.explained.add((name, event.nonce))
        self._book.superseded(event)

    def _outside(self, name: str, event: ev.OutsideTransactionSeen) -> None:
        if event.hash not in self.outsiders:
            self._violated("ours is never called a stranger's", f"{event.hash} of {name}")
        self.explained.add((name, event.nonce))

    def _resynced(self, name: str, event: ev.NonceResynced) -> None:
        self.explained.update((name, nonce) for nonce in range(event.from_nonce, event.to_nonce))
        self._used[name] = event.to_nonce

    def _dropped(self, name: str, event: ev.TransactionDropped) -> None:
        drained = event.endpoint in self.shadow.fleet.drained_endpoints  # then the others are asked in its place
        asked = [node for name, nodes in self.nodes.items() if drained or name == event.endpoint for node in nodes]
        said = sum(node.unknown.get(event.hash, 0) for node in asked)
        before = self._unknown_before.get((event.endpoint, event.hash), 0)
        if said - before < UNKNOWN_ANSWERS_BEFORE_DROPPED:
            self._violated(
                "dropped needs several answers", f"{event.endpoint} said {said - before} times it lacks {event.hash}"
            )
        self._unknown_before[event.endpoint, event.hash] = said

    def _resumed(self, name: str, event: ev.FleetResumed) -> None:
        paused = self.shadow.fleet.paused
        if event.actor == CONFIG_ACTOR:
            if self.paused_by_operator or paused is None or paused.actor != CONFIG_ACTOR:
                self._violated("stop means stop", f"the settings end a pause of {paused}")
            self.paused = False

    def _error(self, name: str, event: ev.ErrorRecorded) -> None:
        if event.error_class == "defect":
            self._violated("no defect", f"{name}: {event.message}")
        if event.error_class == "observation" and "RpcRefused: " not in event.message:
            self._violated("no defect", f"{name} observes: {event.message}")
        if event.counts and event.error_class not in (AnswerClass.INSUFFICIENT_FUNDS, AnswerClass.MALFORMED):
            self._violated("only its own errors count against a wallet", f"{name}: {event.error_class} {event.message}")

    def _rejected(self, name: str, event: ev.ActionRejected) -> None:
        if event.counts and event.error_class not in (AnswerClass.REVERTED, "not_allowed"):
            self._violated("only its own errors count against a wallet", f"{name}: {event.error_class} {event.reason}")

    def _violated(self, promise: str, what: str) -> None:
        self.universe.violated(promise, what)

    # --- at the end ----------------------------------------------------------------------------------------------------

    def at_end(self, safe_after: float) -> None:
        """Chain and log agree. Outsiders' transactions count when they were in the chain before `safe_after`."""
        for step, state in self._paid.items():
            effects = len(self._step_effects.get(step, ()))
            if effects != {"done": 1, "failed": 0}.get(state):
                self._violated("a funding pays exactly once", f"{step} is {state} and has {effects} effects")
        for block, done in self.chain.canonical_transactions():
            name = self._fleet_keys.get(done.tx.sender)
            if name is None or done.tx.hash in self.signed or block.time_secs > safe_after:
                continue
            if (name, done.tx.nonce) not in self.explained and self._nonce_known(name, done.tx.nonce):
                self._violated(
                    "every transaction on chain is in the log", f"a stranger's nonce {done.tx.nonce} of {name}"
                )

    def _nonce_known(self, name: str, nonce: int) -> bool:
        """Whether the log has gone beyond this nonce; what came before the first slot of a wallet is not its business."""
        mine = [event.nonce for event in self.signed.values() if event.action_id.startswith(name + "/")]
        return bool(mine) and min(mine) < nonce < max(mine)


CHECKS: dict[type[ev.Event], Callable[[Promises, str, Any], None]] = {
    ev.ConfigApplied: Promises._config,
    ev.WalletRested: Promises._rested,
    ev.ActionDecided: Promises._decided,
    ev.TransactionSigned: Promises._signed,
    ev.TransactionMined: Promises._mined,
    ev.TransactionReorged: Promises._reorged,
    ev.TransactionFinal: Promises._final,
    ev.TransactionSuperseded: Promises._superseded,
    ev.OutsideTransactionSeen: Promises._outside,
    ev.NonceResynced: Promises._resynced,
    ev.TransactionDropped: Promises._dropped,
    ev.FleetResumed: Promises._resumed,
    ev.ErrorRecorded: Promises._error,
    ev.ActionRejected: Promises._rejected,
    ev.ActionSucceeded: Promises._succeeded,
    ev.ActionFailed: Promises._failed,
    ev.OperationWalletDone: Promises._wallet_done,
    ev.OperationFinished: Promises._finished,
}


def _difference(live: State, shadow: State) -> str:
    """The first part in which two states differ."""
    if live.fleet != shadow.fleet:
        return f"fleet {live.fleet} is not {shadow.fleet}"
    for name in sorted(set(live.wallets) | set(shadow.wallets)):
        if live.wallets.get(name) != shadow.wallets.get(name):
            return f"{name}: {live.wallets.get(name)} is not {shadow.wallets.get(name)}"
    return f"position {live.position}, {shadow.position}"
