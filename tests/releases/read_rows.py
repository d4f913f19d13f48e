"""Runs in the previous release: of each row on standard input it says `known`, `skipped`, or why it has to stop, a line each."""

import json
import sys

from ghostfleet.errors import GhostFleetError
from ghostfleet.store.codec import CODEC, UnknownEvent
from ghostfleet.store.rows import EventRow, Hash

for position, line in enumerate(sys.stdin, 1):
    row = EventRow(
        position=position,
        stream="fleet",
        version=position,
        time_us=1,
        correlation="",
        hash=Hash(bytes(32)),
        **json.loads(line),
    )
    try:
        print("skipped" if isinstance(CODEC.decode(row).event, UnknownEvent) else "known")
    except GhostFleetError as problem:
        print(problem)
