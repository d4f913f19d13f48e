"""EP-001 to EP-003 of RUNBOOK.md and its appendix: every line as it stands there."""

from collections.abc import Iterator

import pytest

from tests.operations.stage import SAFE
from tests.releases.previous_release import PREVIOUS, REPOSITORY, build_release
from tests.runbook.lines import RUNBOOK, procedures
from tests.runbook.stage import ENV_OF_BEFORE, READY_SECS, TREASURY_TABLE, Stage

pytestmark = [pytest.mark.anvil, pytest.mark.timeout(900)]


@pytest.fixture(autouse=True)
def running(stage: Stage) -> None:
    stage.running()


@pytest.fixture(scope="module")
def image_of_before(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What stands for the image of the release before."""
    return list(build_release(REPOSITORY, PREVIOUS, tmp_path_factory.mktemp("previous-release")).program)


@pytest.fixture
def previous(stage: Stage, image_of_before: list[str]) -> Iterator[list[str]]:
    """That image; its container does not outlive the test, whichever way it ends."""
    yield image_of_before
    if stage.get("/admin/status")["release"] == PREVIOUS:
        stage.run_quietly("docker stop ghost-fleet && docker rm ghost-fleet")


def test_ep_001_emergency_stop(stage: Stage) -> None:
    """After each way to end it, it is started again, as a supervisor does: it is paused."""
    stage.acted()
    with stage.procedure("EP-001") as step:
        step.through("ghost-fleet pause --cancel-open")
        for end in ("ghost-fleet stop", "docker stop", "docker kill"):
            step(end)
            assert not stage.answers("/health")
            stage.running_again()
        signed = len(stage.events("TransactionSigned"))
        assert "paused: true" in step("ghost-fleet status").out
        assert len(stage.events("TransactionSigned")) == signed
        step("ghost-fleet resume")
        step("ghost-fleet stop")
        step("docker stop")
        stage.running_again()
        step("systemctl stop")
        assert not stage.answers("/health")
        step("docker stop")
        before = stage.settings.read_text()
        stage.settings.write_text(before.replace("global_pause = false", "global_pause = true"))
        stage.running_again()
        assert stage.get("/admin/status")["pause"]["actor"] == "config"
        stage.settings.write_text(before)
        step("ghost-fleet reload")
    stage.acted()


def test_ep_002_extract_all_funds(stage: Stage) -> None:
    stage.acted()
    with stage.procedure("EP-002") as step:
        step("curl")
        step("ghost-fleet extract-all")
        assert stage.native(SAFE) == 0
        step("ghost-fleet extract-all", answer="y")
        step.through("ghost-fleet wallets balances")
    assert stage.native(SAFE) > 0
    assert {stage.native(at) for at in stage.wallets().values()} == {0}


def test_ep_003_rollback(stage: Stage, previous: list[str]) -> None:
    """The settings before, and release 0.1.0 itself, on the same log; then this release takes over again."""
    stage.run_quietly(procedures(RUNBOOK)["MP-003"][0].text)
    stage.image_of_before(previous, ENV_OF_BEFORE)
    newer = stage.settings.read_text()
    bak = stage.settings.with_name("production.toml.bak")
    bak.write_text(newer.replace(TREASURY_TABLE, ""))
    bak.chmod(0o600)
    with stage.procedure("EP-003") as step:
        step.through("docker run -d")
        step("curl", within_secs=READY_SECS)
        stage.until_ready()
        assert stage.get("/admin/status")["release"] == PREVIOUS
        stage.run_quietly("docker stop ghost-fleet")
        stage.run_quietly("docker rm ghost-fleet")
        stage.settings.write_text(newer)
        stage.running()
        bak.write_text(newer.replace("cooldown_secs = 3600.0", "cooldown_secs = 1800.0"))
        step.through("ghost-fleet reload")
    assert stage.get("/admin/settings")["settings"]["safety"]["cooldown_secs"] == 1800
    stage.run_quietly("ghost-fleet audit verify")


def test_appendix_common_commands(stage: Stage) -> None:
    stage.acted()
    with stage.procedure("Appendix") as step:
        assert "mined" in step("docker logs -f").out
        step.through("ghost-fleet checkin")
