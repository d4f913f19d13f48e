"""What did the service know? The newest snapshot that fits, and the log after it; or the log alone."""

from typing import Protocol

import msgspec

from ghostfleet.domain.state import FOLD_VERSION, State, decode_state, encode_state
from ghostfleet.engine.ports import Log
from ghostfleet.engine.state import LiveState
from ghostfleet.errors import GhostFleetError


class SavedSnapshot(Protocol):
    """A snapshot as the store hands it out."""

    @property
    def position(self) -> int: ...
    @property
    def state(self) -> bytes: ...


class SnapshotLog(Log, Protocol):
    """A log that keeps snapshots beside its events."""

    async def load_snapshot(self, fold_version: int) -> SavedSnapshot | None: ...
    async def save_snapshot(self, position: int, fold_version: int, state: bytes) -> None: ...


async def recover(log: SnapshotLog, *, use_snapshot: bool = True) -> State:
    """The state as of the head of the log. A snapshot that does not fit is ignored: it is only a cache."""
    state = await _from_snapshot(log) if use_snapshot else State()
    async for recorded in log.read(state.position):
        state.apply(recorded)
    return state


async def _from_snapshot(log: SnapshotLog) -> State:
    saved = await log.load_snapshot(FOLD_VERSION)
    if saved is None:
        return State()
    try:
        state = decode_state(saved.state)
    except msgspec.MsgspecError:
        return State()
    return state if state.position == saved.position else State()


class Snapshots:
    """Saves a snapshot every so many events, and when asked. Failing to is no fault: the log is what counts."""

    def __init__(self, log: SnapshotLog, live: LiveState, every: int) -> None:
        self._log = log
        self._live = live
        self._every = every
        self._saved = live.state.position

    async def if_due(self) -> None:
        """Save when enough has happened since the last one."""
        if self._live.state.position - self._saved >= self._every:
            await self.save()

    async def save(self) -> None:
        """Save the state as it is now."""
        position, state = self._live.state.position, encode_state(self._live.state)
        try:
            await self._log.save_snapshot(position, FOLD_VERSION, state)
        except GhostFleetError:
            return
        self._saved = position
