"""What becomes of a slot: sends its bytes, reads receipts, and pushes until the chain has settled the nonce.

Everything a Follower remembers (how often it looked, when it tries again) is only pace: losing it in a crash changes
nothing but the moment of the next look. What is true of a slot stands in the log.
"""

import asyncio
from functools import partial

import msgspec

from ghostfleet.domain import decisions
from ghostfleet.domain import events as ev
from ghostfleet.domain.slot import Included, Look, Pending, Replace, SendAgain, Slot, Wait, next_step
from ghostfleet.domain.state import Candidate
from ghostfleet.domain.values import AnswerClass, Receipt, WalletId
from ghostfleet.domain.wallet import Wallet
from ghostfleet.engine import cancels, receipts
from ghostfleet.engine.funds import can_be_pushed
from ghostfleet.engine.gaps import fill_gap
from ghostfleet.engine.outsiders import Taker, find_taker
from ghostfleet.engine.ports import Broadcast
from ghostfleet.engine.pursuit import Pursuit
from ghostfleet.engine.replacements import NoReplacement, record_replacement, replacement
from ghostfleet.engine.signing import ERROR_CLASSES, NoKey
from ghostfleet.engine.world import World

LOW_NONCE_LOOKS = 3
"""Looks at a chain nonce below our lowest open slot before the gap is believed: nodes lag."""
FINALITIES_WITHOUT_A_TRACE = 2
"""A used nonce that no node could explain, at any look, ends its slot after so many times the finality depth."""
TAKEN = frozenset({AnswerClass.ACCEPTED, AnswerClass.ALREADY_KNOWN})


class Follower:
    """Follows the slots of one wallet."""

    def __init__(self, name: str, world: World) -> None:
        self._name = name
        self._world = world
        self._pursuits: dict[int, Pursuit] = {}
        self._checked_generation = -1

    @property
    def _wallet(self) -> Wallet:
        return self._world.wallet(self._name)

    async def follow(self) -> None:
        """Until every slot is in the chain with its outcome recorded. Returns at once when that is so."""
        while True:
            change = self._world.heads.next_change()
            await self._watch_included()
            pending = self._wallet.pending
            if not pending:
                for nonce in list(self._pursuits):
                    self._drop(nonce)
                if all(slot.settled for slot in self._wallet.included):
                    return
            elif await self._include(pending, everywhere=(due := self._push_is_due(pending))):
                continue
            elif due:
                await self._push(pending)
                if [slot.nonce for slot in self._wallet.pending] != [slot.nonce for slot in pending]:
                    continue
            await self._world.heads.changed(self._next_look_secs(), change)

    async def broadcast_new(self, nonce: int) -> None:
        """As `broadcast`, for bytes that have never left: their receipt is not looked for before a block names them."""
        slot = self._wallet.slot(nonce)
        if isinstance(slot, Pending):
            self._pursuit(slot).unseen = slot.newest.hash
            self._world.heads.unseen.leaves(slot.newest.hash)
        await self.broadcast(nonce)

    async def broadcast(self, nonce: int) -> None:
        """Send the newest bytes of the slot at `nonce`, and record what the node said. Raises GateClosed, sending nothing.

        A node that took bytes of this slot before, or has just refused these, will not do better: another one gets them first.
        """
        slot = self._wallet.slot(nonce)
        if not isinstance(slot, Pending):
            return
        pursuit = self._pursuit(slot)
        newest = slot.newest
        sent = await self._world.chain.broadcast(
            newest.raw,
            newest.hash,
            sync=self._world.chain_rules.realtime,
            rather_not=pursuit.refused_by or slot.accepted_by,
            sender=self._name,
        )
        pursuit.sent = True
        pursuit.pushed_at = asyncio.get_running_loop().time()
        if sent.cls in TAKEN:
            pursuit.refused, pursuit.refused_by, pursuit.retry_secs, pursuit.unknown_answers = None, "", 0.0, 0
            pursuit.refusals.clear()
        else:
            self._retry_later(pursuit, sent)
        await self._note_broadcast(slot, sent)
        if sent.receipt is not None:
            await self._include_receipts(slot, [sent.receipt])

    async def _note_broadcast(self, slot: Pending, sent: Broadcast) -> None:
        """One event for what is new: the same answer from a node again is not news."""
        tx, action_id = slot.newest.hash, slot.action_id
        event: ev.Event
        if sent.cls in TAKEN:
            if slot.accepted == tx and slot.accepted_by == sent.endpoint:
                return
            known = sent.cls is AnswerClass.ALREADY_KNOWN
            event = ev.BroadcastAccepted(
                action_id=action_id, nonce=slot.nonce, hash=tx, endpoint=sent.endpoint, known=known
            )
        else:
            pursuit = self._pursuit(slot)
            news = f"{sent.cls} {sent.endpoint} {tx.hex()}"
            if news in pursuit.refusals:
                return
            pursuit.refusals.add(news)
            event = ev.BroadcastFailed(
                action_id=action_id,
                nonce=slot.nonce,
                hash=tx,
                endpoint=sent.endpoint,
                error_class=sent.cls,
                message=sent.message,
            )
        await self._write(slot, event)

    async def _watch_included(self) -> None:
        """Slots in the chain: reorganised ones are open again, confirmed ones get their outcome, deep ones are final."""
        heads, rules, wallet = self._world.heads, self._world.rules, self._wallet
        included = wallet.included
        if not included or heads.head is None:
            return
        head = heads.head.number
        generation, every_answer_known = heads.generation, True
        recheck = generation != self._checked_generation
        for slot in included:
            deep = head - slot.block.number >= rules.finality_blocks
            if not (recheck or deep or not slot.settled):
                continue
            canonical = await heads.canonical(slot.block)
            if canonical is None:  # such as a block above a head that was taken back
                every_answer_known = False
            elif not canonical:
                await self._write(slot, _reorged(slot))
            elif not slot.settled:
                if head - slot.block.number + 1 >= rules.confirmations:
                    await self._settle(slot)
            elif deep:
                final = ev.TransactionFinal(action_id=slot.action_id, nonce=slot.nonce, hash=slot.attempt.hash)
                await self._write(slot, final)
        if every_answer_known:
            self._checked_generation = generation

    async def _settle(self, slot: Included) -> None:
        counts = not slot.success and await receipts.counts(self._world, self._wallet, slot.pending, slot.reason)
        rules = self._world.rules
        await self._world.live.commit(
            partial(decisions.settle, name=self._name, nonce=slot.nonce, rules=rules, counts=counts)
        )

    async def _include(self, pending: tuple[Pending, ...], *, everywhere: bool) -> bool:
        """Look for receipts of open slots, `everywhere` or where a block may have them. True when one was recorded."""
        unseen = self._world.heads.unseen
        hashes = [
            (slot, attempt.hash)
            for slot in pending
            for attempt in slot.attempts
            if everywhere or attempt.hash not in unseen
        ]
        if not hashes:
            return False
        chain = self._world.chain
        if len(hashes) == 1:  # as nearly always: a task of its own costs as much as the question
            answers = [await chain.receipt(hashes[0][1])]
        else:
            answers = await asyncio.gather(*(chain.receipt(tx) for _, tx in hashes))
        found = False
        for slot in pending:
            own = [answer for (of, _), answer in zip(hashes, answers, strict=True) if of is slot and answer is not None]
            found = await self._include_receipts(slot, own) or found
        return found

    async def _include_receipts(self, slot: Pending, found: list[Receipt]) -> bool:
        """Record the receipt whose block is in the chain. One that is not (yet) counts for nothing."""
        world = self._world
        for receipt in found:
            if await world.heads.canonical(receipt.block):
                mined = await receipts.mined_event(world, self._wallet, slot, receipt)
                counts = not mined.success and await receipts.counts(world, self._wallet, slot, mined.revert_reason)
                head = await world.heads.first()
                await world.live.commit(
                    partial(
                        decisions.include,
                        name=self._name,
                        mined=mined,
                        rules=world.rules,
                        head_number=head.number,
                        counts=counts,
                    )
                )
                self._drop(slot.nonce)
                return True
        return False

    async def _push(self, pending: tuple[Pending, ...]) -> None:
        """No receipt: settle by nonce, or carry out the next step for the lowest slot; send the others once each."""
        world, lowest = self._world, pending[0]
        self._pursuit(lowest).pushed_at = asyncio.get_running_loop().time()
        nonce = await world.chain.nonce(self._wallet.address, "latest")
        pursuit = self._pursuit(lowest)
        if nonce > lowest.nonce:
            await self._settle_by_nonce(lowest, pursuit)
            return
        pursuit.used_nonce_looks = 0
        pursuit.traced()
        if not world.gate.lets(self._name) or world.dry_run:
            return
        if not await can_be_pushed(world, self._wallet, lowest, pursuit, given_up=self._given_up()):
            return
        if nonce < lowest.nonce and await self._gap_filled(lowest, pursuit, nonce):
            return
        await self._carry_out(lowest, pursuit, gap_below=nonce < lowest.nonce)
        for slot in pending[1:]:
            if self._given_up() and slot.newest.purpose == "action" and self._pursuit(slot).due:
                await self._replace(slot, self._pursuit(slot), "cancel", "an operator asked for it")
            elif slot.accepted != slot.newest.hash and self._pursuit(slot).due:
                await self.broadcast(slot.nonce)

    async def _gap_filled(self, lowest: Pending, pursuit: Pursuit, nonce: int) -> bool:
        """Whether the chain has waited so long for a nonce below our lowest open slot that it was given away just now."""
        world, head = self._world, await self._world.heads.first()
        pursuit.low_nonce_looks += 1
        waited_us = pursuit.age_us(lowest.newest.signed_us, world.clock.now_us())
        if pursuit.low_nonce_looks < LOW_NONCE_LOOKS or waited_us < world.rules.slot.stuck_after_us:
            return False
        if head.number - pursuit.since_block < world.rules.slot.stuck_after_blocks:
            return False
        pursuit.low_nonce_looks = 0
        try:
            if not await fill_gap(world, self._wallet, nonce):
                return False
        except NoKey as obstacle:
            await self._say_once(lowest, pursuit, ERROR_CLASSES[NoKey], f"nonce {nonce} is missing, but {obstacle}")
            return False
        await self.broadcast(nonce)
        return True

    async def _carry_out(self, slot: Pending, pursuit: Pursuit, *, gap_below: bool) -> None:
        """The next step for the lowest open slot."""
        look = msgspec.structs.replace(await self._looked(slot, pursuit), gap_below=gap_below)
        match next_step(slot, look, self._world.rules.slot):
            case Wait():
                return
            case SendAgain(dropped=dropped):
                if dropped:
                    lost = ev.TransactionDropped(
                        action_id=slot.action_id, nonce=slot.nonce, hash=slot.newest.hash, endpoint=slot.accepted_by
                    )
                    await self._write(slot, lost)
                if pursuit.due:
                    pursuit.unknown_answers = 0
                    await self.broadcast(slot.nonce)
            case Replace(purpose=purpose, why=why):
                if pursuit.due:
                    await self._replace(slot, pursuit, purpose, why)

    async def _looked(self, slot: Pending, pursuit: Pursuit) -> Look:
        """What the node that took the bytes says of them; a node that cannot answer says nothing."""
        world, head = self._world, await self._world.heads.first()
        if slot.accepted == slot.newest.hash and pursuit.sent:
            known = await world.chain.known(slot.newest.hash, slot.accepted_by)
            pursuit.unknown_answers = pursuit.unknown_answers + 1 if known is False else 0
        failed = pursuit.refused is not None and pursuit.refused not in _ANSWERED_BY_OTHER_BYTES
        return Look(
            waited_us=pursuit.age_us(slot.newest.signed_us, world.clock.now_us()),
            blocks_since_signed=head.number - pursuit.since_block,
            unknown_answers=pursuit.unknown_answers,
            sent_since_look=pursuit.sent and not failed,
            refused=pursuit.refused,
            give_up=self._given_up(),
        )

    async def _replace(self, slot: Pending, pursuit: Pursuit, purpose: ev.Purpose, why: str) -> None:
        """Record a further attempt at the same nonce, and send it. Where there can be none: say so, wait, send again."""
        world, number = self._world, slot.newest.number
        head = await world.heads.first()
        try:
            signed = await replacement(
                world,
                self._wallet,
                slot,
                purpose,
                pursuit.refused,
                in_any_case=self._given_up() and purpose == "cancel" and slot.newest.purpose == "action",
            )
        except NoReplacement as obstacle:
            waited_secs = pursuit.retry_secs
            if not world.signer.awaits(WalletId(self._name)):  # of a key that is on its way readiness tells
                await self._say_once(slot, pursuit, obstacle.error_class, f"{why}, but {obstacle}")
            if self._given_up() and obstacle.error_class == ERROR_CLASSES[NoKey]:
                await cancels.leave_open(self._world, self._wallet, str(obstacle))
                return
            if slot.newest.purpose == "cancel" or not self._given_up():  # what nobody wants any more is not sent again
                await self.broadcast(slot.nonce)
            pursuit.retry_secs = max(waited_secs, pursuit.retry_secs)
            pursuit.back_off(world.pace)
            return
        await record_replacement(world, self._name, signed, number, pursuit.refused)
        pursuit.renew(number + 1, head.number)
        await self.broadcast(slot.nonce)

    async def _settle_by_nonce(self, slot: Pending, pursuit: Pursuit) -> None:
        """The nonce is used and no receipt of ours is to be had: find out by whom, and only then give the slot up.

        A slot is given up only when the transaction that took it is as deep as finality: a shallower one may be
        reorganised away, and our bytes, still in some pool, could land after all.
        """
        world, head = self._world, await self._world.heads.first()
        pursuit.used_nonce_looks += 1
        if pursuit.used_nonce_looks < world.pace.settled_by_nonce_looks:
            return
        taker = await find_taker(world, self._wallet.address, slot.nonce)
        if taker is None:
            pursuit.untraced(head.number)
            await self._say_once(
                slot, pursuit, "nonce_used", f"nonce {slot.nonce} is used, and no node shows by which transaction"
            )
            blocks = head.number - pursuit.untraced_since_block
            if (
                blocks >= FINALITIES_WITHOUT_A_TRACE * world.rules.finality_blocks
                and pursuit.untraced_looks >= world.pace.settled_by_nonce_looks
            ):
                await self._give_up(slot, None)
            return
        pursuit.traced()
        if any(attempt.hash == taker.hash for attempt in slot.attempts):  # ours: its receipt is late
            said = f"{taker.hash} is in block {taker.block.number}, and no node shows its receipt there"
            await self._say_once(slot, pursuit, "receipt_missing", said)
            return
        deep = head.number - taker.block.number >= world.rules.finality_blocks
        if deep and await world.heads.canonical(taker.block):
            await self._give_up(slot, taker)

    async def _give_up(self, slot: Pending, taker: Taker | None) -> None:
        """Record that the nonce was used from outside, by whom where that is known."""
        by = taker.hash if taker is not None else None

        def superseded(state: Candidate, now_us: int) -> list[ev.NewEvent]:
            events = decisions.supersede(
                state, now_us, name=self._name, nonce=slot.nonce, by=by, rules=self._world.rules
            )
            if taker is None:
                return events
            seen = ev.OutsideTransactionSeen(nonce=slot.nonce, hash=taker.hash, block=taker.block)
            return [*decisions.for_wallet(self._name, slot.action_id, [seen]), *events]

        await self._world.live.commit(superseded)

    async def _say_once(self, slot: Pending, pursuit: Pursuit, error_class: str, message: str) -> None:
        news = f"{error_class} {slot.newest.number}"
        if news not in pursuit.said:
            pursuit.said.add(news)
            error = ev.ErrorRecorded(error_class=error_class, message=message)
            await self._world.live.write(decisions.for_wallet(self._name, slot.action_id, [error]))

    async def _write(self, slot: Slot, event: ev.Event) -> None:
        """Write what is true of this slot; the fold refuses it where the slot has moved on."""
        await self._world.live.write(decisions.for_wallet(self._name, slot.action_id, [event]))

    def _pursuit(self, slot: Pending) -> Pursuit:
        block = head.number if (head := self._world.heads.head) is not None else 0
        pursuit = self._pursuits.get(slot.nonce)
        if pursuit is None:
            now = asyncio.get_running_loop().time()
            pursuit = self._pursuits[slot.nonce] = Pursuit(block, now, attempt=slot.newest.number)
        elif pursuit.attempt != slot.newest.number:
            pursuit.renew(slot.newest.number, block)
        pursuit.chain_is_at(block)
        return pursuit

    def _drop(self, nonce: int) -> None:
        """Nothing is left to pursue at this nonce."""
        pursuit = self._pursuits.pop(nonce, None)
        if pursuit is not None and pursuit.unseen is not None:
            self._world.heads.unseen.forget(pursuit.unseen)

    def _retry_later(self, pursuit: Pursuit, sent: Broadcast) -> None:
        pursuit.refused, pursuit.refused_by = sent.cls, sent.endpoint
        pursuit.back_off(self._world.pace)

    def _push_is_due(self, pending: tuple[Pending, ...]) -> bool:
        """Asking by nonce and pool costs two calls: at once for bytes that are not out, else at a slower pace."""
        pursuits = [self._pursuit(slot) for slot in pending]
        if self._world.gate.lets(self._name):
            if any(not pursuit.sent or (pursuit.refused is not None and pursuit.due) for pursuit in pursuits):
                return True
            if pending[0].newest.purpose == "action" and self._given_up():
                return True
        return asyncio.get_running_loop().time() >= pursuits[0].pushed_at + self._world.pace.push_secs

    def _given_up(self) -> bool:
        return cancels.asked_for(self._world.state, self._name)

    def _next_look_secs(self) -> float:
        now = asyncio.get_running_loop().time()
        waits = [pursuit.retry_at - now for pursuit in self._pursuits.values() if pursuit.retry_at > now]
        return min([self._world.pace.look_secs, *waits])


_ANSWERED_BY_OTHER_BYTES = frozenset(
    {
        AnswerClass.REPLACEMENT_UNDERPRICED,
        AnswerClass.UNDERPRICED,
        AnswerClass.MALFORMED,
        AnswerClass.REVERTED,
        AnswerClass.NODE_FEE_CAP,
    }
)
"""Refusals that the same bytes would meet again."""


def _reorged(slot: Included) -> ev.TransactionReorged:
    return ev.TransactionReorged(action_id=slot.action_id, nonce=slot.nonce, hash=slot.attempt.hash, block=slot.block)
