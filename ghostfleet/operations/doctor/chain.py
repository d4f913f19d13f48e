"""The endpoints and the chain behind them: do they answer, do they agree, is the clock theirs, can the fleet pay?"""

import asyncio
import time
from collections.abc import Sequence
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec

from ghostfleet.chain.endpoints import MAX_BATCH, Endpoint, EndpointConfig
from ghostfleet.chain.fees import HISTORY_BLOCKS, FeeRules, suggest
from ghostfleet.chain.transport import AiohttpTransport, Response, Transport, TransportFault
from ghostfleet.config import loaded
from ghostfleet.domain.amounts import decimal_text
from ghostfleet.domain.naming import some_of
from ghostfleet.operations.balances import holdings
from ghostfleet.operations.doctor.finding import Finding, green, red, yellow
from ghostfleet.operations.doctor.patient import Patient
from ghostfleet.operations.onlooker import looking
from ghostfleet.plugins.loading import PluginUnusable, load_plugins
from ghostfleet.telemetry.logs import one_line

ASK_SECS = 5.0
BATCHES = (MAX_BATCH, 50, 20, 10, 2)
"""Sizes that are tried, until one is taken."""
LAG_BLOCKS = 5
"""An endpoint so far behind the others answers with receipts and nonces of the past."""
LATE_SECS = 2.0
CLOCK_YELLOW_SECS, CLOCK_RED_SECS = 5.0, 60.0
STALE_HEAD_SECS = 120.0
GWEI_DECIMALS = 9
LOW_WEI = 5 * 10**15
"""0.005 of the native coin: where the alert GhostFleetWalletLow is."""
NAMES_TOLD = 5
MAX_WORDS = 160
NO_CHAIN = "the settings name no endpoint that can be asked"


class Looked(msgspec.Struct, frozen=True, kw_only=True):
    """What one endpoint said. `wrong` is why it said nothing that can be used."""

    name: str
    wrong: str = ""
    latency_secs: float = 0.0
    chain_id: int = 0
    height: int = 0
    block_secs: int = 0
    batch: int = 1
    limits: str = ""
    """Its rate limit headers, where it sends some."""
    date_secs: float | None = None
    """By how much its HTTP Date is ahead of our clock."""


class Examiner:
    """Asks each endpoint once, for all checks that want to know."""

    def __init__(self, patient: Patient) -> None:
        self.patient = patient
        self._looks: asyncio.Task[tuple[Looked, ...]] | None = None

    async def looks(self) -> tuple[Looked, ...]:
        """Every endpoint, at once."""
        if self._looks is None:
            self._looks = asyncio.create_task(self._look())
        return await asyncio.shield(self._looks)

    def dismiss(self) -> None:
        """Nobody waits for the answers any more."""
        if self._looks is not None:
            self._looks.cancel()

    async def _look(self) -> tuple[Looked, ...]:
        chain = self.patient.parts.chain
        if chain is None:
            return ()
        transport = AiohttpTransport()
        try:
            return tuple(await asyncio.gather(*(_look_at(transport, it) for it in chain.endpoints)))
        finally:
            await transport.close()

    async def endpoints(self) -> list[Finding]:
        """A line for each."""
        looks, chain = await self.looks(), self.patient.parts.chain
        if chain is None:
            return [red("endpoints", NO_CHAIN, "Give [chain] chain_id and rpc_url.")]
        best = max((look.height for look in looks if not look.wrong), default=0)
        return [_endpoint(look, chain.chain_id, best) for look in looks]

    async def clock(self) -> Finding:
        """Is this machine's clock that of the chain and of its endpoints?"""
        looks = [look for look in await self.looks() if not look.wrong]
        if not looks:
            return yellow("clock", "no endpoint tells the time", "See the endpoints.")
        now_secs = time.time()
        behind_secs = max(look.block_secs for look in looks) - now_secs
        dates = [look.date_secs for look in looks if look.date_secs is not None]
        off_secs = min(dates, key=abs, default=0.0) if behind_secs <= CLOCK_YELLOW_SECS else behind_secs
        remedy = "Let the clock be set: timedatectl set-ntp true. Log and limits go by it."
        if abs(off_secs) > CLOCK_YELLOW_SECS:
            told = f"{abs(off_secs):.0f} s {'behind' if off_secs > 0 else 'ahead of'} the endpoints' clocks"
            return red("clock", told, remedy) if abs(off_secs) > CLOCK_RED_SECS else yellow("clock", told, remedy)
        if -behind_secs > STALE_HEAD_SECS:
            told = f"the newest block is {-behind_secs:.0f} s old; {'the endpoints agree with our clock' if dates else 'no Date'}"
            return yellow("clock", told, "The chain makes no blocks, or all endpoints lag: ask the provider.")
        return green("clock", f"the newest block is {max(-behind_secs, 0):.0f} s old, {len(dates)} HTTP dates agree")


async def fees(patient: Patient) -> Finding:
    """Does the cap leave room above the base fee?"""
    chain, cap_wei = patient.parts.chain, patient.parts.max_fee_wei
    if chain is None or cap_wei is None:
        return yellow("fees", NO_CHAIN if chain is None else "[fees] cannot be read", "See config.")
    async with looking(chain) as look:
        history = await look.fee_history(HISTORY_BLOCKS)
    base_wei, wanted = history.base_fees_wei[-1], suggest(history, FeeRules(cap_wei=2**128))
    told = (
        f"base fee {decimal_text(base_wei, GWEI_DECIMALS)} gwei, suggested at most"
        f" {decimal_text(wanted.max_fee_wei, GWEI_DECIMALS)}, cap {decimal_text(cap_wei, GWEI_DECIMALS)}"
    )
    if base_wei > cap_wei:
        return red("fees", told, "No transaction is mined under this cap: raise [fees] max_fee_gwei, or wait.")
    if wanted.max_fee_wei > cap_wei:
        return yellow("fees", told, "The cap bites: transactions may wait. Raise [fees] max_fee_gwei, or wait.")
    return green("fees", told)


async def contracts(patient: Patient) -> Finding:
    """Is there code at every address that the plugins' settings name?"""
    parts = patient.parts
    if parts.chain is None:
        return yellow("contracts", NO_CHAIN, "See config.")
    tables = {it.name: it.table for it in parts.plugins}
    try:
        plugins = load_plugins(tables, list(tables), parts.chain.chain_id)
    except PluginUnusable as unusable:
        return red("contracts", str(unusable), "Put the plugin's table right, or mend the plugin.")
    named = [(f"{name}.{part}", address) for name, it in plugins.items() for part, address in it.contracts().items()]
    async with looking(parts.chain) as look:
        codes = await asyncio.gather(*(look.code(address) for _, address in named))
    empty = [f"{name} ({address})" for (name, address), code in zip(named, codes, strict=True) if not code]
    if empty:
        return red(
            "contracts",
            f"no code at {', '.join(empty[:NAMES_TOLD])}",
            "A wrong address, or the wrong chain: compare [plugins.*] and chain_id with the deployment.",
        )
    return green("contracts", f"code at all {len(named)} addresses that plugins name" if named else "plugins name none")


async def balances(patient: Patient) -> Finding:
    """Can every wallet pay for gas?"""
    chain = patient.parts.chain
    wallets = [wallet for wallet in patient.parts.wallets if wallet.enabled]
    if chain is None or not wallets:
        return yellow("balances", NO_CHAIN if chain is None else "no wallet is enabled", "See config.")
    async with looking(chain) as look:
        found = await holdings(look, wallets, ())
    low = [it.wallet for it in found.wallets if it.native_wei is not None and it.native_wei < LOW_WEI]
    unread = sum(it.native_wei is None for it in found.wallets)
    least = decimal_text(LOW_WEI)
    if low:
        told = f"{len(low)} of {len(wallets)} wallets have less than {least}: {some_of(low, NAMES_TOLD)}"
        remedy = f"ghost-fleet wallets balances --below {least} lists them; ghost-fleet fund fills them."
        return red("balances", told, remedy) if len(low) == len(wallets) else yellow("balances", told, remedy)
    if unread:
        return yellow("balances", f"{unread} of {len(wallets)} could not be read: {found.problem}", "Ask again.")
    return green("balances", f"all {len(wallets)} wallets have at least {least} of the native coin")


def _endpoint(look: Looked, chain_id: int, best: int) -> Finding:
    name = f"endpoint {look.name}"
    if look.wrong:
        return red(name, look.wrong, "Test it by hand, ask the provider, or add another one to [chain] rpc_urls.")
    told = (
        f"block {look.height} in {look.latency_secs * 1000:.0f} ms, chain {look.chain_id}, batches of {look.batch}"
        f"{f', limits {look.limits}' if look.limits else ''}"
    )
    if look.chain_id != chain_id:
        return red(name, f"{told}: [chain] chain_id is {chain_id}", "Correct chain_id or the endpoint's address.")
    if best - look.height > LAG_BLOCKS:
        return yellow(name, f"{told}; {best - look.height} blocks behind", "It lags: take it out, or put it last.")
    if look.latency_secs > LATE_SECS:
        return yellow(name, f"{told}; slow", "Put a nearer one before it.")
    if look.batch == 1:
        return yellow(
            name, f"{told}; takes no batches", "Every call is a request of its own here: mind the rate limit."
        )
    return green(name, told)


async def _look_at(transport: Transport, endpoint: loaded.Endpoint) -> Looked:
    """Chain id and head in two requests, then the largest batch that it takes."""
    scrub = Endpoint(EndpointConfig(name=endpoint.name, url=endpoint.url), lambda _name, _tripped, _reason: None).scrub
    try:
        started = time.monotonic()
        first = await transport.post(endpoint.url, _call("eth_chainId", []), timeout_secs=ASK_SECS)
        latency_secs = time.monotonic() - started
        date_secs = _ahead_secs(first)
        chain_id = int(_result(first), 16)
        newest = await transport.post(
            endpoint.url, _call("eth_getBlockByNumber", ["latest", False]), timeout_secs=ASK_SECS
        )
        head = _result(newest)
        batch = await _batch(transport, endpoint.url)
        return Looked(
            name=endpoint.name,
            latency_secs=latency_secs,
            chain_id=chain_id,
            height=int(head["number"], 16),
            block_secs=int(head["timestamp"], 16),
            batch=batch,
            limits=_limits(first),
            date_secs=date_secs,
        )
    except TransportFault as fault:
        return Looked(name=endpoint.name, wrong=scrub(str(fault)))
    except (_Refused, ValueError, TypeError, KeyError, msgspec.MsgspecError) as wrong:
        return Looked(
            name=endpoint.name, wrong=one_line(scrub(str(wrong) or "an answer that cannot be read"), MAX_WORDS)
        )


class _Refused(Exception):
    """What the endpoint said in the place of a result."""


def _call(method: str, params: Sequence[Any], number: int = 1) -> bytes:
    return msgspec.json.encode({"jsonrpc": "2.0", "id": number, "method": method, "params": params})


def _result(response: Response) -> Any:
    if response.status == 429:
        wait = response.headers.get("retry-after", "")
        raise _Refused(f"rate limited (HTTP 429){f', again in {wait} s' if wait.isdigit() else ''}")
    try:
        document = msgspec.json.decode(response.body)
    except msgspec.MsgspecError:
        raise _Refused(f"HTTP {response.status} without JSON") from None
    if not isinstance(document, dict) or document.get("result") is None:
        error = document.get("error") if isinstance(document, dict) else None
        words = error.get("message") if isinstance(error, dict) else error
        raise _Refused(f"HTTP {response.status}: {words or 'no result'}")
    return document["result"]


async def _batch(transport: Transport, url: str) -> int:
    """The largest of BATCHES that is answered whole; 1 when none is."""
    for size in BATCHES:
        body = b"[" + b",".join(_call("eth_chainId", [], number) for number in range(size)) + b"]"
        response = await transport.post(url, body, timeout_secs=ASK_SECS)
        try:
            answers = msgspec.json.decode(response.body)
        except msgspec.MsgspecError:
            continue
        if isinstance(answers, list) and sum("result" in it for it in answers if isinstance(it, dict)) == size:
            return size
    return 1


def _limits(response: Response) -> str:
    """Rate limit headers, of which there are several spellings."""
    found = {
        name.removeprefix("x-"): value
        for name, value in response.headers.items()
        if name.removeprefix("x-").startswith("ratelimit") or name == "retry-after"
    }
    return one_line(", ".join(f"{name} {value}" for name, value in sorted(found.items())), MAX_WORDS)


def _ahead_secs(response: Response) -> float | None:
    try:
        return parsedate_to_datetime(response.headers.get("date", "")).timestamp() - time.time()
    except (ValueError, TypeError, OverflowError):
        return None
