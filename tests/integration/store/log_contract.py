"""What every log promises, whatever it is stored in. Each storage's test class inherits all of it."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
from log_stage import STATUSES, T0_US, a_day, final, mined, note, registered, reorged, signed, tx_hash

from ghostfleet.domain import events as ev
from ghostfleet.domain.events import FLEET_STREAM, NewEvent, Recorded
from ghostfleet.errors import BadInput
from ghostfleet.store.errors import EventUnwritable, HeadMoved, LogUnavailable, VersionConflict
from ghostfleet.store.log import EventLog
from ghostfleet.store.queries import EventQuery, TransactionQuery, TransactionRow, every
from ghostfleet.store.rows import GENESIS, LogHead

OpenAgain = Callable[[], AbstractAsyncContextManager[EventLog]]


async def everything(log: EventLog) -> list[Recorded]:
    return [recorded async for recorded in log.read()]


async def attempts(log: EventLog) -> list[TransactionRow]:
    return list((await log.transactions(TransactionQuery(limit=1000))).items)


class LogContract:
    """Subclasses give `again`: opens the test's log, any number of times one after another."""

    @pytest.fixture
    def again(self) -> OpenAgain:
        raise NotImplementedError

    @pytest.fixture
    async def log(self, again: OpenAgain) -> AsyncIterator[EventLog]:
        async with again() as log:
            yield log

    async def test_an_empty_log(self, log: EventLog) -> None:
        assert log.head == LogHead(0, GENESIS)
        assert log.version(FLEET_STREAM) == 0
        assert await everything(log) == []
        assert await log.append([], time_us=T0_US) == ()
        found = await log.verify()
        assert (found.ok, found.rows) == (True, 0)

    async def test_positions_are_global_and_versions_are_per_stream(self, log: EventLog) -> None:
        recorded = await log.append([note("a"), registered("w1"), note("b")], time_us=T0_US)
        assert [(it.position, it.stream, it.version) for it in recorded] == [
            (1, "fleet", 1),
            (2, "wallet/w1", 1),
            (3, "fleet", 2),
        ]
        assert log.head.position == 3
        assert (log.version("fleet"), log.version("wallet/w1"), log.version("wallet/w2")) == (2, 1, 0)
        assert await everything(log) == list(recorded)

    async def test_what_is_read_after_reopening_is_what_was_written(self, again: OpenAgain) -> None:
        async with again() as log:
            written = await log.append(a_day(), time_us=T0_US)
            head = log.head
        async with again() as log:
            assert log.head == head
            assert log.version("wallet/w1") == sum(it.stream == "wallet/w1" for it in written)
            assert await everything(log) == list(written)
            assert [it async for it in log.read(3, until=5)] == list(written[3:5])
            more = await log.append([note("more")], time_us=T0_US)
            assert more[0].position == head.position + 1
            assert (await log.verify()).ok

    async def test_concurrent_appends_share_commits_and_keep_their_own_events_together(self, log: EventLog) -> None:
        async def producer(name: int) -> list[tuple[Recorded, ...]]:
            return [await log.append([note(f"{name}/{n}/a"), note(f"{name}/{n}/b")], time_us=T0_US) for n in range(5)]

        answers = await asyncio.gather(*(producer(name) for name in range(40)))
        for own in answers:
            for first, second in own:
                assert second.position == first.position + 1
        assert log.head.position == 400
        assert log.counters.rows == 400
        assert log.counters.commits <= 40, "group commit"
        found = await log.verify()
        assert (found.ok, found.rows) == (True, 400)

    async def test_of_concurrent_appends_at_one_version_exactly_one_wins(self, log: EventLog) -> None:
        await log.append([registered("w1")], time_us=T0_US)

        expected = {"wallet/w1": 1}
        contenders = (log.append([note(str(n), "wallet/w1")], time_us=T0_US, expected=expected) for n in range(20))
        answers = await asyncio.gather(*contenders, return_exceptions=True)
        losers = [it for it in answers if isinstance(it, VersionConflict)]
        assert len(losers) == 19
        assert {(it.stream, it.expected, it.actual) for it in losers} == {("wallet/w1", 1, 2)}
        assert log.version("wallet/w1") == 2

    async def test_a_conflict_fails_only_its_own_append(self, log: EventLog) -> None:
        good, bad, other = await asyncio.gather(
            log.append([note("good")], time_us=T0_US, expected={"fleet": 0}),
            log.append([note("bad"), registered("w9")], time_us=T0_US, expected={"fleet": 0, "wallet/w9": 0}),
            log.append([note("other")], time_us=T0_US, expected={"fleet": 1}),
            return_exceptions=True,
        )
        assert isinstance(bad, VersionConflict)
        assert not isinstance(good, BaseException)
        assert not isinstance(other, BaseException)
        assert (log.head.position, log.version("wallet/w9")) == (2, 0)

    async def test_events_that_are_to_follow_a_position_follow_it_or_are_not_written(self, log: EventLog) -> None:
        events = [log.encode([note(str(number))]) for number in range(4)]
        answers = await asyncio.gather(
            *(log.append_encoded(events[n], time_us=T0_US, follows=n) for n in (0, 1, 3, 2)), return_exceptions=True
        )
        assert [type(it) for it in answers] == [tuple, tuple, HeadMoved, tuple]
        assert [it.event.reason async for it in log.read()] == ["0", "1", "2"]  # type: ignore[union-attr]

    async def test_an_event_that_fits_no_row_fails_only_its_own_append(self, log: EventLog) -> None:
        class Stranger(ev.Event, frozen=True, kw_only=True):
            """Not in the catalogue."""

        for wrong in (
            note("\ud800"),
            note("x" * (5 * 2**20)),
            NewEvent("s" * 300, ev.ServiceStopped(reason="")),
            NewEvent("", ev.ServiceStopped(reason="")),
            NewEvent("fleet", ev.ServiceStopped(reason=""), "c\0d"),
            NewEvent("fleet", Stranger()),
        ):
            with pytest.raises(EventUnwritable):
                await log.append([note("fine"), wrong], time_us=T0_US)
        with pytest.raises(EventUnwritable):
            await log.append([note("before 1970")], time_us=-1)
        assert log.head.position == 0
        odd = await log.append([NewEvent("fleet", ev.ServiceStopped(reason="'\"\0\n€𝄞"), "c'd")], time_us=2**62)
        assert await everything(log) == list(odd)
        assert (await log.verify()).ok

    async def test_a_cancelled_append_happens_wholly_or_not_at_all(self, log: EventLog) -> None:
        for rounds in range(12):
            appends = [
                asyncio.create_task(log.append([note(f"{rounds}/{n}/a"), note(f"{rounds}/{n}/b")], time_us=T0_US))
                for n in range(6)
            ]
            for _ in range(rounds):
                await asyncio.sleep(0)
            for task in appends[::2]:
                task.cancel()
            await asyncio.gather(*appends, return_exceptions=True)
        await log.append([note("last")], time_us=T0_US)
        texts = [it.event.reason for it in await everything(log) if isinstance(it.event, ev.ServiceStopped)]
        for first, second in zip(texts[:-1:2], texts[1::2], strict=True):
            assert (first[:-1], first[-1], second[-1]) == (second[:-1], "a", "b")
        assert sum(text.endswith("1/a") for text in texts) == 12, "those not cancelled all happened"
        assert (await log.verify()).ok

    async def test_an_append_cancelled_while_it_waits_never_happens(self, log: EventLog) -> None:
        appends = [asyncio.create_task(log.append([note(str(n))], time_us=T0_US)) for n in range(3)]
        await asyncio.sleep(0)
        appends[1].cancel()
        await asyncio.gather(*appends, return_exceptions=True)
        assert [it.event.reason for it in await everything(log) if isinstance(it.event, ev.ServiceStopped)] == [
            "0",
            "2",
        ]

    async def test_a_read_may_be_left_at_any_point(self, log: EventLog) -> None:
        await log.append([note(str(n)) for n in range(5000)], time_us=T0_US)
        async with contextlib.aclosing(log.read()) as events:
            async for _ in events:
                break
        reading = asyncio.create_task(everything(log))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        reading.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await reading
        await log.append([note("after")], time_us=T0_US)
        assert len(await everything(log)) == 5001

    async def test_every_attempt_has_its_status(self, log: EventLog) -> None:
        await log.append(a_day(), time_us=T0_US)
        assert {row.hash: row.status for row in await attempts(log)} == STATUSES
        reverted = await log.transaction(tx_hash("w2", 1, 2))
        assert reverted is not None
        assert reverted.address == b"\x02" * 20
        assert (reverted.nonce, reverted.attempt, reverted.block_number, reverted.gas_price_wei) == (1, 2, 101, 10**9)
        assert await log.transaction(tx_hash("nobody's")) is None
        assert (await log.verify()).ok

    async def test_a_status_changes_with_each_event_alike_in_one_commit_or_in_many(self, again: OpenAgain) -> None:
        async with again() as log:
            for event in a_day():
                await log.append([event], time_us=T0_US)
            assert {row.hash: row.status for row in await attempts(log)} == STATUSES

    async def test_a_reorganisation_opens_every_attempt_of_the_slot_again(self, log: EventLog) -> None:
        await log.append([registered("w"), signed("w", 1), signed("w", 1, 2), mined("w", 1)], time_us=T0_US)
        assert [row.status for row in await attempts(log)] == ["mined", "superseded"]
        await log.append([reorged("w", 1)], time_us=T0_US)
        assert [(row.status, row.block_number) for row in await attempts(log)] == [("open", None), ("open", None)]
        await log.append([mined("w", 1, 2), final("w", 1, 2)], time_us=T0_US)
        assert [row.status for row in await attempts(log)] == ["superseded", "final"]

    async def test_read_models_rebuilt_from_the_log_are_the_same(self, log: EventLog) -> None:
        await log.append(a_day(), time_us=T0_US)
        before = await attempts(log)
        await log.rebuild_projections()
        assert await attempts(log) == before
        assert (await log.verify()).ok

    async def test_read_models_of_many_transactions_are_rebuilt_too(self, log: EventLog) -> None:
        many = range(1, 401)  # more than any statement takes at once, and no multiple of what one takes
        await log.append([registered("w"), *(signed("w", n) for n in many)], time_us=T0_US)
        await log.append([mined("w", n) for n in many[:350]], time_us=T0_US)
        await log.append([final("w", n) for n in many[:300]], time_us=T0_US)
        statuses = Counter([row.status async for row in every(log.transactions, TransactionQuery(limit=1000))])
        assert statuses == {"final": 300, "mined": 50, "open": 50}
        before = [row async for row in every(log.transactions, TransactionQuery(limit=1000))]
        await log.rebuild_projections()
        assert [row async for row in every(log.transactions, TransactionQuery(limit=1000))] == before
        assert (await log.verify()).ok

    async def test_rows_are_found_by_each_filter(self, log: EventLog) -> None:
        events = a_day()
        for n, event in enumerate(events):
            await log.append([event], time_us=T0_US + n)

        async def positions(**query: object) -> list[int]:
            return [row.position for row in (await log.rows(EventQuery(**query))).items]  # type: ignore[arg-type]

        assert await positions() == list(range(1, len(events) + 1))
        assert await positions(descending=True) == list(range(len(events), 0, -1))
        assert await positions(wallet="w2") == [n for n, it in enumerate(events, 1) if it.stream == "wallet/w2"]
        assert await positions(stream="fleet") == [1, 20]
        assert await positions(types=("TransactionFinal", "ServiceStopped")) == [1, 6, 10, 20]
        assert await positions(since_us=T0_US + 3, until_us=T0_US + 5) == [4, 5]
        assert await positions(correlation="w1/2") == [11, 12, 13]
        assert await positions(tx=tx_hash("w1", 2, 1)) == [11, 12, 13]
        assert await positions(tx=tx_hash("stranger")) == [15]
        assert await positions(tx=tx_hash("seen")) == [19]
        assert await positions(tx=tx_hash("nowhere")) == []
        assert await positions(wallet="w1", types=("TransactionSigned",), descending=True, cursor=16) == [12, 11, 4]

    async def test_pages_meet_without_gap_or_overlap(self, log: EventLog) -> None:
        await log.append([*a_day(), *(signed("w3", n) for n in range(1, 8))], time_us=T0_US)
        for descending in (False, True):
            seen = [row.position async for row in every(log.rows, EventQuery(limit=4, descending=descending))]
            assert seen == sorted(range(1, 28), reverse=descending)
        first = await log.transactions(TransactionQuery(wallet="w3", statuses=("open",), limit=5))
        rest = await log.transactions(TransactionQuery(wallet="w3", limit=5, cursor=first.next))
        assert [row.nonce for row in (*first.items, *rest.items)] == [1, 2, 3, 4, 5, 6, 7]
        assert rest.next is None
        for limit in (0, 1001):
            with pytest.raises(BadInput):
                await log.rows(EventQuery(limit=limit))

    async def test_a_snapshot_comes_back_and_older_ones_go(self, log: EventLog) -> None:
        await log.append(a_day(), time_us=T0_US)
        assert await log.load_snapshot(1) is None
        for position in (3, 5, 7, 9):
            await log.save_snapshot(position, 1, f"state at {position}".encode())
        await log.save_snapshot(9, 1, b"state at 9, again")
        found = await log.load_snapshot(1)
        assert found is not None
        assert (found.position, found.state) == (9, b"state at 9, again")
        assert await log.load_snapshot(2) is None
        assert len(await log._recorder.snapshots(1)) == 3
        for position in (0, 21):
            with pytest.raises(BadInput):
                await log.save_snapshot(position, 1, b"beyond")

    async def test_a_closed_log_takes_nothing_more(self, again: OpenAgain) -> None:
        async with again() as log:
            waiting = [asyncio.create_task(log.append([note(str(n))], time_us=T0_US)) for n in range(5)]
            await asyncio.sleep(0)
            await log.close()
            done = await asyncio.gather(*waiting, return_exceptions=True)
            with pytest.raises((BadInput, LogUnavailable)):
                await log.append([note("late")], time_us=T0_US)
        async with again() as log:
            assert log.head.position == sum(not isinstance(it, BaseException) for it in done)


def opening(open_one: Callable[[], object]) -> OpenAgain:
    """`again` from a function that opens."""

    @asynccontextmanager
    async def again() -> AsyncIterator[EventLog]:
        log = await open_one()  # type: ignore[misc]
        try:
            yield log
        finally:
            await log.close()

    return again
