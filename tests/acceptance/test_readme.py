"""The README's block "Run it for real" as it stands there: new wallets, a settings file, a dry run, a fleet that acts.

What a person does between the lines is done here too: the contracts' addresses are put in, the wallets funded. The settings
that differ for a development chain come from the environment, so that the lines themselves stay as they are.
"""

import asyncio
import csv
import os
import re
import sys
from pathlib import Path

import pytest

from ghostfleet.devnet.client import DevnetClient
from ghostfleet.devnet.deploy import TOKEN, Deployment, deploy_with
from ghostfleet.devnet.fund import fund
from ghostfleet.domain import events as ev
from ghostfleet.domain.values import Address
from ghostfleet.keys.addresses import checksummed
from tests.acceptance.service_process import COMMAND_SECS, Fleet, ServiceProcess, listening_port

ROOT = Path(__file__).parents[2]
BLOCK = (ROOT / "README.md").read_text().split("## Run it for real", 1)[1].split("```bash\n", 1)[1].split("```", 1)[0]
LINES = [re.sub(r"\s+#.*$", "", line) for line in BLOCK.splitlines()]
QUICK_KEYSTORES = " --scrypt-n 2"
ZERO = "0x" + "0" * 40
LIVELY = {"ACTION_INTERVAL_SECS": "0.5", "ACTIVITY_LEVEL": "7200", "ACTIVE_HOURS_START": "0", "ACTIVE_HOURS_END": "24"}
pytestmark = [pytest.mark.anvil, pytest.mark.parametrize("anvil", [0.5], indirect=True)]


def environment(chain_url: str, port: int) -> dict[str, str]:
    own = {
        "GHOST_FLEET_RPC_URL": chain_url,
        "GHOST_FLEET__CHAIN__CHAIN_ID": "31337",
        "GHOST_FLEET__CHAIN__CHAIN_TYPE": "standard",
        "GHOST_FLEET__CHAIN__USE_REALTIME": "false",
        "GHOST_FLEET__ADMIN__PORT": str(port),
        "GHOST_FLEET__SAFETY__MAX_ACTIONS_PER_HOUR": "10000",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    } | {f"GHOST_FLEET__PROFILES__GRINDER__{key}": value for key, value in LIVELY.items()}
    return {name: value for name, value in os.environ.items() if not name.startswith("GHOST_FLEET")} | own


async def started(line: str, fleet: Fleet, environ: dict[str, str]) -> ServiceProcess:
    output = fleet.directory / f"output-{fleet.runs}.txt"
    fleet.runs += 1
    with output.open("wb") as file:
        process = await asyncio.create_subprocess_shell(
            f"exec {line}", cwd=fleet.directory, env=environ, stdout=file, stderr=file
        )
    return ServiceProcess(process, f"http://127.0.0.1:{environ['GHOST_FLEET__ADMIN__PORT']}", output)


async def done(line: str, fleet: Fleet, environ: dict[str, str]) -> None:
    service = await started(line, fleet, environ)
    assert await service.ended(COMMAND_SECS) == 0, f"{line}:\n{service.output}"


def put_in(config: Path, deployment: Deployment) -> None:
    """The four addresses, where the example has zeros."""
    text = config.read_text()
    for key in ("ghost_core", "hash_crash", "arcade_core", "data_token"):
        text = text.replace(f'{key} = "{ZERO}"', f'{key} = "{checksummed(getattr(deployment, key))}"')
    assert ZERO not in text
    config.write_text(text)


async def fund_all(chain: DevnetClient, deployment: Deployment, wallets: Path) -> None:
    """The addresses of the first column of wallets.csv."""
    with wallets.open() as file:
        addresses = [Address.from_hex(row["address"]) for row in csv.DictReader(file)]
    shares = [(addresses, 1_000 * TOKEN)]
    await fund(chain, deployment.deployer, deployment.faucet, deployment.data_token, shares, 10**18)


@pytest.mark.timeout(900)
async def test_run_it_for_real_runs_as_it_is_printed(chain: DevnetClient, tmp_path: Path):
    generate, copy, append, validate, dry_run, run = LINES
    fleet = Fleet(tmp_path, chain)
    environ = environment(chain.url, listening_port())
    (tmp_path / "config").symlink_to(ROOT / "config")
    deployment = await deploy_with(chain)

    await done(generate + QUICK_KEYSTORES, fleet, environ)
    await done(copy, fleet, environ)
    put_in(fleet.config, deployment)
    await done(append, fleet, environ)
    await fund_all(chain, deployment, tmp_path / "wallets/wallets.csv")
    await done(validate, fleet, environ)

    for line, shows in ((dry_run, ev.ActionRejected), (run, ev.ActionSucceeded)):
        service = await started(line, fleet, environ)
        try:
            await service.ready()
            await fleet.see(shows, count=len(fleet.wallets))
            assert await service.terminate() == 0
        finally:
            await service.kill()
        if line == dry_run:
            assert await fleet.recorded(ev.TransactionSigned) == []
    assert len(fleet.wallets) == 10
