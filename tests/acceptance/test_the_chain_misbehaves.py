"""A real node whose chain turns on us, with transactions of ours inside: the same actions, once each, and nobody stuck."""

from pathlib import Path

import pytest

from ghostfleet.devnet.client import DevnetClient
from ghostfleet.domain import events as ev
from ghostfleet.domain.values import Hash
from tests.acceptance.agreement import assert_agreement
from tests.acceptance.service_process import GWEI, Fleet, ServiceProcess, prepared_fleet, until

pytestmark = [pytest.mark.anvil, pytest.mark.parametrize("anvil", [0.5], indirect=True)]
BLOCK_SECS = 0.5
DEPTH = 6
"""Blocks that are taken back: half of what the fleet waits for until a block is final."""
PATIENT: dict[str, object] = {"fees.stuck_after_secs": 60}
"""Nothing is bumped for waiting: what leaves again are the same bytes."""


@pytest.fixture
async def fleet(chain: DevnetClient, tmp_path: Path) -> Fleet:
    """Four wallets that act often, funded in blocks so deep that no reorganisation of ours takes the money back."""
    prepared = await prepared_fleet(
        chain,
        tmp_path / "fleet",
        wallets=4,
        fees__stuck_after_secs=3,
        chain__finality_blocks=2 * DEPTH,
        chain__block_time_secs=BLOCK_SECS,
        chain__request_timeout_secs=5,
    )
    await chain.call("anvil_mine", hex(DEPTH))
    return prepared


async def no_more_blocks(fleet: Fleet, service: ServiceProcess) -> list[Hash]:
    """Stop the chain, and wait until every wallet has bytes in the node's pool. Their hashes."""
    await fleet.chain.call("evm_setIntervalMining", 0)

    async def all_out() -> bool:
        slots = {wallet["id"]: wallet["open_slots"] for wallet in (await service.get("/admin/status"))["wallets"]}
        return all(slots.values()) and all(slot["accepted_by"] for open_ in slots.values() for slot in open_)

    await until(all_out, "every wallet has sent what no block holds")
    return [row.hash for row in await fleet.attempts() if row.status == "open"]


async def blocks_again(fleet: Fleet) -> None:
    await fleet.chain.call("evm_setIntervalMining", 1)


async def ends_well(fleet: Fleet, service: ServiceProcess) -> None:
    """Every wallet acts, every slot settles, log and chain agree in every transaction, and each action landed once."""
    await fleet.acted(1)
    await service.settled()
    assert await service.terminate() == 0
    await assert_agreement(fleet)
    landed = [row.action_id for row in await fleet.attempts() if row.status in ("mined", "final")]
    assert len(landed) == len(set(landed))


async def test_blocks_that_are_taken_back_bring_the_same_bytes_back_into_the_chain(fleet: Fleet):
    """anvil_reorg: six blocks with transactions of ours are replaced by six without."""
    async with fleet.service() as service:
        await service.ready()
        await fleet.acted(2)
        await fleet.chain.call("anvil_reorg", DEPTH, [])
        reorged = await fleet.see(ev.TransactionReorged, count=2)
        noticed = await fleet.recorded(ev.ChainReorganised)
        assert {each.event.depth for each in noticed} <= set(range(1, DEPTH + 1))  # type: ignore[attr-defined]
        await ends_well(fleet, service)
    gone = {each.event.hash: each.position for each in reorged}  # type: ignore[attr-defined]
    mined = await fleet.recorded(ev.TransactionMined)
    back = {each.event.hash for each in mined if each.position > gone.get(each.event.hash, each.position)}  # type: ignore[attr-defined]
    assert back == set(gone), "what a reorganisation took came back as the same transaction"


async def test_what_vanishes_from_the_nodes_pool_is_sent_again_byte_by_byte(fleet: Fleet):
    """anvil_dropTransaction, of one transaction of every wallet."""
    async with fleet.service(settings=PATIENT) as service:
        await service.ready()
        await fleet.acted(1)
        waiting = await no_more_blocks(fleet, service)
        for tx in waiting:
            await fleet.chain.call("anvil_dropTransaction", str(tx))
        await blocks_again(fleet)
        dropped = await fleet.see(ev.TransactionDropped, count=len(waiting))
        assert {each.event.hash for each in dropped} == set(waiting)  # type: ignore[attr-defined]
        await fleet.see(ev.BroadcastAccepted, count=len(waiting), after=dropped[0].position)
        await ends_well(fleet, service)
    status = {row.hash: row.status for row in await fleet.attempts()}
    assert {status[tx] for tx in waiting} <= {"mined", "final"}, "the same bytes, not others in their place"


async def test_a_chain_that_stops_holds_everybody_up_and_nobody_longer(fleet: Fleet):
    """Blocks stop for several times the patience of the fleet, and come again."""
    async with fleet.service() as service:
        await service.ready()
        await fleet.acted(1)
        waiting = await no_more_blocks(fleet, service)
        head = await fleet.head()
        with pytest.raises(AssertionError, match="not within"):
            await fleet.see(ev.ActionDecided, after=head, within_secs=5)
        assert len(await fleet.recorded(ev.TransactionSuperseded, ev.TransactionDropped)) == 0
        await blocks_again(fleet)
        await ends_well(fleet, service)
    ended = {row.hash: row.status for row in await fleet.attempts()}
    assert {ended[tx] for tx in waiting} <= {"mined", "final", "replaced"}


async def test_a_base_fee_that_jumps_over_ours_is_outbid_at_the_same_nonce(fleet: Fleet):
    """anvil_setNextBlockBaseFeePerGas, above what every open transaction offers."""
    async with fleet.service() as service:
        await service.ready()
        await fleet.acted(1)
        waiting = await no_more_blocks(fleet, service)
        offered = [
            each.event.fees.max_fee_wei  # type: ignore[attr-defined]
            for each in await fleet.recorded(ev.TransactionSigned)
            if each.event.hash in waiting  # type: ignore[attr-defined]
        ]
        jumped_wei = 4 * max(offered)
        assert jumped_wei < 50 * GWEI, "within the fleet's own cap"
        await fleet.chain.call("anvil_setNextBlockBaseFeePerGas", hex(jumped_wei))
        await blocks_again(fleet)
        await ends_well(fleet, service)
    rows = await fleet.attempts()
    nonces = {(row.wallet, row.nonce) for row in rows if row.hash in waiting}
    landed = [row for row in rows if (row.wallet, row.nonce) in nonces and row.status in ("mined", "final")]
    assert len(landed) == len(waiting)
    assert {row.attempt > 1 for row in landed} == {True}, "what landed offered more than what was stuck"
