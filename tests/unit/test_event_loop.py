"""The service's loop: uvloop, and a collector that seldom looks; in a process of its own, since both last."""

import subprocess
import sys

from ghostfleet.event_loop import COLLECTIONS

PROGRAM = """
import asyncio, gc
from ghostfleet import event_loop
async def main():
    return type(asyncio.get_running_loop()).__module__, gc.get_threshold(), gc.get_freeze_count() > 0
print(event_loop.run(main()))
"""


def test_the_service_runs_on_uvloop_with_few_collections() -> None:
    said = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == str(("uvloop", COLLECTIONS, True))
