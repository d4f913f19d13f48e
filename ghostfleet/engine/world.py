"""What a lane has at hand: the state, the two edges, the keys, the clock. Wired once, in ../assembly.py."""

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

from ghostfleet.domain.decisions import Rules
from ghostfleet.domain.profile import Profile
from ghostfleet.domain.state import State
from ghostfleet.domain.wallet import Wallet
from ghostfleet.engine.gate import Gate
from ghostfleet.engine.heads import Heads
from ghostfleet.engine.ports import Chain, Clock, Entropy, FeeSource, Signer
from ghostfleet.engine.state import LiveState
from ghostfleet.plugins.api import Plugin


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How often a lane looks, seconds. Bounds, not promises: a new head or an open gate wakes it earlier."""

    look_secs: float = 15.0
    """An open slot is looked at this often even when no new block comes."""
    push_secs: float = 5.0
    """An open slot without a receipt is asked about by nonce and pool this often."""
    first_retry_secs: float = 1.0
    longest_retry_secs: float = 60.0
    """Between them a send that was not taken is tried again, each time twice as late."""
    park_secs: float = 30.0
    """A wallet without funds asks for its balance this often."""
    settled_by_nonce_looks: int = 5
    """Looks at a nonce that is used, without a receipt of ours, before somebody else's transaction is searched for."""


@dataclass(frozen=True, kw_only=True)
class ChainRules:
    """What the chain asks of every transaction."""

    chain_id: int
    gas_limit_override: int | None = None
    gas_margin_percent: int = 25
    """Room above the node's estimate, for state that changes before the transaction is mined."""
    realtime: bool = False
    max_fee_cap_wei: int | None = None
    bump_percent: float = 12.5


@dataclass(frozen=True, kw_only=True)
class World:
    """Everything outside one lane."""

    live: LiveState
    chain: Chain
    heads: Heads
    fees: FeeSource
    signer: Signer
    gate: Gate
    clock: Clock
    entropy: Entropy
    plugins: Mapping[str, Plugin[Any]]
    profiles: Mapping[str, Profile]
    rules: Rules
    chain_rules: ChainRules
    pace: Pace
    config_digest: str
    dry_run: bool = False

    @property
    def state(self) -> State:
        return self.live.state

    def wallet(self, name: str) -> Wallet:
        """The wallet as the log has it now."""
        return self.state.wallets[name]

    def random(self, seed: int) -> Random:
        """Random numbers that follow from a recorded seed."""
        return Random(seed)  # noqa: S311 - reproducibility is the point; no secret comes from here
