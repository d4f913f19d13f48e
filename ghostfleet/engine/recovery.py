"""What did the service know? The newest snapshot that fits, and the log after it; or the log alone."""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from ghostfleet.domain.state import FOLD_VERSION, State, decode_state, encode_state
from ghostfleet.engine.ports import Log
from ghostfleet.engine.state import LiveState
from ghostfleet.errors import GhostFleetError


class Place(Protocol):
    """Where in the log."""

    @property
    def position(self) -> int: ...


class SavedSnapshot(Protocol):
    """A snapshot as the store hands it out."""

    @property
    def position(self) -> int: ...
    @property
    def state(self) -> bytes: ...


class SnapshotLog(Log, Protocol):
    """A log that keeps snapshots beside its events, and may begin behind an archive."""

    @property
    def anchor(self) -> Place: ...
    def missing(self) -> Sequence[str]: ...
    async def load_snapshot(self, fold_version: int) -> SavedSnapshot | None: ...
    async def save_snapshot(self, position: int, fold_version: int, state: bytes) -> None: ...
    async def load_anchor_state(self, fold_version: int) -> SavedSnapshot | None: ...
    async def save_anchor_state(self, fold_version: int, state: bytes) -> None: ...


async def recover(log: SnapshotLog, *, use_snapshot: bool = True) -> State:
    """The state as of the head of the log. A snapshot that does not fit is ignored: it is only a cache.

    Without one it is the fold of the whole log, archive files included; where a file is not at hand, of the state at the
    anchor and the events after it. Raises ArchiveMissing when another version of the fold wrote that state.
    """
    state = decoded(await log.load_snapshot(FOLD_VERSION)) if use_snapshot else None
    if state is None and log.anchor.position and (use_snapshot or log.missing()):
        state = decoded(await log.load_anchor_state(FOLD_VERSION))
    state = state or State()
    async for recorded in log.read(state.position):
        state.apply(recorded)
    return state


async def keep_anchor(log: SnapshotLog) -> None:
    """After an upgrade: fold the archives by this release, once, so that later starts do not need their files."""
    if not log.anchor.position or await log.load_anchor_state(FOLD_VERSION) is not None:
        return
    state = State()
    async for recorded in log.read(0, until=log.anchor.position):
        state.apply(recorded)
    await log.save_anchor_state(FOLD_VERSION, encode_state(state))


def decoded(saved: SavedSnapshot | None) -> State | None:
    """The state of a snapshot; None when there is none that can be used."""
    if saved is None:
        return None
    try:
        state = decode_state(saved.state)
    except msgspec.MsgspecError:
        return None
    return state if state.position == saved.position else None


STATE_BYTES_AN_EVENT = 60
"""A tenth of what an event takes in the log: the snapshots of a large fleet, megabytes each, are a tenth of what is written."""


class Snapshots:
    """Saves a snapshot every so many events, a large one after more of them, and when asked. Failing to is no fault: the log is
    what counts, and reading it from the one before takes a moment longer."""

    def __init__(self, log: SnapshotLog, live: LiveState, every: int) -> None:
        self._log = log
        self._live = live
        self._every = self._least = every
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
        self._every = max(self._least, len(state) // STATE_BYTES_AN_EVENT)
