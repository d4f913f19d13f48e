"""What does a wallet have, and what could be taken out of it? Read from the chain in one round of batches."""

import asyncio
from collections.abc import Mapping
from typing import Any, Protocol

import msgspec

from ghostfleet.chain.edge import RpcRefused
from ghostfleet.domain.amounts import decimal_text
from ghostfleet.domain.operation import NATIVE
from ghostfleet.domain.values import Address, Head, JsonObject, WalletId
from ghostfleet.domain.wallet import Wallet
from ghostfleet.engine import asking
from ghostfleet.engine.asking import PluginFailed
from ghostfleet.engine.ports import Chain, FeeSource
from ghostfleet.engine.view import BlockView
from ghostfleet.operations.balances import BALANCE_OF
from ghostfleet.plugins.abi import UnreadableAnswer, function, read
from ghostfleet.plugins.api import Action, ChainView, Plugin, Token, WalletFacts
from ghostfleet.plugins.tokens import tokens_of as known_tokens

ABOUT_GAS = 100_000
"""What a step takes, for a plan: a withdrawal takes more, a transfer less, and what is not there yet cannot be estimated."""
TRANSFER = function("transfer(address,uint256)")


class Block(Protocol):
    """Where the newest block that is known comes from."""

    async def first(self) -> Head: ...


class Looking(Protocol):
    """What a look needs: a lane's World has it, and whoever looks beside the service."""

    @property
    def plugins(self) -> Mapping[str, Plugin[Any]]: ...
    @property
    def heads(self) -> Block: ...
    @property
    def chain(self) -> Chain: ...
    @property
    def fees(self) -> FeeSource: ...


class Holdings(msgspec.Struct, frozen=True, kw_only=True):
    """One look at a wallet: native wei, tokens by symbol in smallest units, the way out of its protocol, and what has none."""

    native_wei: int
    tokens: dict[str, int]
    way_out: tuple[Action, ...] = ()
    remarks: tuple[str, ...] = ()
    coming: str = ""
    """What comes back by itself; empty where there is nothing to wait for."""
    unread: str = ""
    """Why the protocol could not be read; then nobody knows what is in it."""
    unread_tokens: dict[str, str] = {}
    """Tokens whose balance could not be read, by symbol, and why; they are not among `tokens`."""
    observation: JsonObject = {}
    about_fees_wei: int = 0
    """What emptying it would cost at today's fees, about."""

    def document(self) -> JsonObject:
        """As events and answers have it: amounts in smallest units, as text."""
        held = {NATIVE: self.native_wei, **self.tokens}
        return {
            "holds": {asset: str(amount) for asset, amount in held.items()},
            "way_out": [{"kind": action.kind, **action.params} for action in self.way_out],
            "remarks": list(self.remarks),
            "about_fees_wei": str(self.about_fees_wei),
        }


def tokens_of(plugins: Mapping[str, Plugin[Any]]) -> dict[str, Token]:
    """Every token that the settings name, by symbol; of two with one symbol the later one by its address."""
    found: dict[str, Token] = {}
    for token in known_tokens(plugins.values()):
        found[token.symbol if token.symbol not in found else str(token.address)] = token
    return found


def amount_text(asset: str, amount: int, tokens: Mapping[str, Token]) -> str:
    """`1.5 DATA`, `0.05 ETH`."""
    if asset == NATIVE:
        return f"{decimal_text(amount)} ETH"
    token = tokens.get(asset)
    return f"{decimal_text(amount, token.decimals if token is not None else 18)} {asset}"


async def look(world: Looking, wallet: Wallet) -> Holdings:
    """Everything at once, at the newest block that is known, so that no node tells of a time before the wallet's own latest
    transaction. Raises TryAgain when no endpoint answers; a protocol or a token that cannot be read is a remark."""
    tokens = tokens_of(world.plugins)
    head = await world.heads.first()
    view = BlockView(world.chain, head)
    native_wei, balances, held = await asyncio.gather(
        view.balance(wallet.address),
        asyncio.gather(*(_balance(view, token, wallet.address) for token in tokens.values())),
        _protocol(world, view, wallet),
    )
    amounts = {symbol: it for symbol, it in zip(tokens, balances, strict=True) if isinstance(it, int)}
    unread = {symbol: it for symbol, it in zip(tokens, balances, strict=True) if isinstance(it, str)}
    fees = await world.fees.suggest(head)
    sweeps = 1 + sum(amount > 0 or bool(held.way_out) for amount in amounts.values())
    return msgspec.structs.replace(
        held,
        native_wei=native_wei,
        tokens=amounts,
        unread_tokens=unread,
        remarks=(*held.remarks, *(f"{symbol} cannot be read: {why}" for symbol, why in unread.items())),
        about_fees_wei=(len(held.way_out) + sweeps) * ABOUT_GAS * fees.max_fee_wei,
    )


async def _balance(view: ChainView, token: Token, address: Address) -> int | str:
    """In smallest units, or why it cannot be read: a token may be paused, gone, or another kind of contract."""
    try:
        amount: int = await read(view, token.address, BALANCE_OF, address)
    except (RpcRefused, UnreadableAnswer) as problem:
        return str(problem)
    return amount


async def _protocol(world: Looking, view: ChainView, wallet: Wallet) -> Holdings:
    """What the wallet has in its protocol."""
    nothing = Holdings(native_wei=0, tokens={})
    plugin = world.plugins.get(wallet.plugin)
    if plugin is None:
        return nothing
    facts = WalletFacts(id=WalletId(wallet.id), address=wallet.address, balance_wei=wallet.balance_wei or 0)
    try:
        seen = await asking.observed(plugin, facts, view)
        return msgspec.structs.replace(
            nothing,
            way_out=asking.ways_out(plugin, seen, facts),
            remarks=asking.remarks(plugin, seen),
            coming=asking.coming(plugin, seen),
            observation=asking.record_of(plugin, seen, facts)["view"],
        )
    except PluginFailed as failure:  # what else the wallet has can be moved all the same
        failure.tell_traceback()
        of_the_chain = isinstance(failure.problem, RpcRefused | UnreadableAnswer)
        unread = f"{plugin.name} cannot be read: {failure.problem if of_the_chain else failure.told}"
        return msgspec.structs.replace(nothing, remarks=(unread,), unread=unread)
