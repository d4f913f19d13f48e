"""Which blocks are in the chain right now? Follows the head, remembers the latest headers, and notices reorganisations.

Nodes behind one address disagree by some blocks, so nothing is believed at one look: a head that does not fit what is
remembered counts only when a second look, a poll later, tells the same story.
"""

import asyncio
from collections.abc import Awaitable, Callable

import msgspec

from ghostfleet.domain.events import ChainReorganised
from ghostfleet.domain.values import BlockRef, Head
from ghostfleet.engine.ports import Chain
from ghostfleet.engine.unseen import Unseen
from ghostfleet.errors import GhostFleetError, TryAgain

MAX_REMEMBERED = 1024
"""Headers kept; older ones are asked for when somebody needs them."""
WALK_BLOCKS = 16
"""Older headers asked for at a time: each may name thousands of transactions."""
MAX_GAP = 64
"""More new blocks than this between two polls are not walked through one by one."""
LOOKS_AT_A_LOWER_HEAD = 10
"""A lower head is a lagging node, unless it is all that is answered for so many polls."""


class Heads:
    """The chain's head as this process knows it. `on_reorganisation` is awaited before anybody is told of the new head."""

    def __init__(
        self,
        chain: Chain,
        *,
        poll_secs: float,
        depth: int,
        on_reorganisation: Callable[[ChainReorganised], Awaitable[object]],
    ) -> None:
        self._chain = chain
        self._poll_secs = poll_secs
        self._depth = depth
        self._on_reorganisation = on_reorganisation
        self._known: dict[int, Head] = {}
        self._changed = asyncio.Event()
        self._suspected: BlockRef | None = None
        self._far: Head | None = None
        self._lower_looks = 0
        self._walking = asyncio.Lock()
        self.generation = 0
        """Grows whenever what was canonical may no longer be."""
        self.head: Head | None = None
        self.fresh_at: float | None = None
        """Loop time of the last answer, for readiness."""
        self.unseen = Unseen()
        """Transactions that no block names so far."""

    def tune(self, *, poll_secs: float, depth: int) -> None:
        """Look so often, and walk back so far, from the next look on."""
        self._poll_secs, self._depth = poll_secs, depth

    async def run(self) -> None:
        """Poll until cancelled. An endpoint that cannot answer is the edge's business."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                await self._look(await self._chain.head())
                self.fresh_at = loop.time()
            except GhostFleetError:
                pass
            await asyncio.sleep(self._poll_secs)

    async def first(self) -> Head:
        """The head, waiting for the first one."""
        while self.head is None:
            await self.changed()
        return self.head

    def next_change(self) -> asyncio.Event:
        """Set at the next change of the head. Taken before a look, it tells of a change that came during the look."""
        return self._changed

    async def changed(self, timeout_secs: float | None = None, change: asyncio.Event | None = None) -> None:
        """Wait for the next change of the head (after `change` was taken), or for the time-out."""
        changed = change or self._changed
        try:
            async with asyncio.timeout(timeout_secs):
                await changed.wait()
        except TimeoutError:
            return

    async def canonical(self, block: BlockRef) -> bool | None:
        """Whether this block is in the chain; None when that cannot be said yet."""
        head = self.head
        if head is None or block.number > head.number:
            return None
        known = self._known.get(block.number) or await self._older(block.number)
        if known is None:
            return None
        return known.hash == block.hash

    async def _older(self, number: int) -> Head | None:
        """A header below the remembered ones, by parent hashes from them down: what another branch's node says does not fit.

        None where nodes disagree. So far down that the way is too long, one answer has to do; it is not remembered. One asker
        walks and the others wait for it: after hours without a head, every lane of a fleet wants to know of blocks down there.
        """
        if min(self._known) - number >= MAX_REMEMBERED:
            return await self._chain.head_at(number)
        async with self._walking:
            header = self._known[min(self._known)]
            while header.number > number and header.number - number < MAX_REMEMBERED:
                walked = await self._walk_down(header, max(number, header.number - WALK_BLOCKS))
                if walked is None:
                    return self._known.get(number)
                header = walked
            return self._known.get(number) or (header if header.number == number else None)

    async def _walk_down(self, lowest: Head, number: int) -> Head | None:
        """From the lowest header remembered down to `number`. None where nodes disagree, or the chain has moved meanwhile."""
        generation = self.generation
        headers = await asyncio.gather(*(self._chain.head_at(n) for n in range(number, lowest.number)))
        if generation != self.generation:
            return None
        path = [lowest]
        for header in reversed(headers):
            if header is None or header.hash != path[-1].parent:
                return None
            path.append(header)
        for header in path[1:]:
            self._remember(header)
        return path[-1]

    async def _look(self, new: Head) -> None:
        """One look at the head; act on it only where it fits, or where it did not fit twice in the same way."""
        head = self.head
        if head is None:
            self._accept([new])
            return
        if new.number - head.number > MAX_GAP:
            await self._far_ahead(new)
            return
        self._far = None
        if new.number > head.number:
            await self._forward(head, new)
        elif self._known.get(new.number, new).hash != new.hash:
            await self._suspect(head, new)
        elif new.number < head.number:
            await self._lower(head, new)
        else:
            self._suspected, self._lower_looks = None, 0

    async def _forward(self, head: Head, new: Head) -> None:
        between = await asyncio.gather(*(self._chain.head_at(n) for n in range(head.number + 1, new.number)))
        path = [*between, new]
        parent = head
        fitting: list[Head] = []
        for block in path:
            if block is None:
                raise TryAgain("a header in the middle is missing: the next poll asks again")
            if block.parent != parent.hash:
                break
            fitting.append(block)
            parent = block
        if len(fitting) == len(path):
            self._accept(fitting)
        else:
            await self._suspect(head, new)

    async def _far_ahead(self, new: Head) -> None:
        """Too far to walk there: believed when the next look is at a chain that has this block in it."""
        seen_before, self._far = self._far, new
        if seen_before is None or new.number < seen_before.number:
            return
        if new.hash != seen_before.hash:
            again = await self._chain.head_at(seen_before.number)
            if again is None or again.hash != seen_before.hash:
                return
        self._known.clear()
        self._lose_track()
        self._accept([new])

    async def _lower(self, head: Head, new: Head) -> None:
        """The same chain, but shorter: a lagging node, or blocks were taken back."""
        self._lower_looks += 1
        if self._lower_looks < LOOKS_AT_A_LOWER_HEAD or await self._chain.head_at(new.number + 1) is not None:
            return
        await self._reorganise(head, new, ancestor=new.number, branch=[])

    async def _suspect(self, head: Head, new: Head) -> None:
        """A head on another branch: believed when two looks in a row lead to a branch that hangs together.

        The branch is followed down to what fits, or to the oldest block remembered: of older ones nothing is known to be gone.
        """
        branch, oldest = [new], min(self._known)
        while branch[-1].number > oldest and len(branch) <= self._depth:
            number = branch[-1].number - 1
            known = self._known.get(number)
            if known is not None and known.hash == branch[-1].parent:
                break
            older = await self._chain.head_at(number)
            if older is None or older.hash != branch[-1].parent:
                self._suspected = None
                return  # headers of two nodes that disagree: no story yet
            branch.append(older)
        root = branch[-1]
        seen_before = self._suspected
        self._suspected = BlockRef(root.number, root.hash)
        if seen_before == self._suspected:
            await self._reorganise(head, new, ancestor=root.number - 1, branch=branch[::-1])

    async def _reorganise(self, head: Head, new: Head, *, ancestor: int, branch: list[Head]) -> None:
        await self._on_reorganisation(
            ChainReorganised(
                depth=head.number - ancestor,
                ancestor=ancestor,
                old_head=BlockRef(head.number, head.hash),
                new_head=BlockRef(new.number, new.hash),
            )
        )
        self._lose_track()
        fitting = self._known.get(ancestor)
        linked = fitting is not None and (not branch or branch[0].parent == fitting.hash)
        for number in [number for number in self._known if number > ancestor or not linked]:
            del self._known[number]
        self._accept(branch or [new])

    def _lose_track(self) -> None:
        """What was canonical may no longer be, and any transaction may be in a block."""
        self.generation += 1
        self.unseen.lost_track()

    def _accept(self, blocks: list[Head]) -> None:
        self.unseen.came(blocks)
        for block in blocks:
            self._remember(block)
        self.head = self._known[blocks[-1].number]
        self._suspected, self._far, self._lower_looks = None, None, 0
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def _remember(self, block: Head) -> None:
        """Without its transactions: of a thousand blocks of a busy chain these are too many to keep."""
        self._known[block.number] = msgspec.structs.replace(block, transactions=None)
        while len(self._known) > MAX_REMEMBERED:
            del self._known[min(self._known)]
