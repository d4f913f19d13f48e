"""How does somebody look at the chain beside the service? Over an edge of their own, through which nothing can be sent."""

from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from ghostfleet.chain.edge import RpcEdge
from ghostfleet.chain.endpoints import EndpointConfig
from ghostfleet.chain.passage import GateClosed, SendPassage
from ghostfleet.chain.reads import Chain
from ghostfleet.chain.transport import AiohttpTransport
from ghostfleet.config import loaded
from ghostfleet.domain.values import Address, Octets


class ReadOnly:
    """A gate that never opens."""

    def sending(self, senders: Collection[str]) -> AbstractAsyncContextManager[SendPassage]:
        raise GateClosed("this only looks: nothing is sent from here")


class Glance:
    """The chain as plugins' reads want it, for whoever asks only now."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain

    async def call(self, to: Address, data: bytes, sender: Address | None = None) -> Octets:
        """eth_call at the latest block."""
        return await self._chain.call(to, data, sender)

    async def balance(self, address: Address) -> int:
        """Native balance, wei."""
        return await self._chain.balance(address)

    async def head_time_secs(self) -> int:
        """Timestamp of the newest block."""
        return (await self._chain.head()).time_secs


@asynccontextmanager
async def looking(settings: loaded.Chain, endpoints: Sequence[loaded.Endpoint] = ()) -> AsyncIterator[Chain]:
    """The chain through the endpoints of the settings, or these of them."""
    configs = [
        EndpointConfig(name=it.name, url=it.url, max_requests_per_second=settings.max_requests_per_second)
        for it in endpoints or settings.endpoints
    ]
    timeout_secs = settings.request_timeout_secs
    async with RpcEdge(configs, AiohttpTransport(), gate=ReadOnly(), request_timeout_secs=timeout_secs) as edge:
        yield Chain(edge)
