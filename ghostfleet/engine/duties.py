"""What does an operation ask of a wallet? The contract between a lane and the operations (../operations)."""

from typing import Protocol

import msgspec

from ghostfleet.domain.values import Fees, JsonObject
from ghostfleet.domain.wallet import Wallet
from ghostfleet.plugins.api import Action

MAX_ERRANDS_AT_ONCE = 100
"""Slots that one commit of an operation opens for one wallet: MegaETH holds 500 of an account, others fewer."""


class Errand(msgspec.Struct, frozen=True, kw_only=True):
    """One transaction that an operation wants of a wallet, as a step that it has a name for."""

    step: str
    plugin: str
    action: Action
    observation: JsonObject
    fees: Fees | None = None
    """Exactly these caps, where the amount depends on them."""


class Do(msgspec.Struct, frozen=True):
    """These errands, in this order, at once; at most MAX_ERRANDS_AT_ONCE."""

    errands: tuple[Errand, ...]
    needs_the_key: bool = True
    """Whether a key that is not there suspends the operation; or else the first errand is refused, and other wallets go on."""


class Refuse(msgspec.Struct, frozen=True):
    """This errand would fail, the chain says: record that it was tried."""

    errand: Errand
    error_class: str
    reason: str
    again_secs: float = 0.0
    """Ask again so soon, or at the next block: a node that has not seen the newest one refuses what the next one takes."""


class Later(msgspec.Struct, frozen=True):
    """Nothing can be done now; ask again after so long."""

    secs: float
    why: str


class Done(msgspec.Struct, frozen=True):
    """Nothing is left to do. `results` are lines of the final table by wallet, the wallet's own among them."""

    results: dict[str, JsonObject]


Wish = Do | Refuse | Later | Done


class Duty(Protocol):
    """What a running operation asks of one wallet. Asked each time all its slots are in the chain; it looks at the chain and
    at the log, and remembers nothing, so that it can be asked again after any crash."""

    @property
    def operation_id(self) -> str: ...

    waiting: str
    """Why nothing is being done, for those who watch; empty while something is."""

    async def next(self, wallet: Wallet) -> Wish:
        """Raises TryAgain when no endpoint answers, Refused once the operation is over."""
        ...
