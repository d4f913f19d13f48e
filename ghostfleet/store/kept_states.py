"""Do the states that are kept beside the log follow from it? It is folded anew along a walk, and compared where one is kept.

A digest tells of damage; of whoever writes a state and its digest anew it does not, and a start believes what it finds there.
"""

from hashlib import sha256

import msgspec

from ghostfleet.domain.events import Recorded
from ghostfleet.domain.state import FOLD_VERSION, State, decode_state, encode_state
from ghostfleet.domain.wallet import BrokenFold
from ghostfleet.store.errors import LogCorrupt
from ghostfleet.store.recorder import Recorder, Snapshot
from ghostfleet.store.rows import LogHead


class KeptStates:
    """Those of this version of the fold; what another release has kept, only that one can fold."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._state: State | None = None
        """As of the walk. None where nobody knows it (begun in the middle, events that no fold takes) or nobody asks any more."""
        self._snapshots: dict[int, bytes] = {}
        self._anchor: tuple[int, bytes] | None = None
        self._newest = 0
        """Nothing is kept behind it, so nothing is folded: a backup has no snapshots."""

    async def begin(self, start: LogHead) -> None:
        """The walk begins behind this row: where the log begins, or at the anchor, whose state is taken on trust then."""
        for it in await self._recorder.every_snapshot():
            if it.fold_version == FOLD_VERSION and it.undamaged:
                self._snapshots[it.position] = sha256(it.state).digest()
        anchor = await self._anchor_state()
        if anchor is not None:
            self._anchor = anchor.position, sha256(anchor.state).digest()
        self._newest = max([*self._snapshots, *([anchor.position] if anchor is not None else [])], default=0)
        if start.position == 0:
            self._state = State()
        elif anchor is not None and start.position == anchor.position:
            self._state = _decoded(anchor.state)

    async def _anchor_state(self) -> Snapshot | None:
        try:
            return await self._recorder.anchor_state(FOLD_VERSION)
        except LogCorrupt:
            return None  # the recorder says so of itself

    def see(self, recorded: Recorded) -> str:
        """One more event. What is wrong with a state that is kept as of it, or nothing."""
        if self._state is None or recorded.position > self._newest:
            self._state = None
            return ""
        try:
            self._state.apply(recorded)
        except BrokenFold:
            self._state = None
            return ""
        position = recorded.position
        anchored = self._anchor is not None and self._anchor[0] == position
        if position not in self._snapshots and not anchored:
            return ""
        digest = sha256(encode_state(self._state)).digest()
        if anchored and self._anchor != (position, digest):
            return (
                f"the state at the anchor, position {position}, is not the one that the events make: restore a backup"
            )
        if self._snapshots.get(position, digest) != digest:
            return (
                f"the snapshot at position {position} is not the state that the events make, and a start would use it:"
                " `ghost-fleet db rebuild` drops it"
            )
        return ""


def _decoded(state: bytes) -> State | None:
    try:
        return decode_state(state)
    except msgspec.MsgspecError:
        return None
