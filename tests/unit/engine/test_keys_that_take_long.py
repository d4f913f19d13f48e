"""A thousand keystores take minutes to open: whoever looks at the output meanwhile is told how far it is, and what came of it."""

import asyncio
import logging
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from ghostfleet.domain import events as ev
from ghostfleet.domain.values import WalletId
from ghostfleet.engine import keys_at_start
from ghostfleet.engine.keys_at_start import KeysAtStart, keys_missing
from ghostfleet.keys.keyring import Keyring
from ghostfleet.store.errors import EventUnwritable, LogUnavailable

NAMES = tuple(WalletId(f"w{number}") for number in range(1, 6))
DAMAGED = "keystore w3.json is damaged"


class Opening:
    """Opens a key every so often; the third is damaged, and so is the treasury's, whom the log does not know."""

    def __init__(self, secs: float) -> None:
        self.secs, self.total = secs, len(NAMES)
        self.keyring = Keyring({})
        self.keyring.expect(NAMES)
        self.given_up = False

    async def finish(self, tell: Callable[[WalletId], None]) -> None:
        try:
            for name in NAMES:
                await asyncio.sleep(self.secs)
                damaged = name in ("w3", "w5")
                self.keyring.found(name, DAMAGED if damaged else Keyring.of({name: bytes(31) + b"\1"}).key(name))
                tell(name)
        except asyncio.CancelledError:
            self.given_up = True
            raise


class Live:
    """Takes what is written, once it can."""

    def __init__(self) -> None:
        self.state = SimpleNamespace(wallets=dict.fromkeys(NAMES[:4]))
        self.refusals = 0
        self.written: list[ev.NewEvent] = []

    async def write(self, events: list[ev.NewEvent]) -> None:
        if self.refusals:
            self.refusals -= 1
            raise LogUnavailable("the disk is full")
        self.written += events


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(keys_at_start, "LINE_SECS", 0.01)
    monkeypatch.setattr(keys_at_start, "AGAIN_SECS", 0.001)
    caplog.set_level(logging.INFO, logger="ghostfleet")


def at_start(opening: Opening, live: Live, nudged: list[str] | None = None) -> KeysAtStart:
    into: Any = nudged.append if nudged is not None else lambda _: None
    return KeysAtStart(opening, live, into)  # type: ignore[arg-type]


async def test_what_takes_long_is_said_again_and_again(caplog: pytest.LogCaptureFixture) -> None:
    nudged: list[str] = []
    await at_start(Opening(0.02), Live(), nudged).open()
    assert nudged == list(NAMES)
    assert len(caplog.messages) > 2
    assert caplog.messages[0] == "0 of 5 keys are open, after 0 s"
    assert caplog.messages[-1].startswith("the last of 5 keys was opened after ")


async def test_what_takes_no_time_is_not_worth_a_line(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(keys_at_start, "LINE_SECS", 60.0)
    await at_start(Opening(0), Live()).open()
    assert caplog.messages == []


async def test_what_does_not_open_is_in_the_log_once_it_takes_events(caplog: pytest.LogCaptureFixture) -> None:
    live = Live()
    live.refusals = 3
    keys = at_start(Opening(0), live)
    noting = asyncio.ensure_future(keys.note_unusable())
    await asyncio.sleep(0)
    assert not live.written
    await keys.open()
    await noting
    error = ev.ErrorRecorded(error_class="no_key", message=DAMAGED)
    assert live.written == [ev.NewEvent(ev.wallet_stream("w3"), error)]
    assert f"the key of w5 cannot be used: {DAMAGED}" in caplog.messages


async def test_what_cannot_be_written_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    live = Live()

    async def unwritable(events: list[ev.NewEvent]) -> None:
        raise EventUnwritable("ErrorRecorded in 'wallet/w3' cannot be written as JSON")

    live.write = unwritable  # type: ignore[method-assign]
    keys = at_start(Opening(0), live)
    await keys.open()
    await keys.note_unusable()
    assert any(words.startswith("that w3 has no key cannot be recorded: ") for words in caplog.messages)


async def test_what_a_reload_mends_meanwhile_is_not_said_any_more() -> None:
    live, opening = Live(), Opening(0)
    live.state.wallets = dict.fromkeys(NAMES)
    take = live.write

    async def mended(events: list[ev.NewEvent]) -> None:
        opening.keyring.adopt(Keyring.of({NAMES[4]: bytes(31) + b"\5"}))
        await take(events)

    live.write = mended  # type: ignore[method-assign]
    keys = at_start(opening, live)
    await keys.open()
    await keys.note_unusable()
    assert [event.stream for event in live.written] == [ev.wallet_stream("w3")]


async def test_nobody_opens_keys_for_a_service_that_ends() -> None:
    opening = Opening(1_000)
    start = asyncio.ensure_future(at_start(opening, Live()).open())
    await asyncio.sleep(0.05)
    start.cancel()
    with pytest.raises(asyncio.CancelledError):
        await start
    await asyncio.sleep(0)
    assert opening.given_up


async def test_readiness_says_what_is_missing() -> None:
    opening = Opening(0)
    assert keys_missing(opening.keyring) == "5 keys are still being opened"
    for name in NAMES[:4]:
        opening.keyring.found(name, DAMAGED)
    words = "the keys of 4 wallets cannot be used (ghost-fleet errors says why); 1 key is still being opened"
    assert keys_missing(opening.keyring) == words
    assert keys_missing(Keyring({})) == ""
