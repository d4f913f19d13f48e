"""Runs in the previous release: `look_at_log.py URL` verifies a log and prints its state by fold and by snapshot, a line each."""

import asyncio
import sys

from ghostfleet.domain.state import encode_state
from ghostfleet.engine.recovery import recover
from ghostfleet.store.log import open_log


async def look(url: str) -> None:
    log = await open_log(url, read_only=True)
    try:
        verified = await log.verify()
        print(verified.rows if verified.ok else verified.problem)
        for use_snapshot in (False, True):
            print(encode_state(await recover(log, use_snapshot=use_snapshot)).decode())
    finally:
        await log.close()


asyncio.run(look(sys.argv[1]))
