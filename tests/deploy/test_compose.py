"""deploy/compose.yaml mounts what is there, where it is looked for, and opens nothing to the network."""

import os
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


def test_settings_are_mounted_as_a_folder_and_keystores_can_be_destroyed() -> None:
    """A file that is a mount of its own cannot be replaced, and stays the old one when it is replaced on the machine."""
    mounted, [volume] = mounts("ghost-fleet"), of(FINAL, "VOLUME")[0].words
    settings = Path(environment(FINAL)["GHOST_FLEET_CONFIG"])
    assert str(settings) not in mounted
    source, mode = mounted[str(settings.parent)]
    assert (mode, os.readlink(ROOT / "deploy" / source / settings.name)) == ("rw", "production.toml")
    assert mounted[str(settings.parent / "keystores")] == (f"{source}/keystores", "rw")
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
    """The image says so itself: `docker run --volumes-from` copies no variable."""
    service = SERVICES["ghost-fleet"]
    assert service["environment"][CREDENTIALS_VARIABLE] == environment(FINAL)[CREDENTIALS_VARIABLE] == "/run/secrets"
    assert DEFAULT_CREDENTIAL in service["secrets"]
    assert {name for each in SERVICES.values() for name in each.get("secrets", [])} == set(COMPOSE["secrets"])


def test_it_may_do_nothing_that_it_need_not_and_its_lines_are_bounded() -> None:
    service = SERVICES["ghost-fleet"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert all(each["logging"]["options"]["max-size"] for each in SERVICES.values())
    assert Path(ROOT / "deploy" / service["build"]["context"]).resolve() == ROOT


def test_what_is_run_by_hand_is_shut_in_as_compose_has_it() -> None:
    """docs/deploy.md, and nothing that compose mounts is left out."""
    document = (ROOT / "docs" / "deploy.md").read_text()
    by_hand = document.split("docker run -d --name ghost-fleet --network host")[1].split("\n  ghost-fleet:new")[0]
    service = SERVICES["ghost-fleet"]
    options = {
        f"--restart {service['restart']}", f"--stop-timeout {service['stop_grace_period'].removesuffix('s')}", "--read-only",
        f"--tmpfs {service['tmpfs'][0]}", f"--cap-drop {service['cap_drop'][0]}", f"--security-opt {service['security_opt'][0]}",
        f"--ulimit core={service['ulimits']['core']}", f"--log-driver {service['logging']['driver']}",
        *(f"--log-opt {key}={value}" for key, value in service["logging"]["options"].items()),
        *(f":{target}" for target in mounts("ghost-fleet")), f":/run/secrets/{DEFAULT_CREDENTIAL}:ro",
    }  # fmt: skip
    assert [it for it in options if it not in by_hand] == []


def test_an_upgrade_and_the_way_back_by_compose_are_of_this_service_and_the_image_that_ran() -> None:
    document = (ROOT / "docs" / "deploy.md").read_text()
    lines = re.findall(r"^(?:(\w+)=(\S+) )?docker compose --file (\S+) (.*)$", document, re.MULTILINE)
    assert all((ROOT / file).exists() for _, _, file, _ in lines)
    verbs = [words.split() for _, _, _, words in lines]
    assert [it[0] for it in verbs] == ["up", "build", "run", "up", "up"]
    assert all(set(it) & set(SERVICES) == {"ghost-fleet"} for it in verbs[1:])
    [(variable, image)] = [(variable, value) for variable, value, _, _ in lines if variable]
    assert SERVICES["ghost-fleet"]["image"].startswith(f"${{{variable}:-")
    tag = f"docker tag \"$(docker inspect --format '{{{{.Image}}}}' ghost-fleet)\" {image}"
    assert document.count(tag) == 2
    assert tag in (ROOT / "RUNBOOK.md").read_text()
