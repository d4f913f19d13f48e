"""Which tokens does the fleet know? Those that its plugins' settings name, and any other by its address."""

from collections.abc import Iterable, Sequence
from typing import Any

from ghostfleet.domain.values import Address, JsonObject, LogEntry
from ghostfleet.errors import BadInput
from ghostfleet.keys.addresses import parse_address
from ghostfleet.plugins.abi import event_topic, words
from ghostfleet.plugins.api import Plugin, Token

TRANSFERRED = event_topic("Transfer(address,address,uint256)")


class UnknownToken(BadInput):
    """No plugin's settings name a token like that: give one of those listed, or the address of its contract."""


def tokens_of(plugins: Iterable[Plugin[Any]]) -> tuple[Token, ...]:
    """Every token, once by its address, in the order of the plugins: the first that names it says what it is called."""
    found: dict[bytes, Token] = {}
    for plugin in plugins:
        for token in plugin.tokens():
            found.setdefault(token.address, token)
    return tuple(found.values())


def transfer_in(entry: LogEntry, token: Address) -> JsonObject | None:
    """The transfer that this token tells of with this entry of a log; None for any other entry."""
    values = words(entry.data)
    if entry.address != token or len(entry.topics) != 3 or entry.topics[0] != TRANSFERRED or len(values) != 1:
        return None
    sender, receiver = (str(Address(topic[-20:])) for topic in entry.topics[1:])
    return {"event": "Transfer", "from": sender, "to": receiver, "amount_wei": values[0]}


def find_token(tokens: Sequence[Token], text: str) -> Token | None:
    """The known token with this symbol (in any case) or address; None for the address of an unknown one.

    Raises UnknownToken for anything else, and for a symbol that two tokens share.
    """
    if text.startswith(("0x", "0X")):
        try:
            address = parse_address(text)
        except ValueError as bad:
            raise UnknownToken(f"{text}: {bad}") from None
        return next((token for token in tokens if token.address == address), None)
    named = [token for token in tokens if token.symbol.lower() == text.lower()]
    if len(named) == 1:
        return named[0]
    known = ", ".join(token.symbol for token in tokens) or "none"
    if named:
        raise UnknownToken(f"{text} is the name of {len(named)} tokens: give the address of the one that is meant")
    raise UnknownToken(f"no plugin's settings name a token {text}: known are {known}; or give its address")
