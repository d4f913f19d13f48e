"""On what does `ghost-fleet run` run? uvloop, a collector that seldom looks, and an interpreter that is handed over soon.

Under full load a transaction took 1.3 ms or more of processor time without, and 0.85 ms with the first two (docs/decisions/0032,
and 0035 for what was measured since).
"""

import gc
import sys
from collections.abc import Coroutine
from typing import Any, TypeVar

import uvloop

T = TypeVar("T")

COLLECTIONS = (400_000, 10, 10)
"""Allocations until the young are looked at, and how often that is until the older are; Python's own are 700, 10, 10. Every
block takes some 100 objects of each of 3,000 wallets up and puts them down again: that alone must not set it off."""
HAND_OVER_SECS = 0.0002
"""How long a thread that waits for the interpreter waits for it to be let go; Python's own is 5 ms. The log's thread takes it
for a moment some ten times a commit, and everybody waits for that commit."""


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run to the end on a loop of its own, as asyncio.run does.

    A fleet is a large heap that lives long and makes next to no cycles: what is here already is never looked at again.
    """
    gc.freeze()
    gc.set_threshold(*COLLECTIONS)
    sys.setswitchinterval(HAND_OVER_SECS)
    return uvloop.run(main)
