"""However many wallets act at once, and in whatever order things happen to them: together they pass no limit."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ghostfleet.config.settings import SECTIONS
from ghostfleet.domain import decisions
from ghostfleet.domain import events as ev
from ghostfleet.domain.bounds import bounds
from ghostfleet.domain.breaker import BreakerPolicy
from ghostfleet.domain.decisions import Rules
from ghostfleet.domain.fleet import FleetPolicy
from ghostfleet.domain.limits import NOTHING, PACE_LIMITS, SPENDING_LIMITS, Limits, Spending
from ghostfleet.domain.state import Candidate, State, decode_state, encode_state
from ghostfleet.domain.values import DAY_US, HOUR_US, Address, BlockRef, Call, Fees, Hash, Octets

T0 = 1_750_000_000_000_000
NAMES = ("w1", "w2", "w3")
OWN = {name: Address(name.encode() * 10) for name in NAMES}
ELSEWHERE = Address(b"somebody else 123456")


@dataclass
class Bench:
    """A fleet's state, changed as the engine does: by decisions that are folded."""

    rules: Rules
    now_us: int = T0
    state: State = field(default_factory=State)
    nonces: dict[str, int] = field(default_factory=lambda: dict.fromkeys(NAMES, 0))

    def __post_init__(self) -> None:
        for name, address in OWN.items():
            registered = ev.WalletRegistered(address=address, profile="p", plugin="p", first_turn_us=0)
            self.commit(lambda _state, _now, name=name, it=registered: decisions.for_wallet(name, "", [it]))

    def commit(self, decide: Callable[[Candidate, int], Any]) -> list[ev.Event]:
        candidate = Candidate(self.state)
        events = decide(candidate, self.now_us)
        candidate.try_events(events, self.now_us)
        candidate.swap()
        return [new.event for new in events]

    def open(
        self, name: str, spending: Spending, *, to: Address = ELSEWHERE, operation: str = ""
    ) -> ev.ActionRejected | None:
        """An action of this worst case, gas in units at 1 wei. Returns its rejection, if a limit forbids it."""
        wallet, nonce = self.state.wallets[name], self.nonces[name]
        action_id = f"{name}/{wallet.decisions + 1}"
        call = Call(to=to, value_wei=spending.value_wei)
        decided = ev.ActionDecided(
            action_id=action_id, plugin="p", kind="k", params={}, seed=0, observation={}, profile="p", config_digest="",
            call=call, spend_wei=spending.tokens, balance_wei=0, next_turn_us=0, operation=operation,
        )  # fmt: skip
        signed = self.signed(action_id, nonce, 1, spending.gas_wei, call)
        if operation:
            self.commit(lambda *_: decisions.for_wallet(name, action_id, [decided, signed]))
            self.nonces[name] += 1
            return None
        events = self.commit(
            lambda state, now: decisions.open_slot(
                state, now, name=name, decided=decided, signed=signed, rules=self.rules
            )
        )
        if isinstance(events[-1], ev.ActionRejected):
            return events[-1]
        self.nonces[name] += 1
        return None

    def signed(self, action_id: str, nonce: int, attempt: int, gas: int, call: Call) -> ev.TransactionSigned:
        return ev.TransactionSigned(
            action_id=action_id, nonce=nonce, attempt=attempt, purpose="action", raw=Octets(b""), to=call.to,
            hash=Hash(f"{action_id} {attempt}".encode().rjust(32)), value_wei=call.value_wei, gas=gas, fees=Fees(1, 1),
        )  # fmt: skip

    def mine(self, name: str, *, share: float = 1.0, success: bool = True) -> None:
        """The wallet's open slot gets into a block, having used a share of its gas; its outcome comes with `settle`."""
        slot = self.state.wallets[name].pending[0]
        newest = slot.newest
        mined = ev.TransactionMined(
            action_id=slot.action_id, nonce=slot.nonce, attempt=newest.number, hash=newest.hash, success=success,
            block=BlockRef(1, Hash(bytes(32))), gas_used=int(newest.gas * share), gas_price_wei=1,
        )  # fmt: skip
        self.commit(
            lambda state, now: decisions.include(
                state, now, name=name, mined=mined, rules=self.rules, head_number=1, counts=False
            )
        )

    def settle(self, name: str) -> None:
        included = self.state.wallets[name].included[-1]
        if not included.settled:
            nonce, rules = included.nonce, self.rules
            self.commit(
                lambda state, now: decisions.settle(state, now, name=name, nonce=nonce, rules=rules, counts=False)
            )

    def happen(self, name: str, *events: ev.Event) -> None:
        self.commit(lambda *_: decisions.for_wallet(name, "", events))

    def check(self) -> None:
        """The ledger is of the slots, and a snapshot has it."""
        reserved = sum((wallet.at_worst for wallet in self.state.wallets.values()), NOTHING)
        assert self.state.fleet.ledger.reserved == reserved
        assert decode_state(encode_state(self.state)) == self.state

    def reorganise(self, name: str) -> None:
        (included,) = self.state.wallets[name].included
        action_id, nonce, tx = included.action_id, included.nonce, included.attempt.hash
        self.happen(name, ev.TransactionReorged(action_id=action_id, nonce=nonce, hash=tx, block=included.block))

    def finalise(self, name: str) -> None:
        (included,) = self.state.wallets[name].included
        self.happen(
            name,
            ev.TransactionFinal(action_id=included.action_id, nonce=included.nonce, hash=included.attempt.hash),
        )

    def lose(self, name: str) -> None:
        nonce = self.state.wallets[name].pending[0].nonce
        self.commit(
            lambda state, now: decisions.supersede(state, now, name=name, nonce=nonce, by=None, rules=self.rules)
        )


def bench(**limits: int) -> Bench:
    never = BreakerPolicy(max_consecutive_errors=10**6)
    calm = FleetPolicy(trip_share=0.0)
    return Bench(Rules(limits=Limits(**limits), breaker=never, fleet=calm, confirmations=2, finality_blocks=3))


def test_every_limit_has_its_key_in_the_settings() -> None:
    state = bench().state
    each = Limits(**dict.fromkeys(Limits.__struct_fields__, 1))
    keys = [it.key for it in bounds(state.wallets["w1"], state.fleet, each, NOTHING)]
    assert sorted(keys) == sorted((*PACE_LIMITS, *SPENDING_LIMITS))
    known = {*SECTIONS["limits"].model_fields, *SECTIONS["safety"].model_fields}
    assert set(keys) <= known


@pytest.mark.parametrize(
    ("limit", "key", "words", "spending"),
    [
        ("gas_wei_per_action", "gas_wei_per_action", "gas wei per action 5", Spending(gas_wei=6)),
        ("value_wei_per_action", "value_wei_per_action", "value wei per action 5", Spending(value_wei=6)),
        ("tokens_per_action", "tokens_per_action", "tokens per action 5", Spending(tokens=6)),
        ("gas_wei_per_day", "gas_wei_per_wallet_per_day", "gas wei per day 5", Spending(gas_wei=6)),
        ("value_wei_per_day", "value_wei_per_wallet_per_day", "value wei per day 5", Spending(value_wei=6)),
        ("tokens_per_day", "tokens_per_wallet_per_day", "tokens per day 5", Spending(tokens=6)),
        ("fleet_gas_wei_per_day", "fleet_gas_wei_per_day", "fleet gas wei per day 5", Spending(gas_wei=6)),
        ("fleet_value_wei_per_day", "fleet_value_wei_per_day", "fleet value wei per day 5", Spending(value_wei=6)),
        ("fleet_tokens_per_day", "fleet_tokens_per_day", "fleet tokens per day 5", Spending(tokens=6)),
    ],
)
def test_an_action_over_a_limit_is_rejected_and_takes_no_nonce(
    limit: str, key: str, words: str, spending: Spending
) -> None:
    it = bench(**{limit: 5})
    rejected = it.open("w1", spending)
    assert rejected is not None
    assert (rejected.error_class, rejected.limit, rejected.counts) == ("limit", key, False)
    assert rejected.reason == f"limit reached: {words}"
    wallet = it.state.wallets["w1"]
    assert (wallet.slots, wallet.next_nonce, wallet.totals.rejected) == ((), None, 1)
    assert it.open("w1", Spending(gas_wei=5, value_wei=5, tokens=5)) is None


def test_what_one_wallet_has_open_counts_against_the_others_until_it_is_known() -> None:
    it = bench(fleet_gas_wei_per_day=10)
    assert it.open("w1", Spending(gas_wei=7)) is None
    rejected = it.open("w2", Spending(gas_wei=4))
    assert rejected is not None
    assert rejected.limit == "fleet_gas_wei_per_day"
    it.mine("w1", share=0.8)
    assert it.open("w2", Spending(gas_wei=5)) is None
    assert it.open("w3", Spending(gas_wei=1)) is not None
    it.now_us += 2 * DAY_US
    it.mine("w2", share=0.1)
    assert it.open("w3", Spending(gas_wei=10)) is None


@pytest.mark.parametrize("kind", ["gas_wei", "value_wei", "tokens"])
@pytest.mark.parametrize("whose", ["", "fleet_"])
def test_what_was_spent_in_a_day_counts_for_a_day(kind: str, whose: str) -> None:
    it = bench(**{f"{whose}{kind}_per_day": 10})
    other = "w2" if whose else "w1"
    assert it.open("w1", Spending(**{kind: 6})) is None
    if whose:
        assert it.open("w2", Spending(**{kind: 5})) is not None  # while the other one is open
    it.mine("w1")
    if whose:
        assert it.open("w2", Spending(**{kind: 5})) is not None  # of which the outcome is not known yet
    it.settle("w1")
    it.finalise("w1")
    assert it.open(other, Spending(**{kind: 5})) is not None
    it.now_us += DAY_US // 2
    assert it.open(other, Spending(**{kind: 5})) is not None
    it.now_us += DAY_US
    assert it.open(other, Spending(**{kind: 5})) is None
    it.check()


def test_the_tokens_of_an_action_count_once_while_an_earlier_one_is_not_final() -> None:
    it = bench(fleet_tokens_per_day=10)
    for _ in range(2):
        assert it.open("w1", Spending(tokens=3)) is None
        it.mine("w1")
        it.settle("w1")
    assert it.state.fleet.ledger.tokens.total(it.now_us) == 6
    assert it.open("w2", Spending(tokens=4)) is None


def test_what_is_lost_or_reverted_is_not_spent_but_its_gas_is() -> None:
    it = bench(fleet_value_wei_per_day=10, fleet_tokens_per_day=10, fleet_gas_wei_per_day=10)
    assert it.open("w1", Spending(gas_wei=3, value_wei=10, tokens=10)) is None
    it.lose("w1")
    assert it.open("w1", Spending(gas_wei=4, value_wei=10, tokens=10)) is None
    it.mine("w1", success=False)
    it.settle("w1")
    assert it.open("w2", Spending(gas_wei=7, value_wei=10, tokens=10)) is not None
    assert it.open("w2", Spending(gas_wei=6, value_wei=10, tokens=10)) is None
    it.check()


def test_what_a_wallet_sends_to_itself_is_not_spent() -> None:
    it = bench(value_wei_per_action=5, value_wei_per_day=5, fleet_value_wei_per_day=5)
    assert it.open("w1", Spending(gas_wei=1, value_wei=100), to=OWN["w1"]) is None
    it.mine("w1")
    assert it.state.fleet.ledger.value.total(it.now_us) == 0
    assert it.open("w2", Spending(gas_wei=1, value_wei=100), to=OWN["w1"]) is not None


def test_what_an_operator_asked_for_uses_up_nothing_but_gas() -> None:
    it = bench(value_wei_per_day=5, tokens_per_day=5, fleet_value_wei_per_day=5, fleet_tokens_per_day=5)
    it.open("w1", Spending(gas_wei=2, value_wei=1000, tokens=1000), operation="op-1")
    assert it.state.fleet.ledger.reserved == Spending(gas_wei=2)
    it.mine("w1")
    it.settle("w1")
    wallet = it.state.wallets["w1"]
    assert [window.total(it.now_us) for window in (wallet.gas_spent, wallet.value_spent, wallet.tokens_spent)] == [
        2,
        0,
        0,
    ]
    it.check()


def test_a_replacement_is_not_held_back_and_counts_from_then_on() -> None:
    it = bench(fleet_gas_wei_per_day=10)
    assert it.open("w1", Spending(gas_wei=6)) is None
    dearer = it.signed("w1/1", 0, 2, 12, Call(to=ELSEWHERE))
    it.commit(
        lambda s, now: decisions.replace_attempt(s, now, name="w1", signed=dearer, expected_attempts=1, rules=it.rules)
    )
    assert it.state.fleet.ledger.reserved == Spending(gas_wei=12)
    assert it.open("w2", Spending(gas_wei=1)) is not None
    it.check()


AMOUNTS = st.integers(0, 6)
SPENDINGS = st.builds(Spending, gas_wei=AMOUNTS, value_wei=AMOUNTS, tokens=AMOUNTS)
HAPPENINGS = ("act", "act", "mine", "revert", "settle", "final", "reorganise", "lose", "wait")
STEPS = st.lists(st.tuples(st.sampled_from(NAMES), SPENDINGS, st.sampled_from(HAPPENINGS)), max_size=60)
KINDS = ("gas_wei", "value_wei", "tokens")


@dataclass
class Book:
    """What was really spent, exactly, beside what the bench says."""

    spent: list[tuple[int, str, Spending]] = field(default_factory=list)

    def mined(self, it: Bench, name: str, success: bool) -> None:
        newest = it.state.wallets[name].pending[0].newest
        value_wei = newest.value_wei if success else 0
        self.spent.append((it.now_us, name, Spending(gas_wei=newest.gas // 2, value_wei=value_wei)))

    def settled(self, it: Bench, name: str) -> None:
        (included,) = it.state.wallets[name].included
        if included.success and not included.settled:
            self.spent.append((it.now_us, name, Spending(tokens=included.pending.spend_wei)))

    def total(self, it: Bench, name: str = "") -> Spending:
        """Of the last day and of what is open, of one wallet or of all."""
        spent = [entry for at_us, who, entry in self.spent if at_us > it.now_us - DAY_US and name in ("", who)]
        held = [wallet.at_worst for wallet in it.state.wallets.values() if name in ("", wallet.id)]
        return sum((*spent, *held), NOTHING)


@settings(max_examples=200, deadline=None)
@given(own=st.tuples(*[st.integers(0, 20)] * 3), fleet=st.tuples(*[st.integers(0, 20)] * 3), steps=STEPS)
def test_no_order_of_things_lets_wallets_pass_a_limit(
    own: tuple[int, ...], fleet: tuple[int, ...], steps: list[tuple[str, Spending, str]]
) -> None:
    wanted = {f"{kind}_per_day": limit for kind, limit in zip(KINDS, own, strict=True)}
    it = bench(**wanted, **{f"fleet_{kind}_per_day": limit for kind, limit in zip(KINDS, fleet, strict=True)})
    book = Book()
    for name, spending, step in steps:
        wallet = it.state.wallets[name]
        if step == "act" and not wallet.slots and it.open(name, spending) is None:
            for total, limits in ((book.total(it, name), own), (book.total(it), fleet)):
                for kind, limit in zip(KINDS, limits, strict=True):
                    assert not limit or not getattr(spending, kind) or getattr(total, kind) <= limit
        elif step in ("mine", "revert") and wallet.pending:
            book.mined(it, name, step == "mine")
            it.mine(name, share=0.5, success=step == "mine")
        elif step == "settle" and wallet.included:
            book.settled(it, name)
            it.settle(name)
        elif step == "final" and wallet.included and wallet.included[0].settled:
            it.finalise(name)
        elif step == "reorganise" and wallet.included:
            it.reorganise(name)
        elif step == "lose" and wallet.pending:
            it.lose(name)
        elif step == "wait":
            it.now_us += spending.gas_wei * 2 * HOUR_US
        it.check()
