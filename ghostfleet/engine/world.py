"""What a lane has at hand: the state, the two edges, the keys, the clock. Wired once, in ../assembly.py.

What the settings say can change while the service runs: it is read through `in_force`, each time anew.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

from ghostfleet.domain.allow_list import AllowList
from ghostfleet.domain.decisions import Rules
from ghostfleet.domain.profile import Profile
from ghostfleet.domain.state import State
from ghostfleet.domain.wallet import Wallet
from ghostfleet.engine.duties import Duty
from ghostfleet.engine.gate import Gate
from ghostfleet.engine.heads import Heads
from ghostfleet.engine.in_force import ChainRules, InForce, Pace
from ghostfleet.engine.ports import Chain, Clock, Entropy, FeeSource, Signer
from ghostfleet.engine.state import LiveState
from ghostfleet.plugins.api import Plugin


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
    in_force: InForce
    duties: Mapping[str, Duty]
    """Wallets that do the errands of an operation now, by name. Filled by `operations`."""
    dry_run: bool = False

    @property
    def state(self) -> State:
        return self.live.state

    @property
    def plugins(self) -> Mapping[str, Plugin[Any]]:
        return self.in_force.now.plugins

    @property
    def profiles(self) -> Mapping[str, Profile]:
        return self.in_force.now.profiles

    @property
    def rules(self) -> Rules:
        return self.in_force.now.rules

    @property
    def chain_rules(self) -> ChainRules:
        return self.in_force.now.chain_rules

    @property
    def pace(self) -> Pace:
        return self.in_force.now.pace

    @property
    def allowed(self) -> AllowList:
        return self.in_force.now.allowed

    @property
    def config_digest(self) -> str:
        return self.in_force.now.config_digest

    def wallet(self, name: str) -> Wallet:
        """The wallet as the log has it now."""
        return self.state.wallets[name]

    def random(self, seed: int) -> Random:
        """Random numbers that follow from a recorded seed."""
        return Random(seed)  # noqa: S311 - reproducibility is the point; no secret comes from here
