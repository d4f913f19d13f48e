"""Which release does a log need that this one cannot read? The log says it: each start writes down which release it is."""

import re

import msgspec

from ghostfleet.domain.events import FLEET_STREAM, ServiceStarted
from ghostfleet.store.codec import Codec
from ghostfleet.store.errors import UnknownCriticalEvent
from ghostfleet.store.queries import EventQuery
from ghostfleet.store.recorder import Recorder

RELEASE = re.compile(r"[\w.+-]{1,40}", re.ASCII)


class _Start(msgspec.Struct):
    """What is read of a ServiceStarted, whatever version of it a newer release writes."""

    version: str = ""


async def naming_the_release(recorder: Recorder, unknown: UnknownCriticalEvent, codec: Codec) -> UnknownCriticalEvent:
    """The same, with the release that wrote the event: that of the last start up to it, else the one that the log was opened by
    last. Where only this release stands there, the words stay as they are. For `raise ... from None`."""
    started = EventQuery(
        stream=FLEET_STREAM, types=(ServiceStarted.__name__,), cursor=unknown.position + 1, descending=True, limit=1
    )
    page = await recorder.rows(started)
    candidates = [_version(page.items[0].payload)] if page.items else []
    candidates.append((await recorder.schema()).get("release", ""))
    for release in candidates:
        if RELEASE.fullmatch(release) and release != codec.release:
            return unknown.needing(release)
    return unknown


def _version(payload: str) -> str:
    try:
        return msgspec.json.decode(payload, type=_Start).version
    except (msgspec.MsgspecError, ValueError):
        return ""
