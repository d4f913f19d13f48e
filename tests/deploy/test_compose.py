"""deploy/compose.yaml mounts what is there, where it is looked for, and opens nothing to the network."""

import re
from pathlib import Path
from typing import Any

import yaml

from ghostfleet.keys.passwords import CREDENTIALS_VARIABLE, DEFAULT_CREDENTIAL
from tests.deploy.dockerfile import ROOT, environment, of, stages

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
FINAL = stages()[-1]


def mounts(service: str) -> dict[str, tuple[str, str]]:
    """Source and mode by target; what an operator may set is taken at its default."""
    text = [re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", volume) for volume in SERVICES[service]["volumes"]]
    return {target: (source, mode[0] if mode else "rw") for source, target, *mode in (each.split(":") for each in text)}


def test_the_settings_are_read_only_and_the_log_is_on_a_volume() -> None:
    mounted, [volume] = mounts("ghost-fleet"), of(FINAL, "VOLUME")[0].words
    assert mounted[environment(FINAL)["GHOST_FLEET_CONFIG"]][1] == "ro"
    assert mounted[volume][0] in COMPOSE["volumes"]
    assert SERVICES["ghost-fleet"]["read_only"] is True


def test_every_file_of_ours_that_is_mounted_is_there_and_read_only() -> None:
    for service in ("prometheus", "grafana"):
        for source, mode in mounts(service).values():
            if source.startswith("."):
                assert (ROOT / "deploy" / source).exists(), source
                assert mode == "ro", source
            else:
                assert source in COMPOSE["volumes"]


def test_grafana_finds_the_dashboards_where_they_are_mounted() -> None:
    [provider] = yaml.safe_load((ROOT / "deploy/grafana/provisioning/dashboards/ghost-fleet.yml").read_text())[
        "providers"
    ]
    source, _ = mounts("grafana")[provider["options"]["path"]]
    assert list((ROOT / "deploy" / source).glob("*.json"))


def test_nothing_listens_beyond_this_machine() -> None:
    assert all("ports" not in service and service["network_mode"] == "host" for service in SERVICES.values())
    assert SERVICES["grafana"]["environment"]["GF_SERVER_HTTP_ADDR"] == "127.0.0.1"


def test_the_password_is_found_as_it_is_under_systemd() -> None:
    service = SERVICES["ghost-fleet"]
    assert service["environment"][CREDENTIALS_VARIABLE] == "/run/secrets"
    assert DEFAULT_CREDENTIAL in service["secrets"]
    assert {name for each in SERVICES.values() for name in each.get("secrets", [])} == set(COMPOSE["secrets"])


def test_it_may_do_nothing_that_it_need_not_and_its_lines_are_bounded() -> None:
    service = SERVICES["ghost-fleet"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert all(each["logging"]["options"]["max-size"] for each in SERVICES.values())
    assert Path(ROOT / "deploy" / service["build"]["context"]).resolve() == ROOT
