#!/usr/bin/env python3
"""A stand-in for docker, systemctl, systemd-run and journalctl where there is no engine: what it starts, stops and shows is the
real service.

The name says which of them is called. `$RUNBOOK_ENGINE` is its folder: a file for each container, with its process and its
output, and the programs that stand for images. A unit of systemd is a container of its name. It refuses what an engine refuses:
a name that is taken, a container or an image that is not there.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PLACE = Path(os.environ["RUNBOOK_ENGINE"])
IMAGES = PLACE / "images.json"
STOP_SECS = 90.0
WITH_VALUE = {"--name", "--network", "-v", "--volumes-from", "--since", "--tail", "-u", "-t", "-f"}
SETTINGS_IN_IMAGE = "/etc/ghost-fleet/config.toml"
DATA_IN_IMAGE = "/var/lib/ghost-fleet"


def refuse(why: str) -> None:
    sys.exit(f"Error response from daemon: {why}")


def parted(words: list[str], *, values: set[str] = WITH_VALUE) -> tuple[dict[str, list[str]], list[str]]:
    """Options with their values, up to the first word that is none; and the rest."""
    options: dict[str, list[str]] = {}
    while words and words[0].startswith("-"):
        name, *words = words
        if name in values:
            options.setdefault(name, []).append(words[0])
            words = words[1:]
        else:
            options.setdefault(name, [])
    return options, words


def file_of(name: str) -> Path:
    return PLACE / f"{name}.json"


def read(name: str) -> dict:
    if not file_of(name).exists():
        refuse(f"No such container: {name}")
    return json.loads(file_of(name).read_text())


def runs(container: dict) -> bool:
    try:
        state = Path(f"/proc/{container['pid']}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"


def start(name: str, container: dict) -> None:
    with open(container["log"], "ab") as output:
        process = subprocess.Popen(
            container["program"],
            env=os.environ | container["environ"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    file_of(name).write_text(json.dumps(container | {"pid": process.pid}))


def stop(container: dict, number: int = signal.SIGTERM) -> None:
    deadline = time.monotonic() + STOP_SECS
    if runs(container):
        os.kill(container["pid"], number)
    while runs(container):
        if time.monotonic() > deadline:
            os.kill(container["pid"], signal.SIGKILL)
        time.sleep(0.02)


def mounts(options: dict[str, list[str]]) -> dict[str, str]:
    environ: dict[str, str] = {}
    for other in options.get("--volumes-from", []):
        environ |= read(other)["environ"]
    for mount in options.get("-v", []):
        here, there = mount.removesuffix(":ro").split(":")
        if not Path(here).exists():
            refuse(f"no such file or directory: {here}")
        names = {SETTINGS_IN_IMAGE: "GHOST_FLEET_CONFIG", DATA_IN_IMAGE: "GHOST_FLEET_DATA_DIRECTORY"}
        environ[names[there]] = here
    return environ


def run(words: list[str]) -> None:
    options, [image, *arguments] = parted(words)
    programs = json.loads(IMAGES.read_text())
    if image not in programs:
        refuse(f"Unable to find image '{image}' locally")
    environ = mounts(options)
    if "-d" not in options:
        os.environ.update(environ)
        os.execvp(programs[image][0], [*programs[image], *arguments])
    [name] = options["--name"]
    if file_of(name).exists():
        refuse(f'Conflict. The container name "/{name}" is already in use')
    container = {
        "program": [*programs[image], *arguments],
        "environ": environ,
        "log": str(PLACE / f"{name}.log"),
        "pid": 0,
    }
    start(name, container)
    print("0" * 64)


def build(words: list[str]) -> None:
    options, [context] = parted(words)
    if not Path(options["-f"][0]).is_file() or not Path(context).is_dir():
        refuse(f"failed to read dockerfile: open {options['-f'][0]}: no such file or directory")
    programs = json.loads(IMAGES.read_text())
    IMAGES.write_text(json.dumps(programs | {options["-t"][0]: ["ghost-fleet"]}))


def show(words: list[str]) -> None:
    """`logs NAME`, options before it or behind; everything here is younger than any --since."""
    before, [name, *rest] = parted(words, values=WITH_VALUE - {"-f"})
    options = before | parted(rest, values=WITH_VALUE - {"-f"})[0]
    follow = ["-f"] if "-f" in options else []
    os.execvp("tail", ["tail", *follow, "-n", *options.get("--tail", ["+1"]), read(name)["log"]])


def listing() -> None:
    print("CONTAINER ID   IMAGE             STATUS        NAMES")
    for file in PLACE.glob("*.json"):
        if file != IMAGES and runs(json.loads(file.read_text())):
            print(f"000000000000   ghost-fleet       Up 2 minutes  {file.stem}")


def docker(verb: str, words: list[str]) -> None:
    if verb == "run":
        run(words)
    elif verb == "build":
        build(words)
    elif verb == "logs":
        show(words)
    elif verb == "ps":
        listing()
    elif verb == "exec":
        name, *command = words
        if not runs(read(name)):
            refuse(f"container {name} is not running")
        os.environ.update(read(name)["environ"])
        os.execvp(command[0], command)
    elif verb == "rename":
        old, new = words
        read(old)
        if file_of(new).exists():
            refuse(f'Conflict. The container name "/{new}" is already in use')
        file_of(old).rename(file_of(new))
    elif verb == "rm":
        if runs(read(words[0])):
            refuse("cannot remove container: container is running: stop the container before removing")
        file_of(words[0]).unlink()
    elif verb == "image":
        assert words == ["prune", "-f"]
    else:
        in_control(verb, words[0])


def in_control(verb: str, name: str) -> None:
    container = read(name)
    if verb in ("stop", "restart"):
        stop(container)
    if verb == "kill":
        stop(container, signal.SIGKILL)
    if verb in ("start", "restart"):
        start(name, container)
    if verb == "reload":
        os.kill(container["pid"], signal.SIGHUP)
    if verb == "status":
        print(f"{name}.service - active (running)" if runs(container) else f"{name}.service - inactive (dead)")
        sys.exit(0 if runs(container) else 3)
    assert verb in ("stop", "restart", "kill", "start", "reload", "status"), verb


def in_a_unit_of_its_own(words: list[str]) -> None:
    """A program with a folder of credentials, which is gone with it."""
    options, command = parted(words, values={"-p"})
    assert {"--pipe", "--wait", "--collect", "--uid=ghost-fleet"} <= set(options), options
    properties = dict(word.split("=", 1) for word in options["-p"])
    name, file = properties["LoadCredentialEncrypted"].split(":")
    with tempfile.TemporaryDirectory(dir=PLACE) as credentials:
        Path(credentials, name).write_bytes(Path(file).read_bytes())
        sys.exit(subprocess.run(command, env=os.environ | {"CREDENTIALS_DIRECTORY": credentials}).returncode)


def main() -> None:
    program, (verb, *words) = Path(sys.argv[0]).name, sys.argv[1:]
    if program == "systemd-run":
        in_a_unit_of_its_own(sys.argv[1:])
    if program == "journalctl":
        options, _ = parted([verb, *words])
        show(options["-u"])
    elif program == "systemctl":
        in_control(verb, words[0])
    else:
        docker(verb, words)


if __name__ == "__main__":
    main()
