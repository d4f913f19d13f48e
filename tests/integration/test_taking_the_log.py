"""A service that starts while somebody else writes its log: it waits for who lets go in a moment, and refuses otherwise."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ghostfleet import lifetime
from ghostfleet.store.errors import LogHeld
from ghostfleet.store.lock import WriterLock


@pytest.fixture
def at_each_look(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[int], None]], None]:
    """Have something done before each look at the log, the first one being look 1; and no time passes between two."""
    opened = lifetime.open_log

    def doing(what: Callable[[int], None]) -> None:
        looks = 0

        async def looked(*args: Any, **options: Any) -> Any:
            nonlocal looks
            looks += 1
            what(looks)
            return await opened(*args, **options)

        monkeypatch.setattr(lifetime, "open_log", looked)
        monkeypatch.setattr(lifetime, "HELD_POLL_SECS", 0.0)

    return doing


async def test_a_start_waits_for_a_command_that_holds_the_log_for_a_moment(tmp_path: Path, at_each_look: Any) -> None:
    command = WriterLock(tmp_path / "log.db")
    at_each_look(lambda look: command.release() if look == 5 else None)
    log = await lifetime.taken_log(f"sqlite:///{tmp_path}/log.db", None)
    await log.close()


async def test_a_start_does_not_wait_for_ever_for_another_service(tmp_path: Path, at_each_look: Any) -> None:
    looks: list[int] = []
    at_each_look(looks.append)
    with WriterLock(tmp_path / "log.db"), pytest.raises(LogHeld, match="stop that process first"):
        await lifetime.taken_log(f"sqlite:///{tmp_path}/log.db", None)
    assert len(looks) == lifetime.HELD_LOOKS + 1
