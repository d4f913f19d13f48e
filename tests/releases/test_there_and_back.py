"""P7, MP-003 and EP-003: one database, this release and the previous one in turn, transactions in flight at every change."""

from functools import partial

import pytest

from ghostfleet.domain import events as ev
from tests.acceptance.agreement import assert_agreement
from tests.acceptance.service_process import Fleet
from tests.releases.journey import BLOCK_SECS, OURS, Journey
from tests.releases.only_here import FACTOR, NOT_DONE, operations_end, operations_under_way, use_everything_new
from tests.releases.previous_release import PREVIOUS, Release
from tests.releases.reading import events_skipped_by

pytestmark = [pytest.mark.anvil, pytest.mark.long, pytest.mark.parametrize("anvil", [BLOCK_SECS], indirect=True)]


@pytest.mark.timeout(1200)
async def test_upgraded_rolled_back_and_upgraded_again_nothing_is_lost_and_nothing_doubled(
    fleet: Fleet, previous: Release
) -> None:
    """Stopped and killed in both directions, with everything new in the log; a pause holds through a change in both."""
    journey = Journey(fleet, previous)
    async with journey.theirs() as service:
        await journey.hand_over(service, "SIGTERM")
    async with journey.ours() as service:
        await use_everything_new(fleet, service)
        await journey.hand_over(service, "SIGTERM")
    async with journey.theirs() as service:
        await journey.hand_over(service, "SIGKILL", paused=True)
    async with journey.ours() as service:
        await journey.hand_over(service, "SIGKILL", paused=True, last=partial(operations_under_way, fleet, service))
    async with journey.theirs() as service:
        await journey.hand_over(service, "SIGTERM", paused=True)
    async with journey.ours() as service:
        assert (await service.get("/admin/status"))["throttle"]["factor"] == FACTOR
        await operations_end(fleet, service)
        await service.settled()
        assert await service.terminate() == 0
    await journey.both_say_the_same()
    await assert_agreement(fleet)
    for program in (OURS, previous.program):
        for command in (("audit", "verify"), ("db", "status")):
            done = await fleet.command(*command, program=program)
            assert done.code == 0, f"{program} {command}: {done.err}"
    started = [each.event.version for each in await fleet.recorded(ev.ServiceStarted)]  # type: ignore[attr-defined]
    assert [version == PREVIOUS for version in started] == [True, False, True, False, True, False]
    assert journey.handed_over >= 5 * len(fleet.wallets)
    written = {type(each.event) for each in await fleet.recorded()}
    assert events_skipped_by(previous) - written == set(NOT_DONE)
