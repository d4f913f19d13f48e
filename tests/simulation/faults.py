"""What can go wrong, by family. Each schedules its troubles on the universe's queue; all of them end when faults stop."""

from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING

from ghostfleet.chain import transactions
from ghostfleet.domain.values import Call, Fees, Unsigned, WalletId
from tests.simulation import settings
from tests.simulation.chain import CHAIN_ID, SINK, TRANSFER_GAS
from tests.simulation.network import Weather
from tests.simulation.node import Habits

if TYPE_CHECKING:
    from tests.simulation.simulation import Simulation

Family = Callable[["Simulation", Random], None]


def begin(simulation: "Simulation") -> None:
    """Start the families of this seed."""
    for name in simulation.families:
        FAMILIES[name](simulation, simulation.universe.random(f"faults {name}"))


def end(simulation: "Simulation") -> None:
    """All is well again, whatever was going on."""
    for site in simulation.sites:
        site.weather = Weather(takes_batches=site.weather.takes_batches)
    for node in simulation.nodes:
        old = node.habits
        node.habits = Habits(refuses_gaps=old.refuses_gaps, history=old.history, sync=old.sync, hides=old.hides)
        node.announce()
    chain = simulation.chain
    chain.stalled, chain.inclusion, chain.fee_drift = False, 0.95, 0.0
    chain.head.next_base_fee_wei = min(chain.head.next_base_fee_wei, 5 * 10**9)
    simulation.universe.clock_offset_us = 0
    simulation.set_full("")
    simulation.disk_weather.fails, simulation.disk_weather.blind = 0.0, 0
    if simulation.run is not None:
        simulation.run.loop.crash_in = None


def _often(simulation: "Simulation", random: Random, every_secs: float, strike: Callable[[], None]) -> None:
    """Let it strike again and again, until faults stop."""
    universe = simulation.universe

    def again() -> None:
        if simulation.quiet_since is None:
            strike()
            universe.after(random.expovariate(1 / every_secs), again)

    universe.after(random.uniform(0.0, every_secs), again)


def _spells(
    simulation: "Simulation",
    random: Random,
    every_secs: float,
    secs: float,
    on: Callable[[], None],
    off: Callable[[], None],
) -> None:
    """Spells of trouble."""

    def strike() -> None:
        on()
        simulation.universe.after(random.uniform(0.2, 1.8) * secs, stop)

    def stop() -> None:
        if simulation.quiet_since is None:
            off()

    _often(simulation, random, every_secs, strike)


def crashes(simulation: "Simulation", random: Random) -> None:
    """Killed at any step, between any two writes."""
    _often(simulation, random, random.choice((20.0, 60.0)), lambda: simulation.crash(random.choice((5, 60, 400))))


def stops(simulation: "Simulation", random: Random) -> None:
    """Stopped and started by an operator."""
    _often(simulation, random, 90.0, lambda: simulation.stop_gracefully(random.choice((0.5, 5.0, 60.0))))


def lost(simulation: "Simulation", random: Random) -> None:
    """Requests and answers that get lost, cut off, doubled."""
    for site in simulation.sites:
        weather = site.weather
        weather.refused = random.uniform(0, 0.1)
        weather.request_lost = random.uniform(0, 0.1)
        weather.answer_lost = random.uniform(0, 0.1)
        weather.cut = random.uniform(0, 0.1)
        weather.twice = random.uniform(0, 0.2)


def late(simulation: "Simulation", random: Random) -> None:
    """Requests that arrive minutes later, answers out of order."""
    for site in simulation.sites:
        site.weather.late = random.uniform(0.02, 0.15)
        site.weather.twice = random.uniform(0, 0.1)


def limits(simulation: "Simulation", random: Random) -> None:
    """429 storms."""
    sites = simulation.sites if random.random() < 0.5 else [random.choice(simulation.sites)]

    def on() -> None:
        for site in sites:
            site.weather.limited = random.uniform(0.3, 1.0)

    def off() -> None:
        for site in sites:
            site.weather.limited = 0.0

    _spells(simulation, random, 60.0, 20.0, on, off)


def garbage(simulation: "Simulation", random: Random) -> None:
    """HTML, nothing, half of an answer, answers of another shape, calls without an answer."""
    for site in simulation.sites:
        site.weather.garbage = random.uniform(0, 0.15)
        site.weather.wrong_shape = random.uniform(0, 0.05)
        site.weather.unanswered = random.uniform(0, 0.05)
    if random.random() < 0.3:
        random.choice(simulation.sites).weather.takes_batches = False


def outages(simulation: "Simulation", random: Random) -> None:
    """Every endpoint down: for minutes, seldom for hours."""

    def on() -> None:
        for site in simulation.sites:
            site.weather.down = True

    def off() -> None:
        for site in simulation.sites:
            site.weather.down = False

    hours = random.random() < 0.05
    if hours:
        simulation.faults_secs += 3 * 3600.0
    _spells(simulation, random, 100.0, 2 * 3600.0 if hours else random.choice((10.0, 60.0)), on, off)


def clock(simulation: "Simulation", random: Random) -> None:
    """The wall clock jumps, back and forth."""

    def jump() -> None:
        simulation.universe.clock_offset_us = int(random.choice((0, 1, -1)) * random.uniform(1, 400) * 1_000_000)
        simulation.universe.story(f"the clock is off by {simulation.universe.clock_offset_us / 1e6:.0f} s")

    _often(simulation, random, 60.0, jump)


def disk(simulation: "Simulation", random: Random) -> None:
    """Commits that fail, that land all the same, a disk that is full or read-only and comes back."""
    weather = simulation.disk_weather
    weather.slowest_secs = random.choice((0.01, 0.5))
    weather.fails, weather.doubts = random.uniform(0, 0.1), random.random()

    def on() -> None:
        simulation.set_full(random.choice(("disk full", "read-only file system")))

    _spells(simulation, random, 80.0, 15.0, on, lambda: simulation.set_full(""))


def outsider(simulation: "Simulation", random: Random) -> None:
    """Somebody else uses a wallet's key."""
    _often(simulation, random, 60.0, lambda: _outside_transaction(simulation, random, 1))


def drained(simulation: "Simulation", random: Random) -> None:
    """A wallet loses its funds, and gets them back a while later."""

    def drain() -> None:
        name = random.choice([it.id for it in simulation.loaded.wallets])
        address = settings.ADDRESSES[name]
        wei = simulation.chain.head.balance(address) - random.choice((0, 0, 10**13, 5 * 10**13))
        if wei > 0:
            simulation.universe.story(f"{name} is drained")
            simulation.chain.credit(address, -wei)
            simulation.universe.after(random.uniform(10, 120), lambda: simulation.chain.credit(address, wei))

    _often(simulation, random, 20.0, drain)


def fees(simulation: "Simulation", random: Random) -> None:
    """The base fee jumps a hundredfold, and falls again."""
    chain = simulation.chain

    def on() -> None:
        chain.jump_fees(random.choice((3, 10, 100)))
        chain.fee_drift = random.uniform(0, 0.05)

    def off() -> None:
        chain.jump_fees(1 / random.choice((3, 10, 100)))
        chain.fee_drift = -0.05

    _spells(simulation, random, 60.0, 40.0, on, off)


def admin(simulation: "Simulation", random: Random) -> None:
    """Commands at the worst moment."""

    mix = random.choice((("pause", "resume", "reset"), ("pause", "resume"), ("pause", "reset")))

    def command() -> None:
        wanted = random.choice(mix)
        simulation.ask(wanted, random.choice([it.id for it in simulation.loaded.wallets]) if wanted == "reset" else "")
        if "resume" in mix and wanted != "reset" and random.random() < 0.3:
            simulation.ask("resume" if wanted == "pause" else "pause")

    _often(simulation, random, 12.0, command)


def operations(simulation: "Simulation", random: Random) -> None:
    """Money is moved, stopped in the middle, asked for again, given up; and somebody gives to the poor."""

    def command() -> None:
        if random.random() < 0.3:
            simulation.ask(random.choice(("pause", "pause", "resume")))
        if random.random() < 0.8:
            simulation.ask(*simulation.wishes.any(random))
        if random.random() < 0.1:
            simulation.crash(random.choice((5, 60, 400)))

    _often(simulation, random, 15.0, command)
    _often(simulation, random, 60.0, simulation.wishes.help_the_poor)


def config(simulation: "Simulation", random: Random) -> None:
    """Settings that change from one run to the next."""

    def edit() -> None:
        simulation.next_loaded = settings.changed(simulation.next_loaded, random)
        if random.random() < 0.5:
            simulation.stop_gracefully(random.choice((0.5, 20.0)))
        else:
            simulation.crash(50)

    _often(simulation, random, 60.0, edit)


def steering(simulation: "Simulation", random: Random) -> None:
    """The pace, the endpoints and the settings change while it runs, at the worst moment."""

    def command() -> None:
        wanted = random.choice(("throttle", "throttle", "drain", "restore", "restore", "reload", "reload", "reload"))
        if wanted == "throttle":
            simulation.ask(wanted, random.choice(("0.25", "0.5", "1", "1")))
        elif wanted == "reload":
            simulation.next_loaded = settings.changed(simulation.next_loaded, random)
            simulation.ask(wanted)
            if random.random() < 0.2:
                simulation.ask(wanted)
            if random.random() < 0.2:
                simulation.crash(50)
        else:
            simulation.ask(wanted, random.choice(simulation.loaded.chain.endpoints).name)

    _often(simulation, random, 10.0, command)


def reorganisations(simulation: "Simulation", random: Random) -> None:
    """Up to twenty blocks taken back."""

    def strike() -> None:
        depth = random.choice((1, 1, 2, 3, 5, 10, settings.MAX_REORGANISATION))
        chain = simulation.chain
        lost = chain.highest - chain.head.number  # two in a row, while the chain is shorter, go no deeper together
        chain.reorganise(min(depth, chain.head.number - 1, settings.MAX_REORGANISATION - lost))

    _often(simulation, random, 30.0, strike)


def forgetful(simulation: "Simulation", random: Random) -> None:
    """Nodes that forget, swallow, keep to themselves, and complain of what they took."""
    for node in simulation.nodes:
        habits = node.habits
        habits.forgets = random.choice((0.0, 0.05, 0.3))
        habits.swallows = random.choice((0.0, 0.1, 0.4))
        habits.complains = random.choice((0.0, 0.1, 0.4))
        habits.keeps_to_itself = random.choice((0.0, 0.1, 0.5))
        habits.refuses_gaps = random.random() < 0.3
        habits.refuses_below_base_fee = random.random() < 0.5


def hides(simulation: "Simulation", random: Random) -> None:
    """One of two endpoints takes everything and passes nothing on, for good: well-mannered, useless."""
    if len(simulation.sites) > 1:
        for node in random.choice(simulation.sites).nodes:
            node.habits.hides = True


def lag(simulation: "Simulation", random: Random) -> None:
    """Nodes that are some blocks behind, each differently; some without history."""
    for node in simulation.nodes:
        node.habits.lag_secs = random.choice((0.2, 2.0, 8.0, 16.0))
        node.habits.history = random.random() < 0.6


def stalls(simulation: "Simulation", random: Random) -> None:
    """A chain that makes no blocks for a while, or leaves transactions out."""
    chain = simulation.chain

    def on() -> None:
        chain.stalled = random.random() < 0.5
        chain.inclusion = 0.2

    def off() -> None:
        chain.stalled, chain.inclusion = False, 0.9

    _spells(simulation, random, 80.0, 40.0, on, off)


def drops(simulation: "Simulation", random: Random) -> None:
    """Transactions vanish from every pool."""

    def drop() -> None:
        waiting = sorted(simulation.chain.pool.waiting)
        if not waiting:
            return
        key = random.choice(waiting)
        for pool in (simulation.chain.pool, *(node.pool for node in simulation.nodes)):
            pool.waiting.pop(key, None)

    _often(simulation, random, 4.0, drop)


def _outside_transaction(simulation: "Simulation", random: Random, value_wei: int) -> None:
    name = random.choice([it.id for it in simulation.loaded.wallets])
    chain, address = simulation.chain, settings.ADDRESSES[name]
    ahead = 1 if random.random() < 0.1 else 0
    max_fee_wei = chain.head.next_base_fee_wei * 20
    unsigned = Unsigned(
        chain_id=CHAIN_ID,
        nonce=chain.head.nonce(address) + ahead,
        call=Call(to=SINK, value_wei=value_wei),
        gas=TRANSFER_GAS,
        fees=Fees(max_fee_wei, min(10**10, max_fee_wei)),
    )
    signed = transactions.sign(unsigned, settings.KEYRING.key(WalletId(name)))
    simulation.promises.outsiders[signed.hash] = (name, unsigned.nonce)
    tx = chain.decode(bytes(signed.raw))
    for pool in (chain.pool, *(node.pool for node in simulation.nodes if random.random() < 0.7)):
        pool.offer(tx)
    simulation.universe.story(f"somebody else sends nonce {unsigned.nonce} of {name}: {signed.hash!s:.14}")


FAMILIES: dict[str, Family] = {
    family.__name__: family
    for family in (
        crashes,
        stops,
        lost,
        late,
        limits,
        garbage,
        outages,
        clock,
        disk,
        outsider,
        drained,
        fees,
        admin,
        operations,
        config,
        steering,
        reorganisations,
        forgetful,
        hides,
        lag,
        stalls,
        drops,
    )
}
