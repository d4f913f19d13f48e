"""Where operations are asked for: started or continued, looked at, given up. For HTTP and for the command line alike."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import msgspec

from ghostfleet.domain import events as ev
from ghostfleet.domain import operating
from ghostfleet.domain.decisions import Refused
from ghostfleet.domain.operation import Operation
from ghostfleet.domain.state import Candidate
from ghostfleet.domain.values import Address, JsonObject, WalletId
from ghostfleet.engine.commands import earlier, obey
from ghostfleet.engine.lending import LendingSigner
from ghostfleet.engine.ports import AdminCommand, Obeyed
from ghostfleet.engine.world import World
from ghostfleet.errors import TryAgain
from ghostfleet.keys.addresses import checksummed
from ghostfleet.keys.keyring import SigningKey, signing_key
from ghostfleet.keys.keystore import KeystoreUnusable, open_keystore, read_keystore
from ghostfleet.keys.secret import Secret
from ghostfleet.operations.destroy import why_it_would_stay
from ghostfleet.operations.runner import OperationRunner, planned, summary_of
from ghostfleet.operations.standing import UnknownOperation, one, progress
from ghostfleet.operations.wishes import (
    BadWish,
    Cancellation,
    Destruction,
    Extraction,
    Funding,
    Wish,
    cancellation,
    destruction,
    extraction,
    funding,
)
from ghostfleet.store.log import EventLog
from ghostfleet.store.queries import EventQuery


class NotNow(TryAgain):
    """The operation cannot be started or ended at this moment; the message says what stands in the way."""


class Keyfile(msgspec.Struct, frozen=True):
    """The keystore of a funder that the settings do not have, on the service's machine, and what opens it."""

    file: Path
    password: Secret


class Begun(msgspec.Struct, frozen=True):
    """What became of a wish: the operation that runs for it; or, `before`, the one that paid this very funding earlier."""

    obeyed: Obeyed
    operation: str
    before: bool = False


class OperationDesk:
    """Commands and questions about operations. The runner carries them out."""

    def __init__(self, world: World, log: EventLog, runner: OperationRunner, lending: LendingSigner) -> None:
        self._world = world
        self._log = log
        self._runner = runner
        self._lending = lending

    def wish(self, asked: Extraction | Funding | Cancellation | Destruction, *, planned: bool = False) -> Wish:
        """The checked wish; one that is only `planned` may be about what has yet to come. Raises BadWish."""
        state, plugins = self._world.state, self._world.plugins
        match asked:
            case Extraction():
                return extraction(state, plugins, asked)
            case Funding():
                return funding(state, plugins, asked)
            case Cancellation():
                return cancellation(state, asked)
            case Destruction():
                return destruction(state, asked, planned=planned)

    async def start(self, command: AdminCommand, wish: Wish, keyfile: Keyfile | None = None) -> Begun:
        """Start it, or go on with the same wish that is open. Raises NotNow, BadWish in a dry run or for a wrong key.

        The funder's key is lent for as long as its operation is open, and not at all where none comes of it.
        """
        if keyfile is None or wish.funder is None:
            return await self._start(command, wish)
        funder = WalletId(operating.funder_id(wish.funder))
        self._lending.lend(funder, await _opened(keyfile, wish.funder))
        try:
            return await self._start(command, wish)
        finally:
            if self._world.state.fleet.operation_of(funder) is None:
                self._lending.take_back(funder)

    async def _start(self, command: AdminCommand, wish: Wish) -> Begun:
        before = earlier(self._world.state, command)
        if before is not None:
            return Begun(before, await self._id_of(wish, before))
        if self._world.dry_run:
            raise BadWish("this is a dry run, which signs and sends nothing: start the service without --dry-run")
        running: list[str] = []

        def effects(state: Candidate, now_us: int) -> list[ev.NewEvent]:
            running[:] = [
                it.id for it in state.fleet.operations if _asked_by(it, wish)
            ]  # it may end before we look again
            return _started(state, now_us, wish=wish, command=command)

        try:
            obeyed = await self._obey(command, effects)
        except operating.AlreadyPaid as paid:
            state = self._world.state
            done = Obeyed(position=state.position, time_us=self._world.clock.now_us(), request_id=command.request_id)
            return Begun(done, paid.operation, before=True)
        return Begun(obeyed, running[0] if running else await self._id_of(wish, obeyed))

    async def abandon(self, command: AdminCommand) -> Obeyed:
        """Give an open operation up; what it has sent is still followed. Raises UnknownOperation."""
        operation = self._world.state.fleet.operation(command.target)
        if operation is None:
            raise UnknownOperation(f"no open operation {command.target}")
        effects = partial(
            operating.finish,
            operation_id=operation.id,
            outcome="abandoned",
            actor=command.actor,
            summary=summary_of(operation),
        )
        obeyed = await self._obey(command, effects)
        for name in operation.wallets:
            self._lending.take_back(WalletId(name))
        return obeyed

    async def plan(self, wish: Wish) -> dict[str, JsonObject]:
        """What it would find at each wallet now. Recorded nowhere."""
        names = [name for name in wish.wallets if name in self._world.state.wallets]
        if wish.kind == "destroy":
            return await asyncio.to_thread(self._what_would_stay, names, wish.params["keyfiles"])
        return await planned(names, partial(self._runner.plan_of, wish.kind))

    def _what_would_stay(self, names: Sequence[str], keyfiles: Mapping[str, str]) -> dict[str, JsonObject]:
        """`stays` is why the keystore could not be destroyed by this process, empty where nothing is in the way."""
        wallets = self._world.state.wallets
        return {
            name: {"stays": why_it_would_stay(Path(keyfiles[name]), wallets[WalletId(name)].address)} for name in names
        }

    def open(self) -> list[JsonObject]:
        """Every open operation."""
        return [progress(it, self._runner.waiting(it.id)) for it in self._world.state.fleet.operations]

    async def one(self, operation_id: str) -> JsonObject:
        """An operation of this log, open or ended, with the lines of its table so far. Raises UnknownOperation."""
        return await one(self._log, self._world.state.fleet, operation_id, self._runner.waiting(operation_id))

    async def _obey(self, command: AdminCommand, effects: Callable[[Candidate, int], list[ev.NewEvent]]) -> Obeyed:
        try:
            return await obey(self._world.live, command, effects)
        except Refused as refused:
            raise NotNow(str(refused)) from None

    async def _id_of(self, wish: Wish, obeyed: Obeyed) -> str:
        """The operation that a command started, continued, or found running."""
        query = EventQuery(correlation=obeyed.request_id, types=("OperationStarted", "OperationContinued"), limit=1)
        for row in (await self._log.rows(query)).items:
            event = self._log.decode(row).event
            assert isinstance(event, ev.OperationStarted | ev.OperationContinued)
            return event.operation_id
        for operation in self._world.state.fleet.operations:
            if _asked_by(operation, wish):
                return operation.id
        raise NotNow("the same operation ended just now: ask again to start it anew")


def _asked_by(operation: Operation, wish: Wish) -> bool:
    return operating.same_wish(operation, wish.kind, wish.wallets, wish.params)


async def _opened(keyfile: Keyfile, funder: Address) -> SigningKey:
    """The key. Raises BadWish."""
    try:
        key = signing_key(await asyncio.to_thread(open_keystore, read_keystore(keyfile.file), keyfile.password))
    except (KeystoreUnusable, ValueError) as problem:
        raise BadWish(f"keyfile: {problem}") from None
    if key.address != funder:
        raise BadWish(f"the keystore is of {checksummed(key.address)}, not of {checksummed(funder)}")
    return key


def _started(state: Candidate, now_us: int, *, wish: Wish, command: AdminCommand) -> list[ev.NewEvent]:
    number = state.fleet.operations_started + 1
    event = wish.event(f"{wish.kind}-{number}", command.actor, command.reason)
    return operating.start(state, now_us, wish=event, correlation=command.request_id, funder=wish.funder)
