"""MP-001 to MP-005 of RUNBOOK.md: every line as it stands there."""

import tomllib

import pytest

from tests.runbook.stage import READY_SECS, Stage

pytestmark = [pytest.mark.anvil, pytest.mark.timeout(900)]


@pytest.fixture(autouse=True)
def running(stage: Stage) -> None:
    stage.running()


def test_mp_001_add_new_wallets(stage: Stage) -> None:
    """Paid before they are known, and acting without a restart."""
    started = len(stage.events("ServiceStarted"))
    with stage.procedure("MP-001") as step:
        step("./scripts/generate-wallets.sh")
        step("ghost-fleet fund")
        step("ghost-fleet fund", answer="y")
        step("cat")
        step("ghost-fleet config diff", code=1)
        step("ghost-fleet reload")
        new = [name for name in stage.wallets() if name.startswith("degen-")]
        assert len(new) == 3
        started_at = len(stage.events("OperationFinished"))
        step("docker exec")
        step("docker exec", answer="y")
        step.through("docker exec ghost-fleet ghost-fleet reload")
        assert len([name for name in stage.wallets() if name.startswith("degen-")]) == 6
        assert len(stage.events("OperationFinished")) == started_at + 1
        told = step("ghost-fleet status").out
        assert [name for name in new if name not in told] == []
        step("ghost-fleet wallets balances")
    operation = stage.events("OperationFinished")[-1]["data"]["operation_id"]
    moved = stage.get(f"/admin/operations/{operation}")["summary"]["moved"]
    assert {asset: int(it["received"]) // 10**15 for asset, it in moved.items()} == {
        "native": 3 * 50,
        "DATA": 3 * 10**5,
    }
    assert len(stage.events("ServiceStarted")) == started


def test_mp_002_update_configuration(stage: Stage) -> None:
    before = stage.settings.read_text()
    new = stage.folder / "new-config.toml"
    new.write_text(before.replace("cooldown_secs = 3600.0", "cooldown_secs = 1800.0"))
    new.chmod(0o600)
    with stage.procedure("MP-002") as step:
        step("ghost-fleet --config new-config.toml validate")
        step("ghost-fleet config diff", code=1)
        step.through("ghost-fleet reload")
        assert stage.get("/admin/settings")["settings"]["safety"]["cooldown_secs"] == 1800
        step.through("docker restart")
        step("curl", within_secs=READY_SECS)
        step("ghost-fleet audit events")
    assert stage.settings.with_name("production.toml.bak").read_text() == before


def test_mp_003_upgrade_service(stage: Stage) -> None:
    stage.acted()
    with stage.procedure("MP-003") as step:
        step.through("docker run -d")
        step("curl", within_secs=READY_SECS)
        step("ghost-fleet health --ready", within_secs=READY_SECS)
        stage.quiet()
        step.through("docker image prune")
    stage.run_quietly("docker run --rm ghost-fleet:previous --help")
    stage.post("/admin/resume")
    stage.acted()


def test_mp_004_rotate_wallets(stage: Stage) -> None:
    """The oldest four, two at a time, are empty, retired and without keys; the new ones act."""
    old = tomllib.loads(stage.settings.read_text())["wallets"][:4]
    with stage.procedure("MP-004") as step:
        step("ghost-fleet rotate")
        step("ghost-fleet rotate", answer="y")
        step("docker exec", answer="y")
    assert (stage.settings.parent / "rotation-001" / "rotation.done").exists()
    assert stage.settings.with_name("config.toml").is_symlink()
    assert [name for name in (it["keyfile"] for it in old) if (stage.folder / name).exists()] == []
    assert {stage.native(it["address"]) for it in old} == {0}
    states = {it["id"]: it["state"] for it in stage.get("/admin/status")["wallets"]}
    assert {states[it["id"]] for it in old} == {"retired"}
    stage.acted()


def test_mp_005_back_up_the_log(stage: Stage) -> None:
    stage.acted()
    with stage.procedure("MP-005") as step:
        step("ghost-fleet db backup")
        step("ghost-fleet audit events --type BackupFailed")
        step("ghost-fleet audit events --type BackupMade")
        stage.acted()
        stage.post("/admin/pause", {"reason": "stolen key?"})
        step("docker stop")
        assert "stolen key?" in step("ghost-fleet db restore").out
        step("docker restart")
        step("ghost-fleet health", within_secs=READY_SECS)
        assert stage.get("/admin/status")["pause"]["actor"] == "restore"
        step("ghost-fleet resume")
    assert len(stage.events("LogRestored")) == 1
    stage.acted()
