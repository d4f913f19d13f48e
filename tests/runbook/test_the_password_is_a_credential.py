"""The runbook where the keystores' password is a credential, as deploy/ has it for systemd and for compose: no shell has it."""

import pytest

from tests.operations.stage import SAFE
from tests.runbook.lines import RUNBOOK, Line, procedures
from tests.runbook.stage import ENV_OF_BEFORE, READY_SECS, Stage

pytestmark = [pytest.mark.anvil, pytest.mark.timeout(900)]
IN_A_UNIT = next(it.text for it in procedures(RUNBOOK)["Before anything else"] if it.text.startswith("systemd-run"))


@pytest.fixture(autouse=True, scope="module")
def credential(stage: Stage) -> None:
    """What stands for the unit gets the password, and the settings only say so."""
    text = stage.settings.read_text()
    named = f'password_file = "{stage.password}"'
    assert named in text
    stage.settings.write_text(text.replace(named, 'credential = "keystore-password"'))
    folder = stage.password.parent / "credentials"
    folder.mkdir()
    stage.password.rename(folder / "keystore-password")
    stage.texts["/etc/ghost-fleet/keystore-password.cred"] = str(folder / "keystore-password")
    stage.more_mounts[folder / "keystore-password"] = "/run/secrets/keystore-password"


@pytest.fixture(autouse=True)
def running(stage: Stage, credential: None) -> None:
    stage.running()


def test_what_opens_no_key_works_in_a_shell(stage: Stage) -> None:
    stage.quiet()
    for text, code in (
        ("ghost-fleet validate", 0),
        ("ghost-fleet doctor", 0),
        ("ghost-fleet wallets list", 0),
        ("ghost-fleet config diff", 0),
        ("ghost-fleet validate --deep", 1),
    ):
        ran = stage.run(Line(text))
        assert ran.code == code, str(ran)
    assert "the settings cannot be read" not in stage.run(Line("ghost-fleet doctor")).out


def test_mp_001_wallets_are_added_from_a_shell(stage: Stage) -> None:
    with stage.procedure("MP-001") as step:
        step("./scripts/generate-wallets.sh")
        step("ghost-fleet fund")
        step("ghost-fleet fund", answer="y")
        step("cat")
        step("ghost-fleet config diff", code=1)
        step("ghost-fleet reload")
        assert len([name for name in stage.wallets() if name.startswith("degen-")]) == 3
        step("docker exec")
        assert "password_file" not in (stage.settings.parent / "new-wallets" / "wallets.toml").read_text()
        step("docker exec", answer="y")
        step.through("ghost-fleet wallets balances")
    assert len([name for name in stage.wallets() if name.startswith("degen-")]) == 6


def test_mp_003_an_upgrade_has_the_password_and_the_way_back_is_there(stage: Stage) -> None:
    """`--volumes-from` brings the secret and no variable: where it is looked for says the image; an older one is told."""
    with stage.procedure("MP-003") as step:
        step.through("docker run -d")
        step("curl", within_secs=READY_SECS)
        step("ghost-fleet health --ready", within_secs=READY_SECS)
        stage.quiet()
        step.through("docker image prune")
    stage.post("/admin/resume")
    stage.image_of_before(["ghost-fleet"], ENV_OF_BEFORE)
    stage.run_quietly("cp config/production.toml config/production.toml.bak")
    with stage.procedure("EP-003") as step:
        step.through("docker run -d")
        step("curl", within_secs=READY_SECS)
        stage.until_ready()
        step.through("ghost-fleet reload")
    stage.acted()


@pytest.mark.long
def test_mp_004_wallets_are_rotated_from_a_shell(stage: Stage) -> None:
    with stage.procedure("MP-004") as step:
        step("ghost-fleet rotate")
        step("ghost-fleet rotate", answer="y")
        step("docker exec", answer="y")
    stage.acted()


def test_ep_002_with_the_service_down_the_program_says_how_and_that_works(stage: Stage) -> None:
    stage.acted()
    acting = [it["id"] for it in stage.get("/admin/status")["wallets"] if it["state"] != "retired"]
    extract = f"extract-all --to {SAFE} --wallets {acting[-1]},{acting[-2]} --yes"
    stage.run_quietly("docker stop ghost-fleet")
    refused = stage.run(Line(f"ghost-fleet {extract}"))
    assert (refused.code, "`systemd-run --pipe" in refused.err) == (2, True), str(refused)
    before = stage.native(SAFE)
    ran = stage.run(Line(IN_A_UNIT.replace("validate --deep", extract)))
    assert ran.code == 0, str(ran)
    assert "checked against the chain: it is so" in ran.out
    assert stage.native(SAFE) > before
    stage.run_quietly("docker restart ghost-fleet")
    stage.until_ready()
