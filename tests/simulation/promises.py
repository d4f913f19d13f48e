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
from ghostfleet.domain.slot import Pending
from ghostfleet.domain.state import State, encode_state
from ghostfleet.domain.values import DAY_US, HOUR_US, MINUTE_US, Address, AnswerClass, Hash, decode_octets
from ghostfleet.domain.wallet import BrokenFold
from ghostfleet.engine.gaps import FILL_GAP
from ghostfleet.engine.gate import Gate
from ghostfleet.plugins.api import Action, WalletFacts
from ghostfleet.store.codec import CODEC
from tests.simulation.chain import CHAIN_ID, Block, SimulatedChain
from tests.simulation.memory_recorder import Commit
from tests.simulation.node import Node
from tests.simulation.practice import PracticePlugin, PracticeSettings, PracticeView
from tests.simulation.settings import PROFILES
from tests.simulation.universe import Universe

UNKNOWN_ANSWERS_BEFORE_DROPPED = 3


class Promises:
    """The checks of safety. `shadow` is the fold of what is durable."""

    def __init__(self, universe: Universe, chain: SimulatedChain, addresses: dict[str, Address]) -> None:
        self.universe = universe
        self.chain = chain
        self.addresses = addresses
        self.nodes: dict[str, list[Node]] = {}
        """By the endpoint's name."""
        self.loaded: Loaded | None = None
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
        self._nonce_of: dict[str, int] = {}
        self._used: dict[str, int] = {}
        self._effects: dict[Any, Hash] = {}
        self._now_us = 0
        self._hours: dict[str, deque[int]] = {}
        self._minute: deque[int] = deque()
        self._gas: dict[str, deque[tuple[int, int]]] = {}
        self._unknown_before: dict[tuple[str, Hash], int] = {}
        self._compared = -1
        self._final_ones: set[Hash] = set()
        self._limit_rests: dict[str, int] = {}
        self._fleet_keys = {address: name for name, address in addresses.items()}
        chain.on_block.append(self.on_block)
        chain.on_gone.append(self.on_gone)

    # --- what the service sends ----------------------------------------------------------------------------------------

    def on_send(self, raw_hex: str) -> None:
        """Bytes are leaving the service."""
        tx = self.chain.decode(bytes.fromhex(raw_hex[2:]))
        if tx.hash not in self.signed:
            self._violated(
                "signed bytes are durable before they leave", f"{tx.hash} of nonce {tx.nonce} is not in the log"
            )
        if self.paused:
            self._violated("stop means stop", f"{tx.hash} leaves although the pause was answered")
        if self.loaded is not None and self.loaded.run.dry_run:
            self._violated("a dry run sends nothing", f"{tx.hash} leaves")
        self.universe.story(f"        -> {tx.hash!s:.14} nonce {tx.nonce}")

    # --- what the chain does -------------------------------------------------------------------------------------------

    def on_block(self, block: Block) -> None:
        for done in block.done:
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

    def on_gone(self, block: Block) -> None:
        for done in block.done:
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
            check = CHECKS.get(type(recorded.event))
            if check is not None:
                check(self, recorded.wallet or "", recorded.event)
            try:
                self.shadow.apply(recorded)
            except BrokenFold as broken:
                self._violated("the log folds", str(broken))
                return

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

    def _signed(self, name: str, event: ev.TransactionSigned) -> None:
        wallet = self.shadow.wallets[name]
        tx = self.chain.decode(event.raw)
        if (tx.hash, tx.nonce, tx.sender) != (event.hash, event.nonce, wallet.address):
            self._violated("the log says what was signed", f"{event.hash} is nonce {tx.nonce} of {tx.sender}")
        self.signed[event.hash] = event
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
        for slot in wallet.slots:
            if isinstance(slot, Pending):
                self._violated("one slot at a time", f"{name} opens {event.nonce} while {slot.nonce} is open")
        expected = self._used.get(name)
        if expected is not None and event.nonce != expected:
            self._violated("nonces without gaps", f"{name} signs nonce {event.nonce}, the next is {expected}")
        self._used[name] = event.nonce + 1
        self.opened_at[name] = self.universe.now
        self._limits(name, event)
        if self.shadow.fleet.paused is not None:
            self._violated("stop means stop", f"{event.action_id} is signed while the fleet is paused")

    def _replacement(self, name: str, event: ev.TransactionSigned) -> None:
        slot = self.shadow.wallets[name].slot(event.nonce)
        assert isinstance(slot, Pending)
        old = slot.newest.fees
        over_a_nodes_cap = slot.accepted != slot.newest.hash and event.fees.max_fee_wei < old.max_fee_wei
        if not over_a_nodes_cap and (
            event.fees.max_fee_wei * 100 < old.max_fee_wei * 110
            or event.fees.priority_fee_wei * 100 < old.priority_fee_wei * 110
        ):
            self._violated(
                "a replacement outbids", f"{event.action_id} attempt {event.attempt}: {old} then {event.fees}"
            )
        if len(slot.attempts) >= 16:
            self._violated("everything has a bound", f"{event.action_id} has {len(slot.attempts)} attempts")
        if self.shadow.fleet.paused is not None:
            self._violated("stop means stop", f"{event.action_id} is signed again while the fleet is paused")

    def _limits(self, name: str, event: ev.TransactionSigned) -> None:
        loaded = self.loaded
        assert loaded is not None
        hour = self._hours.setdefault(name, deque())
        now = max(self._now_us, hour[-1] if hour else 0)  # a clock that went back hands out nothing
        hour.append(now)
        while hour[0] <= now - HOUR_US:
            hour.popleft()
        if loaded.safety.max_actions_per_hour and len(hour) > loaded.safety.max_actions_per_hour:
            self._violated("limits hold", f"{name}: {len(hour)} actions in an hour")
        minute = self._minute
        now = max(self._now_us, minute[-1] if minute else 0)
        minute.append(now)
        while minute[0] <= now - MINUTE_US:
            minute.popleft()
        most = loaded.limits.transactions_per_minute
        if most and len(minute) > most:
            self._violated("limits hold", f"{len(minute)} transactions in a minute")
        gas = self._gas.setdefault(name, deque())
        now = max(self._now_us, gas[-1][0] if gas else 0)
        while gas and gas[0][0] <= now - DAY_US:
            gas.popleft()
        most = loaded.limits.gas_wei_per_wallet_per_day
        if most and sum(wei for _, wei in gas) + event.gas * event.fees.max_fee_wei > most:
            self._violated("limits hold", f"{name}: more gas than {most} wei in a day")

    def at_limit(self, name: str) -> bool:
        """Whether the wallet waits because of a limit, be it one of earlier settings."""
        return self._limit_rests.get(name) == self.shadow.wallets[name].next_turn_us

    def _rested(self, name: str, event: ev.WalletRested) -> None:
        if event.reason.startswith("limit reached"):
            self._limit_rests[name] = event.until_us

    def _decided(self, name: str, event: ev.ActionDecided) -> None:
        """The decision can be made again from what it recorded."""
        if event.kind == FILL_GAP:
            return
        seen = msgspec.convert(event.observation["wallet"], WalletFacts, dec_hook=decode_octets)
        view = msgspec.convert(event.observation["view"], PracticeView)
        plugin = PracticePlugin(PracticeSettings(), chain_id=CHAIN_ID)
        again = plugin.decide(view, seen, PROFILES[event.profile], Random(event.seed))
        if not isinstance(again, Action) or (again.kind, again.call) != (event.kind, event.call):
            self._violated("nothing unexplained", f"{event.action_id} cannot be decided again: {again}")

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

    def _reorged(self, name: str, event: ev.TransactionReorged) -> None:
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

    def _outside(self, name: str, event: ev.OutsideTransactionSeen) -> None:
        if event.hash not in self.outsiders:
            self._violated("ours is never called a stranger's", f"{event.hash} of {name}")
        self.explained.add((name, event.nonce))

    def _resynced(self, name: str, event: ev.NonceResynced) -> None:
        self.explained.update((name, nonce) for nonce in range(event.from_nonce, event.to_nonce))
        self._used[name] = event.to_nonce

    def _dropped(self, name: str, event: ev.TransactionDropped) -> None:
        said = sum(node.unknown.get(event.hash, 0) for node in self.nodes.get(event.endpoint, ()))
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
        if event.error_class == "observation" and not event.message.startswith("RpcRefused"):
            self._violated("no defect", f"{name} observes: {event.message}")
        if event.counts and event.error_class != AnswerClass.INSUFFICIENT_FUNDS:
            self._violated("only its own errors count against a wallet", f"{name}: {event.error_class} {event.message}")

    def _rejected(self, name: str, event: ev.ActionRejected) -> None:
        if event.counts and event.error_class != AnswerClass.REVERTED:
            self._violated("only its own errors count against a wallet", f"{name}: {event.error_class} {event.reason}")

    def _violated(self, promise: str, what: str) -> None:
        self.universe.violated(promise, what)

    # --- at the end ----------------------------------------------------------------------------------------------------

    def at_end(self, safe_after: float) -> None:
        """Chain and log agree. Outsiders' transactions count when they were in the chain before `safe_after`."""
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
}


def _difference(live: State, shadow: State) -> str:
    """The first part in which two states differ."""
    if live.fleet != shadow.fleet:
        return f"fleet {live.fleet} is not {shadow.fleet}"
    for name in sorted(set(live.wallets) | set(shadow.wallets)):
        if live.wallets.get(name) != shadow.wallets.get(name):
            return f"{name}: {live.wallets.get(name)} is not {shadow.wallets.get(name)}"
    return f"position {live.position}, {shadow.position}"
