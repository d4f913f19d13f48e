"""A thousand keystores take minutes to open: who is told meanwhile, and what becomes of one that does not open?

Its wallet does not act; the others do. That is in the log, and the service does not call itself ready.
"""

import asyncio
import logging
from collections.abc import Callable

from ghostfleet.domain import decisions
from ghostfleet.domain import events as ev
from ghostfleet.domain.state import State
from ghostfleet.domain.values import WalletId
from ghostfleet.engine.signing import ERROR_CLASSES, NoKey
from ghostfleet.engine.state import LiveState
from ghostfleet.engine.trouble import MAX_MESSAGE
from ghostfleet.errors import BadInput, TryAgain
from ghostfleet.keys.keyring import Keyring
from ghostfleet.keys.opening import Opening
from ghostfleet.telemetry.logs import LOGGER

LINE_SECS = 10.0
"""Between two lines about keys that are being opened."""
AGAIN_SECS = 5.0
"""A log that does not take it is asked again so much later."""


class KeysAtStart:
    """Opens what a start has left to open. `nudge` tells the wallet's lane."""

    def __init__(self, opening: Opening, live: LiveState, nudge: Callable[[str], None]) -> None:
        self._opening = opening
        self._live = live
        self._nudge = nudge
        self._done = asyncio.Event()

    async def open(self) -> None:
        """All of them, with a line now and then."""
        loop, logger, keyring = asyncio.get_running_loop(), logging.getLogger(LOGGER), self._opening.keyring
        started = loop.time()
        opening = asyncio.ensure_future(self._opening.finish(self._nudge))
        lines = 0
        try:
            while not (await asyncio.wait([opening], timeout=LINE_SECS))[0]:
                lines += 1
                open_now = self._opening.total - keyring.awaited - len(keyring.unusable)
                secs = loop.time() - started
                logger.info("%d of %d keys are open, after %.0f s", open_now, self._opening.total, secs)
            opening.result()
        finally:
            opening.cancel()
        if lines:
            logger.info("the last of %d keys was opened after %.0f s", self._opening.total, loop.time() - started)
        self._done.set()

    async def note_unusable(self) -> None:
        """Write down which wallets have no key that could be used, once their streams are there."""
        await self._done.wait()
        unusable = self._opening.keyring.unusable
        for wallet in list(unusable):
            problem = unusable.get(wallet)
            if problem is None:
                continue  # a reload has mended it meanwhile
            if wallet in self._live.state.wallets:
                await self._note(wallet, problem)
            else:  # such as a treasury that has paid nobody yet
                logging.getLogger(LOGGER).error("the key of %s cannot be used: %s", wallet, problem)

    async def _note(self, wallet: str, problem: str) -> None:
        error = ev.ErrorRecorded(error_class=ERROR_CLASSES[NoKey], message=problem[:MAX_MESSAGE])
        while True:
            try:
                await self._live.write(decisions.for_wallet(wallet, "", [error]))
                return
            except TryAgain:
                await asyncio.sleep(AGAIN_SECS)
            except BadInput as unwritable:  # a path that is no Unicode, for example
                logging.getLogger(LOGGER).error("that %s has no key cannot be recorded: %s", wallet, unwritable)
                return


async def prepared_to_register(opening: Opening, state: State) -> None:
    """Nothing new is registered before its address is seen to be its key's. Raises KeysUnusable with every problem."""
    wallets = state.wallets.values()
    unproven = await opening.unproven({WalletId(it.id): it.address for it in wallets})
    if unproven:
        words = "opening %d keystores of new wallets first: the files do not state their addresses"
        logging.getLogger(LOGGER).info(words, len(unproven))
        await opening.prove(unproven)
    opening.require_usable()
    opening.prefer({WalletId(it.id) for it in wallets if it.pending})  # what is stuck has to be outbid


def keys_missing(keyring: Keyring) -> str:
    """How many wallets lack a key that the settings have one for; empty where none does. Anybody may read it."""
    words = []
    if keyring.unusable:
        whose = "key of 1 wallet" if len(keyring.unusable) == 1 else f"keys of {len(keyring.unusable)} wallets"
        words.append(f"the {whose} cannot be used (ghost-fleet errors says why)")
    if keyring.awaited:
        words.append(f"{keyring.awaited} {'key is' if keyring.awaited == 1 else 'keys are'} still being opened")
    return "; ".join(words)
