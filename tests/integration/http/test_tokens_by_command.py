"""Tokens by command: valid and ended at once, told once, kept as a hash, never with more rights than who asked for them."""

import logging
from collections.abc import AsyncIterator
from hashlib import sha256
from typing import Any

import pytest
from fleet_over_http import OPERATOR, START_US, TOKENS, VIEWER, Running, SteppedClock, admin_settings, running

from ghostfleet.domain import events as ev
from ghostfleet.domain.operators import MAX_TOKENS
from ghostfleet.http.lockout import FIRST_LOCKOUT_US, MAX_FAILURES
from tests.hostile.canaries import Canaries

HOUR_US = 3_600_000_000


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def made(fleet: Running, name: str, *, by: str | None = None, **wanted: Any) -> str:
    """A new token, asked for with the token `by`."""
    headers = bearer(by) if by is not None else {}
    status, answer, _ = await fleet.post("/admin/tokens", json={"name": name, **wanted}, headers=headers)
    assert status == 200, answer
    return str(answer["token"])


async def recorded(fleet: Running, *kinds: type[ev.Event]) -> list[Any]:
    return [each.event async for each in fleet.log.read() if isinstance(each.event, kinds)]


@pytest.fixture
async def guarded(log: Any) -> AsyncIterator[Running]:
    """With tokens in the settings."""
    async with running(log, admin_settings(tokens=TOKENS)) as fleet:
        yield fleet


async def test_a_token_works_at_once_in_its_role_and_name(fleet: Running) -> None:
    operator = await made(fleet, "ada", role="operator", reason="the night shift")
    viewer = await made(fleet, "vic", by=operator)
    status, answer, _ = await fleet.post("/admin/pause", headers=bearer(operator))
    assert (status, answer["actor"]) == (200, "ada")
    assert (await fleet.get("/admin/status", headers=bearer(viewer)))[0] == 200
    assert (await fleet.post("/admin/pause", headers=bearer(viewer)))[0] == 403
    commands = [(it.command, it.actor, it.target, it.reason) for it in await recorded(fleet, ev.AdminCommandReceived)]
    assert commands[:2] == [("create_token", "local", "ada", "the night shift"), ("create_token", "ada", "vic", "")]


async def test_the_first_token_closes_the_loopback_and_revoking_the_last_one_opens_it(fleet: Running) -> None:
    assert (await fleet.get("/admin/status"))[0] == 200
    token = await made(fleet, "ada", role="operator")
    assert (await fleet.get("/admin/status"))[0] == 401
    assert (await fleet.post("/admin/tokens/ada/revoke", headers=bearer(token)))[0] == 200
    assert (await fleet.get("/admin/status", headers=bearer(token)))[0] == 401
    assert (await fleet.get("/admin/status"))[0] == 200


async def test_a_revoked_token_is_refused_in_the_very_next_request(fleet: Running) -> None:
    ada = await made(fleet, "ada", role="operator")
    bob = await made(fleet, "bob", role="operator", by=ada)
    assert (await fleet.post("/admin/pause", headers=bearer(bob)))[0] == 200
    assert (await fleet.post("/admin/tokens/bob/revoke", headers=bearer(ada)))[0] == 200
    assert (await fleet.post("/admin/resume", headers=bearer(bob)))[0] == 401
    assert fleet.service.state.fleet.paused is not None


async def test_it_is_256_random_bits_told_once_and_kept_as_a_hash(fleet: Running) -> None:
    first, second = await made(fleet, "ada", role="operator"), None
    second = await made(fleet, "bob", by=first)
    assert first != second
    assert first.startswith("gf_")
    assert len(first) == 46
    hashes = [bytes(it.sha256) for it in await recorded(fleet, ev.AdminTokenCreated)]
    assert hashes == [sha256(it.encode()).digest() for it in (first, second)]


async def test_tokens_outlive_a_restart(log: Any) -> None:
    async with running(log) as fleet:
        ada = await made(fleet, "ada", role="operator")
        bob = await made(fleet, "bob", role="operator", by=ada)
        await fleet.post("/admin/tokens/bob/revoke", headers=bearer(ada))
    async with running(log) as fleet:
        assert (await fleet.get("/admin/status"))[0] == 401
        assert (await fleet.get("/admin/status", headers=bearer(ada)))[0] == 200
        assert (await fleet.get("/admin/status", headers=bearer(bob)))[0] == 401


async def test_a_token_ends_with_its_time_and_the_loopback_stays_closed(log: Any) -> None:
    clock = SteppedClock()
    async with running(log, clock=clock) as fleet:
        token = await made(fleet, "ada", role="operator", expires="1h")
        assert (await fleet.get("/admin/status", headers=bearer(token)))[0] == 200
        clock.us = START_US + 2 * HOUR_US
        status, problem, _ = await fleet.post("/admin/pause", headers=bearer(token))
        assert status == 401
        assert "the token ada has expired" in problem["detail"]
        refused = (await recorded(fleet, ev.AdminCommandRefused))[-1]
        assert (refused.actor, refused.command) == ("ada", "pause")
        assert (await fleet.get("/admin/status"))[0] == 401, "an end of its time must not open what it had closed"


@pytest.mark.parametrize(
    ("role", "expires", "status"),
    [
        ("operator", "30m", 200),
        ("viewer", "1h", 200),
        ("viewer", None, 403),
        ("operator", "2h", 403),
        ("viewer", "9w", 403),
    ],
)
async def test_nobody_makes_a_token_that_is_valid_for_longer_than_his_own(
    fleet: Running, role: str, expires: str | None, status: int
) -> None:
    fleet.service._clock.now_us = lambda: START_US  # type: ignore[method-assign]
    own = await made(fleet, "ada", role="operator", expires="1h")
    wanted = {"name": "bob", "role": role, "expires": expires}
    assert (await fleet.post("/admin/tokens", json=wanted, headers=bearer(own)))[0] == status


async def test_a_viewer_makes_and_ends_none(guarded: Running) -> None:
    token = await made(guarded, "bob", by=OPERATOR)
    assert (await guarded.post("/admin/tokens", json={"name": "eve"}, headers=bearer(VIEWER)))[0] == 403
    assert (await guarded.post("/admin/tokens/bob/revoke", headers=bearer(VIEWER)))[0] == 403
    assert (await guarded.get("/admin/status", headers=bearer(token)))[0] == 200


async def test_all_are_listed_with_where_they_come_from_and_not_what_they_are(guarded: Running) -> None:
    token = await made(guarded, "bob", by=OPERATOR, expires="30d")
    status, answer, _ = await guarded.get("/admin/tokens", headers=bearer(VIEWER))
    assert status == 200
    assert [(it["name"], it["role"], it["source"], it["expired"]) for it in answer["tokens"]] == [
        ("ada", "operator", "settings", False), ("vic", "viewer", "settings", False), ("bob", "viewer", "log", False)
    ]  # fmt: skip
    assert answer["tokens"][2]["created_by"] == "ada"
    text = str(answer)
    assert token not in text
    assert sha256(token.encode()).hexdigest() not in text


@pytest.mark.parametrize(
    ("wanted", "status"),
    [
        ({}, 422), ({"name": "bob", "role": "root"}, 422), ({"name": "bob", "expires": "soon"}, 422), ({"name": "-"}, 422),
        ({"name": "local"}, 422), ({"name": "deadman"}, 422), ({"name": "bob", "token": "mine"}, 422), ({"name": 7}, 422),
        ({"name": "bob", "expires": "2020-01-01T00:00:00Z"}, 409), ({"name": "bob", "expires": "0s"}, 409),
        ({"name": "ada"}, 409), ({"name": "bob", "reason": "x" * 501}, 422), ({"name": "x" * 65}, 422),
    ],
)  # fmt: skip
async def test_what_no_token_can_be_is_refused_and_recorded(
    guarded: Running, wanted: dict[str, Any], status: int
) -> None:
    assert (await guarded.post("/admin/tokens", json=wanted, headers=bearer(OPERATOR)))[0] == status
    assert await recorded(guarded, ev.AdminTokenCreated) == []
    assert (await recorded(guarded, ev.AdminCommandRefused))[-1].command == "create_token"


async def test_a_name_is_given_once_until_it_is_revoked(guarded: Running) -> None:
    old = await made(guarded, "bob", by=OPERATOR)
    assert (await guarded.post("/admin/tokens", json={"name": "bob"}, headers=bearer(OPERATOR)))[0] == 409
    assert (await guarded.get("/admin/status", headers=bearer(old)))[0] == 200
    for name, status in (("bob", 200), ("bob", 409), ("nobody", 409), ("ada", 409)):
        assert (await guarded.post(f"/admin/tokens/{name}/revoke", headers=bearer(OPERATOR)))[0] == status
    assert await made(guarded, "bob", by=OPERATOR) != old


async def test_there_are_only_so_many(guarded: Running) -> None:
    digest = ev.Hash(bytes(32))
    many = [ev.AdminTokenCreated(name=f"t{n}", role="viewer", sha256=digest, actor="ada") for n in range(MAX_TOKENS)]
    await guarded.service.append(*(ev.NewEvent(ev.FLEET_STREAM, it) for it in many))
    status, problem, _ = await guarded.post("/admin/tokens", json={"name": "bob"}, headers=bearer(OPERATOR))
    assert (status, str(MAX_TOKENS) in problem["detail"]) == (409, True)


async def test_a_repeated_request_makes_one_token_and_tells_it_once(guarded: Running) -> None:
    headers = {**bearer(OPERATOR), "Idempotency-Key": "for-bob"}
    answers = [await guarded.post("/admin/tokens", json={"name": "bob"}, headers=headers) for _ in range(2)]
    assert [status for status, _, _ in answers] == [200, 200]
    assert answers[0][1]["token"].startswith("gf_")
    assert answers[1][1]["token"] is None
    assert len(await recorded(guarded, ev.AdminTokenCreated)) == 1


async def test_no_token_is_heard_anywhere_but_in_the_one_answer(
    guarded: Running, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        token = await made(guarded, "bob", role="operator", by=OPERATOR)
        wrong = "gf_wrong-one-planted-here"
        heard: list[bytes] = []
        for credential in (token, OPERATOR, wrong):
            for method, path in (
                ("POST", "/admin/pause"), ("POST", "/admin/tokens"), ("GET", "/admin/tokens"), ("GET", "/"),
                ("GET", "/admin/status"),
                ("POST", f"/admin/tokens/{'x' * 70}/revoke"), ("GET", "/metrics"), ("GET", "/nothing"), ("GET", "/audit/export"),
                ("GET", "/audit/events?limit=1000"), ("GET", "/openapi.json"), ("POST", "/admin/tokens/bob/revoke"),
            ):  # fmt: skip
                status, answer, headers = await guarded.ask(method, path, headers=bearer(credential))
                heard.append(f"{status} {answer} {dict(headers)}".encode())
        heard += [repr(each).encode() async for each in guarded.log.read()]
    heard.append(caplog.text.encode())
    canaries = Canaries({"made": token.encode(), "of settings": OPERATOR.encode(), "wrong": wrong.encode()})
    assert [name for text in heard for name in canaries.heard_in(text)] == []


async def test_too_many_wrong_credentials_lock_their_place_out_for_a_while(log: Any) -> None:
    clock = SteppedClock()
    async with running(log, admin_settings(tokens=TOKENS), clock=clock) as fleet:
        statuses = [
            (await fleet.post("/admin/pause", headers=bearer(f"guess-{n}")))[0] for n in range(MAX_FAILURES + 3)
        ]
        assert statuses == [401] * MAX_FAILURES + [429] * 3
        status, problem, headers = await fleet.post("/admin/pause", headers=bearer(OPERATOR))
        assert status == 429, "right ones from there are not looked at either"
        assert 0 < int(headers["retry-after"]) <= FIRST_LOCKOUT_US // 1_000_000
        assert "guess" not in str(problem)
        assert (await fleet.get("/health"))[0] == 200, "who presents nothing is not locked out"
        assert [(it.remote, it.actor, it.failures) for it in await recorded(fleet, ev.AdminLockedOut)] == [
            ("127.0.0.1", "anonymous", MAX_FAILURES)
        ]
        metrics = (await fleet.get("/metrics"))[1]
        clock.us += FIRST_LOCKOUT_US
        assert (await fleet.post("/admin/pause", headers=bearer(OPERATOR)))[0] == 200
        metrics = (await fleet.get("/metrics", headers=bearer(OPERATOR)))[1]
        assert b"ghost_fleet_admin_lockouts_total 1.0" in metrics


async def test_who_needs_no_credential_is_not_locked_out_by_wrong_ones_of_others_here(fleet: Running) -> None:
    for n in range(MAX_FAILURES + 5):
        await fleet.get("/nothing", headers=bearer(f"guess-{n}"))
    assert (await fleet.get("/admin/status", headers=bearer("guess")))[0] == 429
    assert (await fleet.post("/admin/pause"))[0] == 200


async def test_one_who_comes_with_an_expired_token_again_and_again_locks_out_nobody_else(log: Any) -> None:
    clock = SteppedClock()
    async with running(log, admin_settings(tokens=TOKENS), clock=clock) as fleet:
        old = await made(fleet, "cron", by=OPERATOR, expires="1h")
        clock.us += HOUR_US
        statuses = [(await fleet.get("/metrics", headers=bearer(old)))[0] for _ in range(MAX_FAILURES + 2)]
        assert statuses == [401] * MAX_FAILURES + [429] * 2
        assert [it.actor for it in await recorded(fleet, ev.AdminLockedOut)] == ["cron"]
        assert (await fleet.post("/admin/pause", headers=bearer(OPERATOR)))[0] == 200


async def test_a_token_that_is_revoked_while_a_body_is_on_its_way_commands_nothing(guarded: Running) -> None:
    token = await made(guarded, "bob", role="operator", by=OPERATOR)

    async def slowly() -> AsyncIterator[bytes]:
        yield b'{"reason": '
        assert (await guarded.post("/admin/tokens/bob/revoke", headers=bearer(OPERATOR)))[0] == 200
        yield b'"too late"}'

    assert (await guarded.post("/admin/pause", data=slowly(), headers=bearer(token)))[0] == 401
    assert guarded.service.state.fleet.paused is None
