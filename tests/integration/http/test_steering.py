"""Commands that change how the fleet goes: its pace, and which endpoints are asked."""

import pytest
from fleet_over_http import START_US, Running

from ghostfleet.config.plugin_classes import PluginUnusable
from ghostfleet.domain import events as ev


async def recorded(fleet: Running, kind: type[ev.Event]) -> list[ev.Recorded]:
    return [each async for each in fleet.log.read() if isinstance(each.event, kind)]


async def test_a_throttle_is_recorded_told_everywhere_and_undone(fleet: Running) -> None:
    before = (await fleet.get("/admin/status"))[1]
    assert before["throttle"] is None
    status, answer, _ = await fleet.post("/admin/throttle", json={"factor": 0.25, "reason": "the provider limits us"})
    assert (status, answer["status"], answer["factor"], answer["actor"]) == (200, "throttled", 0.25, "local")
    received = (await recorded(fleet, ev.AdminCommandReceived))[-1]
    throttled = (await recorded(fleet, ev.FleetThrottled))[-1]
    assert (received.event.command, received.event.target) == ("throttle", "0.25")
    assert throttled.correlation == received.correlation == answer["request_id"]
    told = (await fleet.get("/admin/status"))[1]["throttle"]
    assert (told["factor"], told["actor"], told["reason"]) == (0.25, "local", "the provider limits us")
    assert b"ghost_fleet_throttle_factor 0.25" in (await fleet.get("/metrics"))[1]
    await fleet.post("/admin/throttle", json={"factor": 0.25})
    assert len(await recorded(fleet, ev.FleetThrottled)) == 1, "asking twice is no mistake"
    status, answer, _ = await fleet.post("/admin/throttle", json={"factor": 1})
    assert (answer["status"], answer["factor"]) == ("running", 1)
    assert (await fleet.get("/admin/status"))[1]["throttle"] is None
    assert b"ghost_fleet_throttle_factor 1.0" in (await fleet.get("/metrics"))[1]


async def test_the_status_tells_the_next_turn_at_the_pace_in_force(fleet: Running) -> None:
    now_us = fleet.service.state.wallets["wallet-001"].scheduled_us
    rested = ev.WalletRested(reason="waits", until_us=START_US + 3600 * 1_000_000)
    await fleet.service.append(ev.NewEvent("wallet/wallet-001", rested))
    full = (await fleet.get("/admin/status"))[1]["wallets"][0]["next_turn"]
    assert full.startswith("2026-01-01T01:00:00")
    await fleet.post("/admin/throttle", json={"factor": 0.5})
    slow = (await fleet.get("/admin/status"))[1]["wallets"][0]["next_turn"]
    assert slow.startswith("2026-01-01T01:59"), (slow, now_us)


@pytest.mark.parametrize(
    "body",
    [{}, {"factor": 0}, {"factor": -1}, {"factor": 1.01}, {"factor": "0.5"}, {"factor": True}, {"factor": 0.0001},
     {"factor": 0.5, "why": "x"}, {"factor": None}, {"factor": 0.5, "reason": 5}],
)  # fmt: skip
async def test_a_factor_out_of_range_or_of_another_type_is_refused_and_changes_nothing(
    fleet: Running, body: dict[str, object]
) -> None:
    status, problem, _ = await fleet.post("/admin/throttle", json=body)
    assert status == 422, problem
    assert await recorded(fleet, ev.FleetThrottled) == []
    assert (await recorded(fleet, ev.AdminCommandRefused))[-1].event.command == "throttle"


async def test_an_endpoint_is_drained_and_restored_by_its_handle(fleet: Running) -> None:
    status, answer, _ = await fleet.post("/admin/endpoints/node-b/drain", json={"reason": "it lags"})
    assert (status, answer["status"], answer["endpoint"], answer["in_flight"]) == (200, "drained", "node-b", 0)
    drained = (await recorded(fleet, ev.EndpointDrained))[-1]
    assert (drained.event.endpoint, drained.event.actor, drained.event.reason) == ("node-b", "local", "it lags")
    assert drained.correlation == answer["request_id"]
    assert fleet.service.state.fleet.drained_endpoints == ("node-b",)
    await fleet.post("/admin/endpoints/node-b/drain")
    assert len(await recorded(fleet, ev.EndpointDrained)) == 1
    assert (await fleet.post("/admin/endpoints/node-b/restore"))[1]["status"] == "restored"
    assert fleet.service.state.fleet.drained_endpoints == ()
    listed = (await fleet.get("/admin/endpoints"))[1]["endpoints"]
    assert [(it["name"], it["handle"], it["healthy"]) for it in listed] == [
        ("node-a", "node-a", True),
        ("node-b", "node-b", False),
    ]


async def test_the_last_endpoint_that_could_be_asked_is_drained_only_when_that_is_meant(fleet: Running) -> None:
    """node-b is not well: without node-a nobody is left."""
    status, problem, _ = await fleet.post("/admin/endpoints/node-a/drain")
    assert (status, await recorded(fleet, ev.EndpointDrained)) == (409, [])
    assert "no other endpoint than node-a" in problem["detail"]
    assert (await recorded(fleet, ev.AdminCommandRefused))[-1].event.command == "drain_endpoint"
    assert (await fleet.post("/admin/endpoints/node-a/drain", json={"last": True}))[0] == 200
    assert fleet.service.state.fleet.drained_endpoints == ("node-a",)


async def test_an_unknown_endpoint_is_refused_with_those_there_are(fleet: Running) -> None:
    for what in ("drain", "restore"):
        status, problem, _ = await fleet.post(f"/admin/endpoints/node-c/{what}")
        assert status == 404
        assert "node-a, node-b" in problem["detail"]


async def test_a_service_without_a_settings_file_says_so(fleet: Running) -> None:
    status, problem, _ = await fleet.post("/admin/reload")
    assert status == 409
    assert "not started from a settings file" in problem["detail"]
    assert (await fleet.get("/admin/settings"))[1] == {"config_digest": "", "settings": {}}


async def test_a_reload_of_a_plugin_that_cannot_be_made_is_the_settings_fault(
    fleet: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def reload(*_: object) -> None:
        raise PluginUnusable("[plugins.piggy]", "the plugin cannot be made of it: ValueError", "put its table right")

    monkeypatch.setattr(fleet.service, "reload", reload)
    status, problem, _ = await fleet.post("/admin/reload")
    assert status == 422
    assert problem["detail"].startswith("nothing was applied: [plugins.piggy]: the plugin cannot be made of it")
