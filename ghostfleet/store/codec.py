"""How does an event become JSON, and JSON of any release become an event of this one?

Writing: the catalogue's name, version and criticality, and the event as compact JSON. Reading: an older version goes through
its upcasters, one a step; fields that this release does not know are ignored; a type or version that it does not know is an
`UnknownEvent` when it may be skipped, and stops the reader when it may not.

Writing does not look whether a field has its declared type, and reading does. Decoding every event again before it is written
would cost 20 us a transaction (measured: 8 of them its ActionDecided), a twentieth of all that one costs. Our own events are
built under mypy's eyes; what a plugin answers is checked where it comes in (plugins/answers.py), and
tests/unit/engine/test_plugins_that_answer_wrongly.py holds under hypothesis that whatever it answers, all that is written reads.
"""

from collections.abc import Callable, Mapping

import msgspec

from ghostfleet import __version__
from ghostfleet.domain.events import CATALOGUE, Event, NewEvent, Recorded, Stream, UnknownEvent
from ghostfleet.domain.values import JsonObject, decode_octets, encode_json
from ghostfleet.store.errors import EventUnwritable, LogCorrupt, UnknownCriticalEvent
from ghostfleet.store.rows import EventRow, Text, text_of

MAX_PAYLOAD_BYTES = 4 * 2**20
"""An event is a fact, not a file."""
MAX_NAME_BYTES = 256
"""Of a stream or a correlation: both are indexed."""
LAST_TIME_US = 2**63 - 1
"""What fits the column."""

Upcaster = Callable[[JsonObject], JsonObject]
"""Makes the JSON object of one version of a type into that of the next version."""

UPCASTERS: Mapping[tuple[str, int], Upcaster] = {}
"""By type and the version it comes from."""


class Encoded(msgspec.Struct, frozen=True, gc=False):
    """An event ready to become a row, once its position and version are known."""

    event: Event
    stream: Stream
    correlation: str
    type: str
    type_version: int
    critical: int
    payload: str
    text: Text


class Codec:
    """Encodes and decodes by a catalogue; the usual one is CODEC."""

    def __init__(
        self,
        catalogue: Mapping[str, type[Event]] = CATALOGUE,
        upcasters: Mapping[tuple[str, int], Upcaster] = UPCASTERS,
        release: str = __version__,
    ) -> None:
        self.release = release
        self._upcasters = upcasters
        self._written = {kind: (name, kind.VERSION, int(kind.CRITICAL)) for name, kind in catalogue.items()}
        self._versions = {name: kind.VERSION for name, kind in catalogue.items()}
        self._decoders = {
            (name, kind.VERSION): msgspec.json.Decoder(kind, dec_hook=decode_octets).decode
            for name, kind in catalogue.items()
        }
        self._kinds = catalogue

    def encode(self, new: NewEvent) -> Encoded:
        """Raises EventUnwritable for what is not in the catalogue or does not fit a row."""
        written = self._written.get(type(new.event))
        if written is None:
            raise EventUnwritable(f"{type(new.event).__name__} is not in the catalogue of events")
        name, version, critical = written
        try:
            payload = encode_json(new.event)
            text = text_of(new.stream, name, new.correlation, payload)
        except (UnicodeEncodeError, NotImplementedError, TypeError) as problem:
            raise EventUnwritable(f"{name} in {new.stream!r} cannot be written as JSON: {problem}") from None
        if text.payload > MAX_PAYLOAD_BYTES or text.stream > MAX_NAME_BYTES or text.correlation > MAX_NAME_BYTES:
            raise EventUnwritable(
                f"{name} in {new.stream[:80]!r} is too large: payload {text.payload} of at most {MAX_PAYLOAD_BYTES} bytes,"
                f" stream {text.stream} and correlation {text.correlation} of at most {MAX_NAME_BYTES}"
            )
        if "\0" in new.correlation or "\0" in new.stream or not new.stream:
            raise EventUnwritable(f"{name} in {new.stream!r}: stream and correlation are text without NUL")
        return Encoded(new.event, new.stream, new.correlation, name, version, critical, payload.decode(), text)

    def decode(self, row: EventRow) -> Recorded:
        """The event of a row. Raises UnknownCriticalEvent, or LogCorrupt when the payload is not what its type says."""
        decode = self._decoders.get((row.type, row.type_version))
        try:
            event = decode(row.payload) if decode is not None else self._other_version(row)
        except (msgspec.MsgspecError, NotImplementedError, ValueError, KeyError, TypeError) as problem:
            raise LogCorrupt(
                f"position {row.position}: the payload is no {row.type} version {row.type_version}: {problem}"
            ) from None
        return Recorded(row.position, row.stream, row.version, row.time_us, row.correlation, event)

    def _other_version(self, row: EventRow) -> Event:
        current = self._versions.get(row.type)
        if current is None or row.type_version > current:
            if row.critical:
                what = f"event {row.type} version {row.type_version}"
                raise UnknownCriticalEvent(row.position, what, self.release)
            return UnknownEvent(type=row.type, type_version=row.type_version)
        content: JsonObject = msgspec.json.decode(row.payload)
        for version in range(row.type_version, current):
            content = self._upcasters[row.type, version](content)
        return msgspec.convert(content, self._kinds[row.type], dec_hook=decode_octets)


CODEC = Codec()
