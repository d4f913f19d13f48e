"""Who turns an operation in the log into duties of lanes, and writes down its end? One task, woken by the events themselves."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial

from msgspec.structs import replace

from ghostfleet.chain.edge import RpcRefused
from ghostfleet.domain import events as ev
from ghostfleet.domain import operating
from ghostfleet.domain.decisions import SERVICE_ACTOR, Refused
from ghostfleet.domain.operation import Operation
from ghostfleet.domain.state import Candidate
from ghostfleet.domain.values import Address, JsonObject, WalletId
from ghostfleet.engine import cancels
from ghostfleet.engine.duties import Duty
from ghostfleet.engine.errands import suspend
from ghostfleet.engine.trouble import MAX_MESSAGE, describe
from ghostfleet.engine.world import World
from ghostfleet.errors import StopService, TryAgain
from ghostfleet.operations.cancel import CancelDuty, open_slots
from ghostfleet.operations.destroy import DestroyDuty
from ghostfleet.operations.extract import ExtractDuty, moved
from ghostfleet.operations.fund import FundDuty
from ghostfleet.operations.holdings import look
from ghostfleet.plugins.abi import UnreadableAnswer
from ghostfleet.telemetry.logs import one_line

LOOK_SECS = 2.0
"""While an operation is open it is looked at this often, whatever woke or did not wake it."""
PLANS_AT_ONCE = 100
"""Wallets whose holdings are read together: some two thousand calls."""


class OperationRunner:
    """Gives lanes their duties while operations run, and takes them away again. `nudge` wakes or starts a wallet's lane."""

    def __init__(
        self,
        world: World,
        duties: dict[str, Duty],
        nudge: Callable[[str], None],
        take_back_key: Callable[[WalletId], None],
    ) -> None:
        self._world = world
        self._duties = duties
        self._nudge = nudge
        self._take_back_key = take_back_key
        self._wake = asyncio.Event()
        self._unplanned: dict[str, str] = {}
        """Why an operation could not be planned at the latest look."""

    def changed(self) -> None:
        """An operation was started, suspended, continued, or came further."""
        self._wake.set()

    def waiting(self, operation_id: str) -> dict[str, str]:
        """Which of its wallets wait now, and for what."""
        waiting = {
            name: duty.waiting
            for name, duty in self._duties.items()
            if duty.operation_id == operation_id and duty.waiting
        }
        operation = self._world.state.fleet.operation(operation_id)
        if operation is not None and (why := self._unplanned.get(operation_id)):
            waiting |= dict.fromkeys((name for name in operation.wallets if name not in operation.plans), why)
        return waiting

    async def run(self) -> None:
        """Until cancelled. An endpoint that does not answer is asked again."""
        while True:
            self._wake.clear()
            self._take_back()
            open_now = self._world.state.fleet.operations
            self._unplanned = {it.id: why for it in open_now if (why := self._unplanned.get(it.id))}
            for operation in open_now:
                await self._look_after(operation)
            try:
                async with asyncio.timeout(LOOK_SECS if self._world.state.fleet.operations else None):
                    await self._wake.wait()
            except TimeoutError:
                continue

    def _take_back(self) -> None:
        """Duties of operations that do not run any more, and of wallets they are done with."""
        fleet = self._world.state.fleet
        for name, duty in list(self._duties.items()):
            operation = fleet.operation_of(name)
            if operation is None or operation.id != duty.operation_id:
                del self._duties[name]

    async def _look_after(self, operation: Operation) -> None:
        """One look. What passes by itself is waited for, and told; a defect suspends this operation, and nothing else."""
        try:
            await self._attend(operation)
        except Refused:
            return  # it has moved on
        except (TryAgain, RpcRefused, UnreadableAnswer) as problem:
            self._unplanned[operation.id] = one_line(str(problem), MAX_MESSAGE)
        except StopService:
            raise
        except Exception as defect:
            with contextlib.suppress(TryAgain):  # the next look meets the same
                await suspend(self._world, operation.id, describe(defect))
        else:
            self._unplanned.pop(operation.id, None)

    async def _attend(self, operation: Operation) -> None:
        if not operation.running:
            if operation.kind == "cancel" and not operating.still_to_cancel(Candidate(self._world.state), operation):
                await self._end_cancel(operation)
            return
        await self._plan(operation)
        left = operation.left
        if not left:
            await self._finish(operation)
            return
        for name in left:
            known = self._duties.get(name)
            if known is None or known.operation_id != operation.id:
                duty = self._duty(operation)
                if duty is None:
                    return
                self._duties[name] = duty
            elif known.waiting:  # its lane sleeps on purpose, and wakes by itself
                continue
            self._nudge(name)

    def _duty(self, operation: Operation) -> Duty | None:
        """None for a kind that only a newer release knows: it waits for that."""
        params = operation.params
        match operation.kind:
            case "extract":
                to = Address.from_hex(params["to"])
                return ExtractDuty(operation.id, to, self._world, wait=params["wait"])
            case "fund":
                return FundDuty(operation.id, self._world)
            case "cancel":
                return CancelDuty(operation.id, self._world)
            case "destroy":
                return DestroyDuty(operation.id, params["keyfiles"], self._world)
        return None

    async def _plan(self, operation: Operation) -> None:
        """Record what was there before the first errand, for every wallet that has no such record yet."""
        missing = [name for name in operation.left if name not in operation.plans]
        for names in _chunks(missing, PLANS_AT_ONCE):
            plans = await planned(names, partial(self.plan_of, operation.kind))
            events = [
                ev.OperationWalletPlanned(operation_id=operation.id, wallet=name, plan=plan)
                for name, plan in plans.items()
            ]
            await self._world.live.write([ev.NewEvent(ev.FLEET_STREAM, event, operation.id) for event in events])

    async def plan_of(self, kind: str, name: str) -> JsonObject:
        """What an operation of this kind finds at the wallet now."""
        wallet = self._world.wallet(name)
        if kind == "cancel":
            return {"open_slots": open_slots(wallet)}
        return (await look(self._world, wallet)).document()

    async def _end_cancel(self, operation: Operation) -> None:
        """Suspended, and the chain has settled meanwhile all that was to be given away."""
        end = partial(
            operating.end_cancel,
            operation_id=operation.id,
            actor=SERVICE_ACTOR,
            results={name: cancels.line(operation, self._world.wallet(name)) for name in operation.left},
            summary=summary_of(replace(operation, done=operation.wallets)),
        )
        await self._world.live.commit(end)

    async def _finish(self, operation: Operation) -> None:
        summary = summary_of(operation)
        finish = partial(
            operating.finish, operation_id=operation.id, outcome="done", actor=SERVICE_ACTOR, summary=summary
        )
        await self._world.live.commit(finish)
        for name in operation.wallets:
            self._take_back_key(WalletId(name))


def summary_of(operation: Operation) -> JsonObject:
    """The sums over all wallets."""
    steps = list(operation.steps.values())
    return {
        "wallets": len(operation.wallets),
        "done": len(operation.done),
        "moved": moved(steps),
        "fees_wei": str(sum(step.fee_wei + step.spent_wei for step in steps)),
        "steps": {state: sum(step.state == state for step in steps) for state in ("open", "done", "failed")},
    }


async def planned(names: Sequence[str], plan_of: Callable[[str], Awaitable[JsonObject]]) -> dict[str, JsonObject]:
    """What there is at each of these wallets now, so many at a time."""
    plans: dict[str, JsonObject] = {}
    for chunk in _chunks(names, PLANS_AT_ONCE):
        found = await asyncio.gather(*(plan_of(name) for name in chunk))
        plans |= dict(zip(chunk, found, strict=True))
    return plans


def _chunks(names: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for start in range(0, len(names), size):
        yield names[start : start + size]
