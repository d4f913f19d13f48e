"""Does every checkpoint in a log say the truth, and does the log still hold those that somebody noted elsewhere?

A checkpoint (HeadSigned) is believed where the row that it names has the hash that it names, its signature is its signer's, and
that is a wallet which the log knew by then. Whose a signature is, whoever asks says: the store knows no keys.
"""

from collections.abc import Callable, Sequence

import msgspec

from ghostfleet.domain import events as ev
from ghostfleet.domain.checkpoint import text_of
from ghostfleet.domain.values import Address, Hash
from ghostfleet.store.recorder import Recorder
from ghostfleet.store.rows import EventRow, LogHead

SignerOf = Callable[[bytes, bytes], Address | None]
"""Whose signature over a text this is; None where nobody can have made it (keys/messages.py)."""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be found out about checkpoints; `noted` are those that somebody kept elsewhere."""

    signer_of: SignerOf
    noted: Sequence[ev.HeadSigned] = ()


class Newest(msgspec.Struct, frozen=True, kw_only=True):
    """The newest checkpoint of a log: which row it covers, and where and when it was written."""

    covers: int
    position: int
    time_us: int
    signer: Address


class CheckpointWalk:
    """Judges checkpoints as a walk along the log comes by them."""

    def __init__(self, recorder: Recorder, asked: Asked) -> None:
        self._recorder = recorder
        self._asked = asked
        self._start = LogHead()
        self._noted = frozenset(it.position for it in asked.noted)
        self._hashes: dict[int, Hash] = {}
        """Of the rows that noted checkpoints name, and of the one that the walk began behind."""
        self._wallets: set[bytes] = set()
        self._chain: tuple[int, Hash] | None = None
        self._restored: list[tuple[int, ev.LogRestored]] = []
        self.count = 0
        self.unseen = 0
        """How many name a row that is in an archive which is not at hand: only their signatures were checked."""
        self.newest: Newest | None = None

    async def begin(self, start: LogHead) -> None:
        """The walk begins behind this row."""
        self._start = start
        if start.position:
            self._hashes[start.position] = start.hash
            self._wallets = set((await self._recorder.addresses()).values())

    async def see(self, event: ev.Event, row: EventRow) -> str:
        """One more row that fits the chain. What is wrong with it as a checkpoint, or nothing."""
        if row.position in self._noted:
            self._hashes[row.position] = row.hash
        match event:
            case ev.ServiceStarted():
                self._chain = (event.chain_id, event.genesis_hash)
            case ev.WalletRegistered():
                self._wallets.add(event.address)
            case ev.LogRestored():
                self._restored.append((row.position, event))
            case ev.HeadSigned():
                fault = await self._fault(event, row.position)
                if fault:
                    return f"HeadSigned: {fault}"
                self.count += 1
                self.newest = Newest(
                    covers=event.position, position=row.position, time_us=row.time_us, signer=event.signer
                )
        return ""

    async def _fault(self, signed: ev.HeadSigned, position: int) -> str:
        if not 0 < signed.position < position:
            return f"it names position {signed.position}, which does not come before it"
        there = await self._hash_at(signed.position)
        if there is None:
            self.unseen += 1
        elif there != signed.head_hash:
            return (
                f"position {signed.position} had the hash {signed.head_hash} when it was signed, and has {there} now: what"
                " stands up to there was rewritten and the chain recomputed, or the checkpoint was made up"
            )
        return self._fault_of_signature(signed)

    def _fault_of_signature(self, signed: ev.HeadSigned) -> str:
        if self._chain is not None and self._chain != (signed.chain_id, signed.genesis_hash):
            return f"it is of chain {signed.chain_id} with genesis {signed.genesis_hash}, and the log is not"
        if self._asked.signer_of(text_of(signed).encode(), signed.signature) != signed.signer:
            return f"the signature is not that of {signed.signer} over its text"
        if bytes(signed.signer) not in self._wallets:
            return f"{signed.signer} signed it, which is no wallet that the log knows"
        return ""

    async def _hash_at(self, position: int) -> Hash | None:
        """None where that row is not at hand."""
        if position <= self._start.position:
            return self._hashes.get(position)
        rows = await self._recorder.page(position - 1, position, 1)
        return rows[0].hash if rows else None

    def not_contained(self, head: LogHead) -> str:
        """Why this is not the log of a checkpoint that was noted elsewhere; nothing where it is the log of all of them."""
        for signed in self._asked.noted:
            if fault := self._not_its_log(signed, head):
                return f"checkpoint of position {signed.position}: {fault}"
        return ""

    def _not_its_log(self, signed: ev.HeadSigned, head: LogHead) -> str:
        there = self._hashes.get(signed.position)
        if signed.position > head.position:
            return f"the log ends at {head.position}{self._restored_over(signed.position)}"
        if there is None:
            return "nobody can tell: that row is in an archive which is not at hand"
        if there != signed.head_hash:
            return (
                f"it had the hash {signed.head_hash} then, and has {there} now: what stands up to there was rewritten and the"
                f" chain recomputed, or this is another log{self._restored_over(signed.position)}"
            )
        return self._fault_of_signature(signed)

    def _restored_over(self, position: int) -> str:
        """What the log itself says of positions that were given twice."""
        for at, it in self._restored:
            if it.position < position and (not it.replaced_position or position <= it.replaced_position):
                replaced = f" that had reached {it.replaced_position}" if it.replaced_position else ""
                return (
                    f". By position {at} (LogRestored) a backup that ended at {it.position} was put in the place of a"
                    f" log{replaced}: ask whoever did that whether it is so"
                )
        return ""
