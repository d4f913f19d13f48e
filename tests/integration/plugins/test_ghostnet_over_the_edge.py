"""The plugin on the service's own RPC edge: the view, the reasons of refusals, and what passes through."""

import pytest
from protocol_stage import TOKEN, Stage

from ghostfleet.chain.edge import RpcEdge, RpcRefused
from ghostfleet.chain.endpoints import EndpointConfig
from ghostfleet.chain.reads import Chain
from ghostfleet.chain.reverts import decode_revert
from ghostfleet.chain.transport import AiohttpTransport
from ghostfleet.domain.values import Call
from ghostfleet.engine.gate import Gate
from ghostfleet.engine.view import LatestView
from ghostfleet.errors import TryAgain
from ghostfleet.plugins.ghostnet import protocol
from ghostfleet.plugins.ghostnet.view import _paused


class HeadNow:
    """The newest head, asked for each time."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain

    async def first(self):
        return await self._chain.head()


def edge(url: str) -> RpcEdge:
    return RpcEdge([EndpointConfig(name="node", url=url)], AiohttpTransport(), gate=Gate(), request_timeout_secs=5.0)


async def test_the_view_is_the_same_over_the_edge(stage):
    staged: Stage = await stage()
    wallet = staged.wallets[0]
    async with edge(staged.client.url) as rpc:
        view = LatestView(Chain(rpc), HeadNow(Chain(rpc)))
        assert await staged.plugin.observe(staged.facts(wallet), view) == await staged.observe(wallet)


async def test_a_refusal_is_judged_by_the_error_that_the_contract_gave(stage):
    staged: Stage = await stage()
    wallet, core = staged.wallets[0], staged.deployment.ghost_core
    async with edge(staged.client.url) as rpc:
        for data, reason, counts in (
            (protocol.EXTRACT.encode(), "NoPositionExists", False),
            (protocol.JACK_IN.encode(9 * TOKEN, 1), "BelowMinimumStake", True),
            (
                protocol.JACK_IN.encode(10 * TOKEN, 1),
                f"ERC20InsufficientAllowance({core}, 0, {10 * TOKEN})",
                True,
            ),
        ):
            with pytest.raises(RpcRefused) as refused:
                await Chain(rpc).estimate_gas(wallet, Call(to=core, data=data))
            assert decode_revert(refused.value.answer.data, staged.plugin.errors) == reason
            assert staged.plugin.judge("any", reason).counts is counts


async def test_a_core_without_the_view_counts_as_running_and_an_endpoint_that_is_gone_as_trouble(stage):
    staged: Stage = await stage()
    async with edge(staged.client.url) as rpc:
        view = LatestView(Chain(rpc), HeadNow(Chain(rpc)))
        assert not await _paused(view, staged.deployment.data_token)
    async with edge("http://127.0.0.1:1") as gone:
        view = LatestView(Chain(gone), HeadNow(Chain(gone)))
        with pytest.raises(TryAgain):
            await _paused(view, staged.deployment.ghost_core)
