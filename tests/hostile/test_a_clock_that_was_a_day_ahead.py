"""The machine's clock was a day ahead for some seconds. What was said then is no reason to wait for a day."""

import pytest

from ghostfleet.domain import events as ev
from tests.incidents.staged_fleet import Stage, consecutive

DAY_US = 86_400_000_000


def a_day_ahead(stage: Stage, *, from_secs: float, to_secs: float) -> None:
    stage.at(from_secs, lambda: setattr(stage.universe, "clock_offset_us", DAY_US))
    stage.at(to_secs, lambda: setattr(stage.universe, "clock_offset_us", 0))


@pytest.mark.parametrize("killed", [False, True])
def test_the_next_turn_is_no_further_off_than_was_meant(killed: bool) -> None:
    stage = Stage()
    a_day_ahead(stage, from_secs=20, to_secs=60)
    if killed:
        stage.at(61, stage.kill)
    stage.play()
    acted = [it.time_us for it in stage.recorded if isinstance(it.event, ev.ActionDecided)]
    ahead = [at for at in acted if at > acted[0] + DAY_US // 2]
    after = [at for at in acted if at < acted[0] + DAY_US // 2 and acted.index(at) > acted.index(ahead[-1])]
    assert len(after) > 1


def test_what_is_stuck_is_replaced_as_soon_as_ever() -> None:
    stage = Stage()
    stage.at(20, lambda: setattr(stage.universe, "clock_offset_us", DAY_US))

    def stuck(_: ev.BroadcastAccepted) -> None:
        stage.chain.jump_fees(100)
        stage.at(1, lambda: setattr(stage.universe, "clock_offset_us", 0))

    stage.when(ev.BroadcastAccepted, stuck, where=lambda _: stage.universe.clock_offset_us > 0)
    stage.play()
    first, second = next(
        attempts for nonce in range(len(stage.mined())) if len(attempts := stage.attempts_at(nonce)) > 1
    )[:2]
    left = {tx.hash: secs for secs, tx in reversed(stage.sent)}
    assert left[second.hash] - left[first.hash] < 30
    assert consecutive([tx.nonce for tx in stage.mined()])
