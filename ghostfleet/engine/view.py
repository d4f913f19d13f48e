"""The read-only view of the chain that plugins get: what they may read, and nothing that could send."""

import asyncio

from ghostfleet.domain.values import Address, Head, Octets
from ghostfleet.engine.heads import Heads
from ghostfleet.engine.ports import Chain
from ghostfleet.plugins.api import ChainView


class LatestView:
    """Reads at the latest block, through the coalescing edge."""

    def __init__(self, chain: Chain, heads: Heads) -> None:
        self._chain = chain
        self._heads = heads

    async def call(self, to: Address, data: bytes, sender: Address | None = None) -> Octets:
        """eth_call. Raises RpcRefused on a revert, TryAgain when no endpoint answers."""
        return await self._chain.call(to, data, sender)

    async def balance(self, address: Address) -> int:
        """Native balance, wei."""
        return await self._chain.balance(address)

    async def head_time_secs(self) -> int:
        """Timestamp of the newest known block."""
        return (await self._heads.first()).time_secs


class BlockView:
    """Reads at one block, so that what is read fits together; a node that is not there yet says so, and another one is asked."""

    def __init__(self, chain: Chain, block: Head) -> None:
        self._chain = chain
        self._block = block

    async def call(self, to: Address, data: bytes, sender: Address | None = None) -> Octets:
        """eth_call. Raises RpcRefused on a revert, TryAgain when no endpoint answers or none has the block."""
        return await self._chain.call(to, data, sender, self._block.number)

    async def balance(self, address: Address) -> int:
        """Native balance, wei."""
        return await self._chain.balance(address, self._block.number)

    async def head_time_secs(self) -> int:
        """Timestamp of the block."""
        return self._block.time_secs


class TurnView:
    """The view of one wallet's turn: its own balance is what the lane asks for anyway, so both get the one answer."""

    def __init__(self, view: ChainView, address: Address, balance: "asyncio.Future[int]") -> None:
        self._view = view
        self._address = address
        self._balance = balance

    async def call(self, to: Address, data: bytes, sender: Address | None = None) -> Octets:
        return await self._view.call(to, data, sender)

    async def balance(self, address: Address) -> int:
        if address == self._address:
            return await asyncio.shield(self._balance)  # a plugin that gives up must not end the lane's question
        return await self._view.balance(address)

    async def head_time_secs(self) -> int:
        return await self._view.head_time_secs()
