"""Metrics and log lines say what was recorded: every event type has its words, and what operators grep and graph stays."""

import asyncio
import io
import json
import logging
from collections.abc import Iterator, Sequence
from typing import Any, get_args, get_origin

import msgspec
import pytest

from ghostfleet.domain import events as ev
from ghostfleet.domain.fleet import Fleet, Pause
from ghostfleet.domain.state import State, fold
from ghostfleet.domain.values import Address, AnswerClass, BlockRef, Call, Fees, Hash, Octets
from ghostfleet.telemetry import Metrics, Telemetry, configure_logging
from ghostfleet.telemetry.labels import MAX_LABEL_VALUES, OTHER, Label
from ghostfleet.telemetry.lines import LINES, eth, level_of, words_of
from ghostfleet.telemetry.logs import MAX_LINE_CHARS, one_line
from ghostfleet.telemetry.metrics import MAX_TRIP_SERIES
from ghostfleet.telemetry.moments import iso, parse_moment, parse_since, span
from ghostfleet.telemetry.observer import MAX_ERROR_SERIES, MAX_WALLETS_NAMED

T0 = 1_767_225_600_000_000
ADDRESS = Address(b"\x01" * 20)
TX = Hash(b"\x02" * 32)
BLOCK = BlockRef(7, Hash(b"\x03" * 32))


def example(kind: Any) -> Any:
    """Some value of a field's type: enough to walk the whole catalogue without listing its fields here."""
    known = {
        str: "text", int: 3, bool: True, float: 0.5, Hash: TX, Address: ADDRESS, Octets: Octets(b"\x04"),
        BlockRef: BLOCK, Fees: Fees(2, 1), Call: Call(to=ADDRESS), AnswerClass: AnswerClass.RATE_LIMITED,
    }  # fmt: skip
    if kind in known:
        return known[kind]
    if get_origin(kind) is dict:
        return {}
    if get_origin(kind) is tuple:
        return ()
    return get_args(kind)[0] if not isinstance(get_args(kind)[0], type) else example(get_args(kind)[0])


def sample(event: type[ev.Event], **fields: Any) -> ev.Event:
    """An event of this type with example values, but for those named."""
    hints = {field.name: field.type for field in msgspec.structs.fields(event)}
    return event(**{name: fields.get(name, example(kind)) for name, kind in hints.items()})


def recorded(events: Sequence[ev.Event], stream: str = "wallet/wallet-001") -> list[ev.Recorded]:
    return [ev.Recorded(n, stream, n, T0 + n * 1_000_000, "c-1", event) for n, event in enumerate(events, 1)]


def decided(number: int = 1, kind: str = "jack_in") -> ev.Event:
    return sample(
        ev.ActionDecided, action_id=f"wallet-001/{number}", plugin="ghostnet", kind=kind, balance_wei=4 * 10**15
    )


def signed(number: int = 1, attempt: int = 1, nonce: int = 0) -> ev.Event:
    return sample(
        ev.TransactionSigned, action_id=f"wallet-001/{number}", attempt=attempt, nonce=nonce, purpose="action"
    )


def measured(telemetry: Telemetry, state: Any = None) -> dict[str, float]:
    """Samples as an operator reads them."""
    text = telemetry.metrics.render(state or fold([]), ()).decode()
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in text.splitlines() if line[0] != "#"}


def told(events: Sequence[ev.Event]) -> Telemetry:
    telemetry = Telemetry(Metrics("0.1.0"))
    for each in recorded(events):
        telemetry.on_event(each)
    return telemetry


@pytest.mark.parametrize(
    ("actor", "by"),
    [
        ("service", "service"),
        ("deadman", "deadman"),
        ("config", "config"),
        ("restore", "restore"),
        ("anna", "operator"),
    ],
)
def test_who_paused_the_fleet_is_measured_under_few_names(actor: str, by: str) -> None:
    telemetry = Telemetry(Metrics("0.1.0"))
    paused = State(fleet=Fleet(paused=Pause(actor=actor, reason="", since_us=0)))
    for state, value in ((fold([]), 0.0), (paused, 1.0)):
        found = {
            name: it for name, it in measured(telemetry, state).items() if name.startswith("ghost_fleet_paused_by")
        }
        assert len(found) == 5
        assert sum(found.values()) == found[f'ghost_fleet_paused_by{{by="{by}"}}'] == value


@pytest.fixture
def output() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    undo = configure_logging("debug", stream=stream)
    yield stream
    undo()


@pytest.mark.parametrize("name", sorted(ev.CATALOGUE))
def test_every_event_type_has_a_line_of_its_own(name: str, output: io.StringIO) -> None:
    event = sample(ev.CATALOGUE[name])
    stream = "fleet" if "wallet" not in name.lower() else "wallet/wallet-001"
    Telemetry(Metrics("0")).on_event(ev.Recorded(9, stream, 1, T0, "c", event))
    line = output.getvalue()
    assert line.count("\n") == 1, "one line an event"
    assert "could not be told" not in line
    time, level, who, words = line.split(" ", 3)
    assert time == "2026-01-01T00:00:00.000000Z"
    assert level == logging.getLevelName(level_of(event))
    assert who == ("fleet" if stream == "fleet" else "wallet-001")
    assert words.endswith("(#9)\n")


def test_no_line_for_a_type_that_is_not_in_the_catalogue() -> None:
    assert set(LINES) == set(ev.CATALOGUE.values())


def test_what_the_runbook_greps_for_is_there() -> None:
    trip = sample(ev.BreakerTripped, errors=5)
    assert "circuit breaker tripped after 5 errors" in words_of(trip)
    assert all("circuit breaker" in words_of(sample(kind)) for kind in (ev.BreakerReset, ev.BreakerProbing))
    failing = [
        sample(ev.ErrorRecorded, counts=True), sample(ev.BroadcastFailed), sample(ev.TransactionMined, success=False),
        sample(ev.ActionRejected, counts=True), sample(ev.ActionFailed, counts=True), trip,
    ]  # fmt: skip
    assert all(level_of(event) == logging.ERROR for event in failing)
    assert "class=rate_limited" in words_of(sample(ev.BroadcastFailed, error_class=AnswerClass.RATE_LIMITED))


def test_actions_count_by_plugin_kind_and_outcome() -> None:
    telemetry = told([
        decided(1), signed(1), sample(ev.ActionSucceeded, action_id="wallet-001/1"),
        decided(2, "extract"), sample(ev.ActionRejected, action_id="wallet-001/2", counts=True, error_class="reverted"),
        decided(3), signed(3), sample(ev.ActionFailed, action_id="wallet-001/3"),
    ])  # fmt: skip
    values = measured(telemetry)
    assert values['ghost_fleet_actions_total{kind="jack_in",outcome="succeeded",plugin="ghostnet"}'] == 1
    assert values['ghost_fleet_actions_total{kind="extract",outcome="rejected",plugin="ghostnet"}'] == 1
    assert values['ghost_fleet_actions_total{kind="jack_in",outcome="failed",plugin="ghostnet"}'] == 1
    assert values['ghost_fleet_errors_total{class="reverted",endpoint="",wallet="wallet-001"}'] == 1
    assert values['ghost_fleet_transactions_total{status="signed"}'] == 2
    assert values["ghost_fleet_last_action_timestamp_seconds"] == T0 / 1e6 + 7


def test_a_rejection_that_counts_no_error_is_no_error() -> None:
    values = measured(told([decided(), sample(ev.ActionRejected, action_id="wallet-001/1", counts=False)]))
    assert not any(name.startswith("ghost_fleet_errors_total") for name in values)


def test_gas_fees_and_trips_add_up_under_the_names_operators_graph() -> None:
    mined = sample(ev.TransactionMined, success=True, gas_used=21_000, gas_price_wei=10**9)
    values = measured(told([mined, mined, sample(ev.BreakerTripped), sample(ev.BreakerTripped)]))
    assert values["ghost_fleet_gas_used_total"] == 42_000
    assert values["ghost_fleet_fees_spent_eth_total"] == pytest.approx(0.000042)
    assert values['ghost_fleet_circuit_breaker_trips{wallet="wallet-001"}'] == 2
    assert not any(name.startswith("ghost_fleet_circuit_breaker_trips_total") for name in values)


def test_an_error_names_its_class_its_wallet_and_its_endpoint() -> None:
    refused = sample(ev.BroadcastFailed, error_class=AnswerClass.RATE_LIMITED, endpoint="https://node.example")
    values = measured(told([refused, refused, sample(ev.EndpointTripped, endpoint="https://node.example")]))
    of_node = 'endpoint="https://node.example"'
    assert values[f'ghost_fleet_errors_total{{class="rate_limited",{of_node},wallet="wallet-001"}}'] == 2
    assert values[f'ghost_fleet_errors_total{{class="endpoint_tripped",{of_node},wallet=""}}'] == 1


def test_errors_have_a_bounded_number_of_series_and_lose_no_count() -> None:
    telemetry = Telemetry(Metrics("0"))
    wallets = MAX_ERROR_SERIES + 100
    for number in range(wallets):
        failed = sample(ev.ErrorRecorded, error_class="reverted")
        telemetry.on_event(ev.Recorded(number + 1, f"wallet/wallet-{number}", 1, T0, "", failed))
    assert sum(error_series(telemetry)) == wallets
    assert len(error_series(telemetry)) <= MAX_WALLETS_NAMED + 2


def test_classes_times_wallets_are_bounded_too() -> None:
    telemetry = Telemetry(Metrics("0"))
    for number in range(MAX_ERROR_SERIES + 100):
        failed = sample(ev.ErrorRecorded, error_class=f"class_{number % 50}")
        telemetry.on_event(ev.Recorded(number + 1, f"wallet/wallet-{number // 50}", 1, T0, "", failed))
    assert sum(error_series(telemetry)) == MAX_ERROR_SERIES + 100
    assert len(error_series(telemetry)) == MAX_ERROR_SERIES + 50, "those beyond count under their class"


def error_series(telemetry: Telemetry) -> list[float]:
    return [count for name, count in measured(telemetry).items() if name.startswith("ghost_fleet_errors_total")]


def test_a_wallet_is_published_with_no_trips_before_its_first_one() -> None:
    """increase() does not see the first step of a series that begins above 0: an alert would miss that trip."""
    telemetry = Telemetry(Metrics("0"))
    telemetry.start(fold(recorded([registered()])))
    telemetry.on_event(ev.Recorded(2, "wallet/wallet-002", 1, T0, "", registered()))
    values = measured(telemetry)
    for wallet in ("wallet-001", "wallet-002"):
        assert values[f'ghost_fleet_circuit_breaker_trips{{wallet="{wallet}"}}'] == 0


def test_trips_of_more_wallets_than_are_told_apart_count_as_other() -> None:
    telemetry = Telemetry(Metrics("0"))
    for number in range(MAX_TRIP_SERIES + 5):
        stream = f"wallet/wallet-{number}"
        telemetry.on_event(ev.Recorded(2 * number + 1, stream, 1, T0, "", registered()))
        telemetry.on_event(ev.Recorded(2 * number + 2, stream, 2, T0, "", sample(ev.BreakerTripped)))
    trips = {k: v for k, v in measured(telemetry).items() if k.startswith("ghost_fleet_circuit_breaker_trips")}
    assert trips['ghost_fleet_circuit_breaker_trips{wallet="other"}'] == 5
    assert (len(trips), sum(trips.values())) == (MAX_TRIP_SERIES + 1, MAX_TRIP_SERIES + 5)


def test_calls_count_by_endpoint_method_and_outcome_and_requests_take_their_time() -> None:
    telemetry = told([])
    telemetry.metrics.observe_exchange("near", [("eth_call", "answered")] * 2 + [("eth_call", "refused")], 0.02)
    telemetry.metrics.observe_exchange("far", [("eth_call", "fault")], 3.0)
    telemetry.metrics.observe_exchange("near", [("eth_call", "answered")], 0.2)
    found = {name: value for name, value in measured(telemetry).items() if "ghost_fleet_rpc_calls" in name}
    assert sorted(found.values()) == [1, 1, 3]
    assert found['ghost_fleet_rpc_calls_total{endpoint="near",method="eth_call",outcome="answered"}'] == 3
    assert measured(telemetry)['ghost_fleet_rpc_request_seconds_count{endpoint="near"}'] == 2
    assert measured(telemetry)['ghost_fleet_rpc_request_seconds_bucket{endpoint="near",le="0.025"}'] == 1


def test_methods_that_plugins_make_up_have_a_bounded_number_of_series() -> None:
    telemetry = told([])
    methods = [(f"made_up{number}", "refused") for number in range(MAX_LABEL_VALUES + 10)]
    telemetry.metrics.observe_exchange("near", methods, 0.1)
    found = {name: value for name, value in measured(telemetry).items() if "ghost_fleet_rpc_calls" in name}
    assert len(found) == MAX_LABEL_VALUES + 1
    assert found[f'ghost_fleet_rpc_calls_total{{endpoint="near",method="{OTHER}",outcome="refused"}}'] == 10


def test_endpoints_that_come_and_go_have_a_bounded_number_of_series() -> None:
    telemetry = told([])
    for number in range(MAX_LABEL_VALUES + 10):
        telemetry.metrics.observe_exchange(f"endpoint-{number}", [("eth_chainId", "answered")], 0.1)
    found = {name: value for name, value in measured(telemetry).items() if "ghost_fleet_rpc_calls" in name}
    assert len(found) == MAX_LABEL_VALUES + 1
    assert found[f'ghost_fleet_rpc_calls_total{{endpoint="{OTHER}",method="eth_chainId",outcome="answered"}}'] == 10


def registered() -> ev.Event:
    return sample(ev.WalletRegistered, plugin="ghostnet")


def test_gauges_are_the_fold_and_balances_are_in_eth() -> None:
    state = fold(recorded([registered(), decided(), signed(), sample(ev.BreakerTripped)]))
    values = measured(told([]), state)
    assert values['ghost_fleet_wallet_balance{wallet="wallet-001"}'] == 0.004
    assert values["ghost_fleet_open_slots"] == 1
    assert values['ghost_fleet_wallets{state="tripped"}'] == 1
    assert values["ghost_fleet_log_position"] == state.position == 4


def test_an_action_that_was_open_at_the_start_keeps_its_kind() -> None:
    telemetry = Telemetry(Metrics("0"))
    state = fold(recorded([registered(), decided(), signed()]))
    telemetry.start(state)
    assert 0 < measured(telemetry)["ghost_fleet_last_action_timestamp_seconds"] <= T0 / 1e6 + 3
    telemetry.on_event(recorded([sample(ev.ActionSucceeded, action_id="wallet-001/1")])[0])
    assert measured(telemetry)['ghost_fleet_actions_total{kind="jack_in",outcome="succeeded",plugin="ghostnet"}'] == 1


def test_a_label_has_a_bounded_number_of_values() -> None:
    label = Label(limit=2)
    assert [label(value) for value in ("a", "b", "c", "a", "d" * 500)] == ["a", "b", OTHER, "a", OTHER]
    assert Label()('x"\n{evil}' + "y" * 500) == ("x_evil_" + "y" * 500)[: len("x_evil_") + 64 - len('x"\n{evil}')]


def test_open_actions_are_forgotten_when_they_end() -> None:
    telemetry = told([
        decided(), signed(), sample(ev.ActionSucceeded, action_id="wallet-001/1"),
        sample(ev.TransactionFinal, action_id="wallet-001/1"),
    ])  # fmt: skip
    assert not telemetry._open


def test_telling_never_fails_into_the_engine(output: io.StringIO) -> None:
    class Unheard(ev.Event, frozen=True, kw_only=True):
        """Not in the catalogue."""

    Telemetry(Metrics("0")).on_event(ev.Recorded(5, "fleet", 1, T0, "", Unheard()))
    assert "event #5 could not be told" in output.getvalue()


def test_a_line_stays_one_line_of_bounded_length(output: io.StringIO) -> None:
    hostile = "429\nfake line\r\x1b[2J\u2028\u202e\u2066" + "x" * 100_000
    Telemetry(Metrics("0")).on_event(recorded([sample(ev.ErrorRecorded, message=hostile)])[0])
    written = output.getvalue()
    assert written.count("\n") == 1
    assert written.endswith("\n")
    assert not {"\r", "\x1b", "\u2028", "\u202e", "\u2066"} & set(written)
    assert len(written) < MAX_LINE_CHARS + 300
    assert one_line("ä" * 3000).endswith("[cut]")


def test_json_lines_carry_wallet_level_and_position() -> None:
    stream = io.StringIO()
    undo = configure_logging("info", json=True, stream=stream)
    try:
        Telemetry(Metrics("0")).on_event(recorded([sample(ev.BreakerTripped, errors=5)])[0])
        logging.getLogger("ghostfleet.http").warning("plain %s", "words")
    finally:
        undo()
    first, second = (json.loads(line) for line in stream.getvalue().splitlines())
    assert first["wallet"] == "wallet-001"
    assert first["level"] == "ERROR"
    assert (first["event"], first["position"], first["correlation"]) == ("BreakerTripped", 1, "c-1")
    assert second["message"] == "plain words"
    assert "wallet" not in second


class Writes(io.StringIO):
    """A stream that counts how often it is written to."""

    count = 0

    def write(self, text: str) -> int:
        self.count += 1
        return super().write(text)


async def test_lines_of_one_moment_leave_in_one_write_and_an_error_at_once() -> None:
    stream = Writes()
    undo = configure_logging("info", stream=stream)
    try:
        logger = logging.getLogger("ghostfleet.http")
        for number in range(3):
            logger.info("line %d", number)
        assert stream.getvalue() == ""
        await asyncio.sleep(0)
        assert (stream.count, stream.getvalue().count("\n")) == (1, 3)
        logger.info("before")
        logger.error("an error")
        assert (stream.count, stream.getvalue().count("\n")) == (2, 5)
        logger.info("the last")
    finally:
        undo()
    words = [line.split(" fleet ")[1] for line in stream.getvalue().splitlines()]
    assert words == ["line 0", "line 1", "line 2", "before", "an error", "the last"]


def test_lines_that_a_loop_left_behind_leave_with_the_next() -> None:
    stream = Writes()
    undo = configure_logging("info", stream=stream)

    async def last_words() -> None:
        logging.getLogger("ghostfleet").info("last words")

    try:
        loop = asyncio.new_event_loop()
        loop.run_until_complete(last_words())
        loop.close()
        logging.getLogger("ghostfleet").info("outside")
        assert stream.getvalue().count("\n") == 2
    finally:
        undo()


def test_a_line_for_a_stream_that_is_closed_harms_nobody() -> None:
    stream = io.StringIO()
    undo = configure_logging("info", stream=stream)
    stream.close()

    async def say() -> None:
        logging.getLogger("ghostfleet").info("into the void")
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    try:
        loop = asyncio.new_event_loop()
        problems: list[object] = []
        loop.set_exception_handler(lambda _loop, context: problems.append(context))
        loop.run_until_complete(say())
        loop.close()
        assert problems == []
    finally:
        undo()


def test_logging_is_configured_for_our_logger_only_and_can_be_undone() -> None:
    before = (logging.getLogger().handlers[:], logging.getLogger("ghostfleet").handlers[:])
    undo = configure_logging("warning", stream=io.StringIO())
    assert logging.getLogger().handlers == before[0]
    assert logging.getLogger("ghostfleet").level == logging.WARNING
    undo()
    assert logging.getLogger("ghostfleet").handlers == before[1]
    with pytest.raises(ValueError, match="LOUD"):
        configure_logging("loud")


@pytest.mark.parametrize(
    ("text", "time_us"),
    [
        ("2026-01-01T00:00:00Z", T0), ("2026-01-01T00:00:00.000007+00:00", T0 + 7), ("2026-01-01", T0),
        ("2026-01-01T01:00:00+01:00", T0), (str(T0), T0), ("0", 0), ("1969-12-31T23:59:59Z", 0), ("0132-12-23T20:31:38Z", 0),
    ],
)  # fmt: skip
def test_moments_are_read_in_both_ways(text: str, time_us: int) -> None:
    assert parse_moment(text) == time_us
    assert parse_moment(iso(time_us)) == time_us


@pytest.mark.parametrize(
    "text", ["", "-1", "yesterday", "2026-13-01", "999999999999999999", "9" * 19, "٣", "2026-01-01T25:00"]
)
def test_other_moments_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no moment"):
        parse_moment(text)


def test_eth_is_exact() -> None:
    assert (eth(5 * 10**15), eth(0), eth(10**18), eth(-1)) == (
        "0.005 ETH",
        "0 ETH",
        "1 ETH",
        "-0.000000000000000001 ETH",
    )


@pytest.mark.parametrize(
    ("text", "ago_secs"), [("30s", 30), ("10m", 600), ("2h", 7200), ("1d", 86_400), ("1w", 604_800), ("0s", 0)]
)
def test_since_is_how_long_ago_or_a_moment(text: str, ago_secs: int) -> None:
    assert parse_since(text, T0) == T0 - ago_secs * 1_000_000
    assert parse_since("2026-01-01", 5) == T0
    assert parse_since("999999999w", T0) == 0


@pytest.mark.parametrize(
    ("us", "told"),
    [(0, "0 s"), (-5, "0 s"), (59_999_999, "59 s"), (60 * 10**6, "1 min"), (3600 * 10**6, "1 h"),
     (3900 * 10**6, "1 h 5 min"), (90_000 * 10**6, "1 d 1 h"), (172_800 * 10**6, "2 d")],
)  # fmt: skip
def test_how_long_is_told_to_the_unit_that_matters(us: int, told: str) -> None:
    assert span(us) == told


@pytest.mark.parametrize("json", [False, True])
def test_a_line_of_an_event_is_the_same_for_our_own_handler_and_among_others(json: bool) -> None:
    """Our handler alone gets it without a record; with another one beside it both get one."""
    stream, logger = io.StringIO(), logging.getLogger("ghostfleet")
    undo = configure_logging("debug", json=json, stream=stream)
    other = logging.NullHandler()
    try:
        told([sample(ev.CATALOGUE[name]) for name in sorted(ev.CATALOGUE)])
        alone = stream.getvalue()
        stream.truncate(0)
        stream.seek(0)
        logger.addHandler(other)
        told([sample(ev.CATALOGUE[name]) for name in sorted(ev.CATALOGUE)])
        assert stream.getvalue() == alone
        assert alone.count("\n") == len(ev.CATALOGUE)
    finally:
        logger.removeHandler(other)
        undo()


def test_what_was_counted_is_there_for_whoever_looks_at_the_registry() -> None:
    telemetry = told([signed(), signed(2)])
    name, labels = "ghost_fleet_events_total", {"type": "TransactionSigned"}
    assert [telemetry.metrics.registry.get_sample_value(name, labels) for _ in range(2)] == [2.0, 2.0]
