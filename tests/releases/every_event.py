"""An example of every event, and of every word that a field may hold: what this release can write, as rows of the log."""

import enum
import types
import typing
from collections.abc import Iterator
from typing import Any

import msgspec

from ghostfleet.domain.events import CATALOGUE, Event, NewEvent
from ghostfleet.domain.values import Octets
from ghostfleet.store.codec import CODEC

TEXT, NUMBER = "text", 7
LENGTHS = {"Hash": 32, "Address": 20}


def every_event() -> Iterator[Event]:
    """Each type with each choice that each of its fields offers."""
    for kind in CATALOGUE.values():
        hints = typing.get_type_hints(kind)
        choices = {field.name: examples(hints[field.name]) for field in msgspec.structs.fields(kind)}
        for number in range(max(map(len, choices.values()), default=1)):
            yield kind(**{name: offered[min(number, len(offered) - 1)] for name, offered in choices.items()})


def examples(hint: Any) -> list[Any]:
    """Values of a type: one, or every one where it lists them."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return [value for argument in arguments for value in examples(argument)]
    if hint is type(None):
        return [None]
    if origin is typing.Literal:
        return list(arguments)
    if origin is tuple:
        return [tuple(examples(argument)[0] for argument in arguments if argument is not ...)]
    if origin is dict:
        return [{TEXT: NUMBER}]
    if issubclass(hint, enum.Enum):
        return list(hint)
    if issubclass(hint, Octets):
        return [hint(bytes(LENGTHS.get(hint.__name__, 3)))]
    if issubclass(hint, msgspec.Struct):
        hints = typing.get_type_hints(hint)
        return [hint(**{field.name: examples(hints[field.name])[0] for field in msgspec.structs.fields(hint)})]
    return [{str: TEXT, int: NUMBER, bool: True, float: 0.5}[hint]]


def as_row(event: Event) -> dict[str, Any]:
    """What of the row depends on the event."""
    row = CODEC.encode(NewEvent("fleet", event))
    return {"type": row.type, "type_version": row.type_version, "critical": row.critical, "payload": row.payload}
