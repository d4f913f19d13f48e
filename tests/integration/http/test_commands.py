"""Health, readiness, status and commands, over the wire."""

import io
import json
from typing import Any

import pytest
from fleet_over_http import OPERATOR, TOKENS, VIEWER, Running, admin_settings, registered, running

from ghostfleet.domain import events as ev
from ghostfleet.domain.values import WalletId
from ghostfleet.engine.ports import Check
from ghostfleet.http.edge import MAX_BODY_BYTES
from ghostfleet.http.refusals import MAX_REFUSALS_PER_MINUTE


async def recorded(fleet: Running, kind: type[ev.Event]) -> list[ev.Recorded]:
    return [each async for each in fleet.log.read() if isinstance(each.event, kind)]


async def test_health_answers_in_the_words_of_the_runbook(fleet: Running) -> None:
    assert (await fleet.get("/health"))[:2] == (200, {"status": "healthy", "uptime_secs": 12345})


async def test_readiness_names_every_check_and_its_reason(fleet: Running) -> None:
    status, answer, _ = await fleet.get("/health/ready")
    assert (status, answer["status"]) == (200, "ready")
    told = (await fleet.get("/admin/status"))[1]
    assert (told["ready"], told["not_ready"]) == (True, [])
    fleet.service.readiness = [Check("log", False, "the disk is full: make room"), Check("chain", True)]
    status, answer, _ = await fleet.get("/health/ready")
    assert (status, answer["status"]) == (503, "unready")
    assert answer["checks"][0] == {"name": "log", "ok": False, "reason": "the disk is full: make room"}
    assert len(answer["checks"]) == 2
    told = (await fleet.get("/admin/status"))[1]
    assert (told["ready"], told["not_ready"]) == (False, ["log: the disk is full: make room"])


async def test_a_pause_is_recorded_with_who_asked_and_why_and_lasts_until_a_resume(fleet: Running) -> None:
    status, answer, headers = await fleet.post("/admin/pause", json={"reason": "gas looks odd"})
    assert (status, answer["paused"], answer["actor"]) == (200, True, "local")
    received = (await recorded(fleet, ev.AdminCommandReceived))[-1]
    assert received.correlation == answer["request_id"] == headers["x-request-id"]
    assert received.event.remote == "127.0.0.1"
    assert received.event.reason == "gas looks odd"
    assert answer["position"] == fleet.service.state.position
    assert (await fleet.get("/admin/status"))[1]["pause"]["reason"] == "gas looks odd"
    assert (await fleet.post("/admin/pause"))[0] == 200, "asking twice is no mistake"
    assert (await fleet.post("/admin/resume"))[1]["paused"] is False
    assert fleet.service.state.fleet.paused is None


async def test_commands_need_neither_body_nor_content_type(fleet: Running) -> None:
    for body, status in ((b"", b"200"), (b"{}", b"200"), (b'{"reason": ""}', b"200"), (b"  ", b"400")):
        answered = await fleet.raw(
            b"POST /admin/pause HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s"
            % (len(body), body)
        )
        assert answered.startswith(b"HTTP/1.1 %s " % status)
    answered = await fleet.raw(b"POST /admin/resume HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    assert answered.startswith(b"HTTP/1.1 200 ")


async def test_a_reset_closes_the_breaker_of_the_wallet_it_names(fleet: Running) -> None:
    tripped = ev.BreakerTripped(errors=5, until_us=2_000_000_000_000_000)
    await fleet.service.append(ev.NewEvent("wallet/wallet-001", tripped))
    wallets = (await fleet.get("/admin/status?state=tripped"))[1]["wallets"]
    assert [(wallet["id"], wallet["breaker"]["state"]) for wallet in wallets] == [("wallet-001", "tripped")]
    assert (await fleet.post("/admin/reset/wallet-001"))[1]["wallet"] == "wallet-001"
    assert (await fleet.get("/admin/status"))[1]["wallets"][0]["breaker"]["state"] == "closed"


async def test_a_reset_of_all_resets_those_that_need_it_in_one_commit_and_says_which(fleet: Running) -> None:
    stuck = [
        ev.NewEvent("wallet/wallet-001", ev.BreakerTripped(errors=5, until_us=2_000_000_000_000_000)),
        ev.NewEvent("wallet/wallet-002", ev.WalletParked(need_wei=2, balance_wei=1)),
    ]
    await fleet.service.append(registered("wallet-003", 3), registered("wallet-004", 4), *stuck)
    tripped = ev.BreakerTripped(errors=5, until_us=1)
    retired = [ev.NewEvent("wallet/wallet-004", it) for it in (tripped, ev.WalletRetired(reason="disabled"))]
    await fleet.service.append(*retired)
    status, answer, _ = await fleet.post("/admin/reset", json={"reason": "the pool was refilled"})
    assert (status, answer["wallets"]) == (200, ["wallet-001", "wallet-002"])
    received, *resets = (await recorded(fleet, ev.AdminCommandReceived))[-1:] + await recorded(fleet, ev.BreakerReset)
    assert (received.event.command, received.event.target, received.event.reason) == (
        "reset",
        "*",
        "the pool was refilled",
    )
    assert {(each.correlation, each.time_us) for each in resets} == {(answer["request_id"], received.time_us)}
    again = (await fleet.post("/admin/reset"))[1]
    assert again["wallets"] == [], "asking twice is no mistake"


async def test_an_explanation_says_every_reason_and_finds_the_wallet_by_its_address(fleet: Running) -> None:
    parked = ev.NewEvent("wallet/wallet-001", ev.WalletParked(need_wei=2 * 10**15, balance_wei=10**15))
    failed = ev.ErrorRecorded(error_class="reverted", message="PositionLocked()", counts=True)
    tripped = ev.BreakerTripped(errors=5, until_us=2_000_000_000_000_000)
    of_wallet = [ev.NewEvent("wallet/wallet-001", it) for it in (failed, tripped)]
    await fleet.service.append(parked, *of_wallet)
    await fleet.post("/admin/pause", json={"reason": "drill"})
    status, answer, _ = await fleet.get("/admin/explain/wallet-001")
    assert (status, answer["acts"]) == (200, False)
    codes = ["paused", "endpoint_down", "no_funds", "breaker"]
    assert [reason["code"] for reason in answer["reasons"]] == codes
    assert "by local since" in answer["reasons"][0]["sentence"]
    assert "reverted at" in answer["reasons"][3]["sentence"]
    assert (answer["reasons"][3]["until"], answer["reasons"][0]["until"]) == ("2033-05-18T03:33:20.000000Z", None)
    address = fleet.service.state.wallets["wallet-001"].address
    by_address = (await fleet.get(f"/admin/explain/{address}"))[1]
    assert (by_address["wallet"], len(by_address["reasons"])) == ("wallet-001", 4)


async def test_a_key_that_is_being_opened_keeps_its_own_wallet_and_no_other(fleet: Running) -> None:
    fleet.service._keyring.expect([WalletId("wallet-001")])
    fleet.service.readiness = [Check("keys", False, "1 key is still being opened")]
    answers = {name: (await fleet.get(f"/admin/explain/{name}"))[1] for name in ("wallet-001", "wallet-002")}
    codes = {name: [reason["code"] for reason in answer["reasons"]] for name, answer in answers.items()}
    assert codes["wallet-001"][0] == "no_key"
    assert not {"no_key", "unready"} & set(codes["wallet-002"])


async def test_an_unknown_wallet_is_explained_by_the_nearest_known(fleet: Running) -> None:
    status, problem, _ = await fleet.get("/admin/explain/walet-001")
    assert status == 404
    assert "did you mean wallet-001?" in problem["detail"]


BAD_BODIES: list[tuple[bytes, int]] = [
    (b'{"reason": 5}', 422), (b'{"reasons": "x"}', 422), (b"[]", 422), (b"null", 422), (b'"x"', 422), (b"{", 400),
    (b"reason=x", 400), (b"\xff\xfe", 400), (b'{"reason": "\xff"}', 400), (b'{"reason": "\\ud800"}', 400),
    (b"[" * 10_000, 422), (b'{"reason": "' + b"x" * 501 + b'"}', 422), (b" " * (MAX_BODY_BYTES + 1), 413),
]  # fmt: skip


@pytest.mark.parametrize(("body", "status"), BAD_BODIES, ids=range(len(BAD_BODIES)))
async def test_a_body_that_does_not_fit_pauses_nothing_and_is_recorded(
    fleet: Running, body: bytes, status: int
) -> None:
    answered, problem, headers = await fleet.post("/admin/pause", data=body)
    assert (answered, problem["status"], headers["content-type"]) == (status, status, "application/problem+json")
    assert problem["request_id"] == headers["x-request-id"]
    assert fleet.service.state.fleet.paused is None
    refused = (await recorded(fleet, ev.AdminCommandRefused))[-1]
    assert (refused.event.command, refused.event.request_id) == ("pause", problem["request_id"])


def funding_of(wallets: int) -> bytes:
    targets = {f"wallet-{number:05d}": f"0x{number:040x}" for number in range(1, wallets + 1)}
    fund = {"funder": "0x" + "11" * 20, "targets": targets, "native_wei": "1"}
    return json.dumps({"kind": "fund", "fund": fund}).encode()


@pytest.mark.parametrize("path", ["/admin/operations", "/admin/operations/plan"])
async def test_an_operation_may_name_every_wallet_of_a_large_fleet(fleet: Running, path: str) -> None:
    body = funding_of(20_000)
    assert len(body) > 64 * MAX_BODY_BYTES
    status, problem, _ = await fleet.post(path, data=io.BytesIO(body))
    assert (status, problem["detail"]) == (409, "this service has no chain to operate on"), "read, and understood"
    status, problem, _ = await fleet.post(path, data=io.BytesIO(funding_of(40_000)))
    assert (status, problem["detail"]) == (413, "the body is larger than 2097152 bytes")


async def test_an_oversized_body_in_chunks_is_refused_too(fleet: Running) -> None:
    async def endless() -> Any:
        for _ in range(100):
            yield b" " * 1024

    assert (await fleet.post("/admin/pause", data=endless()))[0] == 413


async def test_an_unknown_wallet_is_refused_by_name_and_recorded(fleet: Running) -> None:
    status, problem, _ = await fleet.post("/admin/reset/wallet-999")
    assert status == 404
    assert "wallet-999" in problem["detail"]
    assert "wallet-999" in (await recorded(fleet, ev.AdminCommandRefused))[-1].event.why
    assert (await fleet.post("/admin/reset/%2e%2e%2fetc"))[0] == 404
    assert (await fleet.post("/admin/reset/-x"))[0] == 400


async def test_a_pause_that_cannot_be_recorded_says_that_it_holds_all_the_same(fleet: Running) -> None:
    fleet.service.failing = True
    status, problem, headers = await fleet.post("/admin/pause")
    assert (status, problem["paused"]) == (503, True)
    assert "disk full" in problem["detail"]
    assert "retry-after" in headers
    assert (await fleet.post("/admin/resume"))[0] == 503
    assert (await fleet.post("/admin/reset/nobody"))[0] == 404, "a refusal that cannot be recorded is still a refusal"


async def test_refused_commands_are_recorded_with_who_and_why(log: Any) -> None:
    async with running(log, admin_settings(tokens=TOKENS)) as fleet:
        attempts: list[tuple[dict[str, str], int, str]] = [
            ({}, 401, "anonymous"),
            ({"Authorization": "Bearer guess"}, 401, "anonymous"),
            ({"Authorization": f"Bearer {VIEWER}"}, 403, "vic"),
            ({"Authorization": f"Bearer {OPERATOR}", "Host": "evil.example"}, 403, "anonymous"),
            ({"Authorization": f"Bearer {OPERATOR}", "Origin": "https://evil.example"}, 403, "anonymous"),
            ({"Authorization": f"Bearer {OPERATOR}", "Sec-Fetch-Site": "cross-site"}, 403, "anonymous"),
        ]
        for headers, status, actor in attempts:
            answered, problem, _ = await fleet.post("/admin/pause", headers=headers)
            assert answered == status
            refused = (await recorded(fleet, ev.AdminCommandRefused))[-1]
            assert (refused.event.actor, refused.event.request_id) == (actor, problem["request_id"])
            assert refused.event.why == problem["detail"]
            assert OPERATOR not in str(refused)
            assert "guess" not in str(refused)
        assert fleet.service.state.fleet.paused is None
        allowed = await fleet.post("/admin/pause", headers={"Authorization": f"Bearer {OPERATOR}"})
        assert (allowed[0], allowed[1]["actor"]) == (200, "ada")


async def test_refusals_do_not_fill_the_disk(fleet: Running) -> None:
    fleet.service._clock.now_us = lambda: 1_767_225_600_000_000  # type: ignore[method-assign]
    for _ in range(MAX_REFUSALS_PER_MINUTE + 20):
        assert (await fleet.post("/admin/reset/nobody"))[0] == 404
    assert len(await recorded(fleet, ev.AdminCommandRefused)) == MAX_REFUSALS_PER_MINUTE
    fleet.service._clock.now_us = lambda: 1_767_225_700_000_000  # type: ignore[method-assign]
    await fleet.post("/admin/reset/nobody")
    assert "and 20 refusals before it" in (await recorded(fleet, ev.AdminCommandRefused))[-1].event.why


async def test_roles_hold_for_every_route(log: Any) -> None:
    async with running(log, admin_settings(tokens=TOKENS)) as fleet:
        document = (await fleet.get("/openapi.json"))[1]
        seen = 0
        for path, methods in document["paths"].items():
            for method, described in methods.items():
                needs = described["description"].removeprefix("Needs: ").removesuffix(".")
                url = (
                    path.replace("{wallet}", "wallet-001")
                    .replace("{name}", "nobody")
                    .replace("{hash}", "0x" + "00" * 32)
                )
                for token, role in ((None, "public"), (VIEWER, "viewer"), (OPERATOR, "operator")):
                    headers = {"Authorization": f"Bearer {token}"} if token else {}
                    status = (await fleet.ask(method.upper(), url, headers=headers))[0]
                    ranks = ("public", "viewer", "operator")
                    may = ranks.index(role) >= ranks.index(needs)
                    assert (status in (401, 403)) is not may, (method, path, role, status)
                    seen += 1
        assert seen >= 9 * 3


async def test_a_viewer_does_not_learn_from_a_plan_which_files_there_are(log: Any) -> None:
    """This service has no chain, which is what an operator hears."""
    async with running(log, admin_settings(tokens=TOKENS)) as fleet:
        body = {"kind": "destroy", "destroy": {"keyfiles": {"wallet-001": "/etc/shadow"}}}
        for token, status in ((VIEWER, 403), (OPERATOR, 409)):
            headers = {"Authorization": f"Bearer {token}"}
            assert (await fleet.post("/admin/operations/plan", json=body, headers=headers))[0] == status
