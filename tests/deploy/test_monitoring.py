"""Prometheus and Grafana as deploy/ sets them up: every metric exists, every question is one that Prometheus understands."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from ghostfleet.config.settings import DEFAULT_PORT
from ghostfleet.domain.state import State
from ghostfleet.telemetry import Metrics

DEPLOY = Path(__file__).parents[2] / "deploy"
DASHBOARD: dict[str, Any] = json.loads((DEPLOY / "grafana/dashboards/ghost-fleet.json").read_text())
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool (Debian: prometheus) is not installed")


def exposed() -> set[str]:
    """The name of every series that the service offers."""
    text = Metrics("0.1.0").render(State(), ()).decode()
    kinds = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE))
    return set(kinds) | {
        f"{name}_{part}" for name, kind in kinds.items() if kind == "histogram" for part in ("bucket",)
    }


def questions() -> list[str]:
    """Every expression of the dashboard."""
    found = [target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", [])]
    return found + [annotation["expr"] for annotation in DASHBOARD["annotations"]["list"]]


def asked_for(texts: list[str]) -> set[str]:
    return {name for text in texts for name in re.findall(r"\bghost_fleet_\w+", text)}


def test_the_dashboard_and_the_alerts_ask_for_no_metric_that_is_not_there() -> None:
    variables = [variable["query"]["query"] for variable in DASHBOARD["templating"]["list"]]
    asked = asked_for([*questions(), *variables, (DEPLOY / "alerts.yml").read_text()])
    assert asked - exposed() == set()
    assert len(asked) > 15


def test_panels_have_places_of_their_own_and_the_datasource_that_is_provided() -> None:
    [provided] = yaml.safe_load((DEPLOY / "grafana/provisioning/datasources/prometheus.yml").read_text())["datasources"]
    taken: dict[tuple[int, int], str] = {}
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert (x, y) not in taken, f"{panel['title']} lies on {taken[x, y]}"
                taken[x, y] = panel["title"]
        if panel["type"] != "row":
            assert panel["datasource"]["uid"] == provided["uid"]
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    assert provided["url"] == "http://127.0.0.1:9090"
    assert "--web.listen-address=127.0.0.1:9090" in COMPOSE["services"]["prometheus"]["command"]


def test_prometheus_asks_the_service_where_it_is_under_the_name_that_the_alerts_use() -> None:
    [job] = yaml.safe_load((DEPLOY / "prometheus.yml").read_text())["scrape_configs"]
    assert job["static_configs"] == [{"targets": [f"127.0.0.1:{DEFAULT_PORT}"]}]
    assert f'job="{job["job_name"]}"' in (DEPLOY / "alerts.yml").read_text()


@promtool
def test_prometheus_takes_its_configuration_and_the_rules() -> None:
    done = subprocess.run(
        ["promtool", "check", "config", str(DEPLOY / "prometheus.yml")], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


@promtool
def test_prometheus_understands_every_question_of_the_dashboard(tmp_path: Path) -> None:
    rules = [{"record": f"panel:{n}", "expr": question} for n, question in enumerate(questions())]
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    done = subprocess.run(["promtool", "check", "rules", str(file)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
