"""What moves money, killed at every step, and then asked for once more: is nothing paid twice, nothing left, nothing lost?

`python -m tests.crashtest.money` (`make crashtest-money`): every step of fund, extract-all, rotate and
pause --cancel-open, on one chain.
A round is the command under an aim (aimed.py), then the same command again. An aim counts in each process anew, and some are
beyond what a command does: such a command just ends well. Exit code 1 on anything that is not as it should be.
"""

import argparse
import asyncio
import contextlib
import signal
import time
import tomllib
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from ghostfleet.devnet.client import DevnetClient, connected
from ghostfleet.devnet.launch import running_anvil
from ghostfleet.devnet.prepare import prepare
from ghostfleet.domain import events as ev
from ghostfleet.domain.values import Address, Hash
from ghostfleet.operations.holdings import TRANSFER
from tests.acceptance.service_process import SINK, Finished, ServiceProcess, until
from tests.operations.stage import AIMED, ETH, SAFE, TREASURY, MoneyFleet, money_fleet
from tests.reported_run import run_and_report

EVENTS = (
    "OperationStarted",
    "OperationWalletPlanned",
    "ActionDecided",
    "TransactionSigned",
    "BroadcastAccepted",
    "TransactionMined",
    "ActionSucceeded",
    "OperationWalletDone",
    "OperationFinished",
)
METHODS = (
    "eth_sendRawTransaction",
    "eth_getTransactionReceipt",
    "eth_estimateGas",
    "eth_getBalance",
    "eth_call",
)
CANCEL = "cancel-open"
COMMANDS = ("fund", "extract-all", "rotate", CANCEL)
WAYS = ("alone", "service")
"""The command alone with the database is killed; or the service that it asked is. A pause is asked of a service only."""
WALLETS = 3
TURNS = 2
"""Actions that succeed between a funding and an extraction through a service."""
NATIVE_WEI, DATA_WEI = ETH // 50, 10 * ETH
AMOUNTS = ("--native", "0.02ether", "--token", "DATA=10")
ROUNDING_WEI = 2
"""What the transfer tax may round away of one payment."""
BLOCK_SECS = 0.25
DEATH_SECS = 150.0
"""A service has died at its aim within this, or the aim is beyond what it does."""
COMPARE_EVERY = 10
"""Rounds between two comparisons of log and chain in every transaction."""


class Round(msgspec.Struct, frozen=True, kw_only=True):
    """What is killed, how it is reached, and where."""

    command: str
    way: str
    aim: str

    def __str__(self) -> str:
        return f"{self.command} {self.way} {self.aim}"


class Doomed(msgspec.Struct, frozen=True):
    """A transaction that waits in the pool while no blocks come, and is to be given away."""

    wallet: str
    nonce: int
    hash: Hash


class Summary(msgspec.Struct, kw_only=True):
    """What it came to."""

    rounds: int = 0
    killed: int = 0
    beyond: list[str] = []
    """Rounds whose aim is beyond what the command does."""
    secs: float = 0.0
    payments: int = 0
    """Transfers of the treasury, counted on chain."""
    wrong: list[str] = []


def every_aim(numbers: Sequence[int] = (1, 2)) -> Iterator[str]:
    """Before, during and after each append, before and after each request: the first and a later one."""
    for number in numbers:
        for event in EVENTS:
            yield from (f"{moment}:append:{event}:{number}" for moment in ("before", "during", "after"))
        for method in METHODS:
            yield from (f"{moment}:request:{method}:{number}" for moment in ("before", "after"))


def every_round(commands: Sequence[str] = COMMANDS, ways: Sequence[str] = WAYS) -> Iterator[Round]:
    """All of them; an extraction comes after a funding, so that there is something to extract. Blocks are slower once open nonces
    have been given away, so that comes last."""
    for way in ways:
        for aim in every_aim():
            for command in commands:
                if command != CANCEL:
                    yield Round(command=command, way=way, aim=aim)
    if CANCEL in commands and "service" in ways:
        yield from (Round(command=CANCEL, way="service", aim=aim) for aim in every_aim())


async def killable_fleet(chain: DevnetClient, directory: Path) -> MoneyFleet:
    """Wallets with little patience, a treasury."""
    fleet = await money_fleet(chain, directory, wallets=WALLETS)
    fleet.settings |= {"chain.block_time_secs": BLOCK_SECS, "chain.finality_blocks": 3}
    return fleet


async def plain_fleet(chain: DevnetClient, directory: Path) -> MoneyFleet:
    """Wallets that have something to send at any time: on GHOSTNET, without blocks, a wallet may wait for ever for its turn."""
    await prepare(chain.url, WALLETS, directory, 1.0, plugin="transfer", transfer_to=SINK, health_port=1)
    settings: dict[str, object] = {
        "chain.block_time_secs": BLOCK_SECS,
        "chain.finality_blocks": 3,
        "chain.request_timeout_secs": 5,
        "fees.stuck_after_secs": 3,
    }
    return MoneyFleet(directory, chain, settings)


class KillingRounds:
    """Rounds on one fleet. What is wrong stands in the summary; the first such round is the last."""

    def __init__(self, fleet: MoneyFleet, summary: Summary) -> None:
        self.fleet = fleet
        self.summary = summary

    async def play(self, rounds: Sequence[Round]) -> None:
        """All of these, then a comparison of log and chain."""
        began = time.monotonic()
        await self._paused(turns=WALLETS)
        for each in rounds:
            try:
                await self._round(each)
                if self.summary.rounds % COMPARE_EVERY == 0:
                    await self.fleet.agrees()
            except AssertionError as wrong:
                self.summary.wrong.append(f"{each}: {wrong}")
                break
            told = self.summary.wrong or ("beyond" if str(each) in self.summary.beyond else "killed, and made good")
            print(f"{self.summary.rounds} {each}: {told}", flush=True)
        if not self.summary.wrong:
            await self.fleet.agrees()
        self.summary.secs += round(time.monotonic() - began, 1)

    async def _round(self, each: Round) -> None:
        self.summary.rounds += 1
        match each.command:
            case "fund":
                await self._funded(each)
            case "extract-all":
                await self._emptied(each)
            case "rotate":
                await self._rotated(each)
            case "cancel-open":
                await self._cancelled(each)

    async def _funded(self, each: Round) -> None:
        """Each target is paid once in each asset, says the chain block by block, and has just that much more."""
        first = await self._block() + 1
        held = {name: (await self.fleet.native(at), await self.fleet.data(at)) for name, at in self._targets().items()}
        again = ("--again", f"round {self.summary.rounds}")
        await self._killed_and_asked_again(each, "fund", "--from", "treasury", *AMOUNTS, *again, "--yes", "--json")
        await self._paid_once(self._targets(), first)
        for name, at in self._targets().items():
            native, data = await self.fleet.native(at) - held[name][0], await self.fleet.data(at) - held[name][1]
            assert native == NATIVE_WEI, f"{name} has {native} wei more"
            assert 0 <= data - DATA_WEI <= ROUNDING_WEI, f"{name} has {data} of DATA more"

    async def _emptied(self, each: Round) -> None:
        if not any([await self.fleet.native(at) for at in self._targets().values()]):
            paid = await self.fleet.run("fund", "--from", "treasury", *AMOUNTS, "--again", f"for {each}", "--yes")
            assert paid.code == 0, paid.err
        if each.way == "service":
            await self._paused(turns=TURNS)
        await self._killed_and_asked_again(each, "extract-all", "--to", SAFE, "--yes", "--json")
        await self.fleet.empty()

    async def _rotated(self, each: Round) -> None:
        """The new wallet is paid once, the old one is empty, its key gone, and no other one is."""
        first, before = await self._block() + 1, self._targets()
        old = next(iter(before))
        out = str(self.fleet.directory / f"rotation-{self.summary.rounds}")
        arguments = ("--wallets", old, "--out", out, *AMOUNTS, "--scrypt-n", "2", "--yes", "--json")
        await self._killed_and_asked_again(each, "rotate", *arguments)
        now = self._targets()
        new = {name: at for name, at in now.items() if name not in before}
        assert len(now) == len(before)
        assert len(new) == 1
        await self._paid_once(new, first)
        left = (await self.fleet.native(before[old]), await self.fleet.data(before[old]))
        assert left == (0, 0), f"{old} has {left} left"
        keys = [name for name, file in self._keyfiles().items() if file.exists()]
        assert set(keys) == set(now), f"there are keys of {keys}"

    async def _cancelled(self, each: Round) -> None:
        """None of the transactions in the pool ever happens, and each of their nonces is used: by one transaction to itself."""
        doomed = await self._left_in_the_pool()

        async def ask(service: ServiceProcess) -> Finished:
            asked = self.fleet.run("pause", "--cancel-open", "--reason", "stop all", "--json", url=service.url)
            command = asyncio.create_task(asked)

            async def blocks_may_come() -> bool:
                """Once every doomed one is outbid in the pool; or nobody is there any more who would do it."""
                return command.done() or service.process.returncode is not None or await self._outbid(doomed)

            await until(blocks_may_come, "a cancel of each open transaction in the pool")
            if await self._outbid(doomed):
                await self._blocks_every(1)
            return await command

        await self._service_killed(each, ask)
        async with self.fleet.service() as service:
            await service.ready()
            done = await ask(service)
            assert done.code == 0, f"the same again ended with {done.code}: {done.err}"
            status = await service.get("/admin/status")
            assert (status["paused"], status["open_slots"]) == (True, 0), status
            assert await service.terminate() == 0
        attempts = await self.fleet.attempts()
        for one in doomed:
            mine = [row.hash for row in attempts if (row.wallet, row.nonce) == (one.wallet, one.nonce)]
            happened = [tx for tx in mine if await self.fleet.chain.call("eth_getTransactionReceipt", str(tx))]
            assert len(happened) == 1, f"{one}: {happened} happened"
            tx = await self.fleet.chain.call("eth_getTransactionByHash", str(happened[0]))
            harmless = tx["to"] == tx["from"] and tx["input"] == "0x" and int(tx["value"], 16) == 0
            assert harmless, f"{one}: {tx} happened"

    async def _left_in_the_pool(self) -> list[Doomed]:
        """The fleet has acted, no blocks come, and the service was killed."""
        async with self.fleet.service() as service:
            await service.ready()
            await self._blocks_every(0)
            await service.post("/admin/resume")

            async def waiting() -> list[Doomed]:
                wallets = (await service.get("/admin/status"))["wallets"]
                slots = [(wallet["id"], slot) for wallet in wallets for slot in wallet["open_slots"]]
                if not all(slot["accepted_by"] for _, slot in slots):
                    return []
                return [Doomed(name, slot["nonce"], Hash.from_hex(slot["hash"])) for name, slot in slots]

            return await until(waiting, "a transaction that waits in the pool")

    async def _outbid(self, doomed: Sequence[Doomed]) -> bool:
        """Whether the node has, at the nonce of each of them, what gives it away."""
        cancels = {(row.wallet, row.nonce): row.hash for row in await self.fleet.attempts() if row.purpose == "cancel"}
        hashes = [cancels.get((each.wallet, each.nonce)) for each in doomed]
        return all([tx and await self.fleet.chain.call("eth_getTransactionByHash", str(tx)) for tx in hashes])

    async def _blocks_every(self, secs: int) -> None:
        """0: no blocks come."""
        await self.fleet.chain.call("evm_setIntervalMining", secs)

    async def _killed_and_asked_again(self, each: Round, *command: str) -> None:
        """The command, killed at the aim, and then to its end."""
        if each.way == "alone":
            killed = await self.fleet.run(*command, aim=each.aim)
            self._note(each, killed.code)
            assert killed.code in (0, -signal.SIGKILL), f"ended with {killed.code}: {killed.err}"
            done = await self.fleet.run(*command)
        else:
            await self._service_killed(each, lambda service: self.fleet.run(*command, url=service.url))
            async with self.fleet.service() as service:
                await service.ready()
                done = await self.fleet.run(*command, url=service.url)
                assert await service.terminate() == 0
        assert done.code == 0, f"the same again ended with {done.code}: {done.err}"

    async def _service_killed(self, each: Round, ask: Callable[[ServiceProcess], Awaitable[Finished]]) -> None:
        """The service under the aim; wherever it dies, the command ends by itself."""
        service = await self.fleet.start(program=(*AIMED, each.aim))
        try:
            finished = await self._asked_of(service, ask)
            if finished is None or finished.code != 0:
                await service.ended(DEATH_SECS)
            self._note(each, service.process.returncode or 0)
        finally:
            await service.kill()

    async def _paused(self, turns: int = 0) -> None:
        """Paused from here on; before that the wallets have taken some turns, so that they hold something of the protocol.
        Nothing of theirs is under way any more: a transaction that landed later would change what is counted."""
        async with self.fleet.service() as service:
            await service.ready()
            if turns:
                await service.post("/admin/resume")
                await self.fleet.see(ev.ActionSucceeded, count=turns, after=await self.fleet.head())
                await service.settled()
            else:
                await service.post("/admin/pause", reason="money is moved")
            assert await service.terminate() == 0

    async def _asked_of(
        self, service: ServiceProcess, ask: Callable[[ServiceProcess], Awaitable[Finished]]
    ) -> Finished | None:
        """None where it died before it was ready."""
        try:
            await service.ready()
        except AssertionError:
            return None
        return await ask(service)

    def _note(self, each: Round, code: int) -> None:
        if code == -signal.SIGKILL:
            self.summary.killed += 1
        else:
            self.summary.beyond.append(str(each))

    async def _paid_once(self, targets: dict[str, Address], first: int) -> None:
        counts = dict.fromkeys(targets, (0, 0))
        for number in range(first, await self._block() + 1):
            block = await self.fleet.chain.call("eth_getBlockByNumber", hex(number), True)
            for tx in block["transactions"]:
                if tx["from"].lower() == TREASURY.lower():
                    self.summary.payments += 1
                    for name, at in targets.items():
                        native, data = counts[name]
                        counts[name] = (native + _is_native(tx, at), data + _is_data(tx, at))
        assert set(counts.values()) == {(1, 1)}, f"payments of native coin and of DATA: {counts}"

    async def _block(self) -> int:
        return int(await self.fleet.chain.call("eth_blockNumber"), 16)

    def _targets(self) -> dict[str, Address]:
        """The wallets in use."""
        return {it["id"]: Address.from_hex(it["address"]) for it in self._tables() if it.get("enabled", True)}

    def _keyfiles(self) -> dict[str, Path]:
        return {it["id"]: self.fleet.directory / it["keyfile"] for it in self._tables()}

    def _tables(self) -> list[dict[str, Any]]:
        return list(tomllib.loads(self.fleet.config.read_text())["wallets"])


def _is_native(tx: dict[str, Any], at: Address) -> bool:
    return (tx["to"] or "").lower() == str(at).lower() and tx["input"] == "0x"


def _is_data(tx: dict[str, Any], at: Address) -> bool:
    return bool(tx["input"].startswith(f"0x{TRANSFER.selector.hex()}")) and str(at)[2:].lower() in tx["input"].lower()


async def play(rounds: Sequence[Round], chain: DevnetClient, directory: Path) -> Summary:
    """What moves money on a fleet that plays, then what is given away on one that does nothing but send."""
    summary = Summary()
    moving = [each for each in rounds if each.command != CANCEL]
    giving_away = [each for each in rounds if each.command == CANCEL]
    if moving:
        await KillingRounds(await killable_fleet(chain, directory / "fleet" / "playing"), summary).play(moving)
    if giving_away and not summary.wrong:
        await KillingRounds(await plain_fleet(chain, directory / "fleet" / "sending"), summary).play(giving_away)
    return summary


async def crash_test(rounds: Sequence[Round], out: Path) -> Summary:
    """A chain, and the rounds on it."""
    async with contextlib.AsyncExitStack() as stack:
        anvil = await stack.enter_async_context(running_anvil(block_time_secs=BLOCK_SECS))
        chain = await stack.enter_async_context(connected(anvil.url))
        return await play(rounds, chain, out)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.crashtest.money", description=__doc__)
    parser.add_argument("--commands", default=",".join(COMMANDS), help="only these, with commas between")
    parser.add_argument("--ways", default=",".join(WAYS), help="only these: alone with the database, through a service")
    parser.add_argument("--aims", default="", help="only aims that contain this text")
    parser.add_argument("--out", type=Path, default=Path("out/crashtest-money"), help="replaced when it is there")
    options = parser.parse_args()
    rounds = [it for it in every_round(options.commands.split(","), options.ways.split(",")) if options.aims in it.aim]
    run_and_report(options.out, partial(crash_test, rounds), lambda summary: summary.wrong)


if __name__ == "__main__":
    main()
