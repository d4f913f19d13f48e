"""Any order of commands with keys, failing commits and restarts: each key of each actor has one effect, told alike to all."""

import asyncio
from collections.abc import AsyncIterator, Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from ghostfleet.domain import events as ev
from ghostfleet.domain.state import State, fold
from ghostfleet.engine.commands import KeyReused, obey
from ghostfleet.engine.ports import AdminCommand, Obeyed
from ghostfleet.engine.state import LiveState
from ghostfleet.errors import TryAgain
from ghostfleet.store.codec import CODEC, Encoded
from ghostfleet.store.errors import HeadMoved


class Clock:
    def now_us(self) -> int:
        return 1


class FailingLog:
    """A log in memory; of its appends those fail that `failures` says, once each."""

    def __init__(self, failures: Sequence[bool]) -> None:
        self.rows: list[ev.Recorded] = []
        self._failures = list(failures)

    def version(self, stream: str) -> int:
        return sum(row.stream == stream for row in self.rows)

    def encode(self, events: Sequence[ev.NewEvent]) -> list[Encoded]:
        return [CODEC.encode(event) for event in events]

    async def append_encoded(self, events: Sequence[Encoded], *, time_us: int, follows: int) -> tuple[ev.Recorded, ...]:
        await asyncio.sleep(0)
        if self._failures and self._failures.pop(0):
            raise TryAgain("the log takes nothing")
        if follows != len(self.rows):
            raise HeadMoved(follows, len(self.rows))
        stored = []
        for event in events:
            version = self.version(event.stream) + 1
            row = ev.Recorded(len(self.rows) + 1, event.stream, version, time_us, event.correlation, event.event)
            self.rows.append(row)
            stored.append(row)
        return tuple(stored)

    async def read(self, after: int = 0, *, until: int | None = None) -> AsyncIterator[ev.Recorded]:
        for row in self.rows[after:]:
            yield row


ASKED = st.tuples(st.sampled_from("ab"), st.sampled_from(["", "k1", "k2"]), st.sampled_from("xyz"), st.booleans())
"""Actor, key, fingerprint, whether the loop turns before the next one comes."""


@settings(max_examples=150, deadline=None)
@given(asked=st.lists(ASKED, max_size=25), failures=st.lists(st.booleans(), max_size=6), restart=st.integers(0, 25))
def test_each_key_has_one_effect_and_one_answer(
    asked: list[tuple[str, str, str, bool]], failures: list[bool], restart: int
) -> None:
    asyncio.run(_each_key_has_one_effect(asked, failures, restart))


async def _each_key_has_one_effect(asked: list[tuple[str, str, str, bool]], failures: list[bool], restart: int) -> None:
    log = FailingLog(failures)
    answers: list[tuple[tuple[str, str], str, Obeyed | Exception]] = []

    async def run(some: list[tuple[str, str, str, bool]], first: int) -> None:
        live = LiveState(fold(log.rows, State()), log, Clock(), lambda _row: None)
        commits = asyncio.create_task(live.run())
        tasks = []
        for number, (actor, key, fingerprint, turn) in enumerate(some, first):
            command = AdminCommand(
                command="checkin",
                actor=actor,
                remote="",
                request_id=f"r{number}",
                idempotency_key=key,
                fingerprint=fingerprint,
            )
            effect = ev.NewEvent(ev.FLEET_STREAM, ev.OperatorCheckedIn(actor=actor), f"r{number}")
            tasks.append(asyncio.create_task(obey(live, command, lambda _state, _now, effect=effect: [effect])))
            if turn:
                await asyncio.sleep(0)
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        answers.extend(
            ((actor, key), fingerprint, answer)  # type: ignore[misc]
            for (actor, key, fingerprint, _), answer in zip(some, ended, strict=True)
        )
        commits.cancel()
        await asyncio.wait([commits])
        assert live.state == fold(log.rows, State())

    await run(asked[:restart], 0)
    await run(asked[restart:], len(asked[:restart]))

    effects = {row.correlation: row.position for row in log.rows if isinstance(row.event, ev.OperatorCheckedIn)}
    done = [row.event for row in log.rows if isinstance(row.event, ev.AdminCommandReceived)]
    keyed = [(it.actor, it.idempotency_key) for it in done if it.idempotency_key]
    assert len(keyed) == len(set(keyed)), "a key had two effects"
    fingerprints = {(it.actor, it.idempotency_key): it.fingerprint for it in done}
    for who, fingerprint, answer in answers:
        if isinstance(answer, Obeyed):
            assert effects[answer.request_id] == answer.position, "told of what the log does not have"
            assert not who[1] or fingerprints[who] == fingerprint
        elif isinstance(answer, KeyReused):
            assert fingerprints[who] != fingerprint
        else:
            assert isinstance(answer, TryAgain), answer
