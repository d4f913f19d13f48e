"""Take everything out of a wallet: claim, extract, withdraw, then sweep tokens, then the last of the native coin.

The duty looks at the chain each time it is asked and wants the next thing that is still there to be taken, so that it can be
killed between any two steps and goes on by being asked again.
"""

from collections.abc import Iterator

import msgspec

from ghostfleet.chain.edge import RpcRefused
from ghostfleet.chain.fees import one_price
from ghostfleet.domain.operating import OPERATIONS_PLUGIN
from ghostfleet.domain.operation import MAX_TRIES, NATIVE, Operation, Step
from ghostfleet.domain.slot import SWEEP
from ghostfleet.domain.values import Address, AnswerClass, Call, JsonObject
from ghostfleet.domain.wallet import Wallet
from ghostfleet.engine.duties import Do, Done, Errand, Later, Refuse, Wish
from ghostfleet.engine.judgement import judged
from ghostfleet.engine.signing import estimate_gas, gas_for
from ghostfleet.engine.trouble import revert_reason
from ghostfleet.engine.world import World
from ghostfleet.operations.duty import under_way
from ghostfleet.operations.holdings import TRANSFER, Holdings, look, tokens_of
from ghostfleet.plugins.api import Action, Token

SWEEP_TOKEN = "sweep_token"  # noqa: S105 - a kind of action
MAX_SWEEPS = 50
"""Sweeps of one token: each step of the way out may bring some more, and what it brought is not left behind. Far more than a
protocol has steps; what somebody goes on sending to the wallet is the last to end it."""
LOOK_AGAIN_SECS = 3.0
"""What is locked, or refused, is looked at again so soon."""
PLAN_SECS = 0.2


class ExtractDuty:
    """Empties one wallet into `to`. `wait` says whether locks and bets are waited out, or told of and left."""

    def __init__(self, operation_id: str, to: Address, world: World, *, wait: bool = True) -> None:
        self.operation_id = operation_id
        self.waiting = ""
        self._to = to
        self._wait = wait
        self._world = world

    async def next(self, wallet: Wallet) -> Wish:
        """The next thing to take, a reason to wait, or the wallet's line in the table."""
        operation = under_way(self._world, self.operation_id)
        if wallet.id not in operation.plans:
            return Later(PLAN_SECS, "what the wallet holds is being read")
        found = await look(self._world, wallet)
        blocked = ""
        for action in found.way_out:
            wish = await self._withdrawal(operation, wallet, found, action)
            if isinstance(wish, Do | Refuse):
                return wish
            blocked = blocked or wish
        for errand in self._token_sweeps(operation, wallet, found):
            return await self._affordable(wallet, found, errand)
        awaited = blocked or found.coming  # whoever has given its last coin away cannot fetch what comes later
        if awaited and self._wait:
            return Later(LOOK_AGAIN_SECS, awaited)
        step = next_step(operation, f"{wallet.id}/{SWEEP}")
        sweep = await self._native_sweep(wallet, found, step or "")
        if sweep is not None and step is not None:
            return sweep
        return Done({wallet.id: _result(operation, wallet, found, native_stays=sweep is not None)})

    async def _withdrawal(
        self, operation: Operation, wallet: Wallet, found: Holdings, action: Action
    ) -> Do | Refuse | str:
        """This step of the protocol's way out; or in words why it is passed over now, empty where it is given up."""
        step = next_step(operation, f"{wallet.id}/{action.kind}")
        if step is None:
            return ""
        errand = Errand(step=step, plugin=wallet.plugin, action=action, observation=found.observation)
        plugin = self._world.plugins[wallet.plugin]
        try:
            await estimate_gas(self._world, wallet, action)
        except RpcRefused as refused:
            reason = revert_reason(refused, plugin.errors)
            if refused.answer.cls is AnswerClass.INSUFFICIENT_FUNDS:
                return ""
            if (await judged(self._world, wallet.id, plugin, action.kind, reason)).rest_secs is not None:
                return f"{action.kind}: {reason}"
            return Refuse(errand, refused.answer.cls, reason, LOOK_AGAIN_SECS)
        return await self._affordable(wallet, found, errand)

    async def _affordable(self, wallet: Wallet, found: Holdings, errand: Errand) -> Do | Refuse:
        """The errand, if the wallet can pay for it; what it cannot pay for is told of, not waited for."""
        try:
            gas = await estimate_gas(self._world, wallet, errand.action)
        except RpcRefused as refused:
            plugin = self._world.plugins.get(wallet.plugin)
            reason = revert_reason(refused, plugin.errors if plugin else {})
            return Refuse(errand, refused.answer.cls, reason, LOOK_AGAIN_SECS)
        fees = await self._world.fees.suggest(await self._world.heads.first())
        need_wei = gas * fees.max_fee_wei
        if need_wei > found.native_wei:
            reason = f"the wallet cannot pay for it: has {found.native_wei} wei, needs {need_wei} wei"
            return Refuse(errand, "insufficient_funds", reason)
        return Do((errand,), needs_the_key=False)

    def _token_sweeps(self, operation: Operation, wallet: Wallet, found: Holdings) -> Iterator[Errand]:
        tokens = tokens_of(self._world.plugins)
        for symbol, amount in found.tokens.items():
            step = next_step(operation, f"{wallet.id}/{SWEEP_TOKEN} {symbol}", most=MAX_SWEEPS)
            if amount > 0 and step is not None and not moves_nothing(operation, wallet.id, symbol, amount):
                yield Errand(
                    step=step,
                    plugin=OPERATIONS_PLUGIN,
                    action=token_transfer(tokens[symbol], symbol, self._to, amount, SWEEP_TOKEN),
                    observation={"holds": {asset: str(held) for asset, held in found.tokens.items()}},
                )

    async def _native_sweep(self, wallet: Wallet, found: Holdings, step: str) -> Do | Refuse | None:
        """All that is left but the fee, to the wei: both caps are the same, so that nothing of the fee comes back. None where
        what is left does not pay for being moved."""
        fees = await self._world.fees.suggest(await self._world.heads.first())
        most_wei = found.native_wei - self._world.chain_rules.transfer_gas * fees.max_fee_wei
        if most_wei <= 0:
            return None
        try:
            gas = await gas_exactly(self._world, wallet, Call(to=self._to, value_wei=most_wei))
        except RpcRefused as refused:  # whoever gets it is a contract that does not want it
            errand = self._sweep(found, step, most_wei)
            return Refuse(errand, refused.answer.cls, revert_reason(refused, {}), LOOK_AGAIN_SECS)
        value_wei = found.native_wei - gas * fees.max_fee_wei
        if value_wei <= 0:
            return None
        errand = msgspec.structs.replace(self._sweep(found, step, value_wei, gas), fees=one_price(fees))
        return Do((errand,), needs_the_key=False)

    def _sweep(self, found: Holdings, step: str, value_wei: int, gas: int | None = None) -> Errand:
        action = Action(
            kind=SWEEP,
            call=Call(to=self._to, value_wei=value_wei),
            params={"asset": NATIVE, "amount": value_wei, "to": str(self._to)},
            gas=gas,
        )
        observation: JsonObject = {"native_wei": found.native_wei}
        return Errand(step=step, plugin=OPERATIONS_PLUGIN, action=action, observation=observation)


async def gas_exactly(world: World, wallet: Wallet, sweep: Call) -> int:
    """What it takes to move so much, without a margin: a margin would be left behind. A contract may do more with coin than
    without (a vault writes down who paid, a forwarder passes it on), so it is asked about with the coin in it. Raises RpcRefused
    where the receiver does not take it."""
    if world.chain_rules.gas_limit_override is not None:
        return world.chain_rules.gas_limit_override
    try:
        return await world.chain.estimate_gas(wallet.address, sweep)
    except RpcRefused as refused:
        if refused.answer.cls is AnswerClass.REVERTED:
            raise
        return await gas_for(world, wallet, Call(to=wallet.address))


def token_transfer(token: Token, symbol: str, to: Address, amount: int, kind: str) -> Action:
    """An ERC-20 transfer as an action whose parameters say what it moves."""
    return Action(
        kind=kind,
        call=Call(to=token.address, data=TRANSFER.encode(to, amount)),
        params={"asset": symbol, "amount": amount, "to": str(to)},
    )


def next_step(operation: Operation, base: str, *, most: int = MAX_TRIES) -> str | None:
    """The name of the next step of this sort: what is done can come again (rewards go on coming, a lock opens later) and is then
    another step. None when it was done `most` times, or has failed MAX_TRIES times."""
    steps = _of_sort(operation, base)
    for again, step in enumerate(steps, 1):
        if step.state != "done":
            return _named(base, again) if step.tries < MAX_TRIES else None
    return _named(base, len(steps) + 1) if len(steps) < most else None


def _named(base: str, again: int) -> str:
    """What a step of this sort is called when it comes again."""
    return base if again == 1 else f"{base} #{again}"


def _of_sort(operation: Operation, base: str) -> list[Step]:
    """The steps of this sort, in the order in which they came."""
    steps: list[Step] = []
    while (step := operation.steps.get(_named(base, len(steps) + 1))) is not None:
        steps.append(step)
    return steps


def moves_nothing(operation: Operation, wallet: str, symbol: str, held: int) -> bool:
    """Whether the wallet's newest sweep of this token went through, nothing arrived, and all of it is still there: some tokens
    answer "false" where others revert, and a further sweep would cost as much and move as little."""
    sweeps = _of_sort(operation, f"{wallet}/{SWEEP_TOKEN} {symbol}")
    newest = sweeps[-1] if sweeps else None
    return newest is not None and newest.state == "done" and not newest.received and 0 < newest.amount <= held


def _result(operation: Operation, wallet: Wallet, found: Holdings, *, native_stays: bool) -> JsonObject:
    """The wallet's line: before, moved, what arrived, fees, left, and what was left behind and why. `native_stays` says whether
    native coin is left that is worth moving: dust leaves a wallet as empty as it can be."""
    steps = [step for step in operation.steps.values() if step.wallet == wallet.id]
    plan = operation.plans.get(wallet.id, {})
    failed = [f"{step.kind}: {step.reason}" for step in steps if step.state == "failed"]
    false = [
        f"{symbol}: its transfer goes through and moves nothing"
        for symbol, held in found.tokens.items()
        if held and moves_nothing(operation, wallet.id, symbol, held)
    ]
    left = {NATIVE: found.native_wei, **found.tokens}
    return {
        "address": str(wallet.address),
        "before": plan.get("holds", {}),
        "moved": moved(steps),
        "fees_wei": str(sum(step.fee_wei + step.spent_wei for step in steps)),
        "left": {asset: str(amount) for asset, amount in left.items()},
        "remarks": list(dict.fromkeys([*found.remarks, *failed, *false])),
        "empty": not found.way_out and not any(found.tokens.values()) and not native_stays,
    }


def moved(steps: list[Step]) -> dict[str, JsonObject]:
    """What left and what arrived, by asset; the difference is the token's transfer tax."""
    sums: dict[str, list[int]] = {}
    for step in steps:
        if step.state == "done" and step.to:
            total = sums.setdefault(step.asset, [0, 0])
            total[0] += step.received if step.asset == NATIVE else step.amount
            total[1] += step.received
    return {
        asset: {"sent": str(sent), "received": str(received), "tax": str(sent - received)}
        for asset, (sent, received) in sums.items()
    }
