"""What does an operator's wish to give open nonces away mean for a wallet, and what became of them?"""

from functools import partial

from ghostfleet.domain import operating
from ghostfleet.domain.operation import Operation
from ghostfleet.domain.slot import Pending
from ghostfleet.domain.state import State
from ghostfleet.domain.values import JsonObject
from ghostfleet.domain.wallet import Wallet
from ghostfleet.engine.world import World


def asked_for(state: State, name: str) -> bool:
    """Whether an operator asked to give the wallet's open nonces away."""
    operation = state.fleet.operation_of(name)
    return operation is not None and operation.kind == "cancel"


async def leave_open(world: World, wallet: Wallet, why: str) -> None:
    """A cancel that nobody can sign has an end too: the table says which nonces are as open as before."""
    operation = world.state.fleet.operation_of(wallet.id)
    if operation is None or wallet.id not in operation.plans:
        return
    results = {wallet.id: {**line(operation, wallet), "remarks": [why]}}
    await world.live.commit(partial(operating.wallet_done, name=wallet.id, operation_id=operation.id, results=results))


def line(operation: Operation, wallet: Wallet) -> JsonObject:
    """The wallet's line in the table: what became of the slots that were open when it was asked for."""
    slots = operation.plans.get(wallet.id, {}).get("open_slots", [])
    return {
        "address": str(wallet.address),
        "slots": [{**slot, "became": became(wallet, slot["action_id"])} for slot in slots],
    }


def became(wallet: Wallet, action_id: str) -> str:
    """`cancelled`, or `mined` where the transaction was faster; `settled` once nothing of it is left to follow; `still open`."""
    for slot in wallet.slots:
        if slot.action_id == action_id:
            if isinstance(slot, Pending):
                return "still open"
            return "cancelled" if slot.attempt.purpose == "cancel" else "mined"
    return "settled"
