"""AsyncWeb3 over the coalescing provider, against a real node."""

import asyncio

import pytest
from web3 import AsyncWeb3
from web3.exceptions import ContractLogicError, Web3RPCError

from ghostfleet.chain.edge import GateClosed, RpcEdge
from ghostfleet.chain.endpoints import EndpointConfig
from ghostfleet.chain.passage import Passage
from ghostfleet.chain.provider import CoalescingProvider
from ghostfleet.chain.transport import AiohttpTransport, Response
from ghostfleet.devnet.contracts import artifact
from ghostfleet.devnet.deploy import deploy
from ghostfleet.devnet.process import Devnet
from ghostfleet.engine.gate import Gate

pytestmark = pytest.mark.anvil


class Counting(AiohttpTransport):
    """The real transport, and how often it was used."""

    requests = 0

    async def post(self, url: str, body: bytes, *, timeout_secs: float, passage: Passage | None = None) -> Response:
        self.requests += 1
        return await super().post(url, body, timeout_secs=timeout_secs, passage=passage)


async def test_contract_calls_made_together_share_a_request_and_refusals_are_web3s_own(anvil: Devnet):
    deployment = await deploy(anvil.url)
    transport, gate = Counting(), Gate()
    async with RpcEdge([EndpointConfig(name="anvil", url=anvil.url)], transport, gate=gate) as edge:
        web3 = AsyncWeb3(CoalescingProvider(edge))
        assert await web3.is_connected()
        core = web3.eth.contract(
            address=AsyncWeb3.to_checksum_address(str(deployment.ghost_core)), abi=artifact("GhostCore").abi
        )
        before = transport.requests
        configs = await asyncio.gather(*(core.functions.getLevelConfig(level).call() for level in (1, 2, 3, 4, 5) * 8))
        assert transport.requests - before <= 3
        assert len({tuple(config) for config in configs}) == 5
        with pytest.raises(ContractLogicError):
            await core.functions.extract().call()
        with pytest.raises(Web3RPCError):
            await web3.eth.send_raw_transaction(b"\x02\x00")
        gate.shut()
        with pytest.raises(GateClosed):
            await web3.eth.send_raw_transaction(b"\x02\x00")
