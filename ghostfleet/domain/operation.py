"""What did an operator ask of many wallets at once, and how far has it come? Funding, extraction, cancelling open slots.

An operation is a wish in the log with the wallets it covers. While it runs, those wallets do its errands instead of their
own, and a pause does not hold them back; the next pause suspends it. Its transactions are actions like all others, in slots
like all others, so whatever is killed, it goes on from the log.
"""

from hashlib import sha256
from typing import Literal

import msgspec
from msgspec.structs import replace

from ghostfleet.domain.events import ActionDecided, TransactionMined, TransactionSigned
from ghostfleet.domain.values import Address, JsonObject, encode_json

OperationKind = Literal["extract", "fund", "cancel", "destroy"]
StepState = Literal["open", "done", "failed"]

NATIVE = "native"
"""The asset's name of the chain's own coin."""
MAX_OPEN_OPERATIONS = 8
"""Operations that may be open at one time: each is a line that the operator on call has to keep in mind."""
MAX_TRIES = 3
"""A step that failed so often is left alone and told of in the end."""


MAX_PAID = 1000
"""Fundings remembered, so that asking for one again after it is done pays nobody twice."""


def wish_digest(kind: str, params: JsonObject) -> str:
    """Of what exactly was asked for."""
    return sha256(encode_json([kind, params])).hexdigest()


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One transaction that the operation wanted, by its latest action. Amounts in the asset's smallest unit, fees in wei."""

    wallet: str
    kind: str
    state: StepState
    action_id: str
    tries: int = 1
    asset: str = ""
    amount: int = 0
    to: str = ""
    received: int = 0
    """What arrived, as the token's own Transfer logs say; for the chain's own coin what the transaction moved."""
    values: dict[str, int] = {}
    """Of the chain's own coin, by hash, what attempts move that do not move the amount: with dearer gas a sweep moves less."""
    fee_wei: int = 0
    """Of the latest action."""
    spent_wei: int = 0
    """Fees of the tries before it."""
    reason: str = ""


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """An open operation. `steps` by name, `done` are the wallets that it has nothing more to ask of."""

    id: str
    kind: str
    """An OperationKind, or one that only a newer release knows."""
    wallets: tuple[str, ...]
    params: JsonObject
    actor: str
    since_us: int
    suspended: str = ""
    """Why nothing is done for it now; empty while it runs."""
    plans: dict[str, JsonObject] = {}
    steps: dict[str, Step] = {}
    done: tuple[str, ...] = ()

    @property
    def destinations(self) -> tuple[Address, ...]:
        """Whom its wallets may sign to beside those that the settings name: where the operator said the funds go."""
        return tuple(Address.from_hex(text) for text in self.params.get("destinations", ()))

    @property
    def running(self) -> bool:
        return not self.suspended

    def covers(self, wallet: str) -> bool:
        """Whether it still has something to ask of this wallet."""
        return wallet in self.wallets and wallet not in self.done

    @property
    def left(self) -> tuple[str, ...]:
        """The wallets that it still has something to ask of."""
        done = frozenset(self.done)  # of ten thousand, looked up one by one
        return tuple(it for it in self.wallets if it not in done)

    @property
    def permitted(self) -> tuple[str, ...]:
        """The wallets whose transactions a pause does not hold back. One that a cancel is done with may have left nonces open,
        and that is no reason to send these; one that anything else is done with may have its last transaction sent again."""
        if not self.running:
            return ()
        return self.wallets if self.kind != "cancel" else self.left


def with_step(operation: Operation, decided: ActionDecided) -> Operation:
    """After a decision for one of its steps."""
    before = operation.steps.get(decided.step)
    params = decided.params
    step = Step(
        wallet=decided.action_id.rpartition("/")[0],
        kind=decided.kind,
        state="open",
        action_id=decided.action_id,
        tries=before.tries + 1 if before is not None else 1,
        asset=str(params.get("asset", "")),
        amount=int(params.get("amount", 0)),
        to=str(params.get("to", "")),
        spent_wei=before.spent_wei + before.fee_wei if before is not None else 0,
    )
    return replace(operation, steps={**operation.steps, decided.step: step})


def with_outcome(operation: Operation, action_id: str, state: StepState, reason: str) -> Operation:
    """After an action succeeded, failed or was rejected; unchanged when it is none of its steps'."""
    name = step_of(operation, action_id)
    if name is None:
        return operation
    step = replace(operation.steps[name], state=state, reason=reason)
    return replace(operation, steps={**operation.steps, name: step})


def with_attempt(operation: Operation, signed: TransactionSigned) -> Operation:
    """After a further attempt of one of its steps was signed, which may move less than the one before."""
    name = step_of(operation, signed.action_id) if signed.attempt > 1 and signed.purpose == "action" else None
    if name is None or operation.steps[name].asset != NATIVE or signed.value_wei == operation.steps[name].amount:
        return operation
    step = operation.steps[name]
    step = replace(step, values={**step.values, str(signed.hash): signed.value_wei})
    return replace(operation, steps={**operation.steps, name: step})


def with_receipt(operation: Operation, mined: TransactionMined) -> Operation:
    """After a transaction of one of its steps was mined, perhaps once more after a reorganisation."""
    name = step_of(operation, mined.action_id)
    if name is None:
        return operation
    step = operation.steps[name]
    moved_wei = step.values.get(str(mined.hash), step.amount)
    received = moved_wei if step.asset == NATIVE else _arrived(mined, step.to)
    step = replace(step, fee_wei=mined.gas_used * mined.gas_price_wei, received=received if mined.success else 0)
    return replace(operation, steps={**operation.steps, name: step})


def _arrived(mined: TransactionMined, to: str) -> int:
    amounts = (log["amount_wei"] for log in mined.logs if log.get("event") == "Transfer" and log.get("to") == to)
    return sum(int(amount) for amount in amounts)


def step_of(operation: Operation, action_id: str) -> str | None:
    """The name of the step whose latest action this is: the newest are the likeliest."""
    for name in reversed(operation.steps):
        if operation.steps[name].action_id == action_id:
            return name
    return None
