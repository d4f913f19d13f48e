"""Events to stored JSON and back: by stable type names and versions, with a step for every version that is no longer written.

Fields that a reader does not know are ignored (an older release reads a newer log); an event it does not know is skipped when
it is marked not critical, and stops the reader when it is.
"""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import msgspec

from ghostfleet import __version__
from ghostfleet.domain.events import CATALOGUE, Event, Recorded
from ghostfleet.domain.values import decode_octets, encode_json
from ghostfleet.store.errors import LogCorrupt, UnknownCriticalEvent

Upcaster = Callable[[dict[str, Any]], dict[str, Any]]

UPCASTERS: dict[tuple[str, int], Upcaster] = {}
"""(type, version) to the function that turns its JSON object into that of the next version."""


class Stored(Protocol):
    """The columns of a row that make its event."""

    @property
    def position(self) -> int: ...
    @property
    def stream(self) -> str: ...
    @property
    def version(self) -> int: ...
    @property
    def type(self) -> str: ...
    @property
    def type_version(self) -> int: ...
    @property
    def critical(self) -> bool: ...
    @property
    def time_us(self) -> int: ...
    @property
    def correlation(self) -> str: ...
    @property
    def payload(self) -> str: ...


class Codec:
    """Encodes and decodes by a catalogue; the real one unless a test brings its own."""

    def __init__(
        self,
        catalogue: Mapping[str, type[Event]] = CATALOGUE,
        upcasters: Mapping[tuple[str, int], Upcaster] = UPCASTERS,
    ) -> None:
        self._catalogue = catalogue
        self._upcasters = upcasters
        self._decoders = {
            name: msgspec.json.Decoder(kind, dec_hook=decode_octets).decode for name, kind in catalogue.items()
        }

    def encode(self, event: Event) -> tuple[str, int, bool, str]:
        """(type, type version, critical, payload)."""
        kind = type(event)
        return kind.__name__, kind.VERSION, kind.CRITICAL, encode_json(event).decode()

    def decode(self, row: Stored) -> Recorded | None:
        """The event of a row; None where this release does not know it and need not. Raises UnknownCriticalEvent."""
        kind = self._catalogue.get(row.type)
        if kind is None or row.type_version > kind.VERSION:
            if row.critical:
                raise UnknownCriticalEvent(
                    f"position {row.position}: event {row.type} version {row.type_version} is not known to this release "
                    f"({__version__}), and it must not be skipped: start the release that wrote it, or a newer one"
                )
            return None
        try:
            if row.type_version == kind.VERSION:
                event = self._decoders[row.type](row.payload)
            else:
                event = self._upcast(row, kind)
        except (msgspec.MsgspecError, ValueError) as problem:
            raise LogCorrupt(f"position {row.position}: {row.type} cannot be read: {problem}") from None
        return Recorded(row.position, row.stream, row.version, row.time_us, row.correlation, event)

    def _upcast(self, row: Stored, kind: type[Event]) -> Event:
        document = msgspec.json.decode(row.payload)
        for version in range(row.type_version, kind.VERSION):
            document = self._upcasters[row.type, version](document)
        return msgspec.convert(document, kind, dec_hook=decode_octets)


CODEC = Codec()
"""The codec of the real catalogue."""
