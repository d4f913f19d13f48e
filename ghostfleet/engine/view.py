"""The read-only view of the chain that plugins get: what they may read, and nothing that could send."""

from ghostfleet.domain.values import Address, Octets
from ghostfleet.engine.heads import Heads
from ghostfleet.engine.ports import Chain


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
