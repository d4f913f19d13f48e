"""Destroy the key of a wallet that is out of use, once the chain proves at finality that nothing is left in it.

A file is touched only where it says itself that it holds this wallet's key; the line in the table tells what proved it empty.
"""

import asyncio
import os
from pathlib import Path

from ghostfleet.chain.edge import RpcRefused
from ghostfleet.domain.operation import NATIVE
from ghostfleet.domain.values import Address, JsonObject
from ghostfleet.domain.wallet import Wallet
from ghostfleet.engine.duties import Done, Later, Wish
from ghostfleet.engine.world import World
from ghostfleet.keys.keystore import KeystoreUnusable, read_keystore
from ghostfleet.operations.balances import BALANCE_OF
from ghostfleet.operations.duty import under_way
from ghostfleet.operations.holdings import look, tokens_of
from ghostfleet.plugins.abi import UnreadableAnswer
from ghostfleet.store.durable_files import sync

LOOK_SECS = 2.0
PASSES = 3
"""Times a key file is overwritten before it is removed. A file system that copies on write keeps what it likes all the same."""


class KeyNotDestroyed(Exception):
    """The file stays as it is; the message says why."""


class DestroyDuty:
    """Proves one wallet empty, then destroys its keystore. `keyfile` is on the service's machine."""

    def __init__(self, operation_id: str, keyfiles: dict[str, str], world: World) -> None:
        self.operation_id = operation_id
        self.waiting = ""
        self._keyfiles = keyfiles
        self._world = world

    async def next(self, wallet: Wallet) -> Wish:
        """Waits for finality, then the wallet's line: the proof and what became of the file."""
        under_way(self._world, self.operation_id)
        if wallet.slots:
            return Later(LOOK_SECS, "its last transactions are not final yet")
        head = await self._world.heads.first()
        block = max(head.number - self._world.rules.finality_blocks, 0)
        left = await self._left_at(wallet, block)
        line: JsonObject = {
            "address": str(wallet.address),
            "block": block,
            "left": {asset: str(amount) for asset, amount in left.items()},
        }
        kept = await self._why_kept(wallet, left)
        if kept:
            return Done({wallet.id: {**line, "destroyed": False, "remarks": [kept]}})
        try:
            what = await asyncio.to_thread(destroy, Path(self._keyfiles[wallet.id]), wallet)
        except KeyNotDestroyed as problem:
            return Done({wallet.id: {**line, "destroyed": False, "remarks": [str(problem)]}})
        return Done({wallet.id: {**line, "destroyed": True, "remarks": [what]}})

    async def _left_at(self, wallet: Wallet, block: int) -> dict[str, int]:
        """What the wallet held at a block that is final, as far as that can be read."""
        chain = self._world.chain
        left = {NATIVE: await chain.balance(wallet.address, block)}
        for symbol, token in tokens_of(self._world.plugins).items():
            try:
                answer = await chain.call(token.address, BALANCE_OF.encode(wallet.address), None, block)
                (left[symbol],) = BALANCE_OF.decode(answer)
            except RpcRefused:
                continue  # not proven: the key is kept
            except UnreadableAnswer:
                left[symbol] = 0  # there was no such contract at that block
        return left

    async def _why_kept(self, wallet: Wallet, left: dict[str, int]) -> str:
        """Why the key is still needed; empty where nothing is left that could be moved, in the wallet or in its protocol."""
        found = await look(self._world, wallet)
        unread = found.unread or next((f"{it} cannot be read: {why}" for it, why in found.unread_tokens.items()), "")
        if unread or found.coming:
            return unread or found.coming
        unproven = [symbol for symbol in tokens_of(self._world.plugins) if symbol not in left]
        if unproven:
            return f"what it held of {', '.join(unproven)} at finality cannot be read"
        if found.way_out:
            return f"not empty: {', '.join(action.kind for action in found.way_out)}; extract it first"
        fees = await self._world.fees.suggest(await self._world.heads.first())
        dust_wei = self._world.chain_rules.transfer_gas * fees.max_fee_wei
        now = {NATIVE: found.native_wei, **found.tokens}  # what came since then is as lost without the key
        for when, held in ((" at finality", left), ("", now)):
            rest = [
                f"{amount} {asset}" for asset, amount in held.items() if amount > (dust_wei if asset == NATIVE else 0)
            ]
            if rest:
                return f"not empty{when}: {', '.join(rest)}; extract it first"
        return ""


def why_it_would_stay(keyfile: Path, address: Address) -> str:
    """What would keep this process from destroying the keystore, as far as that can be seen beforehand; empty for nothing."""
    try:
        if not keyfile.exists():
            return f"{keyfile} is not there"
        if read_keystore(keyfile).address != address:
            return f"{keyfile} does not say whose key it holds"
    except KeystoreUnusable as problem:
        return str(problem)
    except OSError as problem:
        return f"{keyfile}: {problem.strerror}"
    closed = next((path for path in (keyfile.parent, keyfile) if not os.access(path, os.W_OK)), None)
    return f"{closed} cannot be written" if closed is not None else ""


def destroy(keyfile: Path, wallet: Wallet) -> str:
    """Overwrite and remove a keystore of this wallet. One that is gone already is what was wanted. Raises KeyNotDestroyed.

    It gets a name of its own first, under which a killed attempt is found again when nothing in it tells any more whose it was.
    """
    doomed = keyfile.with_name(f"{keyfile.name}.destroy-{wallet.id}")
    try:
        if keyfile.exists():
            if read_keystore(keyfile).address != wallet.address:
                raise KeyNotDestroyed(f"{keyfile} does not say that it holds the key of {wallet.id}: it is left alone")
            keyfile.rename(doomed)
        if not doomed.exists():
            return f"{keyfile} is gone"
        _overwrite(doomed)
        doomed.unlink()
        sync(keyfile.parent)
    except KeystoreUnusable as problem:
        raise KeyNotDestroyed(str(problem)) from None
    except OSError as problem:
        raise KeyNotDestroyed(f"{keyfile}: {problem.strerror}") from None
    return f"{keyfile} was overwritten and removed"


def _overwrite(file: Path) -> None:
    size = file.stat().st_size
    with file.open("r+b", buffering=0) as opened:
        for _ in range(PASSES):
            opened.seek(0)
            opened.write(os.urandom(size))
            os.fsync(opened.fileno())
