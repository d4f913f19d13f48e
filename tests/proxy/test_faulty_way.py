"""The faulty way to a node does each of the things that it says, and the same ones for the same seed."""

import asyncio
import json

import aiohttp
import pytest

from ghostfleet.devnet.process import Devnet
from ghostfleet.errors import BadInput
from tests.acceptance.service_process import until
from tests.proxy.faults import KINDS, Faults, parse_shares
from tests.proxy.process import ProxyProcess, running_proxy

pytestmark = pytest.mark.anvil
BATCH = [{"jsonrpc": "2.0", "id": number, "method": "eth_chainId", "params": []} for number in range(30)]


async def asked(proxy: ProxyProcess, secs: float = 10.0) -> tuple[int, bytes] | None:
    """Status and body; None where the connection is cut, refused or silent."""
    timeout = aiohttp.ClientTimeout(total=secs)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        try:
            async with session.post(proxy.url, json=BATCH) as answer:
                return answer.status, await answer.read()
        except (aiohttp.ClientError, OSError, TimeoutError):
            return None


def test_the_same_seed_does_the_same():
    first, second = (Faults(7, parse_shares("all=0.05")) for _ in range(2))
    assert [first.next().kind for _ in range(500)] == [second.next().kind for _ in range(500)]
    assert set(filter(None, (first.next().kind for _ in range(2000)))) == set(KINDS)


@pytest.mark.parametrize("text", ["nonsense", "delayed=2", "delayed=x", "all=0.2"])
def test_a_share_that_makes_no_sense_is_refused(text: str):
    with pytest.raises(BadInput, match="--faults"):
        parse_shares(text)


async def test_each_kind_of_fault_happens(anvil: Devnet):
    async def meets(kind: str) -> None:
        async with running_proxy(anvil.url, seed=1, faults=f"{kind}=0.5") as proxy:
            await proxy.switch(on=False)
            whole = await asked(proxy, 60.0)
            assert whole is not None, kind
            assert [entry["result"] for entry in json.loads(whole[1])] == ["0x7a69"] * 30
            await proxy.switch(on=True)
            answers = await asyncio.gather(*(asked(proxy, 2.0 if kind == "late" else 10.0) for _ in range(12)))
            assert (await proxy.counts())["faults"][kind] >= 1
            if kind not in ("delayed", "duplicated", "slow"):
                assert any(answer is None or answer != whole for answer in answers), kind

    await asyncio.gather(*map(meets, KINDS))


async def test_a_closed_port_opens_again(anvil: Devnet):
    async with running_proxy(anvil.url, seed=1, faults="refused=0.5") as proxy:
        while (await proxy.counts())["faults"]["refused"] < 1:
            await asked(proxy)
        await proxy.switch(on=False)
        await until(lambda: asked(proxy), "an answer after the outage")
