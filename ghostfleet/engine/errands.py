"""Carries out what an operation asks of a wallet: decided, signed and recorded in one commit, then sent like anything else."""

import asyncio
from functools import partial

import msgspec

from ghostfleet.chain.edge import RpcRefused
from ghostfleet.domain import events as ev
from ghostfleet.domain import operating
from ghostfleet.domain.decisions import SERVICE_ACTOR
from ghostfleet.domain.values import Unsigned
from ghostfleet.domain.wallet import Wallet
from ghostfleet.engine.duties import MAX_ERRANDS_AT_ONCE, Do, Done, Duty, Errand, Later, Refuse
from ghostfleet.engine.outsiders import note_outside_transactions, require_first_nonce
from ghostfleet.engine.signing import ERROR_CLASSES, NoKey, NotAllowed, estimate_gas, sign_attempt
from ghostfleet.engine.world import World
from ghostfleet.keys.far import WrongSignature

POOR_SECS = 5.0
"""A wallet that cannot pay for an errand is looked at again so soon: somebody may be funding it."""


class Outcome(msgspec.Struct, frozen=True):
    """The nonces that were opened and can be sent, or how long to wait."""

    opened: tuple[int, ...] = ()
    wait_secs: float = 0.0


async def run_errands(world: World, name: str, duty: Duty) -> Outcome:
    """Ask the duty, do what it wants as far as the log. Raises Refused when the operation has moved on meanwhile."""
    wish = await duty.next(world.wallet(name))
    duty.waiting = wish.why if isinstance(wish, Later) else ""
    match wish:
        case Later(secs=secs):
            return Outcome(wait_secs=secs)
        case Done(results=results):
            done = partial(operating.wallet_done, name=name, operation_id=duty.operation_id, results=results)
            await world.live.commit(done)
            return Outcome()
        case Refuse(errand=errand, error_class=error_class, reason=reason, again_secs=secs):
            await _reject(world, name, duty, errand, error_class, reason)
            duty.waiting = f"{errand.action.kind}: {reason}" if secs else ""
            return Outcome(wait_secs=secs)
        case Do(errands=errands, needs_the_key=needs_the_key):
            try:
                return await _open(world, name, duty, errands)
            except (NoKey, NotAllowed, WrongSignature) as refusal:
                if isinstance(refusal, NoKey) and not needs_the_key:
                    await _reject(world, name, duty, errands[0], ERROR_CLASSES[NoKey], str(refusal))
                    return Outcome()
                await suspend(world, duty.operation_id, str(refusal))
                return Outcome(wait_secs=POOR_SECS)


async def _open(world: World, name: str, duty: Duty, errands: tuple[Errand, ...]) -> Outcome:
    """Prepare, sign and record the errands together: whatever is killed, all of them are known or none."""
    assert 0 < len(errands) <= MAX_ERRANDS_AT_ONCE
    wallet = world.wallet(name)
    chain_nonce = await world.chain.nonce(wallet.address, "pending")
    if await note_outside_transactions(world, wallet, chain_nonce):
        return Outcome()
    await require_first_nonce(world, wallet, chain_nonce)
    suggestion = await world.fees.suggest(await world.heads.first())
    try:
        gas = await asyncio.gather(*(estimate_gas(world, wallet, errand.action) for errand in errands))
    except RpcRefused as refused:
        duty.waiting = f"the chain refuses it now: {refused}"
        return Outcome(wait_secs=POOR_SECS)
    need_wei = sum(
        errand.action.call.value_wei + limit * (errand.fees or suggestion).max_fee_wei
        for errand, limit in zip(errands, gas, strict=True)
    )
    balance_wei = await world.chain.balance(wallet.address)
    if need_wei > balance_wei:
        duty.waiting = f"needs {need_wei} wei and has {balance_wei} wei"
        return Outcome(wait_secs=POOR_SECS)
    first = wallet.next_nonce if wallet.next_nonce is not None else chain_nonce
    pairs = []
    for index, (errand, limit) in enumerate(zip(errands, gas, strict=True)):
        decided = _decided(world, wallet, duty, errand, index, balance_wei)
        unsigned = Unsigned(
            chain_id=world.chain_rules.chain_id,
            nonce=first + index,
            call=errand.action.call,
            gas=limit,
            fees=errand.fees or suggestion,
        )
        pairs.append((decided, await _signed(world, wallet, decided, unsigned)))
    await world.live.commit(partial(operating.open_errands, name=name, operation_id=duty.operation_id, errands=pairs))
    return Outcome(opened=tuple(signed.nonce for _, signed in pairs))


async def _signed(world: World, wallet: Wallet, decided: ev.ActionDecided, unsigned: Unsigned) -> ev.TransactionSigned:
    also = world.state.fleet.destinations_of(wallet.id)
    return await sign_attempt(world, wallet.id, decided.action_id, unsigned, number=1, also=also)


async def suspend(world: World, operation_id: str, reason: str) -> None:
    """What cannot be done now is not tried again and again: the operator mends it and asks for the same once more."""
    await world.live.commit(partial(operating.suspend, operation_id=operation_id, actor=SERVICE_ACTOR, reason=reason))


async def _reject(world: World, name: str, duty: Duty, errand: Errand, error_class: str, reason: str) -> None:
    wallet = world.wallet(name)
    decided = _decided(world, wallet, duty, errand, 0, wallet.balance_wei or 0)
    rejected = ev.ActionRejected(action_id=decided.action_id, error_class=error_class, reason=reason)
    await world.live.commit(partial(operating.reject_errand, name=name, decided=decided, rejected=rejected))


def _decided(
    world: World, wallet: Wallet, duty: Duty, errand: Errand, index: int, balance_wei: int
) -> ev.ActionDecided:
    return ev.ActionDecided(
        action_id=f"{wallet.id}/{wallet.decisions + 1 + index}",
        plugin=errand.plugin,
        kind=errand.action.kind,
        params=errand.action.params,
        seed=0,
        observation=errand.observation,
        profile=wallet.profile,
        config_digest=world.config_digest,
        call=errand.action.call,
        spend_wei=errand.action.spend_wei,
        balance_wei=balance_wei,
        next_turn_us=wallet.next_turn_us,
        operation=duty.operation_id,
        step=errand.step,
    )
