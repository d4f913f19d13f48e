"""Do log and chain say the same, wallet by wallet, in everything? What every acceptance test and the crash test end with."""

import contextlib
from collections.abc import AsyncIterator

from ghostfleet.chain.edge import RpcEdge
from ghostfleet.chain.endpoints import EndpointConfig
from ghostfleet.chain.reads import Chain
from ghostfleet.chain.transport import AiohttpTransport
from ghostfleet.domain import events as ev
from ghostfleet.domain.values import Hash
from ghostfleet.engine.gate import Gate
from ghostfleet.operations.reconcile import reconcile
from tests.acceptance.service_process import Fleet
from tests.findings import Finding, nothing


@contextlib.asynccontextmanager
async def reading(url: str) -> AsyncIterator[Chain]:
    """The chain at `url`, read directly."""
    async with RpcEdge([EndpointConfig(name=url, url=url)], AiohttpTransport(), gate=Gate()) as edge:
        yield Chain(edge)


async def differences(fleet: Fleet) -> list[str]:
    """Everything in which log and chain differ, in words. For a fleet that is paused or stopped, its slots settled."""
    recorded = await fleet.recorded()
    addresses = {
        each.wallet: each.event.address
        for each in recorded
        if isinstance(each.event, ev.WalletRegistered) and each.wallet is not None
    }
    attempts = await fleet.attempts()
    async with reading(fleet.chain.url) as chain:
        found = [str(each) for each in await reconcile(attempts, addresses, _outside(recorded), chain)]
    outcomes = {each.event.action_id: each for each in recorded if isinstance(each.event, ev.ActionSucceeded)}
    asked = {
        each.event.action_id for each in recorded if isinstance(each.event, ev.ActionDecided) and each.event.operation
    }
    found += [f"{row.action_id} has an open attempt" for row in attempts if row.status == "open"]
    effects = await fleet.effects()
    own = [row for row in attempts if row.purpose == "action" and row.action_id not in asked]
    landed = sum(row.status in ("mined", "final") for row in own)
    if not landed == effects <= len(outcomes):
        found.append(f"{effects} transfers took effect, {landed} in the log, {len(outcomes)} actions ever succeeded")
    pool = await fleet.chain.call("txpool_status")
    if int(pool["pending"], 16) or int(pool["queued"], 16):
        found.append(f"transactions wait in the pool: {pool}")
    async with fleet.log() as log:
        verified = await log.verify()
    if not verified.ok:
        found.append(f"the log does not verify: {verified.problem}")
    return found


async def assert_agreement(fleet: Fleet) -> None:
    """No difference between log and chain, and the state by fold is the one by snapshot, byte for byte."""
    nothing(await differences(fleet))
    by_fold = await fleet.command("audit", "state", "--json", "--by", "fold")
    by_snapshot = await fleet.command("audit", "state", "--json", "--by", "snapshot")
    assert by_fold.code == by_snapshot.code == 0, by_fold.err + by_snapshot.err
    if by_fold.out != by_snapshot.out:
        raise Finding(f"the state by fold is not the one by snapshot:\n{by_fold.out}\n{by_snapshot.out}")


def _outside(recorded: list[ev.Recorded]) -> frozenset[Hash]:
    found: set[Hash] = set()
    for each in recorded:
        if isinstance(each.event, ev.OutsideTransactionSeen):
            found.add(each.event.hash)
        elif isinstance(each.event, ev.TransactionSuperseded) and each.event.by is not None:
            found.add(each.event.by)
    return frozenset(found)
