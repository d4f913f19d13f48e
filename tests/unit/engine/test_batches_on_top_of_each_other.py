"""While a batch is being written the next one is decided on top of it: whatever becomes of it, nothing is lost or doubled."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from functools import partial

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from live_stage import ADDRESS, Clock, Fixture, live_state, opening, pausing, signed

from ghostfleet.domain import events as ev
from ghostfleet.domain.decisions import Refused
from ghostfleet.domain.state import State, encode_state, fold
from ghostfleet.domain.wallet import BrokenFold
from ghostfleet.engine.state import LiveState
from ghostfleet.store.codec import Encoded
from ghostfleet.store.errors import HeadMoved, LogCorrupt, LogUnavailable
from ghostfleet.store.rows import EventRow
from tests.simulation.memory_recorder import MemoryRecorder

PAUSE = partial(pausing, actor="op")


async def turns(many: int = 20) -> None:
    for _ in range(many):
        await asyncio.sleep(0)


async def agrees_with_its_log(it: Fixture) -> None:
    rows = [recorded async for recorded in it.log.read()]
    assert encode_state(fold(rows)) == encode_state(it.live.state)
    assert it.told == rows, "everybody was told of everything once, in order"


Written = asyncio.Task[tuple[ev.Recorded, ...]]


async def a_slot_decided_on_top_of_a_pause(it: Fixture) -> tuple[Written, Written]:
    """The pause is being written, and waits for its sync."""
    it.hold.clear()
    pause = asyncio.create_task(it.live.commit(PAUSE))
    await turns()
    late = asyncio.create_task(it.live.commit(opening("w0")))
    await turns()
    return pause, late


async def test_the_next_batch_is_decided_while_one_is_being_written_and_sees_what_is_in_it() -> None:
    async with live_state(2) as it:
        pause, late = await a_slot_decided_on_top_of_a_pause(it)
        assert len(it.live._batches) == 2
        assert not late.done(), "a refusal that rests on a pause which is not durable is told to nobody"
        it.hold.set()
        await pause
        with pytest.raises(Refused):
            await late
        await agrees_with_its_log(it)


async def test_what_was_decided_on_top_of_a_batch_that_failed_is_decided_anew() -> None:
    async with live_state(2) as it:
        pause, late = await a_slot_decided_on_top_of_a_pause(it)
        fails_in_its_sync(it)
        it.hold.set()
        with pytest.raises(LogUnavailable):
            await pause
        await late
        assert it.live.state.fleet.paused is None
        assert it.live.state.wallets["w0"].pending
        assert it.live.trouble is None, "the log took the second one"
        await agrees_with_its_log(it)


def fails_in_its_sync(it: Fixture) -> None:
    """The commit that waits for its sync will not get it; the next one will."""
    recorder = it.log._recorder
    assert isinstance(recorder, MemoryRecorder)
    real = recorder._make_durable

    def not_this_one(commit: object) -> None:
        recorder._make_durable = real  # type: ignore[method-assign]
        raise LogUnavailable("the disk failed", in_doubt=False)

    recorder._make_durable = not_this_one  # type: ignore[assignment]


async def test_few_that_wait_join_the_next_batch_rather_than_making_one() -> None:
    async with live_state(30) as it:
        it.hold.clear()
        first = [asyncio.create_task(it.live.commit(opening(f"w{n}"))) for n in range(20)]
        await turns()
        few = [asyncio.create_task(it.live.commit(opening(f"w{n}"))) for n in range(20, 29)]
        await turns()
        assert [len(batch.asked) for batch in it.live._batches] == [20]
        few.append(asyncio.create_task(it.live.commit(opening("w29"))))
        await turns()
        assert [len(batch.asked) for batch in it.live._batches] == [20, 10]
        it.hold.set()
        await asyncio.gather(*first, *few)
        await agrees_with_its_log(it)


async def test_a_stop_writes_what_has_been_decided() -> None:
    async with live_state(2) as it:
        live = LiveState(it.live.state, it.log, it.live._clock, it.told.append)
        running = asyncio.create_task(live.run())
        it.hold.clear()
        first = asyncio.create_task(live.commit(opening("w0")))
        await turns()
        second = asyncio.create_task(live.commit(opening("w1")))
        await turns()
        running.cancel()
        await turns()
        assert not running.done()
        it.hold.set()
        await asyncio.wait([running])
        assert running.cancelled()
        await asyncio.gather(first, second)
        assert all(live.state.wallets[name].pending for name in ("w0", "w1"))
        await agrees_with_its_log(it)


async def test_events_that_do_not_follow_the_end_of_the_log_are_not_written() -> None:
    async with live_state(1) as it:
        encoded = it.log.encode([ev.NewEvent(ev.FLEET_STREAM, ev.FleetResumed(actor="op"))])
        for follows in (0, 2):
            with pytest.raises(HeadMoved):
                await it.log.append_encoded(encoded, time_us=1, follows=follows)
        [recorded] = await it.log.append_encoded(encoded, time_us=1, follows=1)
        assert recorded.position == 2


class Weather(MemoryRecorder):
    """Of its commits, and of its reads, some fail: before they are durable, or after."""

    commits: Iterator[str] = iter(())
    reads: Iterator[bool] = iter(())

    async def record(self, rows: Sequence[EventRow], changes: Sequence[object]) -> None:
        became = next(self.commits, "written")
        await asyncio.sleep(0)
        if became == "lost":
            raise LogUnavailable("the disk failed", in_doubt=False)
        await super().record(rows, changes)  # type: ignore[arg-type]
        if became == "written and not said":
            raise LogUnavailable("the disk failed", in_doubt=True)

    async def page(self, after: int, until: int | None, limit: int) -> Sequence[EventRow]:
        self._look()
        return await super().page(after, until, limit)

    async def head(self) -> object:  # type: ignore[override]
        self._look()
        return await super().head()

    def _look(self) -> None:
        if next(self.reads, False):
            raise LogUnavailable("the disk cannot be read")


@settings(max_examples=300, deadline=None)
@given(
    asked=st.lists(st.tuples(st.sampled_from(["open", "note", "pause", "resume"]), st.integers(0, 3)), max_size=30),
    commits=st.lists(st.sampled_from(["written", "lost", "written and not said"]), max_size=12),
    reads=st.lists(st.booleans(), max_size=12),
)
@example(  # both are in doubt, one after the other, and the log cannot be read: the second one must not be decided anew
    asked=[("note", 1), ("note", 0), ("note", 0)],
    commits=["written and not said", "written and not said"],
    reads=[True, False, True, True],
)
def test_in_any_weather_a_commit_is_in_the_log_once_or_its_asker_was_told(
    asked: list[tuple[str, int]], commits: list[str], reads: list[bool]
) -> None:
    asyncio.run(_in_any_weather(asked, commits, reads))


async def _in_any_weather(asked: list[tuple[str, int]], commits: list[str], reads: list[bool]) -> None:
    async with live_state(4, recorder=Weather) as it:
        recorder = it.log._recorder
        assert isinstance(recorder, Weather)
        recorder.commits, recorder.reads = iter(commits), iter(reads)
        notes: dict[str, Written] = {}
        others: list[Written] = []
        for number, (what, pauses) in enumerate(asked):
            if what == "note":
                error = ev.ErrorRecorded(error_class="note", message=str(number))
                write = it.live.write([ev.NewEvent("wallet/w0", error)])
                notes[str(number)] = asyncio.create_task(write)
            elif what == "open":
                others.append(asyncio.create_task(it.live.commit(opening(f"w{number % 4}"))))
            elif what == "pause":
                others.append(asyncio.create_task(it.live.commit(PAUSE)))
            else:
                resumed = ev.NewEvent(ev.FLEET_STREAM, ev.FleetResumed(actor="op"))
                others.append(asyncio.create_task(it.live.write([resumed])))
            await turns(pauses)
        await asyncio.gather(*notes.values(), *others, return_exceptions=True)
        recorder.commits, recorder.reads = iter(()), iter(())
        await _caught_up(it)
        await agrees_with_its_log(it)
        rows = [recorded async for recorded in it.log.read()]
        written = Counter(row.event.message for row in rows if isinstance(row.event, ev.ErrorRecorded))
        for message, task in notes.items():
            problem = task.exception()
            assert problem is None or isinstance(problem, LogUnavailable)
            assert written[message] == 1 if problem is None else written[message] <= 1
        for task in others:
            problem = task.exception()
            assert problem is None or isinstance(problem, LogUnavailable | Refused), problem
            assert problem is not None or all(row in rows for row in task.result())


async def _caught_up(it: Fixture) -> None:
    """Until the log has taken something: after that nothing is in doubt."""
    for _ in range(3):
        try:
            await it.live.write([ev.NewEvent(ev.FLEET_STREAM, ev.FleetResumed(actor="end"))])
        except LogUnavailable:
            continue
        return
    raise AssertionError("a log that takes everything took nothing")


async def test_of_a_commit_that_breaks_halfway_nothing_is_left() -> None:
    async with live_state(2) as it:
        registered = ev.WalletRegistered(address=ADDRESS, profile="p", plugin="t", first_turn_us=0)
        noted = ev.NewEvent("wallet/w1", ev.ErrorRecorded(error_class="note", message="of the one that breaks"))
        broken = [ev.NewEvent("wallet/w9", registered), noted, noted, ev.NewEvent("wallet/w1", signed("w1"))]
        results = await asyncio.gather(
            it.live.commit(opening("w0")), it.live.write(broken), it.live.commit(opening("w1")), return_exceptions=True
        )
        assert [type(result) for result in results] == [tuple, BrokenFold, tuple]
        assert set(it.live.state.wallets) == {"w0", "w1"}
        assert it.live.state.wallets["w1"].last_error == ""
        await agrees_with_its_log(it)


async def test_a_log_that_no_later_look_will_read_any_better_ends_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    """It was `the log has events that cannot be read` for ever, in the place of which and what to do."""

    async def damaged(_after: int) -> AsyncIterator[ev.Recorded]:
        raise LogCorrupt("position 1 is damaged")
        yield  # an iterator

    async with live_state() as it:
        other = LiveState(State(), it.log, Clock(), it.told.append)
        monkeypatch.setattr(it.log, "read", damaged)
        running = asyncio.create_task(other.run())
        asked = asyncio.create_task(other.commit(PAUSE))
        with pytest.raises(LogCorrupt, match="position 1"):
            await running
        asked.cancel()


async def test_what_is_too_much_for_one_append_is_the_first_of_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ghostfleet.engine.state.MAX_APPEND_ROWS", 5)
    async with live_state(5) as it:
        sizes: list[int] = []
        append = it.log.append_encoded

        async def counting(events: Sequence[Encoded], *, time_us: int, follows: int) -> tuple[ev.Recorded, ...]:
            sizes.append(len(events))
            return await append(events, time_us=time_us, follows=follows)

        monkeypatch.setattr(it.log, "append_encoded", counting)
        await asyncio.gather(*(it.live.commit(opening(f"w{n}")) for n in range(5)))
        assert sizes == [4, 4, 2]
        await agrees_with_its_log(it)
