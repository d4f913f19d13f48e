"""docs/deploy.md names what deploy/ has, and says of the image and the unit what they say themselves."""

import re
from pathlib import Path

import pytest

from ghostfleet import lifetime, systemd
from ghostfleet.http import server
from tests.deploy.dockerfile import ROOT, environment, of, stages
from tests.deploy.test_unit_file import MOST_EXPOSED, settings

DEPLOY_FILES = [path for path in sorted((ROOT / "deploy").rglob("*")) if path.is_file()]
DOCUMENT = (ROOT / "docs" / "deploy.md").read_text()
FINAL = stages()[-1]
UNIT = settings()


@pytest.mark.parametrize("file", DEPLOY_FILES, ids=lambda path: path.name)
def test_every_file_of_deploy_is_named(file: Path) -> None:
    names = {str(place.relative_to(ROOT)) for place in (file, *file.parents) if place.is_relative_to(ROOT / "deploy")}
    named = {name.rstrip("/") for name in re.findall(r"`(deploy/[\w./-]+)`", DOCUMENT)}
    assert names & named, f"docs/deploy.md does not name {file.relative_to(ROOT)}"


@pytest.mark.parametrize(
    "said",
    [
        f"| settings | `{environment(FINAL)['GHOST_FLEET_CONFIG']}`, its folder mounted | `{UNIT['ExecStart'][0].split()[2]}` |",
        f"| log | volume `{of(FINAL, 'VOLUME')[0].words[0]}` | `/var/lib/{UNIT['StateDirectory'][0]}` (StateDirectory) |",
        f"| user | {of(FINAL, 'USER')[0].text.split(':')[0]} | `{UNIT['User'][0]}` |",
        f"credential `{UNIT['LoadCredentialEncrypted'][0].split(':')[0]}`",
        f"WatchdogSec={UNIT['WatchdogSec'][0]}:",
        f"would kill it after {UNIT['TimeoutStartSec'][0]} s",
        "Exit codes {} (bad input) and {} ".format(*UNIT["RestartPreventExitStatus"][0].split()),
        f"`systemd-analyze security` says {MOST_EXPOSED};",
        f"Type={UNIT['Type'][0]}",
    ],
)
def test_what_it_says_of_image_and_unit_is_so(said: str) -> None:
    assert said in DOCUMENT


def test_what_it_says_of_times_is_so() -> None:
    assert "the service takes eight at most" in DOCUMENT
    assert lifetime.SENDS_SECS + server.STOP_SECS + lifetime.LAST_WORDS_SECS <= 8
    assert float(UNIT["TimeoutStartSec"][0]) > systemd.PATIENCE_SECS


@pytest.mark.parametrize("variable", re.findall(r"\$\{(\w+):-", (ROOT / "deploy" / "compose.yaml").read_text()))
def test_every_variable_of_the_compose_file_is_named(variable: str) -> None:
    assert f"`{variable}`" in DOCUMENT or variable == "GHOST_FLEET_IMAGE"
