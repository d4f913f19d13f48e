"""How does somebody look at the chain beside the service? Over an edge of their own, through which nothing can be sent."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from ghostfleet.chain.edge import RpcEdge
from ghostfleet.chain.endpoints import EndpointConfig
from ghostfleet.chain.fees import FeeOracle, FeeRules
from ghostfleet.chain.passage import GateClosed, SendPassage
from ghostfleet.chain.reads import Chain
from ghostfleet.chain.transport import AiohttpTransport
from ghostfleet.config import loaded
from ghostfleet.domain.values import Address, Head, Octets
from ghostfleet.plugins.api import Plugin


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


class Newest:
    """The newest block, asked for once."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self._head: Head | None = None

    async def first(self) -> Head:
        """What the first answer said. Raises TryAgain when no endpoint answers."""
        self._head = self._head or await self._chain.head()
        return self._head


@dataclass(frozen=True)
class Onlooker:
    """What a look at wallets needs (holdings.Looking), without a service."""

    plugins: Mapping[str, Plugin[Any]]
    chain: Chain
    heads: Newest
    fees: FeeOracle


def onlooker(chain: Chain, plugins: Mapping[str, Plugin[Any]], rules: FeeRules) -> Onlooker:
    """Whoever looks at the chain through this."""
    return Onlooker(plugins, chain, Newest(chain), FeeOracle(chain, lambda: rules))
