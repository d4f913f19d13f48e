"""What is measured? Counters since this process started, and gauges read off the folded state when somebody asks.

One registry of our own, nothing global. Every name is described in docs/metrics.md; a test compares.
"""

import collections
import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily, Metric, UnknownMetricFamily
from prometheus_client.registry import Collector

from ghostfleet.domain.breaker import Probing, Tripped
from ghostfleet.domain.decisions import PAUSERS
from ghostfleet.domain.limits import PACE_LIMITS, SPENDING_LIMITS
from ghostfleet.domain.state import State
from ghostfleet.domain.values import SECOND_US
from ghostfleet.domain.wallet import Wallet
from ghostfleet.telemetry.labels import OTHER, Label
from ghostfleet.telemetry.lines import WEI_PER_ETH

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
MAX_WALLET_SERIES = 10_000
"""Beyond so many wallets only the lowest balances are published: those that an alert is about."""
MAX_TRIP_SERIES = 1_000
"""Wallets whose breaker trips are told apart, in the order of their registration; those of the others count as `other`."""
COMMIT_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
REQUEST_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
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
OPERATOR = "operator"
"""Whoever paused the fleet by a command, whatever their names are: label values are few."""
BACKUP_OUTCOMES = ("made", "failed")
CHECKPOINT_OUTCOMES = ("signed", "failed")


class Reachable(Protocol):
    """An RPC endpoint as far as a metric needs it (engine.ports.EndpointStatus is one)."""

    @property
    def name(self) -> str: ...
    @property
    def healthy(self) -> bool: ...
    @property
    def drained(self) -> bool: ...


class Condition(Protocol):
    """A check of readiness as far as a metric needs it (engine.ports.Check is one)."""

    @property
    def name(self) -> str: ...
    @property
    def ok(self) -> bool: ...


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
        self.tally = Tally()
        self.registry.register(self.tally)
        self._fleet = FleetGauges(wal_bytes)
        self.actions = self._counter("ghost_fleet_actions", "Actions by outcome.", ("plugin", "kind", "outcome"))
        self.errors = self._counter("ghost_fleet_errors", "Errors.", ("class", "wallet", "endpoint"))
        self.limit_rejections = self._counter(
            "ghost_fleet_limit_rejections", "Actions that a limit rejected.", ("limit",)
        )
        self.transactions = self._counter(
            "ghost_fleet_transactions", "Steps in the life of transactions by status.", ("status",)
        )
        self.events = self._counter("ghost_fleet_events", "Events recorded by type.", ("type",))
        self.commands = self._counter("ghost_fleet_admin_commands", "Admin commands.", ("command", "outcome"))
        self.backups = self._counter("ghost_fleet_backups", "Scheduled backups by outcome.", ("outcome",))
        self.checkpoints = self._counter("ghost_fleet_checkpoints", "Checkpoints of the log by outcome.", ("outcome",))
        self.lockouts = self._counter("ghost_fleet_admin_lockouts", "Places locked out after wrong credentials.")
        self.gas_used = self._counter("ghost_fleet_gas_used", "Gas used by mined transactions.")
        self.fees = self._counter("ghost_fleet_fees_spent_eth", "Fees of mined transactions, in ETH.")
        self.reorganisations = self._counter("ghost_fleet_chain_reorganisations", "Reorganisations seen.")
        self.breaker_trips = Untyped("ghost_fleet_circuit_breaker_trips", "Circuit breakers tripped.")
        self.last_action = Gauge(
            "ghost_fleet_last_action_timestamp_seconds",
            "When a wallet last took an action (signed its transaction), Unix time; 0 before the first.",
            registry=self.registry,
        )
        self.deadman_left = Gauge(
            "ghost_fleet_deadman_seconds_left",
            "Until the fleet pauses itself because no operator was heard of; +Inf where it never does.",
            registry=self.registry,
        )
        self.deadman_left.set(float("inf"))
        self.start_time = Gauge(
            "ghost_fleet_start_time_seconds", "When this service started, Unix time.", registry=self.registry
        )
        self.commit_secs = Histogram(
            "ghost_fleet_log_commit_seconds",
            "Time from an append to its durable commit.",
            buckets=COMMIT_BUCKETS,
            registry=self.registry,
        )
        self.rpc_calls = self._counter(
            "ghost_fleet_rpc_calls", "JSON-RPC calls by what became of them.", ("endpoint", "method", "outcome")
        )
        self.rpc_secs = Histogram(
            "ghost_fleet_rpc_request_seconds",
            "Time from writing an HTTP request of one or more calls to its answer.",
            ("endpoint",),
            buckets=REQUEST_BUCKETS,
            registry=self.registry,
        )
        self._rpc_endpoint, self._rpc_method = Label(), Label()
        self._rpc_counts: dict[tuple[str, str, str], Counter] = {}
        build = Gauge("ghost_fleet_build", "Release that is running.", ("version",), registry=None)
        build.labels(version).set(1)
        self.registry.register(Renamed(build, "ghost_fleet_build_info"))
        self.registry.register(self.breaker_trips)
        self.registry.register(self._fleet)
        for outcome in BACKUP_OUTCOMES:
            self.backups.labels(outcome)
        for outcome in CHECKPOINT_OUTCOMES:
            self.checkpoints.labels(outcome)
        for status in TRANSACTION_STATUSES:
            self.transactions.labels(status)
        for limit in (*PACE_LIMITS, *SPENDING_LIMITS):
            self.limit_rejections.labels(limit)

    def _counter(self, name: str, text: str, labels: Sequence[str] = ()) -> Counter:
        return Counter(name, text + " Since this process started.", labels, registry=self.registry)

    def observe_commit(self, secs: float) -> None:
        """One group commit of the log took so long."""
        self.commit_secs.observe(secs)

    def observe_exchange(self, endpoint: str, calls: Sequence[tuple[str, str]], secs: float) -> None:
        """One request to an endpoint, with (method, outcome) of each of its calls, took so long."""
        name = self._rpc_endpoint(endpoint)
        self.rpc_secs.labels(name).observe(secs)
        for (method, outcome), many in collections.Counter(calls).items():
            labels = (name, self._rpc_method(method), outcome)
            count = self._rpc_counts.get(labels)
            if count is None:
                count = self._rpc_counts[labels] = self.rpc_calls.labels(*labels)
            self.tally.inc(count, many)

    def render(self, state: State, endpoints: Iterable[Reachable], checks: Iterable[Condition] = ()) -> bytes:
        """All metrics as Prometheus text (CONTENT_TYPE), gauges as the state is now."""
        self._fleet.look(state, tuple(endpoints), tuple(checks))
        return generate_latest(WithoutBirthdays(self.registry))


class Tally(Collector):
    """Counts on their way into counters: added up here a thousand times a second, and there when somebody looks.

    It is the first collector of its registry, so that the others have it all.
    """

    def __init__(self) -> None:
        self._counts: dict[Counter, float] = {}

    def inc(self, counter: Counter, amount: float = 1) -> None:
        self._counts[counter] = self._counts.get(counter, 0) + amount

    def collect(self) -> Iterator[Metric]:
        counts, self._counts = self._counts, {}
        for counter, amount in counts.items():
            counter.inc(amount)
        return iter(())


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
        self._name, self._text = name, text
        self._counts: dict[str, int] = {}

    def expect(self, wallet: str) -> None:
        """Publish this wallet from now on: `increase()` does not see the first step of a series that begins above 0."""
        self._counts.setdefault(self._label(wallet), 0)

    def inc(self, wallet: str) -> None:
        label = self._label(wallet)
        self._counts[label] = self._counts.get(label, 0) + 1

    def _label(self, wallet: str) -> str:
        return wallet if wallet in self._counts or len(self._counts) < MAX_TRIP_SERIES else OTHER

    def collect(self) -> Iterator[Metric]:
        text = self._text + " Since this process started; only ever grows."
        family = UnknownMetricFamily(self._name, text, labels=["wallet"])
        for wallet, count in self._counts.items():
            family.add_metric([wallet], count)
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
        self._checks: tuple[Condition, ...] = ()

    def look(self, state: State, endpoints: tuple[Reachable, ...], checks: tuple[Condition, ...] = ()) -> None:
        """What to read from at the next collection."""
        self._state, self._endpoints, self._checks = state, endpoints, checks

    def collect(self) -> Iterator[Metric]:
        state = self._state
        yield from self._wallets(state)
        yield _gauge("ghost_fleet_paused", "1 while the fleet is paused.", state.fleet.paused is not None)
        yield _paused_by(state)
        yield _gauge("ghost_fleet_throttle_factor", "Pace of the fleet; 1 is full pace.", state.fleet.pace)
        yield _gauge("ghost_fleet_log_position", "Position of the newest event.", state.position)
        yield _gauge("ghost_fleet_wal_bytes", "Size of the log's write-ahead file.", self._wal_bytes())
        yield _gauge(
            "ghost_fleet_last_backup_timestamp_seconds",
            "When the newest scheduled backup was made, Unix time; 0 before the first.",
            state.fleet.backed_up_us / SECOND_US,
        )
        signed = state.fleet.signed_head
        yield _gauge(
            "ghost_fleet_last_checkpoint_timestamp_seconds",
            "When the head of the log was last signed, Unix time; 0 before the first.",
            signed.time_us / SECOND_US if signed is not None else 0,
        )
        yield _gauge(
            "ghost_fleet_checkpoint_unsigned",
            "1 from the moment when nobody could sign the head of the log, until somebody did.",
            state.fleet.head_unsigned,
        )
        up = GaugeMetricFamily("ghost_fleet_endpoint_up", "1 while the RPC endpoint is asked.", labels=["endpoint"])
        for endpoint in self._endpoints:
            up.add_metric([endpoint.name], float(endpoint.healthy and not endpoint.drained))
        yield up
        ready = GaugeMetricFamily("ghost_fleet_ready", "1 while this check of readiness holds.", labels=["check"])
        for check in self._checks:
            ready.add_metric([check.name], float(check.ok))
        yield ready

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


def _paused_by(state: State) -> Metric:
    pause = state.fleet.paused
    by = "" if pause is None else pause.actor if pause.actor in PAUSERS else OPERATOR
    family = GaugeMetricFamily("ghost_fleet_paused_by", "1 for whoever paused the fleet, while it is.", labels=["by"])
    for who in (OPERATOR, *PAUSERS):
        family.add_metric([who], float(who == by))
    return family


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=float(value))
