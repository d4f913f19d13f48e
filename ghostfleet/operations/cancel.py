"""Give the open nonces of wallets away: each is replaced by an empty transfer to itself, and then has an end.

The follower does the replacing (domain/slot.py, `give_up`); the duty is asked once every slot of the wallet has its outcome.
"""

from ghostfleet.domain.values import JsonObject
from ghostfleet.domain.wallet import Wallet
from ghostfleet.engine import cancels
from ghostfleet.engine.duties import Done, Wish
from ghostfleet.engine.world import World
from ghostfleet.operations.duty import under_way


class CancelDuty:
    """Nothing more to ask of a wallet whose slots are settled."""

    def __init__(self, operation_id: str, world: World) -> None:
        self.operation_id = operation_id
        self.waiting = ""
        self._world = world

    async def next(self, wallet: Wallet) -> Wish:
        """The wallet's line: what became of the slots that were open when it was asked for."""
        return Done({wallet.id: cancels.line(under_way(self._world, self.operation_id), wallet)})


def open_slots(wallet: Wallet) -> list[JsonObject]:
    """The wallet's open nonces, for the operation's plan."""
    return [
        {"nonce": slot.nonce, "action_id": slot.action_id, "kind": slot.kind, "hash": str(slot.newest.hash)}
        for slot in wallet.pending
    ]
