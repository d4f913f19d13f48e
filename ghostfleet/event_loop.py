"""On what does `ghost-fleet run` run? uvloop, and a collector that seldom looks.

Under full load a transaction took 1.3 ms or more of processor time without, and 0.85 ms with both (docs/decisions/0032).
"""

import gc
from collections.abc import Coroutine
from typing import Any, TypeVar

import uvloop

T = TypeVar("T")

COLLECTIONS = (50_000, 20, 20)
"""Allocations until the young are looked at, and how often that is until the older are; Python's own are 700, 10, 10."""


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run to the end on a loop of its own, as asyncio.run does.

    A fleet is a large heap that lives long and makes next to no cycles: what is here already is never looked at again.
    """
    gc.freeze()
    gc.set_threshold(*COLLECTIONS)
    return uvloop.run(main)
