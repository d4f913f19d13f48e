"""The operator who moves money: fundings, extractions, cancellings at the worst moment, and what has to come of them in the end.

What was wished for is remembered, as a person does it who asks for the very same again.
"""

from random import Random
from typing import TYPE_CHECKING

import msgspec

from ghostfleet.assembly import Running
from ghostfleet.domain.operation import Operation
from ghostfleet.domain.values import Address
from ghostfleet.engine.ports import AdminCommand
from ghostfleet.operations.wishes import Cancellation, Extraction, Funding, Wish
from tests.simulation import settings
from tests.simulation.chain import TRANSFER_GAS

if TYPE_CHECKING:
    from tests.simulation.simulation import Simulation

PAYMENT_WEI = 10**20
"""What a funding pays each, and a wei more from one to the next: no two of them do the same."""
POOR_WEI = 10**19
COMMANDS = frozenset({"extract", "fund", "cancel", "same", "abandon"})
FEE_FACTOR = 10
"""A transfer's fee is at most so many times what it costs at the newest block's base fee: caps leave room for rising ones."""

CALM_SECS = 20.0
"""After faults have stopped, what nodes say of balances is true again."""

replace = msgspec.structs.replace


class Wishes:
    """What an operator asks of a fleet, by chance; and what is still owed when faults have stopped."""

    def __init__(self, simulation: "Simulation") -> None:
        self._simulation = simulation
        self._random = simulation.universe.random("wishes")
        self._asked: list[Extraction | Funding] = []
        self._payments = self._gifts = 0
        self._paid_for: set[tuple[str, int]] = set()
        """Wallets and nonces of steps that got gas money."""
        self._last: list[Extraction | Funding] = []
        """Those of the quiet time which have not begun yet."""

    async def obey(self, running: Running, command: AdminCommand) -> None:
        """Raises GhostFleetError: what the desk refuses, or the log."""
        desk = running.desk
        if command.command == "abandon":
            await desk.abandon(command)
            return
        if command.command == "cancel":
            command = replace(command, request_id=command.request_id + "-cancel")
            await desk.start(command, desk.wish(Cancellation()))
            return
        wish = self._asked[int(command.target)]
        begun = await desk.start(command, desk.wish(wish))
        self._simulation.universe.story(f"operator: {begun.operation} {'is done before' if begun.before else 'runs'}")
        if wish in self._last:
            self._last.remove(wish)

    def any(self, random: Random) -> tuple[str, str]:
        """A command and its target."""
        command = random.choice(("extract", "extract", "fund", "fund", "cancel", "same", "same", "same", "abandon"))
        open_ = self._simulation.promises.shadow.fleet.operations
        if command == "abandon" and open_:
            return command, random.choice(open_).id
        if command == "same" and self._asked:
            return command, str(random.randrange(max(0, len(self._asked) - 3), len(self._asked)))
        if command == "cancel":
            return command, ""
        self._asked.append(self._extraction(random) if command == "extract" else self._funding(random))
        return command, str(len(self._asked) - 1)

    def _names(self, random: Random) -> tuple[str, ...]:
        names = [str(it.id) for it in self._simulation.loaded.wallets]
        return tuple(random.sample(names, random.randint(1, len(names))))

    def _extraction(self, random: Random) -> Extraction:
        """Of all wallets, for which the fleet has to be paused, or of some."""
        wallets = () if random.random() < 0.3 else self._names(random)
        wait = random.random() < 0.7
        return Extraction(to=str(settings.SAFE), wallets=wallets, wait=wait, retire=random.random() < 0.2)

    def _funding(self, random: Random) -> Funding:
        self._payments += 1
        targets = {name: str(settings.ADDRESSES[name]) for name in self._names(random)}
        return Funding(
            funder=str(settings.FUNDER), targets=targets, native_wei=str(PAYMENT_WEI + self._payments), again=""
        )

    def help_the_poor(self) -> None:
        """A colleague gives some to wallets that are empty, now and then."""
        chain = self._simulation.chain
        for name in self._simulation.promises.shadow.wallets:
            address = settings.ADDRESSES.get(name)
            if address is not None and chain.head.balance(address) < POOR_WEI:
                self._give(address)

    # --- when faults have stopped --------------------------------------------------------------------------------------

    def quiet(self) -> None:
        """A last extraction and a last funding, of wallets that are well, and that the log knows: settings that were never in
        force may name others."""
        random, known = self._random, self._simulation.promises.shadow.wallets
        self._simulation.promises.emptied.clear()
        extraction, names, funding = self._extraction(random), self._names(random), self._funding(random)
        wallets = tuple(name for name in names if name in known)
        targets = {name: address for name, address in funding.targets.items() if name in known}
        self._last = [
            *([replace(extraction, wallets=wallets, wait=True)] if wallets else []),
            *([replace(funding, targets=targets)] if targets else []),
        ]
        random.shuffle(self._last)
        self._asked += self._last

    def operate(self) -> None:
        """What is suspended goes on, what is not asked for yet is asked for; and once all has ended the poor get something."""
        simulation = self._simulation
        open_ = simulation.promises.shadow.fleet.operations
        for operation in open_:
            if not operation.running:
                simulation.ask("continue", operation.id)
        calm = simulation.universe.now - (simulation.quiet_since or 0.0) > CALM_SECS
        for wish in self._last[:1] if calm else ():
            simulation.ask("same", str(self._asked.index(wish)))
        self._pay_for_steps()
        if not open_ and not self._last:
            self._empty()
            self.help_the_poor()

    def _pay_for_steps(self) -> None:
        """Who reads that a step cannot pay for its gas sends some, once: an earlier sweep, sent again after a reorganisation, may
        have taken all there was."""
        simulation = self._simulation
        open_ = {
            name: wallet.pending[0]
            for name, wallet in simulation.promises.shadow.wallets.items()
            if wallet.pending and (name, wallet.pending[0].nonce) not in self._paid_for
        }
        sweeping = [name for name, slot in open_.items() if slot.sweeps]
        poor = {name for name, error in simulation.errors_of(sweeping) if "that a sweep has left" in error.message}
        wallets = simulation.promises.shadow.wallets
        poor |= {name for name, it in open_.items() if it.operation and wallets[name].parked_until_wei is not None}
        for name in sorted(poor & set(settings.ADDRESSES)):
            self._paid_for.add((name, open_[name].nonce))
            self._give(settings.ADDRESSES[name])

    def _give(self, address: Address) -> None:
        """Less each time, so that no two sweeps of such a gift look like one done twice."""
        self._gifts += 1
        self._simulation.chain.credit(address, PAYMENT_WEI - self._gifts)

    async def go_on(self, running: Running, command: AdminCommand) -> None:
        """The same wish once more, as the log has it. Raises GhostFleetError."""
        operation = next((it for it in running.service.state.fleet.operations if it.id == command.target), None)
        if operation is not None:
            await running.desk.start(command, _again(operation))

    def missing(self) -> str:
        """What is not done yet; empty when everything is."""
        for operation in self._simulation.promises.shadow.fleet.operations:
            run = self._simulation.run
            waits = run.running.desk.open() if run is not None and run.running is not None else []
            return f"{operation.id} is not done: {operation} {waits}"[:3000]
        return f"not begun: {self._last[0]}" if self._last else ""

    def _empty(self) -> None:
        """Whoever was emptied since faults stopped, and got nothing since, has not even a transfer's fee."""
        simulation = self._simulation
        head = simulation.chain.head
        fee_wei = FEE_FACTOR * TRANSFER_GAS * head.next_base_fee_wei
        for name in sorted(simulation.promises.emptied):
            left = head.balance(settings.ADDRESSES[name])
            if left > fee_wei:
                simulation.universe.violated("an extracted wallet is empty", f"{name} has {left} wei left")


def _again(operation: Operation) -> Wish:
    return Wish(kind=operation.kind, wallets=operation.wallets, params=operation.params)  # type: ignore[arg-type]
