#!/usr/bin/env python3
"""A stand-in for docker, systemctl, systemd-run and journalctl where there is no engine: what it starts, stops and shows is the
real service.

The name says which of them is called. `$RUNBOOK_ENGINE` is its folder: a file for each container, with its process and its
output, and what stands for images: a program, and the ENV of a Dockerfile. A unit of systemd is a container of its name. It
refuses what an engine refuses: a name that is taken, a container or an image that is not there.

A process sees what its container would see. Of the caller's environment it gets nothing that is the service's; `--volumes-from`
brings mounts and no variable; a path in a variable of the image is what of this machine is mounted there, or nothing.
"""

import json
import os
import re
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PLACE = Path(os.environ["RUNBOOK_ENGINE"])
IMAGES = PLACE / "images.json"
STOP_SECS = 90.0
WITH_VALUE = {
    "--name", "--network", "--restart", "-v", "-e", "--volumes-from", "--since", "--tail", "-u", "-t", "-f", "--format",
}  # fmt: skip
OWN = ("GHOST_FLEET", "CREDENTIALS_DIRECTORY")
"""Variables of the service begin so."""
VOLUME = "/var/lib/ghost-fleet"


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


def here(path: str, mounts: dict[str, str], name: str) -> str:
    """What a container has at a path of its own: a mount, what is in one, or a folder with the mounts below it."""
    for there, place in sorted(mounts.items(), key=lambda it: len(it[0]), reverse=True):
        if path == there or path.startswith(f"{there}/"):
            return place + path.removeprefix(there)
    below = {there: place for there, place in mounts.items() if there.startswith(f"{path}/")}
    folder = PLACE / "folders" / name / path.strip("/").replace("/", "-")
    for there, place in below.items():
        link = folder / there.removeprefix(f"{path}/")
        link.parent.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(place)
    return str(folder)


def environment(name: str, container: dict) -> dict[str, str]:
    """That of its image, with what `-e` said on top of it."""
    mine = {variable: value for variable, value in os.environ.items() if not variable.startswith(OWN)}
    its = {variable: value for variable, value in container["environ"].items() if variable.startswith(OWN)}
    mounts = container["mounts"]
    return mine | {key: here(value, mounts, name) if value.startswith("/") else value for key, value in its.items()}


def start(name: str, container: dict) -> None:
    with open(container["log"], "ab") as output:
        process = subprocess.Popen(
            container["program"],
            env=environment(name, container),
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


def mounted(options: dict[str, list[str]], name: str) -> dict[str, str]:
    """Place on this machine by path in the container."""
    mounts: dict[str, str] = {}
    for other in options.get("--volumes-from", []):
        mounts |= read(other)["mounts"]
    for mount in options.get("-v", []):
        place, there = mount.removesuffix(":ro").split(":")
        if "/" not in place:
            place = str(PLACE / "volumes" / place)
            Path(place).mkdir(parents=True, exist_ok=True)
        if not Path(place).exists():
            refuse(f"no such file or directory: {place}")
        mounts[there] = place
    if VOLUME not in mounts:
        mounts[VOLUME] = str(PLACE / "volumes" / f"{name}-{secrets.token_hex(8)}")
        Path(mounts[VOLUME]).mkdir(parents=True)
    return mounts


def images() -> dict[str, dict]:
    return json.loads(IMAGES.read_text()) if IMAGES.exists() else {}


def image(tag: str) -> dict:
    """By its tag or its id."""
    for name, it in images().items():
        if tag in (name, it["id"]):
            return it
    refuse(f"No such image: {tag}")
    raise AssertionError


def run(words: list[str]) -> None:
    options, [tag, *arguments] = parted(words)
    of = image(tag)
    [name] = options.get("--name", [f"unnamed-{secrets.token_hex(4)}"])
    container = {
        "image": of["id"],
        "mounts": mounted(options, name),
        "environ": of["environ"] | dict(pair.split("=", 1) for pair in options.get("-e", [])),
        "log": str(PLACE / f"{name}.log"),
        "pid": 0,
    }
    container["program"] = [*of["program"], *(inside(word, container["mounts"]) for word in arguments)]
    if "-d" not in options:
        os.execvpe(container["program"][0], container["program"], environment(name, container))
    if file_of(name).exists():
        refuse(f'Conflict. The container name "/{name}" is already in use')
    start(name, container)
    print("0" * 64)


def inside(word: str, mounts: dict[str, str]) -> str:
    """A word of a command in a container; one that is a path of a mount is the place that is mounted there."""
    found = any(word == there or word.startswith(f"{there}/") for there in mounts)
    return here(word, mounts, "") if found else word


def build(words: list[str]) -> None:
    options, [context] = parted(words)
    file = Path(options["-f"][0])
    if not file.is_file() or not Path(context).is_dir():
        refuse(f"failed to read dockerfile: open {file}: no such file or directory")
    text = file.read_text().replace("\\\n", " ")
    environ = dict(
        pair.split("=", 1) for line in re.findall(r"^ENV (.*)$", text, re.MULTILINE) for pair in line.split()
    )
    built = {"program": ["ghost-fleet"], "environ": environ, "id": f"sha256:{secrets.token_hex(32)}"}
    IMAGES.write_text(json.dumps(images() | {options["-t"][0]: built}))


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
        options, [name, *command] = parted(words)
        assert set(options) in (set(), {"--interactive", "--tty"})
        if not runs(read(name)):
            refuse(f"container {name} is not running")
        command = [inside(word, read(name)["mounts"]) for word in command]
        os.execvpe(command[0], command, environment(name, read(name)))
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
    elif verb == "tag":
        old, new = words
        IMAGES.write_text(json.dumps(images() | {new: image(old)}))
    elif verb == "inspect":
        options, [name] = parted(words)
        assert options == {"--format": ["{{.Image}}"]}
        print(read(name)["image"])
    elif verb == "image":
        assert words == ["prune", "-f"]  # what has a tag stays
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
