"""How does a fleet come to rest, so that log and chain can be compared? One more start, in which nobody decides anything new.

A pause is not enough: bytes that a fault kept from the node stay in their slot for as long as the fleet is paused (P5).
"""

import asyncio

from tests.acceptance.service_process import Fleet, until

NO_NEW_ACTIONS: dict[str, object] = {"safety.max_actions_per_hour": 1}
"""Whoever acted within the last hour only brings its open slot to its end."""
SETTLE_SECS = 180.0
REST_SECS = 1.0
"""Nothing decided and no slot open for so long: a lane under way would show."""


async def drain(fleet: Fleet, within_secs: float = SETTLE_SECS) -> None:
    """For a fleet that is stopped, and a way to the chain without faults: every slot has ended when it returns."""
    async with fleet.service(settings=NO_NEW_ACTIONS) as service:
        await service.ready()

        async def decided() -> int | None:
            """How much was ever decided; None while a slot is open."""
            status = await service.get("/admin/status")
            decided = sum(wallet["actions"]["decided"] for wallet in status["wallets"])
            return None if status["open_slots"] else decided

        async def at_rest() -> bool:
            before = await decided()
            await asyncio.sleep(REST_SECS)
            return before is not None and before == await decided()

        await until(at_rest, "every slot settled, nothing decided any more", within_secs)
        code = await service.terminate()
        assert code == 0, f"exit code {code}:\n{service.output[-2000:]}"
