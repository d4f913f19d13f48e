"""The runbook that the product was ordered with: its printed lines work as well, loops over keys in a CSV file included.

Lines that RUNBOOK.md has too run where RUNBOOK.md does; here are the procedures that have others.
"""

import pytest

from ghostfleet.keys.keystore import open_keystore, read_keystore
from ghostfleet.keys.secret import Secret
from tests.acceptance.service_process import READY_SECS
from tests.operations.stage import TREASURY_KEY
from tests.releases.previous_release import PREVIOUS, REPOSITORY, build_release
from tests.runbook.lines import AS_ORDERED, RUNBOOK, procedures
from tests.runbook.stage import ENV_OF_BEFORE, TREASURY_TABLE, Stage

pytestmark = [pytest.mark.anvil, pytest.mark.timeout(900)]
LOOKS = 100


@pytest.fixture(autouse=True)
def running(stage: Stage) -> None:
    stage.running()
    stage.variables |= {"FUNDER_KEY": TREASURY_KEY, "RPC": stage.chain, "GHOST_CORE": ghost_core(stage)}


def ghost_core(stage: Stage) -> str:
    return str(stage.get("/admin/settings")["settings"]["plugins"]["ghostnet"]["ghost_core"])


def key_of(stage: Stage, wallet: str) -> str:
    config = stage.settings.parent
    password = Secret((config / "keystore-password").read_bytes().strip())
    return "0x" + open_keystore(read_keystore(config / "keystores" / f"{wallet}.json"), password).reveal().hex()


def test_wallet_balance_check(stage: Stage) -> None:
    rows = "".join(f"{address},\n" for address in stage.wallets().values())
    (stage.folder / "wallets.csv").write_text("address,key\n" + rows)
    with stage.procedure("Wallet Balance Check", AS_ORDERED) as step:
        told = step("for addr").out
    assert len([line for line in told.splitlines() if line.endswith(" wei")]) == len(stage.wallets())


def test_ir_001_service_not_responding(stage: Stage) -> None:
    (stage.folder / "config.toml").write_text(stage.settings.read_text())
    (stage.folder / "config.toml").chmod(0o600)
    with stage.procedure("IR-001", AS_ORDERED) as step:
        step.through("ghost-fleet --config config.toml validate")


def test_mp_001_add_new_wallets(stage: Stage) -> None:
    with stage.procedure("MP-001", AS_ORDERED) as step:
        step.through("docker restart")
    stage.until_ready()
    new = [at for name, at in stage.wallets().items() if name.startswith("degen-")]
    assert [stage.native(at) for at in new] == [10**16] * 3


def test_mp_003_upgrade_service(stage: Stage) -> None:
    with stage.procedure("MP-003", AS_ORDERED) as step:
        step.through("docker run -d")
        step("curl", within_secs=READY_SECS)
        step.through("docker image prune")
    stage.acted()


def test_ep_002_extract_all_funds(stage: Stage) -> None:
    """Somebody with the keys in a file takes everything out; the service recognises it and goes on."""
    wallet = with_an_open_position(stage)
    (stage.folder / "wallets.csv").write_text(f"address,key\n{stage.wallets()[wallet]},{key_of(stage, wallet)}\n")
    with stage.procedure("EP-002", AS_ORDERED) as step:
        told = step("for wallet").out
    assert told.count("1 (success)") in (1, 2), told  # the claim; and the extraction, unless a lock begins in between
    stage.post("/admin/resume")
    stage.acted()
    assert stage.answers("/health/ready")


def with_an_open_position(stage: Stage) -> str:
    """Pause when one can be extracted: alive and not locked."""
    for _ in range(LOOKS):
        stage.acted()
        stage.post("/admin/pause")
        stage.settled()
        plans = stage.post("/admin/operations/plan", {"kind": "extract", "extract": {"to": "0x" + "00" * 18 + "5afe"}})[
            "plans"
        ]
        for wallet, plan in plans.items():
            if "extract" in str(plan["way_out"]) and "claim" in str(plan["way_out"]) and not plan["remarks"]:
                return str(wallet)
        stage.post("/admin/resume")
    raise AssertionError(f"no position in {LOOKS} looks: {plans}")


def test_ep_003_rollback(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> None:
    release = build_release(REPOSITORY, PREVIOUS, tmp_path_factory.mktemp("previous-release"))
    stage.run_quietly(procedures(RUNBOOK)["MP-003"][0].text)
    stage.image_of_before(list(release.program), ENV_OF_BEFORE)
    newer = stage.settings.read_text()
    stage.settings.with_name("production.toml.bak").write_text(newer.replace(TREASURY_TABLE, ""))
    stage.run_quietly("docker stop ghost-fleet")
    stage.run_quietly("docker rm ghost-fleet")
    with stage.procedure("EP-003", AS_ORDERED) as step:
        step.through("docker run")
    stage.until_ready()
    assert stage.get("/admin/status")["release"] == PREVIOUS
    stage.run_quietly("docker stop ghost-fleet")
    stage.run_quietly("docker rm ghost-fleet")
    stage.settings.write_text(newer)
