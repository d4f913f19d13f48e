"""What does the whole fleet hold? Native coin and tokens of every wallet, read concurrently, so that the edge batches them."""

import asyncio
import re
from collections.abc import Sequence

import msgspec

from ghostfleet.chain.edge import RpcRefused
from ghostfleet.chain.reads import Chain
from ghostfleet.config.loaded import Wallet
from ghostfleet.domain.amounts import MAX_DECIMALS, decimal_text
from ghostfleet.domain.values import Address, JsonObject
from ghostfleet.errors import BadInput, TryAgain
from ghostfleet.keys.addresses import checksummed, parse_address
from ghostfleet.operations.onlooker import Glance
from ghostfleet.plugins.abi import UnreadableAnswer, function, read
from ghostfleet.plugins.api import Token
from ghostfleet.plugins.tokens import find_token

BALANCE_OF = function("balanceOf(address)", "uint256")
DECIMALS = function("decimals()", "uint8")
SYMBOL = function("symbol()", "string")
NATIVE = "native"
_PLAIN_SYMBOL = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,15}")


class NoToken(BadInput):
    """There is no ERC-20 token at that address: compare it with the token's documentation, and the chain with the settings'."""


class Holding(msgspec.Struct, frozen=True, kw_only=True):
    """What one wallet holds. `tokens` are smallest units in the order of the tokens asked for; None: it could not be read."""

    wallet: str
    address: Address
    enabled: bool
    native_wei: int | None
    tokens: tuple[int | None, ...]


class Holdings(msgspec.Struct, frozen=True, kw_only=True):
    """The fleet's balances at one look, `block` being the newest one when it began."""

    block: int
    tokens: tuple[Token, ...]
    wallets: tuple[Holding, ...]
    problem: str = ""
    """The first reason for which a balance is None."""


async def tokens_wanted(chain: Chain, known: Sequence[Token], named: Sequence[str]) -> tuple[Token, ...]:
    """The tokens of these names or addresses, all known ones where none is named. Raises UnknownToken, NoToken."""
    if not named:
        return tuple(known)
    found = [find_token(known, text) or await _described(chain, parse_address(text)) for text in named]
    return tuple({token.address: token for token in found}.values())


async def _described(chain: Chain, address: Address) -> Token:
    """A token that no settings name, as it describes itself; a symbol that is no plain word gives way to the address."""
    glance = Glance(chain)
    try:
        decimals = await read(glance, address, DECIMALS)
    except (RpcRefused, UnreadableAnswer):
        raise NoToken(f"there is no token at {checksummed(address)}: no contract there says its decimals") from None
    if decimals > MAX_DECIMALS:
        raise NoToken(f"what is at {checksummed(address)} says that it has {decimals} decimals: that is no token")
    try:
        symbol = str(await read(glance, address, SYMBOL))
    except (RpcRefused, UnreadableAnswer):
        symbol = ""
    plain = _PLAIN_SYMBOL.fullmatch(symbol)
    return Token(symbol=symbol if plain else f"{checksummed(address)[:10]}…", address=address, decimals=decimals)


async def holdings(chain: Chain, wallets: Sequence[Wallet], tokens: Sequence[Token]) -> Holdings:
    """Every balance at the latest block. Raises EndpointsUnavailable when nobody even tells the head of the chain."""
    block = (await chain.head()).number
    problems: list[str] = []
    found = await asyncio.gather(*(_holding(chain, wallet, tokens, problems) for wallet in wallets))
    problem = problems[0] if problems else ""
    return Holdings(block=block, tokens=tuple(tokens), wallets=tuple(found), problem=problem)


async def _holding(chain: Chain, wallet: Wallet, tokens: Sequence[Token], problems: list[str]) -> Holding:
    async def native() -> int | None:
        try:
            return await chain.balance(wallet.address)
        except (TryAgain, RpcRefused) as problem:
            problems.append(str(problem))
            return None

    async def of(token: Token) -> int | None:
        try:
            amount: int = await read(Glance(chain), token.address, BALANCE_OF, wallet.address)
        except (TryAgain, RpcRefused, UnreadableAnswer) as problem:
            problems.append(f"{token.symbol}: {problem}")
            return None
        return amount

    native_wei, *amounts = await asyncio.gather(native(), *(of(token) for token in tokens))
    return Holding(
        wallet=wallet.id,
        address=wallet.address,
        enabled=wallet.enabled,
        native_wei=native_wei,
        tokens=tuple(amounts),
    )


def labels(tokens: Sequence[Token]) -> tuple[str, ...]:
    """What each token is called in a table: its symbol, with the start of its address where two share one."""
    symbols = [token.symbol for token in tokens]
    return tuple(
        token.symbol if symbols.count(token.symbol) == 1 else f"{token.symbol}@{checksummed(token.address)[:10]}"
        for token in tokens
    )


def holding_row(holding: Holding, tokens: Sequence[Token]) -> JsonObject:
    """A wallet's balances as exact decimals in whole coins, null where one could not be read."""
    amounts = zip(labels(tokens), tokens, holding.tokens, strict=True)
    return {
        "wallet": holding.wallet,
        "address": checksummed(holding.address),
        "enabled": holding.enabled,
        NATIVE: None if holding.native_wei is None else decimal_text(holding.native_wei),
        "tokens": {
            label: None if amount is None else decimal_text(amount, token.decimals) for label, token, amount in amounts
        },
    }


def totals(found: Holdings) -> JsonObject:
    """What all wallets hold together, of what could be read."""
    return {
        NATIVE: decimal_text(sum(it.native_wei or 0 for it in found.wallets)),
        "tokens": {
            label: decimal_text(sum(it.tokens[index] or 0 for it in found.wallets), token.decimals)
            for index, (label, token) in enumerate(zip(labels(found.tokens), found.tokens, strict=True))
        },
    }
