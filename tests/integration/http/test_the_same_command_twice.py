"""An Idempotency-Key: one effect, whatever is sent twice, whenever it arrives, and whatever happens in between."""

import asyncio
import json
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from fleet_over_http import (
    OPERATOR,
    TOKENS,
    LogUnavailable,
    Running,
    SmallService,
    admin_settings,
    registered,
    running,
)

from ghostfleet.domain import events as ev
from ghostfleet.domain.operators import MAX_KEYED_COMMANDS
from ghostfleet.engine.ports import AdminCommand


async def recorded(fleet: Running, *kinds: type[ev.Event]) -> list[ev.Recorded]:
    return [each async for each in fleet.log.read() if isinstance(each.event, kinds)]


def key(name: str) -> dict[str, str]:
    return {"Idempotency-Key": name}


async def test_it_has_one_effect_and_the_same_answer(fleet: Running) -> None:
    first = await fleet.post("/admin/pause", json={"reason": "odd"}, headers=key("k1"))
    again = await fleet.post("/admin/pause", json={"reason": "odd"}, headers=key('"k1"'))
    assert first[:2] == again[:2]
    assert first[0] == 200
    assert "idempotency-replayed" not in first[2]
    assert again[2]["idempotency-replayed"] == "true"
    received, paused = await recorded(fleet, ev.AdminCommandReceived, ev.FleetPaused)
    assert (received.event.idempotency_key, received.event.effects) == ("k1", 1)  # type: ignore[attr-defined]
    assert first[1]["position"] == paused.position == received.position + 1
    assert again[1]["request_id"] == received.correlation


async def test_a_repeated_pause_does_not_pause_what_was_resumed_and_says_so(fleet: Running) -> None:
    await fleet.post("/admin/pause", headers=key("k1"))
    await fleet.post("/admin/resume", headers=key("k2"))
    status, answer, _ = await fleet.post("/admin/pause", headers=key("k1"))
    assert (status, answer["status"], answer["paused"]) == (200, "running", False)
    assert fleet.service.state.fleet.paused is None
    assert fleet.service._gate.is_open
    await fleet.post("/admin/pause")
    status, answer, _ = await fleet.post("/admin/resume", headers=key("k2"))
    assert (status, answer["status"], answer["paused"]) == (200, "paused", True)
    assert not fleet.service._gate.is_open


class Desk:
    """Starts an operation for whoever asks, until it is told not to come to that."""

    def __init__(self, service: SmallService) -> None:
        self.service, self.killed, self.started = service, False, 0

    def wish(self, asked: object) -> object:
        return asked

    async def start(self, command: AdminCommand, wish: object) -> SimpleNamespace:
        if self.killed:
            raise LogUnavailable("the process was killed here")
        self.started += 1
        name = f"cancel-{self.started}"
        started = ev.OperationStarted(
            operation_id=name, kind="cancel", wallets=("wallet-001",), params={}, actor="local"
        )
        await self.service.append(ev.NewEvent("fleet", started, command.request_id))
        return SimpleNamespace(operation=name)


async def test_a_repeated_pause_cancels_nothing_that_was_begun_since(log: Any) -> None:
    """It cancelled what a resumed fleet had open, whenever a client that had heard no answer asked once more."""
    desks: list[Desk] = []

    def desk_of(service: SmallService) -> Desk:
        desks.append(Desk(service))
        return desks[0]

    async with running(log, desk_of=desk_of) as fleet:
        [desk] = desks
        ask = partial(fleet.post, "/admin/pause", json={"cancel_open": True})
        assert (await ask(headers=key("k1")))[1]["operation"] == "cancel-1"
        for before in ("/admin/checkin", "/admin/resume"):
            await fleet.post(before)
            assert (await ask(headers=key("k1")))[1]["operation"] == "cancel-1"
            assert desk.started == 1
        assert (await ask(headers=key("k2")))[1]["operation"] == "cancel-2", "another command"
        await fleet.post("/admin/resume")
        desk.killed = True
        assert (await ask(headers=key("k3")))[0] == 503
        desk.killed = False
        assert (await ask(headers=key("k3")))[1]["operation"] == "cancel-3", "the first did not come to that"
        assert (await ask(headers=key("k3")))[1]["operation"] == "cancel-3"
        await fleet.post("/admin/resume")
        desk.killed = True
        assert (await ask(headers=key("k4")))[0] == 503
        desk.killed = False
        await fleet.post("/admin/resume")
        assert (await ask(headers=key("k4")))[1]["operation"] == "", "resumed since: other transactions are open now"
        assert desk.started == 3


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/admin/resume", b""),
        ("/admin/pause", b'{"reason": "b"}'),
        ("/admin/pause", b""),
        ("/admin/reset/wallet-001", b""),
    ],
)
async def test_with_another_command_it_is_refused_and_changes_nothing(fleet: Running, path: str, body: bytes) -> None:
    await fleet.post("/admin/pause", data=b'{"reason": "a"}', headers=key("k"))
    before = fleet.service.state.position
    status, problem, _ = await fleet.post(path, data=body, headers=key("k"))
    assert status == 422
    assert "came with another command" in problem["detail"]
    assert fleet.service.state.position == before + 1, "the refusal alone is recorded"


async def test_a_pause_with_a_key_of_something_else_leaves_the_gate_as_it_was(fleet: Running) -> None:
    await fleet.post("/admin/reset/wallet-001", headers=key("k"))
    assert (await fleet.post("/admin/pause", headers=key("k")))[0] == 422
    assert fleet.service._gate.is_open


async def test_it_outlives_a_restart(log: Any) -> None:
    async with running(log) as fleet:
        await fleet.service.append(registered("wallet-001"))
        first = (await fleet.post("/admin/reset/wallet-001", headers=key("k")))[1]
    async with running(log) as fleet:
        status, again, headers = await fleet.post("/admin/reset/wallet-001", headers=key("k"))
        assert (status, again, headers["idempotency-replayed"]) == (200, first, "true")
        assert len(await recorded(fleet, ev.BreakerReset)) == 1


async def test_two_actors_may_have_the_same_key(log: Any) -> None:
    async with running(log, admin_settings(tokens=TOKENS)) as fleet:
        ada = {"Authorization": f"Bearer {OPERATOR}"}
        bob = (await fleet.post("/admin/tokens", json={"name": "bob", "role": "operator"}, headers=ada))[1]["token"]
        for headers in (ada, {"Authorization": f"Bearer {bob}"}):
            _, _, told = await fleet.post("/admin/checkin", headers={**headers, **key("k")})
            assert "idempotency-replayed" not in told
        assert len(await recorded(fleet, ev.OperatorCheckedIn)) == 2


async def test_of_those_that_race_one_has_the_effect_and_all_have_its_answer(fleet: Running) -> None:
    asked = [fleet.post("/admin/reset/wallet-001", headers=key("k")) for _ in range(40)]
    answers = await asyncio.gather(*asked)
    assert {status for status, _, _ in answers} == {200}
    assert len({answer["position"] for _, answer, _ in answers}) == 1
    assert sum("idempotency-replayed" not in headers for _, _, headers in answers) == 1
    assert len(await recorded(fleet, ev.BreakerReset)) == 1


async def test_of_different_commands_that_race_for_a_key_one_wins_and_the_others_are_refused(fleet: Running) -> None:
    asked = [fleet.post(f"/admin/reset/wallet-00{n % 2 + 1}", headers=key("k")) for n in range(20)]
    statuses = sorted(status for status, _, _ in await asyncio.gather(*asked))
    assert statuses == [200] * 10 + [422] * 10
    assert len(await recorded(fleet, ev.BreakerReset)) == 1


async def test_nothing_is_told_as_done_that_the_log_did_not_take(fleet: Running) -> None:
    fleet.service.failing = True
    asked = [fleet.post("/admin/reset/wallet-001", headers=key("k")) for _ in range(8)]
    assert {status for status, _, _ in await asyncio.gather(*asked)} == {503}
    fleet.service.failing = False
    status, _, headers = await fleet.post("/admin/reset/wallet-001", headers=key("k"))
    assert (status, "idempotency-replayed" in headers) == (200, False)
    assert len(await recorded(fleet, ev.BreakerReset)) == 1


async def test_a_command_that_was_refused_may_be_asked_again_under_its_key(fleet: Running) -> None:
    assert (await fleet.post("/admin/reset/wallet-009", headers=key("k")))[0] == 404
    await fleet.service.append(registered("wallet-009", 9))
    assert (await fleet.post("/admin/reset/wallet-009", headers=key("k")))[0] == 200


@pytest.mark.parametrize("bad", ["", " ", "a b", '"a', 'a"', '""', "x" * 129, "käse", "a,b", '"a";p=1', "a\tb"])
async def test_a_key_that_is_none_is_refused(fleet: Running, bad: str) -> None:
    assert (await fleet.post("/admin/pause", headers=key(bad)))[0] == 400
    assert fleet.service.state.fleet.paused is None


async def test_two_keys_are_none(fleet: Running) -> None:
    answered = await fleet.raw(
        b"POST /admin/pause HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        b"Idempotency-Key: a\r\nIdempotency-Key: a\r\n\r\n"
    )
    assert answered.startswith(b"HTTP/1.1 400 ")


async def test_the_newest_thousand_are_remembered_and_the_state_stays_small(fleet: Running) -> None:
    await fleet.post("/admin/checkin", headers=key("first"))
    more = [
        ev.AdminCommandReceived(
            command="checkin", actor="local", remote="", request_id="", idempotency_key=f"k{n}", fingerprint="f"
        )
        for n in range(MAX_KEYED_COMMANDS - 1)
    ]
    await fleet.service.append(*(ev.NewEvent(ev.FLEET_STREAM, it) for it in more))
    assert (await fleet.post("/admin/checkin", headers=key("first")))[2]["idempotency-replayed"] == "true"
    await fleet.post("/admin/checkin", headers=key("one more"[:3]))
    assert len(fleet.service.state.fleet.operators.keyed) == MAX_KEYED_COMMANDS
    assert "idempotency-replayed" not in (await fleet.post("/admin/checkin", headers=key("first")))[2]


BODIES = {"/admin/tokens": b'{"name": "bob"}', "/admin/throttle": b'{"factor": 0.5}'}
ELSEWHERE = {"/admin/operations", "/admin/operations/plan", "/admin/operations/{operation}/abandon", "/admin/reload"}
"""They need a chain or a settings file; tests of their own ask them."""
IN_PATHS = {"{wallet}": "wallet-001", "{name}": "bob", "{endpoint}": "node-b"}


async def test_every_command_has_one_effect_under_one_key(fleet: Running) -> None:
    paths = [path for path, methods in (await fleet.get("/openapi.json"))[1]["paths"].items() if "post" in methods]
    ada = (await fleet.post("/admin/tokens", json={"name": "ada", "role": "operator"}))[1]["token"]
    head = fleet.log.head
    backup = {"file": "a.gz", "position": head.position, "head_hash": str(head.hash), "size_bytes": 1}
    bodies = BODIES | {"/admin/backups": json.dumps(backup).encode()}
    asked = 0
    for path in sorted(paths):
        if path in ELSEWHERE:
            continue
        target = path
        for name, value in IN_PATHS.items():
            target = target.replace(name, value)
        headers = {**key(path.replace("{", "").replace("}", "")), "Authorization": f"Bearer {ada}"}
        body = bodies.get(path, b"")
        (status, first, _), second = [await fleet.post(target, data=body, headers=headers) for _ in range(2)]
        assert status == 200, (path, first)
        assert (second[0], second[2].get("idempotency-replayed")) == (200, "true"), path
        assert second[1]["position"] == first["position"], path
        asked += 1
    assert asked >= 10
