"""A backup that an operator made is in the log with his name, where it is of this log; it is no sign that somebody watches."""

from typing import Any

import pytest
from fleet_over_http import OPERATOR, TOKENS, VIEWER, Running, admin_settings, registered, running

from ghostfleet.domain import events as ev
from ghostfleet.domain.values import Hash
from ghostfleet.engine.backups import MAX_FILE_CHARS


def told(fleet: Running, **changes: Any) -> dict[str, Any]:
    """What `db backup` says of a backup up to the head."""
    head = fleet.log.head
    return {
        "file": "/mnt/other/a.db.gz",
        "position": head.position,
        "head_hash": str(head.hash),
        "size_bytes": 4096,
    } | changes


async def recorded(fleet: Running, *kinds: type[ev.Event]) -> list[ev.Recorded]:
    return [each async for each in fleet.log.read() if isinstance(each.event, kinds)]


async def test_it_is_recorded_with_who_said_so_and_why(log: Any) -> None:
    async with running(log, admin_settings(tokens=TOKENS)) as fleet:
        await fleet.service.append(registered("wallet-001", 1))
        head = fleet.log.head
        headers = {"Authorization": f"Bearer {OPERATOR}", "Idempotency-Key": "night"}
        body = told(fleet, reason="before the upgrade")
        status, answer, _ = await fleet.post("/admin/backups", json=body, headers=headers)
        assert (status, answer["status"], answer["actor"]) == (200, "recorded", "ada")
        again = await fleet.post("/admin/backups", json=body, headers=headers)
        assert (again[0], again[1]["position"]) == (200, answer["position"])
        (made,) = await recorded(fleet, ev.BackupMade)
        (command,) = await recorded(fleet, ev.AdminCommandReceived)
        assert made.event == ev.BackupMade(
            file="/mnt/other/a.db.gz", position=head.position, head_hash=head.hash, size_bytes=4096, actor="ada"
        )
        assert made.correlation == command.correlation == answer["request_id"]
        assert (command.event.target, command.event.reason) == ("/mnt/other/a.db.gz", "before the upgrade")  # type: ignore[attr-defined]
        viewer = await fleet.post("/admin/backups", json=body, headers={"Authorization": f"Bearer {VIEWER}"})
        assert viewer[0] == 403


async def test_it_puts_off_no_scheduled_one_and_says_nothing_of_whether_somebody_is_there(fleet: Running) -> None:
    assert (await fleet.post("/admin/checkin"))[0] == 200
    before = fleet.service.state.fleet
    assert (await fleet.post("/admin/backups", json=told(fleet)))[0] == 200
    after = fleet.service.state.fleet
    assert (after.backed_up_us, after.operators.seen_us) == (0, before.operators.seen_us)
    assert after.backed_up_by_hand_us > 0
    metrics = (await fleet.get("/metrics"))[1].decode()
    assert 'ghost_fleet_backups_total{outcome="made"} 0.0' in metrics


@pytest.mark.parametrize("other", [{"head_hash": str(Hash(bytes(32)))}, {"position": 9}, {"position": 1}])
async def test_one_of_another_log_is_refused(fleet: Running, other: dict[str, Any]) -> None:
    status, problem, _ = await fleet.post("/admin/backups", json=told(fleet, **other))
    assert status == 409
    assert "the backup is of another one" in problem["detail"]
    assert await recorded(fleet, ev.BackupMade) == []


@pytest.mark.parametrize(
    "nonsense",
    [
        {"file": ""},
        {"file": "x" * (MAX_FILE_CHARS + 1)},
        {"position": 0},
        {"head_hash": "0xno"},
        {"size_bytes": 0},
        {"size_bytes": 1.5},
        {"actor": "eve"},
    ],
)
async def test_what_cannot_be_is_refused(fleet: Running, nonsense: dict[str, Any]) -> None:
    assert (await fleet.post("/admin/backups", json=told(fleet, **nonsense)))[0] == 422
