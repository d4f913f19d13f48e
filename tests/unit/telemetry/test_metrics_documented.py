"""docs/metrics.md and deploy/alerts.yml name the metrics that there are, all of them and no others."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from ghostfleet.domain.state import State
from ghostfleet.telemetry import Metrics

ROOT = Path(__file__).parents[3]
SUFFIXES = re.compile(r"_(bucket|sum|count)$")
ALERTS = {
    "GhostFleetDown",
    "GhostFleetErrorRate",
    "GhostFleetWalletLow",
    "GhostFleetBreakerTripped",
    "GhostFleetNoAction",
    "GhostFleetLogTakesNothing",
    "GhostFleetUnready",
    "GhostFleetWalGrows",
    "GhostFleetBackupFailed",
    "GhostFleetBackupOld",
    "GhostFleetHeadUnsigned",
    "GhostFleetRefusedToSign",
    "GhostFleetSignerAway",
    "GhostFleetNoKey",
    "GhostFleetSpendingLimit",
    "GhostFleetPausedItself",
    "GhostFleetDeadman",
    "GhostFleetLockedOut",
}


def exposed() -> dict[str, str]:
    """Name and type of every metric."""
    text = Metrics("0.1.0").render(State(), ()).decode()
    return dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE))


def test_every_metric_is_documented_with_its_type_and_nothing_else_is() -> None:
    text = (ROOT / "docs" / "metrics.md").read_text()
    documented = dict(re.findall(r"^\| `(ghost_fleet_\w+)` \| (\w+)", text, re.MULTILINE))
    assert documented == exposed()


def test_names_that_operators_graph_are_there() -> None:
    names = exposed()
    for name in ("actions_total", "errors_total", "wallet_balance", "circuit_breaker_trips"):
        assert f"ghost_fleet_{name}" in names


def test_alerts_use_metrics_that_exist() -> None:
    text = (ROOT / "deploy" / "alerts.yml").read_text()
    used = {SUFFIXES.sub("", name) for name in re.findall(r"\bghost_fleet_\w+", text)}
    assert used <= set(exposed())
    assert len(used) >= 4


def test_the_alerts_are_there_and_documented() -> None:
    text = (ROOT / "deploy" / "alerts.yml").read_text()
    assert set(re.findall(r"- alert: (\w+)", text)) == ALERTS
    documented = (ROOT / "docs" / "metrics.md").read_text()
    assert all(f"`{name}`" in documented for name in ALERTS)
    assert "0.005" in text
    assert "15m" in text
    assert "0.1 *" in text
    assert "1800" in text


@pytest.mark.skipif(shutil.which("promtool") is None, reason="Prometheus' own promtool is not installed here")
def test_the_alerts_fire_when_they_should_and_only_then() -> None:
    deploy = ROOT / "deploy"
    for arguments in (("check", "rules", "alerts.yml"), ("test", "rules", "alerts.test.yml")):
        done = subprocess.run(("promtool", *arguments), cwd=deploy, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
