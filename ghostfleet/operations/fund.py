"""Pay wallets from one other: native coin and tokens, many transfers at a time, each exactly once.

What is to arrive is what was asked for: a token that takes a tax on the way is sent as much more.
"""

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any

from msgspec.structs import replace

from ghostfleet.chain.edge import RpcRefused
from ghostfleet.domain.operating import OPERATIONS_PLUGIN
from ghostfleet.domain.operation import MAX_TRIES, NATIVE, Operation, Step
from ghostfleet.domain.values import Address, Call, JsonObject
from ghostfleet.domain.wallet import Wallet
from ghostfleet.engine.duties import MAX_ERRANDS_AT_ONCE, Do, Done, Errand, Later, Wish
from ghostfleet.engine.signing import estimate_gas
from ghostfleet.engine.world import World
from ghostfleet.operations.duty import under_way
from ghostfleet.operations.extract import PLAN_SECS, moved, token_transfer
from ghostfleet.operations.holdings import amount_text, look, tokens_of
from ghostfleet.plugins.api import Action, Plugin

FUND = "fund"
POOR_SECS = 5.0
"""A funder without means is looked at again so soon."""
REFUSED_SECS = 15.0
"""Where all that is left to pay is refused, the chain is asked about each of them again so soon."""


class FundDuty:
    """What a funder owes its targets, in the order of the wish."""

    def __init__(self, operation_id: str, world: World) -> None:
        self.operation_id = operation_id
        self.waiting = ""
        self._world = world

    async def next(self, wallet: Wallet) -> Wish:
        """As many transfers as go at once; or what is missing; or the table."""
        operation = under_way(self._world, self.operation_id)
        if wallet.id not in operation.plans:
            return Later(PLAN_SECS, "what the funder holds is being read")
        known = tokens_of(self._world.plugins)
        gone = next((it for it in operation.params["tokens"] if it not in known), "")
        if gone:
            return Later(POOR_SECS, f"the settings name no token {gone} any more")
        owed = [it for it in transfers(operation.params, self._world.plugins) if _open(operation, it.step)]
        if not owed:
            found = await look(self._world, wallet)
            left = {NATIVE: found.native_wei, **found.tokens}
            return Done(_results(operation, wallet, {asset: str(amount) for asset, amount in left.items()}))
        missing = await self._missing(wallet, owed)
        if missing:
            return Later(POOR_SECS, missing)
        ready = [it for it in owed if not _may_land_after_all(operation, wallet, it.step)]
        if not ready:
            return Later(POOR_SECS, f"{owed[0].step} failed in a block that is not final yet")
        accepted, refused = await self._accepted(wallet, ready)
        return Do(tuple(accepted)) if accepted else Later(REFUSED_SECS, refused)

    async def _accepted(self, wallet: Wallet, owed: list[Errand]) -> tuple[list[Errand], str]:
        """Those that the chain would carry out now, with their gas, as many as go at once; or what it says of the first one.
        Whoever cannot be paid (a contract that takes no coin, an address that a token has locked) keeps nobody else waiting."""
        refusals: list[str] = []

        async def with_gas(errand: Errand) -> Errand | None:
            try:
                gas = await estimate_gas(self._world, wallet, errand.action)
            except RpcRefused as refused:
                refusals.append(f"the chain refuses {errand.step} now: {refused}")
                return None
            return replace(errand, action=replace(errand.action, gas=gas))

        for start in range(0, len(owed), MAX_ERRANDS_AT_ONCE):
            some = owed[start : start + MAX_ERRANDS_AT_ONCE]
            accepted = [it for it in await asyncio.gather(*(with_gas(it) for it in some)) if it is not None]
            if accepted:
                return accepted, ""
        return [], refusals[0]

    async def _missing(self, wallet: Wallet, owed: list[Errand]) -> str:
        """What the funder lacks for all that is still owed, in words; fees are looked at when it is sent."""
        found = await look(self._world, wallet)
        for asset, why in found.unread_tokens.items():
            if any(it.action.params["asset"] == asset for it in owed):
                return f"what {wallet.id} has of {asset} cannot be read: {why}"
        tokens = tokens_of(self._world.plugins)
        lacking = []
        for asset, held in {NATIVE: found.native_wei, **found.tokens}.items():
            need = sum(int(it.action.params["amount"]) for it in owed if it.action.params["asset"] == asset)
            if need > held:
                lacking.append(f"{amount_text(asset, need, tokens)} and has {amount_text(asset, held, tokens)}")
        return f"{wallet.id} needs " + ", ".join(lacking) if lacking else ""


def transfers(params: JsonObject, plugins: Mapping[str, Plugin[Any]]) -> Iterator[Errand]:
    """Every transfer that the wish asks for, each a step with a name."""
    tokens = tokens_of(plugins)
    for target, text in params["targets"].items():
        to = Address.from_hex(text)
        native_wei = int(params["native_wei"])
        if native_wei:
            details = {"asset": NATIVE, "amount": native_wei, "to": str(to)}
            action = Action(kind=FUND, call=Call(to=to, value_wei=native_wei), params=details)
            yield _errand(f"{target}/{NATIVE}", action)
        for symbol, arriving in params["tokens"].items():
            if not int(arriving):
                continue
            token = tokens[symbol]
            action = token_transfer(token, symbol, to, token.sent_for(int(arriving)), FUND)
            yield _errand(f"{target}/{symbol}", action)


def _errand(step: str, action: Action) -> Errand:
    return Errand(step=step, plugin=OPERATIONS_PLUGIN, action=action, observation={})


def _open(operation: Operation, step: str) -> bool:
    tried = operation.steps.get(step)
    return tried is None or (tried.state == "failed" and tried.tries < MAX_TRIES)


def _may_land_after_all(operation: Operation, wallet: Wallet, step: str) -> bool:
    """Whether its latest try failed in a block that may still be replaced: by one in which it succeeds, and then a further try
    would have paid twice."""
    tried = operation.steps.get(step)
    return tried is not None and any(slot.action_id == tried.action_id for slot in wallet.slots)


def _why_missing(step: Step) -> str:
    """Why nothing of it arrived; empty where something did."""
    if step.state == "failed":
        return step.reason
    return "" if step.received or not step.amount else "its transfer went through and nothing arrived"


def _results(operation: Operation, funder: Wallet, left: JsonObject) -> dict[str, JsonObject]:
    """A line for each target, and one of the funder."""
    lines: dict[str, JsonObject] = {}
    assets = (NATIVE, *operation.params["tokens"])
    for target, address in operation.params["targets"].items():
        paid = (operation.steps.get(f"{target}/{asset}") for asset in assets)
        steps = [step for step in paid if step is not None]
        lines[target] = {
            "address": address,
            "moved": moved(steps),
            "fees_wei": str(sum(step.fee_wei + step.spent_wei for step in steps)),
            "remarks": [f"{step.asset}: {why}" for step in steps if (why := _why_missing(step))],
        }
    lines[funder.id] = {
        "address": str(funder.address),
        "before": operation.plans.get(funder.id, {}).get("holds", {}),
        "left": left,
        "remarks": [],
    }
    return lines
