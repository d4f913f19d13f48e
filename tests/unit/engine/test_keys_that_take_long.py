"""A thousand keystores take minutes to open: whoever looks at the output meanwhile is told what the service does."""

import asyncio
import logging
from collections.abc import Sequence

import pytest

from ghostfleet import assembly
from ghostfleet.keys.keyring import Keyring, KeysUnusable, WalletKey


class Source:
    """Opens keys after so many looks; raises where there is a problem."""

    def __init__(self, looks: int, problem: str = "") -> None:
        self.looks, self.problem = looks, problem
        self.given_up = False

    async def keys(self, wanted: Sequence[WalletKey]) -> Keyring:
        try:
            await asyncio.sleep(self.looks * 0.02)
        except asyncio.CancelledError:
            self.given_up = True
            raise
        if self.problem:
            raise KeysUnusable([self.problem])
        return Keyring.of({})


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(assembly, "KEYS_LINE_SECS", 0.01)
    caplog.set_level(logging.INFO, logger="ghostfleet")


async def test_what_takes_long_is_said_again_and_again(caplog: pytest.LogCaptureFixture) -> None:
    assert len(await assembly._opened_keys(Source(5), [None] * 1_500)) == 0  # type: ignore[arg-type, list-item]
    assert len(caplog.messages) > 1
    assert all(words.startswith("opening 1500 keys, for ") for words in caplog.messages)


async def test_what_takes_no_time_is_not_worth_a_line(caplog: pytest.LogCaptureFixture) -> None:
    await assembly._opened_keys(Source(0), [])  # type: ignore[arg-type]
    assert caplog.messages == []


async def test_what_is_wrong_with_a_key_comes_out_all_the_same() -> None:
    with pytest.raises(KeysUnusable, match="wrong password"):
        await assembly._opened_keys(Source(2, "wallet-001: wrong password"), [])  # type: ignore[arg-type]


async def test_nobody_opens_keys_for_a_start_that_was_given_up() -> None:
    source = Source(1_000)
    start = asyncio.ensure_future(assembly._opened_keys(source, []))  # type: ignore[arg-type]
    await asyncio.sleep(0.05)
    start.cancel()
    with pytest.raises(asyncio.CancelledError):
        await start
    await asyncio.sleep(0)
    assert source.given_up
