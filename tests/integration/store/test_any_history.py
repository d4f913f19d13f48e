"""Any sequence of appends, concurrent or not, any crash between: gap-free, verifiable, exactly one winner a version."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from log_stage import T0_US, final, mined, note, registered, reorged, signed

from ghostfleet.domain.events import NewEvent, Recorded
from ghostfleet.store.errors import LogUnavailable, VersionConflict
from ghostfleet.store.log import EventLog
from ghostfleet.store.queries import TransactionQuery
from tests.simulation.memory_recorder import MemoryDisk, MemoryRecorder

T = TypeVar("T")
WALLETS = ("w1", "w2", "w3")
streams = st.sampled_from(["fleet", *(f"wallet/{name}" for name in WALLETS)])
texts = st.text(max_size=8).filter(lambda text: text.isprintable())


class AnyHistory(RuleBasedStateMachine):
    """Drives a log over memory; `told` is what callers were told is durable, in the order of positions."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.disk = MemoryDisk()
        self.crash_in: int | None = None
        self.told: list[Recorded] = []
        self.actions = dict.fromkeys(WALLETS, 0)
        self.log = self.run(EventLog.over(MemoryRecorder(self.disk, self.sync)))

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    async def sync(self) -> None:
        await asyncio.sleep(0)
        if self.crash_in is not None:
            self.crash_in -= 1
            if self.crash_in < 0:
                await asyncio.Event().wait()  # never comes back

    def hear(self, answers: list[Any]) -> None:
        for answer in answers:
            if isinstance(answer, tuple):
                self.told.extend(answer)
            else:
                assert isinstance(answer, (VersionConflict, LogUnavailable)), answer
        self.told.sort(key=lambda it: it.position)

    async def together(self, appends: list[Coroutine[Any, Any, Any]]) -> list[Any]:
        return list(await asyncio.gather(*appends, return_exceptions=True))

    @rule(groups=st.lists(st.lists(st.tuples(streams, texts), max_size=4), min_size=1, max_size=6))
    def append(self, groups: list[list[tuple[str, str]]]) -> None:
        appends = [self.log.append([note(text, stream) for stream, text in group], time_us=T0_US) for group in groups]
        self.hear(self.run(self.together(appends)))

    @rule(stream=streams, behind=st.integers(0, 1), contenders=st.integers(1, 5))
    def contend(self, stream: str, behind: int, contenders: int) -> None:
        expected = {stream: self.log.version(stream) - behind}
        appends = [self.log.append([note(str(n), stream)], time_us=T0_US, expected=expected) for n in range(contenders)]
        answers = self.run(self.together(appends))
        assert sum(isinstance(it, tuple) for it in answers) == (0 if behind or self.disk.full else 1)
        self.hear(answers)

    @rule(wallet=st.sampled_from(WALLETS), how=st.integers(0, 3), one_commit=st.booleans())
    def act(self, wallet: str, how: int, one_commit: bool) -> None:
        self.actions[wallet] += 1
        n = self.actions[wallet]
        life: list[NewEvent] = [registered(wallet), signed(wallet, n)]
        if how > 0:
            life += [signed(wallet, n, 2, "cancel"), mined(wallet, n, 1 + how % 2, success=how != 2)]
        if how == 2:
            life += [reorged(wallet, n), mined(wallet, n, 2)]
        if how == 3:
            life += [final(wallet, n, 2)]
        for events in [life] if one_commit else [[event] for event in life]:
            self.hear(self.run(self.together([self.log.append(events, time_us=T0_US)])))

    @rule(after=st.integers(0, 2), waiting=st.integers(1, 4), keep_unsynced=st.booleans())
    def crash(self, after: int, waiting: int, keep_unsynced: bool) -> None:
        """Appends are under way when the process dies; what was not synced may have reached the disk, or not."""
        self.crash_in = after
        appends = [self.loop.create_task(self.log.append([note(f"dying {n}")], time_us=T0_US)) for n in range(waiting)]
        self.run(self.a_moment())
        heard = [it.result() for it in appends if it.done() and not it.cancelled() and it.exception() is None]
        for task in asyncio.all_tasks(self.loop):
            task.cancel()
        self.run(self.a_moment())
        self.hear(heard)
        self.crash_in = None
        self.disk = self.disk.after_crash(keep_unsynced=keep_unsynced)
        self.log = self.run(EventLog.over(MemoryRecorder(self.disk, self.sync)))
        self.told = self.found_again()

    def found_again(self) -> list[Recorded]:
        found = self.run(self.everything())
        assert found[: len(self.told)] == self.told, "what was told is there, in its place"
        return found

    async def a_moment(self) -> None:
        for _ in range(12):
            await asyncio.sleep(0)

    async def everything(self) -> list[Recorded]:
        return [it async for it in self.log.read()]

    @rule(full=st.booleans())
    def fill(self, full: bool) -> None:
        self.disk.full = "the disk is full" if full else ""

    @invariant()
    def gap_free_and_verifiable(self) -> None:
        found = self.run(self.everything())
        assert [it.position for it in found] == list(range(1, len(found) + 1))
        versions: dict[str, int] = {}
        for it in found:
            versions[it.stream] = versions.get(it.stream, 0) + 1
            assert it.version == versions[it.stream]
        assert {stream: self.log.version(stream) for stream in versions} == versions
        assert found == self.told
        verified = self.run(self.log.verify())
        assert verified.ok, verified.problem
        assert verified.head == self.log.head

    def teardown(self) -> None:
        before = self.run(self.log.transactions(TransactionQuery(limit=1000)))
        self.disk.full = ""
        self.run(self.log.rebuild_projections())
        assert self.run(self.log.transactions(TransactionQuery(limit=1000))) == before
        self.run(self.log.close())
        self.loop.close()


TestAnyHistory = AnyHistory.TestCase
TestAnyHistory.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
