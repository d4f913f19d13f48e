"""How are a fleet's keys opened, while the fleet runs already?

A standard keystore takes half a second of a core, on purpose, so a thousand of them take minutes. What takes no time is opened
before a start, and one keystore of each password, so that a wrong password is heard of at once; the others are opened a few at a
time beside the running fleet, whose other wallets act, and whose open slots are followed without any key. A new wallet whose file
does not state its address comes before the start too.

Passwords and opened keystores are let go of once the keys are in; no keys of disabled wallets are opened.
"""

import asyncio
import contextlib
import os
import re
import sys
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from ghostfleet.domain.values import Address, WalletId
from ghostfleet.keys.addresses import checksummed
from ghostfleet.keys.far import FarKey, KeyService
from ghostfleet.keys.keyring import (
    EnvironmentKey,
    InlineKey,
    Keyring,
    KeystoreFile,
    KeysUnusable,
    KmsKey,
    RemoteKey,
    SigningKey,
    WalletKey,
    signing_key,
)
from ghostfleet.keys.keystore import KeystoreUnusable, open_keystore, read_keystore
from ghostfleet.keys.kms import Kms, KmsPlace, KmsUnusable
from ghostfleet.keys.passwords import PasswordSource, PasswordUnusable, read_password
from ghostfleet.keys.secret import Secret
from ghostfleet.keys.web3signer import RemotePlace, RemoteUnusable, Web3Signer

HEX_KEY = re.compile(r"(0[xX])?[0-9a-fA-F]{64}")
DECRYPTIONS_AT_ONCE = 4
"""Each takes a core and, with the usual scrypt settings, 256 MiB."""
PASSWORDS_FIRST = 8
"""Of so many passwords one keystore is opened before a start. Where each wallet has its own, that would be all of them."""
NICENESS = 10
"""What a thread that opens keystores lets go first: the fleet runs beside it."""


async def load_keyring(
    keys: Sequence[WalletKey], environ: Mapping[str, str], *, at_once: int = DECRYPTIONS_AT_ONCE
) -> Keyring:
    """Open every key that is to be here and check that it has the address it is said to have; the others are not asked yet, so
    that a signer that is away keeps no service from starting. Raises KeysUnusable with every problem."""
    opening = Opening(keys, environ, at_once=at_once)
    async with contextlib.AsyncExitStack() as undone:
        undone.push_async_callback(opening.keyring.aclose)
        await opening.begin()
        await opening.finish()
        opening.require_usable()
        undone.pop_all()
    return opening.keyring


class Opening:
    """Keys on their way into a keyring: `begin` before the fleet runs, `finish` beside it."""

    def __init__(
        self, keys: Sequence[WalletKey], environ: Mapping[str, str], *, at_once: int = DECRYPTIONS_AT_ONCE
    ) -> None:
        self.keyring = Keyring({})
        self.keyring.expect(wanted.wallet for wanted in keys)
        self._keys = tuple(keys)
        self._left: list[WalletKey] = []
        self._environ = environ
        self._at_once = at_once
        self._given: dict[PasswordSource | EnvironmentKey, Secret | str] = {}
        """What the environment and password files hold: read once, and passed on as what cannot be seen."""

    @property
    def total(self) -> int:
        """How many keys there are to be."""
        return len(self._keys)

    async def begin(self) -> None:
        """All but keystores, and one keystore of each password."""
        services = await asyncio.to_thread(_services_of, self._keys)
        self.keyring.serve(it for it in services.values() if not isinstance(it, str))
        first: dict[PasswordSource, WalletKey] = {}
        quick: list[WalletKey] = []
        for wanted in self._keys:
            source = wanted.source
            if isinstance(source, KmsKey | RemoteKey):
                service = services[source.place]
                key = service if isinstance(service, str) else FarKey(service, _name_at(source), wanted.address)
                self.keyring.found(wanted.wallet, key)
                continue
            given = source.password if isinstance(source, KeystoreFile) else source
            if isinstance(given, PasswordSource | EnvironmentKey) and given not in self._given:
                self._given[given] = _read(given, self._environ)
            if not isinstance(source, KeystoreFile) or isinstance(self._given[source.password], str):
                quick.append(wanted)  # also those whose password cannot be read: all of them are told at once
            elif len(first) < PASSWORDS_FIRST and source.password not in first:
                first[source.password] = wanted
            else:
                self._left.append(wanted)
        for wanted, found in zip(quick, await asyncio.to_thread(self._open_all, quick), strict=True):
            self.keyring.found(wanted.wallet, found)
        await self._opened(tuple(first.values()))

    def _open_all(self, keys: Sequence[WalletKey]) -> list[SigningKey | str]:
        return [_open(wanted, self._given) for wanted in keys]

    async def unproven(self, known: Mapping[WalletId, Address]) -> frozenset[WalletId]:
        """Wallets that nobody knows yet by their address, and whose file does not state it: what is registered under a wrong
        address is so for ever, so `prove` them first."""
        new = [it for it in self._left if known.get(it.wallet) != it.address]
        stated = await asyncio.to_thread(lambda: [_states_its_address(it) for it in new])
        return frozenset(it.wallet for it, states in zip(new, stated, strict=True) if not states)

    async def prove(self, wallets: Collection[WalletId]) -> None:
        """Open the keystores of these now."""
        now = [it for it in self._left if it.wallet in wallets]
        self._left = [it for it in self._left if it.wallet not in wallets]
        await self._opened(now)

    def prefer(self, wallets: Collection[WalletId]) -> None:
        """The keys of these come first, as far as they are not open yet."""
        self._left.sort(key=lambda it: it.wallet not in wallets)

    def require_usable(self) -> None:
        """Raises KeysUnusable with all that is wrong so far."""
        unusable = self.keyring.unusable
        problems = [f"{it.wallet}: {unusable[it.wallet]}" for it in self._keys if it.wallet in unusable]
        if problems:
            raise KeysUnusable(problems)

    async def finish(self, tell: Callable[[WalletId], None] = lambda _wallet: None) -> None:
        """All the others; `tell` hears of each. What is wrong with one of them the keyring knows then."""
        left, self._left = self._left, []
        await self._opened(left, tell, beside=True)
        self._given.clear()

    async def _opened(
        self,
        keys: Sequence[WalletKey],
        tell: Callable[[WalletId], None] = lambda _wallet: None,
        *,
        beside: bool = False,
    ) -> None:
        """In threads of their own that step back, in this order. `beside` a fleet that runs."""
        if not keys:
            return
        loop = asyncio.get_running_loop()
        threads = ThreadPoolExecutor(self._at_once, thread_name_prefix="keys", initializer=_step_back)
        tasks: list[asyncio.Future[None]] = []

        async def opened(wanted: WalletKey, gate: asyncio.Semaphore) -> None:
            async with gate:
                if not self.keyring.awaits(wanted.wallet):
                    return  # forgotten, or replaced by a reload
                key = await loop.run_in_executor(threads, _open, wanted, self._given)
            self.keyring.found(wanted.wallet, key)
            tell(wanted.wallet)

        try:
            may_all = not beside or await loop.run_in_executor(threads, _steps_back)
            gate = asyncio.Semaphore(self._at_once if may_all else min(self._at_once, _cores_to_spare()))
            tasks += [asyncio.ensure_future(opened(wanted, gate)) for wanted in keys]
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            threads.shutdown(wait=False, cancel_futures=True)


def _states_its_address(wanted: WalletKey) -> bool:
    """The settings are checked against what a file states; Foundry's state nothing."""
    assert isinstance(wanted.source, KeystoreFile)
    try:
        return read_keystore(wanted.source.path).address is not None
    except KeystoreUnusable:
        return False


def _step_back() -> None:
    """This thread has the processor when nobody else wants it. Elsewhere than on Linux a priority is a whole process's, and a
    sandbox may forbid it, as deploy/ghost-fleet.service does."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)


def _steps_back() -> bool:
    return sys.platform == "linux" and os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) >= NICENESS


def _cores_to_spare() -> int:
    """All but one, which is for the fleet."""
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    return max(1, cores - 1)


def key_in(source: EnvironmentKey, environ: Mapping[str, str]) -> Secret:
    """The key in an environment variable. Raises ValueError; the message has no part of it."""
    text = environ.get(source.variable, "").strip()
    if not text:
        raise ValueError(f"the environment variable {source.variable} is not set")
    if not HEX_KEY.fullmatch(text):
        raise ValueError(f"the environment variable {source.variable} holds no private key (64 hexadecimal digits)")
    return Secret(bytes.fromhex(text[-64:]))


def _services_of(keys: Sequence[WalletKey]) -> dict[KmsPlace | RemotePlace, KeyService | str]:
    """Each place that holds keys, once; or what is wrong with how it is named."""
    services: dict[KmsPlace | RemotePlace, KeyService | str] = {}
    for wanted in keys:
        source = wanted.source
        if isinstance(source, KmsKey | RemoteKey) and source.place not in services:
            try:
                services[source.place] = Kms(source.place) if isinstance(source, KmsKey) else Web3Signer(source.place)
            except (KmsUnusable, RemoteUnusable) as problem:
                services[source.place] = str(problem)
    return services


def _name_at(source: KmsKey | RemoteKey) -> str:
    return source.key_id if isinstance(source, KmsKey) else ""


def _read(source: PasswordSource | EnvironmentKey, environ: Mapping[str, str]) -> Secret | str:
    """A password, or a key; or what is wrong with it."""
    try:
        return key_in(source, environ) if isinstance(source, EnvironmentKey) else read_password(source, environ)
    except (PasswordUnusable, ValueError) as error:
        return str(error)


def _open(wanted: WalletKey, given: Mapping[PasswordSource | EnvironmentKey, Secret | str]) -> SigningKey | str:
    """The key, or what is wrong with it."""
    source = wanted.source
    try:
        if isinstance(source, InlineKey):
            key = signing_key(source.secret)
        elif isinstance(source, EnvironmentKey | KeystoreFile):
            secret = given[source if isinstance(source, EnvironmentKey) else source.password]
            if isinstance(secret, str):
                return secret
            opened = open_keystore(read_keystore(source.path), secret) if isinstance(source, KeystoreFile) else secret
            key = signing_key(opened)
        else:
            raise AssertionError(f"{type(source).__name__} is not opened here")
    except (KeystoreUnusable, ValueError) as error:
        return str(error)
    if key.address != wanted.address:
        return f"the key belongs to {checksummed(key.address)}, the settings say {checksummed(wanted.address)}"
    return key
