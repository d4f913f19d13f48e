"""What is measured? Counters since this process started, and gauges read off the folded state when somebody asks.

One registry of our own, nothing global. Every name is described in docs/metrics.md; a test compares.
"""

import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily, Metric, UnknownMetricFamily
from prometheus_client.registry import Collector

from ghostfleet.domain.breaker import Probing, Tripped
from ghostfleet.domain.state import State
from ghostfleet.domain.wallet import Wallet
from ghostfleet.telemetry.lines import WEI_PER_ETH

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
MAX_WALLET_SERIES = 10_000
"""Beyond so many wallets only the lowest balances are published: those that an alert is about."""
COMMIT_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
WALLET_STATES = ("active", "tripped", "probing", "parked", "retired")
TRANSACTION_STATUSES = (
    "signed",
    "replacement",
    "accepted",
    "refused",
    "mined",
    "reverted",
    "final",
    "reorged",
    "dropped",
    "superseded",
)


class Reachable(Protocol):
    """An RPC endpoint as far as a metric needs it (engine.ports.EndpointStatus is one)."""

    @property
    def name(self) -> str: ...
    @property
    def healthy(self) -> bool: ...


def wallet_state(wallet: Wallet) -> str:
    """The one word for how a wallet is: one of WALLET_STATES."""
    if wallet.retired:
        return "retired"
    if isinstance(wallet.breaker, Tripped):
        return "tripped"
    if isinstance(wallet.breaker, Probing):
        return "probing"
    return "active" if wallet.parked_until_wei is None else "parked"


class Metrics:
    """Every metric of the service. `wal_bytes` says how large the log's write-ahead file is (0 where there is none)."""

    def __init__(self, version: str, wal_bytes: Callable[[], int] = lambda: 0) -> None:
        self.registry = CollectorRegistry(auto_describe=False)
        self._fleet = FleetGauges(wal_bytes)
        self.actions = self._counter("ghost_fleet_actions", "Actions by outcome.", ("plugin", "kind", "outcome"))
        self.errors = self._counter("ghost_fleet_errors", "Errors by class.", ("class",))
        self.transactions = self._counter(
            "ghost_fleet_transactions", "Steps in the life of transactions by status.", ("status",)
        )
        self.events = self._counter("ghost_fleet_events", "Events recorded by type.", ("type",))
        self.commands = self._counter("ghost_fleet_admin_commands", "Admin commands.", ("command", "outcome"))
        self.gas_used = self._counter("ghost_fleet_gas_used", "Gas used by mined transactions.")
        self.fees = self._counter("ghost_fleet_fees_spent_eth", "Fees of mined transactions, in ETH.")
        self.reorganisations = self._counter("ghost_fleet_chain_reorganisations", "Reorganisations seen.")
        self.breaker_trips = Untyped("ghost_fleet_circuit_breaker_trips", "Circuit breakers tripped.")
        self.last_action = Gauge(
            "ghost_fleet_last_action_timestamp_seconds",
            "When a wallet last took an action (signed its transaction), Unix time; 0 before the first.",
            registry=self.registry,
        )
        self.start_time = Gauge(
            "ghost_fleet_start_time_seconds", "When this service started, Unix time.", registry=self.registry
        )
        self.commit_secs = Histogram(
            "ghost_fleet_log_commit_seconds",
            "Time from an append to its durable commit.",
            buckets=COMMIT_BUCKETS,
            registry=self.registry,
        )
        build = Gauge("ghost_fleet_build", "Release that is running.", ("version",), registry=None)
        build.labels(version).set(1)
        self.registry.register(Renamed(build, "ghost_fleet_build_info"))
        self.registry.register(self.breaker_trips)
        self.registry.register(self._fleet)
        for status in TRANSACTION_STATUSES:
            self.transactions.labels(status)

    def _counter(self, name: str, text: str, labels: Sequence[str] = ()) -> Counter:
        return Counter(name, text + " Since this process started.", labels, registry=self.registry)

    def observe_commit(self, secs: float) -> None:
        """One group commit of the log took so long."""
        self.commit_secs.observe(secs)

    def render(self, state: State, endpoints: Iterable[Reachable]) -> bytes:
        """All metrics as Prometheus text (CONTENT_TYPE), gauges as the state is now."""
        self._fleet.look(state, tuple(endpoints))
        return generate_latest(WithoutBirthdays(self.registry))


class WithoutBirthdays(Collector):
    """Leaves out the `..._created` series that the library adds to each counter: twice the series, asked for by nobody."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def collect(self) -> Iterator[Metric]:
        for metric in self._registry.collect():
            metric.samples = [sample for sample in metric.samples if not sample.name.endswith("_created")]
            yield metric


class Untyped(Collector):
    """A count under a name that operators already graph, which a counter of the library would rename to `..._total`."""

    def __init__(self, name: str, text: str) -> None:
        self._name, self._text, self.count = name, text, 0

    def inc(self) -> None:
        self.count += 1

    def collect(self) -> Iterator[Metric]:
        family = UnknownMetricFamily(self._name, self._text + " Since this process started; only ever grows.")
        family.add_metric([], self.count)
        yield family


class Renamed(Collector):
    """A gauge under a name that the library reserves for another type."""

    def __init__(self, gauge: Gauge, name: str) -> None:
        self._gauge, self._name = gauge, name

    def collect(self) -> Iterator[Metric]:
        for metric in self._gauge.collect():
            family = GaugeMetricFamily(self._name, metric.documentation, labels=["version"])
            for sample in metric.samples:
                family.add_metric(list(sample.labels.values()), sample.value)
            yield family


class FleetGauges(Collector):
    """What the fold says at the moment of a scrape."""

    def __init__(self, wal_bytes: Callable[[], int]) -> None:
        self._wal_bytes = wal_bytes
        self._state = State()
        self._endpoints: tuple[Reachable, ...] = ()

    def look(self, state: State, endpoints: tuple[Reachable, ...]) -> None:
        """What to read from at the next collection."""
        self._state, self._endpoints = state, endpoints

    def collect(self) -> Iterator[Metric]:
        state = self._state
        yield from self._wallets(state)
        yield _gauge("ghost_fleet_paused", "1 while the fleet is paused.", state.fleet.paused is not None)
        yield _gauge("ghost_fleet_log_position", "Position of the newest event.", state.position)
        yield _gauge("ghost_fleet_wal_bytes", "Size of the log's write-ahead file.", self._wal_bytes())
        up = GaugeMetricFamily("ghost_fleet_endpoint_up", "1 while the RPC endpoint is asked.", labels=["endpoint"])
        for endpoint in self._endpoints:
            up.add_metric([endpoint.name], float(endpoint.healthy))
        yield up

    def _wallets(self, state: State) -> Iterator[Metric]:
        counts = dict.fromkeys(WALLET_STATES, 0)
        open_slots = 0
        balances: list[tuple[int, str]] = []
        for name, wallet in state.wallets.items():
            counts[wallet_state(wallet)] += 1
            open_slots += len(wallet.pending)
            if wallet.balance_wei is not None and not wallet.retired:
                balances.append((wallet.balance_wei, name))
        if len(balances) > MAX_WALLET_SERIES:
            balances = heapq.nsmallest(MAX_WALLET_SERIES, balances)
        by_state = GaugeMetricFamily("ghost_fleet_wallets", "Wallets by state.", labels=["state"])
        for word, count in counts.items():
            by_state.add_metric([word], count)
        yield by_state
        yield _gauge("ghost_fleet_open_slots", "Nonces whose transaction the chain has not settled.", open_slots)
        balance = GaugeMetricFamily(
            "ghost_fleet_wallet_balance", "Native balance as last observed, in ETH.", labels=["wallet"]
        )
        for wei, name in balances:
            balance.add_metric([name], wei / WEI_PER_ETH)
        yield balance


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=float(value))
