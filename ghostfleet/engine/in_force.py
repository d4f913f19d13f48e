"""Which settings hold right now? One value at a time, replaced as a whole at the commit that records the change.

A lane looks here each turn; what one turn decides, it decides under one value, whose digest the decision names.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ghostfleet.chain.fees import FeeRules
from ghostfleet.domain.allow_list import AllowList
from ghostfleet.domain.decisions import Rules
from ghostfleet.domain.profile import Profile
from ghostfleet.plugins.api import Plugin

TRANSFER_GAS = 21_000
MEGAETH_TRANSFER_GAS = 60_000
"""21,000 for computation and 39,000 for storage, before the first instruction of any transaction."""


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
    account_secs: float = 10.0
    """A wallet that acts again so soon does not ask for its balance and nonce again."""
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
    transfer_gas: int = TRANSFER_GAS
    """What a plain transfer takes, where the node cannot estimate it; with less no node takes the transaction."""
    realtime: bool = False
    """Whether a send waits for the receipt, in one call."""
    max_fee_cap_wei: int | None = None
    bump_percent: float = 12.5


@dataclass(frozen=True, kw_only=True)
class Tuning:
    """All that a running fleet takes from the settings again and again."""

    config_digest: str
    rules: Rules
    chain_rules: ChainRules
    pace: Pace
    fee_rules: FeeRules
    profiles: Mapping[str, Profile]
    plugins: Mapping[str, Plugin[Any]]
    allowed: AllowList
    """Whom the wallets may sign to: what the settings name. Wallets that are registered need not stand there."""
    enabled: frozenset[str] = frozenset()
    """The wallets that the settings have in use. One that an operation has retired may be asked for once more."""
    checkpoint_secs: float = 0.0
    """Time from one signed checkpoint of the log to the next; 0 is never."""


@dataclass(frozen=True)
class Successor:
    """Settings that are on their way into the log. `take_effect` does what else follows from them, without waiting."""

    tuning: Tuning
    take_effect: Callable[[], None]


class InForce:
    """The tuning in force. Only a reload replaces it, in the very step in which the state takes its ConfigApplied in."""

    def __init__(self, tuning: Tuning) -> None:
        self.now = tuning
        self.successor: Successor | None = None
        """What the reload that is under way wants; there is one at a time."""

    def recorded(self, digest: str) -> None:
        """Settings of this digest were recorded: if they are the successor, they are in force from here on."""
        successor = self.successor
        if successor is not None and successor.tuning.config_digest == digest:
            self.now, self.successor = successor.tuning, None
            successor.take_effect()
