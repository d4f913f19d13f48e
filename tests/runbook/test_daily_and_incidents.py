"""The daily operations of RUNBOOK.md, and IR-001 to IR-006: every line as it stands there."""

import pytest

from tests.acceptance.service_process import READY_SECS
from tests.runbook.lines import RUNBOOK, Line, procedures
from tests.runbook.stage import Stage

pytestmark = [pytest.mark.anvil, pytest.mark.timeout(900)]
POOR = "wallet-001"
TOKEN_HEADER = '-H "Authorization: Bearer $GHOST_FLEET_ADMIN_TOKEN"'


@pytest.fixture(autouse=True)
def running(stage: Stage) -> None:
    stage.running()


def test_before_anything_else(stage: Stage) -> None:
    """A lost token is replaced while the service is down; it is asked for from then on, until it is revoked."""
    with stage.procedure("Before anything else") as step:
        step.through("docker exec")
        token = step.left.pop(0)
        stage.run_quietly("docker stop ghost-fleet")
        made = step("ghost-fleet admin token create")
        stage.texts["gf_..."] = made.out.split("token: ")[1].split()[0]
        stage.running_again()
        assert stage.run(token).code == 0
        pause = procedures(RUNBOOK)["EP-001"][0].text
        assert '"status":401' in stage.run(Line(pause)).out
        assert '"status":"paused"' in stage.run(Line(pause.replace("curl", f"curl {TOKEN_HEADER}"))).out
        step("systemd-run")
        stage.quiet()
        step("ghost-fleet doctor")
    stage.run_quietly("ghost-fleet admin token revoke stand-in")
    del stage.variables["GHOST_FLEET_ADMIN_TOKEN"]


@pytest.mark.parametrize("procedure", ["IR-001", "EP-001"])
def test_where_every_second_counts_the_header_stands_right_there(procedure: str) -> None:
    """The example for a live fleet asks for a token on this machine too."""
    section = RUNBOOK.read_text().split(f"### {procedure}")[1]
    assert section.index(f"`{TOKEN_HEADER}`") < section.index("```")


def test_health_check(stage: Stage) -> None:
    stage.acted()
    stage.quiet()
    with stage.procedure("Health check") as step:
        step.through("ghost-fleet doctor")


def test_log_review(stage: Stage) -> None:
    stage.trip(POOR)
    with stage.procedure("Log review") as step:
        for follower in ("docker logs", "journalctl"):
            assert POOR in step(follower).out
        step("ghost-fleet errors")
    stage.refill(POOR)


def test_wallet_balance_check(stage: Stage) -> None:
    stage.rpc("anvil_setBalance", stage.wallets()[POOR], hex(1000))
    with stage.procedure("Wallet balance check") as step:
        step("ghost-fleet wallets balances")
        low = step("ghost-fleet wallets balances --below").out
        assert POOR in low
        assert "wallet-002" not in low
    stage.refill(POOR)


def test_ir_001_service_not_responding(stage: Stage) -> None:
    """Killed: the doctor says so while it is down, and a restart is all it takes."""
    stage.run_quietly("docker kill ghost-fleet")
    with stage.procedure("IR-001") as step:
        ill = step("ghost-fleet doctor", code=1)
        assert "red" in ill.out
        step("docker ps", code=1)
        step("docker logs")
        step("systemctl status", code=3)
        step.through("df")
        step("docker restart")
        stage.until_ready()
        step("systemctl restart")
        stage.until_ready()
        step.through("ghost-fleet audit verify")
        step("ghost-fleet status")
        step("ghost-fleet explain")
        step("ghost-fleet health --ready", within_secs=READY_SECS)
    stage.acted()


def test_ir_002_high_error_rate(stage: Stage) -> None:
    stage.trip(POOR)
    with stage.procedure("IR-002") as step:
        assert POOR in step("ghost-fleet errors").out
        assert "class=insufficient_funds" in step("docker logs").out
        step.through("cast")
        stage.post("/admin/pause", {"reason": "as if by itself"})
        assert "as if by itself" in step("ghost-fleet status").out
        stage.refill(POOR)
        step.through("ghost-fleet errors --since 2m")


def test_ir_003_circuit_breaker_tripped(stage: Stage) -> None:
    stage.trip(POOR)
    with stage.procedure("IR-003") as step:
        assert POOR in step("docker logs").out
        step("curl -s")
        step("ghost-fleet explain")
        stage.refill(POOR)
        step.through("ghost-fleet reset --all")
        assert "breaker" not in step("ghost-fleet explain").out
    assert stage.get("/admin/status?state=tripped")["wallets"] == []


def test_ir_004_rpc_rate_limited(stage: Stage) -> None:
    with stage.procedure("IR-004") as step:
        step("ghost-fleet throttle")
        assert stage.get("/admin/status")["throttle"]["factor"] == 0.25
        step("ghost-fleet endpoints list")
        step("curl")
        step("ghost-fleet endpoints drain")
        assert [it["drained"] for it in stage.get("/admin/endpoints")["endpoints"]] == [False, True]
        step("ghost-fleet pause")
        step.through("ghost-fleet resume")
    assert stage.get("/admin/status")["throttle"] is None
    stage.acted()


def test_ir_005_what_did_it_do(stage: Stage) -> None:
    stage.texts["0xHASH"] = stage.acted()
    with stage.procedure("IR-005") as step:
        assert "mined" in step("ghost-fleet explain").out
        step.through("ghost-fleet audit events")
        step("ghost-fleet audit verify", within_secs=READY_SECS)
        step("ghost-fleet audit checkpoints")
        step("ghost-fleet audit verify --checkpoint")
        step("ghost-fleet audit events --type HeadNotSigned")


def test_ir_006_the_log_does_not_take_events(stage: Stage) -> None:
    """That it waits for the disk and goes on by itself: tests/acceptance/test_the_disk_is_full.py."""
    with stage.procedure("IR-006") as step:
        step.through("ghost-fleet doctor")
        step("docker image prune")
