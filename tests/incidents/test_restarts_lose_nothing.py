"""Durable first, then sent: killed at any step of a decision, it is carried out once, or was never made."""

import pytest

from ghostfleet.domain import events as ev
from ghostfleet.engine.lane import Lane
from tests.incidents.staged_fleet import Stage, broken_by, consecutive
from tests.simulation import planted

STEPS_OF_A_DECISION = range(0, 48, 4)
"""Callbacks of the loop from the preparation of a transaction to well after the node's answer to it."""


def _killed(monkeypatch: pytest.MonkeyPatch, steps: int, keeps: float) -> Stage:
    """Killed so many steps after the second transaction was prepared. `keeps`: what a draw says of the unsynced commit."""
    stage = Stage(wallets=2, secs=60)
    stage.random.random = lambda: keeps  # type: ignore[method-assign]
    sign = Lane._sign
    signed: list[str] = []

    def kill_soon(self: Lane, prepared: object) -> object:
        signed.append(self.name)
        if len(signed) == 2 and stage.run is not None:
            stage.downtime_secs = 5.0
            stage.run.loop.crash_in = steps
        return sign(self, prepared)  # type: ignore[arg-type]

    monkeypatch.setattr(Lane, "_sign", kill_soon)
    return stage


@pytest.mark.parametrize("steps", STEPS_OF_A_DECISION)
@broken_by(planted.broadcast_before_the_commit)
def test_restarted_while_a_transaction_is_written_nothing_is_lost(monkeypatch: pytest.MonkeyPatch, steps: int) -> None:
    """ithacaxyz/relay pull 534: restarted while queued transactions were being written, and they were lost."""
    for keeps in (0.0, 0.99):
        with monkeypatch.context() as patched:
            stage = _killed(patched, steps, keeps)
            outcome = stage.play()
        assert outcome.runs >= 2
        for name in ("w1", "w2"):
            signed = [it for it in stage.events(ev.TransactionSigned) if it.action_id.startswith(name)]
            assert consecutive([it.nonce for it in signed])
            landed = [tx.hash for tx in stage.mined(stage.wallet(name).address)]
            assert (
                landed[: len(signed) - 1] == [it.hash for it in signed][:-1]
            )  # once each, in order; the last may wait
        ended = {it.action_id for it in stage.events(ev.ActionSucceeded) + stage.events(ev.ActionFailed)}
        still_open = {slot.action_id for name in ("w1", "w2") for slot in stage.wallet(name).pending}
        rejected = {it.action_id for it in stage.events(ev.ActionRejected)}
        assert {it.action_id for it in stage.events(ev.ActionDecided)} == ended | still_open | rejected
