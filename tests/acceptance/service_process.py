"""How does a test run the real service? A prepared fleet on a development chain, and `ghost-fleet` as a process of its own.

async with fleet.service() as service:       # started, and ended whatever happens inside
    await service.ready()
    await fleet.acted(3)
    await service.kill()
"""

import asyncio
import contextlib
import json
import os
import random
import signal
import socket
import sys
import tomllib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import coincurve

from ghostfleet.chain import transactions
from ghostfleet.devnet.client import DevnetClient
from ghostfleet.devnet.prepare import prepare
from ghostfleet.domain import events as ev
from ghostfleet.domain.values import Address, Call, Fees, Hash, Signed, Unsigned
from ghostfleet.keys.keystore import open_keystore, read_keystore
from ghostfleet.keys.secret import Secret
from ghostfleet.store.log import EventLog, open_log
from ghostfleet.store.queries import MAX_PAGE_ROWS, TransactionQuery, TransactionRow, every

GHOST_FLEET = Path(sys.executable).with_name("ghost-fleet")
SINK = Address(b"acceptance test sink")
"""Where the fleet's transfers go: its balance counts their effects, one wei each."""
PORTS = range(20_000, 32_000)
"""Below those that the system hands out for outgoing connections, which could take a free one before the service does."""
READY_SECS = 180.0
END_SECS = 90.0
SETTLE_SECS = 150.0
"""How long tests wait for what has to come. None waits longer than it takes; a busy machine is slow, not wrong."""
BUSY_SECS = 4.0
"""How long to wait for a moment at which some slots are open and all have left."""
POLL_SECS = 0.05
COMMAND_SECS = 180.0
TRANSFER_GAS = 21_000
GWEI = 10**9

T = TypeVar("T")


def listening_port() -> int:
    """A port that nobody listens on, from a range that only tests use."""
    for _ in range(100):
        port = random.choice(PORTS)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no free port in a hundred tries")


async def until(what: Callable[[], Awaitable[T]], told: str, within_secs: float = SETTLE_SECS) -> T:
    """The first answer that is true. Fails the test with `told` when there is none in time."""
    last: object = None
    try:
        async with asyncio.timeout(within_secs):
            while True:
                last = await what()
                if last:
                    return last
                await asyncio.sleep(POLL_SECS)
    except TimeoutError:
        raise AssertionError(f"not within {within_secs:g} s: {told}; last seen: {last!r}") from None


@dataclass(frozen=True)
class Finished:
    """A command that ended."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[Any]:
        """Standard output, a JSON value a line."""
        return [json.loads(line) for line in self.out.splitlines()]


@dataclass
class ServiceProcess:
    """One run of the service."""

    process: asyncio.subprocess.Process
    url: str
    log_file: Path

    @property
    def output(self) -> str:
        """All it has printed."""
        return self.log_file.read_text(encoding="utf-8", errors="replace")

    @property
    def pid(self) -> int:
        return self.process.pid

    async def get(self, path: str) -> Any:
        return await self._ask("GET", path)

    async def post(self, path: str, **body: object) -> Any:
        return await self._ask("POST", path, body)

    async def _ask(self, method: str, path: str, body: object = None) -> Any:
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, self.url + path, json=body or None) as answer,
        ):
            text = await answer.text()
            assert answer.status == 200, f"{method} {path}: {answer.status} {text}"
            return json.loads(text) if answer.content_type == "application/json" else text

    async def ready(self) -> None:
        """Wait until /health/ready says so."""

        async def look() -> bool:
            assert self.process.returncode is None, f"ended with {self.process.returncode}:\n{self.output[-2000:]}"
            try:
                await self.get("/health/ready")
            except (aiohttp.ClientError, AssertionError, TimeoutError):
                return False
            return True

        await until(look, f"/health/ready; it printed:\n{self.output[-2000:]}", READY_SECS)

    async def terminate(self) -> int:
        """SIGTERM. Returns the exit code; fails after END_SECS."""
        if self.process.returncode is None:
            self.process.terminate()
        return await self.ended()

    async def kill(self) -> None:
        """SIGKILL."""
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()

    async def ended(self, within_secs: float = END_SECS) -> int:
        """The exit code, once it ends by itself."""
        try:
            return await asyncio.wait_for(self.process.wait(), within_secs)
        except TimeoutError:
            raise AssertionError(f"still runs after {within_secs:g} s:\n{self.output[-2000:]}") from None

    async def settled(self) -> None:
        """Pause, and wait until no slot is open.

        What was recorded when the pause came and had not left yet stays open until a resume: a pause at a moment when
        every open slot has left catches none of these.
        """

        async def all_have_left() -> bool:
            slots = await self._open_slots()
            return bool(slots) and all(slot["accepted_by"] for slot in slots)

        async def nothing_in_flight() -> bool:
            return not any(slot["accepted_by"] for slot in await self._open_slots())

        async def settled_while_paused() -> bool:
            with contextlib.suppress(AssertionError):
                await until(all_have_left, "every open slot has left", BUSY_SECS)
            await self.post("/admin/pause", reason="the test compares log and chain")
            await until(nothing_in_flight, "every slot that has left settled while paused")
            if not await self._open_slots():
                return True
            await self.post("/admin/resume")
            return False

        await until(settled_while_paused, "every slot settled while paused", 3 * SETTLE_SECS)

    async def _open_slots(self) -> list[Any]:
        return [slot for wallet in (await self.get("/admin/status"))["wallets"] for slot in wallet["open_slots"]]


@dataclass
class Fleet:
    """A prepared fleet and its chain. `settings` override the file for every start ("fees.stuck_after_secs": 2)."""

    directory: Path
    chain: DevnetClient
    settings: dict[str, object] = field(default_factory=dict)
    runs: int = 0

    @property
    def config(self) -> Path:
        return self.directory / "config.toml"

    @property
    def database(self) -> Path:
        return self.directory / "ghostfleet.db"

    @property
    def log_url(self) -> str:
        """Where the log is: the SQLite file of the settings, unless they are overridden."""
        return str(self.settings.get("store.url", f"sqlite:///{self.database}"))

    @property
    def _log_begun(self) -> bool:
        return "store.url" in self.settings or self.database.exists()

    @property
    def wallets(self) -> dict[str, Address]:
        """Those of the settings file, by id."""
        tables = tomllib.loads(self.config.read_text())["wallets"]
        return {table["id"]: Address.from_hex(table["address"]) for table in tables}

    def key(self, wallet: str) -> coincurve.PrivateKey:
        """A wallet's key, for whoever has stolen it."""
        password = Secret((self.directory / "keystore-password").read_bytes().strip())
        keystore = read_keystore(self.directory / "keystores" / f"{wallet}.json")
        return coincurve.PrivateKey(open_keystore(keystore, password).reveal())

    def environ(self, settings: dict[str, object]) -> dict[str, str]:
        own = {
            "GHOST_FLEET__" + name.upper().replace(".", "__"): json.dumps(value)
            if isinstance(value, bool)
            else str(value)
            for name, value in {**self.settings, **settings}.items()
        }
        return {name: value for name, value in os.environ.items() if not name.startswith("GHOST_FLEET")} | own

    @contextlib.asynccontextmanager
    async def service(
        self, *arguments: str, settings: dict[str, object] | None = None
    ) -> AsyncIterator[ServiceProcess]:
        """The service as a process; killed at the end of the block where it still runs."""
        service = await self.start(*arguments, settings=settings)
        try:
            yield service
        finally:
            await service.kill()

    async def start(
        self,
        *arguments: str,
        settings: dict[str, object] | None = None,
        program: Sequence[str] = (str(GHOST_FLEET),),
    ) -> ServiceProcess:
        """The service as a process, for callers who end it themselves. `program` is what runs in the place of ghost-fleet."""
        self.runs += 1
        port = listening_port()
        log_file = self.directory / f"service-{self.runs}.log"
        with log_file.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                *(*program, "--config", str(self.config), *arguments),
                env=self.environ({"admin.port": port, **(settings or {})}),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        return ServiceProcess(process, f"http://127.0.0.1:{port}", log_file)

    async def command(self, *arguments: str, program: Sequence[str] = (str(GHOST_FLEET),)) -> Finished:
        """A command of ghost-fleet on this fleet, to its end. `program` is what runs in the place of ghost-fleet."""
        process = await asyncio.create_subprocess_exec(
            *(*program, "--config", str(self.config), *arguments),
            env=self.environ({}),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            out, err = await asyncio.wait_for(process.communicate(), COMMAND_SECS)
        except TimeoutError:
            process.send_signal(signal.SIGKILL)
            await process.communicate()
            raise AssertionError(f"{arguments} takes longer than {COMMAND_SECS:g} s") from None
        assert process.returncode is not None
        return Finished(process.returncode, out.decode(), err.decode())

    @contextlib.asynccontextmanager
    async def log(self) -> AsyncIterator[EventLog]:
        """The log, for reading, beside whoever writes it."""
        log = await open_log(self.log_url, read_only=True)
        try:
            yield log
        finally:
            await log.close()

    async def recorded(self, *types: type[ev.Event], wallet: str | None = None) -> list[ev.Recorded]:
        """The events of these types (all without), of one wallet or all."""
        if not self._log_begun:
            return []
        async with self.log() as log:
            return [
                each
                async for each in log.read()
                if (not types or isinstance(each.event, types)) and (wallet is None or each.wallet == wallet)
            ]

    async def attempts(self) -> list[TransactionRow]:
        """Every attempt ever signed, oldest first."""
        async with self.log() as log:
            return [row async for row in every(log.transactions, TransactionQuery(limit=MAX_PAGE_ROWS))]

    async def see(
        self,
        *types: type[ev.Event],
        wallet: str | None = None,
        count: int = 1,
        after: int = 0,
        within_secs: float = SETTLE_SECS,
    ) -> list[ev.Recorded]:
        """Wait until the log has so many events of these types after a position."""

        async def look() -> list[ev.Recorded] | None:
            found = [each for each in await self.recorded(*types, wallet=wallet) if each.position > after]
            return found if len(found) >= count else None

        names = " or ".join(each.__name__ for each in types)
        found = await until(look, f"{count} {names} of {wallet or 'any wallet'} after {after}", within_secs)
        assert found is not None
        return found

    async def head(self) -> int:
        """The position of the newest event."""
        async with self.log() as log:
            return log.head.position

    async def acted(self, each: int = 1, *, wallets: Sequence[str] = (), within_secs: float = SETTLE_SECS) -> None:
        """Wait until each wallet (of these) has succeeded so many times from now on."""
        start = await self.head() if self._log_begun else 0
        names = set(wallets or self.wallets)

        async def look() -> bool:
            found = [one for one in await self.recorded(ev.ActionSucceeded) if one.position > start]
            return all(sum(one.wallet == name for one in found) >= each for name in names)

        await until(look, f"{each} successes of each of {sorted(names)} after position {start}", within_secs)

    async def send_from_outside(self, wallet: str, *, nonce: int | None = None, tip_gwei: int = 50) -> Hash:
        """Use a wallet's key as a thief would: 1 wei to itself, at its next nonce or the one given."""
        address = self.wallets[wallet]
        if nonce is None:
            nonce = int(await self.chain.call("eth_getTransactionCount", str(address), "latest"), 16)
        signed = await self.signed_outside(wallet, nonce, tip_gwei)
        return Hash.from_hex(await self.chain.call("eth_sendRawTransaction", str(signed.raw)))

    async def signed_outside(self, wallet: str, nonce: int, tip_gwei: int = 50) -> Signed:
        """The bytes of such a transaction."""
        unsigned = Unsigned(
            chain_id=int(await self.chain.call("eth_chainId"), 16),
            nonce=nonce,
            call=Call(to=self.wallets[wallet], value_wei=1),
            gas=TRANSFER_GAS,
            fees=Fees(90 * GWEI, tip_gwei * GWEI),
        )
        return transactions.sign(unsigned, self.key(wallet))

    async def nonce(self, wallet: str, tag: str = "latest") -> int:
        return int(await self.chain.call("eth_getTransactionCount", str(self.wallets[wallet]), tag), 16)

    async def effects(self) -> int:
        """How many of the fleet's transfers took effect on chain."""
        return int(await self.chain.call("eth_getBalance", str(SINK), "latest"), 16)

    def edit_config(self, *edits: tuple[str, str]) -> None:
        """Replace texts in the settings file."""
        text = self.config.read_text()
        for old, new in edits:
            assert old in text, old
            text = text.replace(old, new)
        self.config.write_text(text)

    def without_wallet(self, wallet: str) -> str:
        """Take a wallet's table out of the settings file; returns it."""
        text = self.config.read_text()
        start = text.index(f'[[wallets]]\nid = "{wallet}"')
        end = text.find("[[wallets]]", start + 1)
        table = text[start:] if end < 0 else text[start:end]
        self.config.write_text(text.replace(table, ""))
        return table


async def prepared_fleet(
    chain: DevnetClient, directory: Path, *, wallets: int = 6, interval_secs: float = 0.3, **settings: object
) -> Fleet:
    """Wallets that send 1 wei to SINK every so often. Settings are named section_key, `fees__stuck_after_secs=2`."""
    await prepare(chain.url, wallets, directory, interval_secs, plugin="transfer", transfer_to=SINK, health_port=1)
    return Fleet(directory, chain, {name.replace("__", "."): value for name, value in settings.items()})
