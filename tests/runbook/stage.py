"""Where does the runbook run? In a folder as an operator has it, with a fleet, a service and a chain; every line through bash."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ghostfleet.domain.values import Address
from ghostfleet.operations.holdings import TRANSFER
from tests.acceptance.service_process import GHOST_FLEET, READY_SECS, listening_port
from tests.operations.stage import SAFE, TREASURY, TREASURY_KEY
from tests.runbook.exceptions import NOT_RUN, WRITTEN_OTHERWISE
from tests.runbook.lines import ROOT, RUNBOOK, Line, looks_like, procedures

ENGINE = Path(__file__).with_name("engine.py")
CAST = ROOT / "node_modules" / ".bin"
LINE_SECS = 180.0
ANSWER_SECS = 60.0
FOLLOW_SECS = 1.0
"""How long a line that follows something is watched."""
POLL_SECS = 0.2
LITTLE_WEI = 10**16
OWN_SETTINGS = {
    r"health_port = \d+": "health_port = {port}",
    r'rpc_url = "(.*)"': r'rpc_url = "\1"' + '\nrpc_urls = ["{other}"]\nfinality_blocks = 4\nblock_time_secs = 0.5',
    r'"sqlite:///ghostfleet.db"': '"sqlite:///{data}/ghostfleet.db"',
    r'(password_file|keyfile) = "': r'\1 = "{config}/',
    r"max_consecutive_errors = \d+": "max_consecutive_errors = 1",
    r"cooldown_secs = [\d.]+": "cooldown_secs = 3600.0",
}
"""What is changed of the settings that `devnet prepare` writes: little patience, and paths that hold from anywhere."""
ENV_OF_BEFORE = {"GHOST_FLEET_CONFIG": "/etc/ghost-fleet/config.toml"}
"""Of the Dockerfile of release 0.1.0."""
TREASURY_TABLE = f'\n[treasury]\naddress = "{TREASURY}"\nprivate_key = "{TREASURY_KEY}"\n'


@dataclass(frozen=True)
class Ran:
    """A line that ended."""

    line: Line
    code: int
    out: str
    err: str

    def __str__(self) -> str:
        return f"{self.line.text}\nexit code {self.code}\n{self.out[-3000:]}\n{self.err[-3000:]}"


@dataclass
class Stage:
    """The folder, the chain and the service. `run` is what an operator does."""

    folder: Path
    chain: str
    port: int = field(default_factory=listening_port)
    variables: dict[str, str] = field(default_factory=dict)
    """What was exported, and what an operator's shell has."""
    texts: dict[str, str] = field(default_factory=dict)
    """What placeholders stand for."""
    more_mounts: dict[Path, str] = field(default_factory=dict)

    @property
    def settings(self) -> Path:
        return self.folder / "config" / "production.toml"

    @property
    def mounts(self) -> str:
        """What a container is started with that the runbook's `--volumes-from` copies later."""
        own = {self.settings.parent: "/etc/ghost-fleet", self.folder / "data": "/var/lib/ghost-fleet"}
        return " ".join(f"-v {here}:{there}" for here, there in (own | self.more_mounts).items())

    @property
    def password(self) -> Path:
        """Of the keystores."""
        return self.folder / "config" / "keystore-password"

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}"

    @property
    def environ(self) -> dict[str, str]:
        own = {name: value for name, value in os.environ.items() if not name.startswith("GHOST_FLEET")}
        programs = f"{self.folder / 'bin'}:{GHOST_FLEET.parent}:{CAST}:{own['PATH']}"
        return (
            own | {"PATH": programs, "RUNBOOK_ENGINE": str(self.folder / "engine"), "COLUMNS": "300"} | self.variables
        )

    def prepare(self, wallets: int) -> None:
        """Wallets, settings, and what is beside them: scripts, Dockerfile, the stand-ins."""
        config, data, engine, programs = (self.folder / name for name in ("config", "data", "engine", "bin"))
        self.run_quietly(
            f"ghost-fleet devnet prepare --rpc-url {self.chain} --wallets {wallets} --out {config} --profile-intervals 1"
        )
        text = (config / "config.toml").read_text()
        values = {"port": self.port, "other": self.other, "data": data, "config": config}
        for old, new in OWN_SETTINGS.items():
            text, changed = re.subn(old, _filled(new, values), text)
            assert changed, old
        for folder in (data, engine, programs):
            folder.mkdir()
        self.settings.write_text(text + TREASURY_TABLE)
        self.settings.chmod(0o600)
        (config / "config.toml").unlink()
        (config / "config.toml").symlink_to(self.settings.name)
        for name in ("scripts", "deploy", "Dockerfile"):
            (self.folder / name).symlink_to(ROOT / name)
        for name in ("docker", "systemctl", "systemd-run", "journalctl"):
            (programs / name).write_text(f'#!/bin/sh\nexec {sys.executable} -I -S {programs / "as" / name} "$@"\n')
            (programs / "as").mkdir(exist_ok=True)
            (programs / "as" / name).symlink_to(ENGINE)
            (programs / name).chmod(0o755)
        self.run_quietly("docker build -t ghost-fleet:new -f Dockerfile .")
        self.variables["GHOST_FLEET_CONFIG"] = str(self.settings.relative_to(self.folder))

    @property
    def other(self) -> str:
        """The chain by another name: a second endpoint."""
        return self.chain.replace("127.0.0.1", "localhost")

    def image_of_before(self, program: list[str], environ: dict[str, str]) -> None:
        """What the tag `ghost-fleet:previous` leads to, which has to be there, is another release, with its own image's ENV."""
        file = self.folder / "engine" / "images.json"
        images = json.loads(file.read_text())
        images["ghost-fleet:previous"] |= {"program": program, "environ": environ, "id": "sha256:before"}
        file.write_text(json.dumps(images))

    def running(self) -> None:
        """The service runs as container ghost-fleet, is ready, not paused, and every wallet has funds; however it was before."""
        engine = self.folder / "engine"
        for file in engine.glob("*.json"):
            if file.name not in ("images.json", "ghost-fleet.json"):
                self.kill(file)
                file.unlink()
        if not (engine / "ghost-fleet.json").exists():
            self.run_quietly(f"docker run -d --name ghost-fleet {self.mounts} ghost-fleet:new")
        elif not self.answers("/health"):
            self.run_quietly("docker restart ghost-fleet")
        self.until_ready()
        for command in ("resume", "throttle", "reset"):
            self.post(f"/admin/{command}", {"factor": 1} if command == "throttle" else {})
        for wallet, address in self.wallets().items():
            if self.native(address) < LITTLE_WEI:
                self.refill(wallet)
            self.post(f"/admin/reset/{wallet}")  # brings its turn forward

    def running_again(self) -> None:
        self.run_quietly("docker restart ghost-fleet")
        self.until_ready()

    def quiet(self) -> None:
        """Paused, and nobody has tripped: all is well and stays so. Stand-in contracts revert now and then, as real ones do."""
        self.post("/admin/pause", {"reason": "so that the figures stand still"})
        self.post("/admin/reset")

    def until_ready(self) -> None:
        deadline = time.monotonic() + READY_SECS
        while not self.answers("/health/ready"):
            assert time.monotonic() < deadline, f"not ready within {READY_SECS:g} s:\n{self.output[-3000:]}"
            time.sleep(POLL_SECS)

    @property
    def output(self) -> str:
        return (self.folder / "engine" / "ghost-fleet.log").read_text()

    def answers(self, path: str) -> bool:
        with suppress(OSError):
            self.get(path)
            return True
        return False

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(self._request(path), timeout=ANSWER_SECS) as answer:
            return json.load(answer)

    def post(self, path: str, body: dict[str, Any] | None = None) -> Any:
        with urllib.request.urlopen(
            self._request(path, json.dumps(body or {}).encode()), timeout=ANSWER_SECS
        ) as answer:
            return json.load(answer)

    def _request(self, path: str, body: bytes | None = None) -> urllib.request.Request:
        token = self.variables.get("GHOST_FLEET_ADMIN_TOKEN")
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return urllib.request.Request(self.url + path, data=body, headers=headers)

    def rpc(self, method: str, *params: object) -> Any:
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
        request = urllib.request.Request(self.chain, data=body, headers={"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=ANSWER_SECS) as answer:
            return json.load(answer)["result"]

    def native(self, address: str) -> int:
        return int(self.rpc("eth_getBalance", address, "latest"), 16)

    def wallets(self) -> dict[str, str]:
        return {it["id"]: it["address"] for it in self.get("/admin/status")["wallets"]}

    def events(self, kind: str) -> list[dict[str, Any]]:
        return list(self.get(f"/audit/events?type={kind}&limit=1000")["events"])

    def acted(self, count: int = 1) -> str:
        """Wait until so many more transactions are mined; the hash of the newest."""
        before, deadline = len(self.events("TransactionMined")), time.monotonic() + READY_SECS
        while len(mined := self.events("TransactionMined")) < before + count:
            assert time.monotonic() < deadline, f"nothing is mined:\n{self.output[-3000:]}"
            time.sleep(POLL_SECS)
        return str(mined[-1]["data"]["hash"])

    def settled(self) -> None:
        """Wait until nothing is open."""
        deadline = time.monotonic() + READY_SECS
        while self.get("/admin/status")["open_slots"]:
            assert time.monotonic() < deadline, self.output[-3000:]
            time.sleep(POLL_SECS)

    def trip(self, wallet: str) -> None:
        """This wallet has no funds, and its breaker trips for it."""
        self.rpc("anvil_setBalance", self.wallets()[wallet], hex(1000))
        deadline = time.monotonic() + READY_SECS
        while wallet not in {it["id"] for it in self.get("/admin/status?state=tripped")["wallets"]}:
            assert time.monotonic() < deadline, self.output[-3000:]
            self.post(f"/admin/reset/{wallet}")
            time.sleep(POLL_SECS * 5)

    def refill(self, wallet: str) -> None:
        """1 ETH, and DATA from the first account of the development chain, which is unlocked."""
        address = self.wallets()[wallet]
        self.rpc("anvil_setBalance", address, hex(10**18))
        token = self.get("/admin/settings")["settings"]["plugins"]["ghostnet"]["data_token"]
        call = str(TRANSFER.encode(Address.from_hex(address), 1000 * 10**18))
        self.rpc("eth_sendTransaction", {"from": TREASURY, "to": token, "data": call})

    def written(self, text: str) -> str:
        """A line with what its placeholders stand for."""
        known = {
            "http://localhost:8080": self.url,
            "https://carrot.megaeth.com/rpc": self.chain,
            "carrot.megaeth.com": self.other.removeprefix("http://"),
            "generate-wallets.sh 10 ./new-wallets degen": "generate-wallets.sh 3 ./new-wallets degen --scrypt-n 2",
            "wallets generate 10": "wallets generate 3 --scrypt-n 2",
            "rotate --count 2": "rotate --count 2 --scrypt-n 2",
            "0xSAFE_ADDRESS": SAFE,
            "--name ghost-fleet ghost-fleet:previous": f"--name ghost-fleet {self.mounts} ghost-fleet:previous",
            "/path/to/config.toml": str(self.settings),
            "--config /etc/ghost-fleet/config.toml": f"--config {self.settings}",
            "/etc/ghost-fleet/keystore-password.cred": str(self.password),
            "/opt/ghost-fleet/bin/ghost-fleet": str(GHOST_FLEET),
        } | self.texts
        assert set(known) <= set(WRITTEN_OTHERWISE)
        for old, new in known.items():
            text = text.replace(old, new)
        return text

    def run(self, line: Line, *, answer: str = "") -> Ran:
        """A line as an operator types it. With an answer, to what it asks, its input is a terminal."""
        text = self.written(line.text)
        exported = re.fullmatch(r"export (\w+)=(\S+)", text)
        if exported:
            self.variables[exported[1]] = exported[2]
        ours, theirs = pty.openpty() if answer else (None, subprocess.DEVNULL)
        if ours is not None:
            os.write(ours, f"{answer}\n".encode())
        process = subprocess.Popen(
            ["bash", "-o", "pipefail", "-c", text],
            cwd=self.folder, env=self.environ, stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            start_new_session=True,
        )  # fmt: skip
        follows = " -f " in text and "logs" in text
        try:
            out, err = process.communicate(timeout=FOLLOW_SECS if follows else LINE_SECS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            out, err = process.communicate()
            assert follows, f"{text} takes longer than {LINE_SECS:g} s: {out} {err}"
            return Ran(line, 0, out, err)
        finally:
            if ours is not None:
                os.close(ours)
                os.close(theirs)
        return Ran(line, process.returncode, out, err)

    def run_quietly(self, text: str) -> None:
        ran = self.run(Line(text))
        assert ran.code == 0, str(ran)

    @contextmanager
    def procedure(self, name: str, document: Path = RUNBOOK) -> Iterator["Procedure"]:
        """Walk through a procedure; at its end every line of it has to have run."""
        found = Procedure(self, procedures(document)[name])
        yield found
        assert [line.text for line in found.left] == [], f"lines of {name} that did not run"

    def kill(self, file: Path) -> None:
        with suppress(ProcessLookupError, KeyError):
            if pid := json.loads(file.read_text())["pid"]:
                os.kill(pid, signal.SIGKILL)

    def close(self) -> None:
        for file in (self.folder / "engine").glob("*.json"):
            if file.name != "images.json":
                self.kill(file)


class Procedure:
    """The lines of one procedure, run in their order. Called with how the next one begins."""

    def __init__(self, stage: Stage, lines: list[Line]) -> None:
        self.left = [line for line in lines if line.text not in NOT_RUN]
        self._stage = stage

    def __call__(self, begins: str, *, code: int = 0, answer: str = "", within_secs: float = 0) -> Ran:
        """Run the next line, which begins so, and see that it does what it should: exit code, and the output that is printed.
        `within_secs` is for what an operator would try again, for example right after a start."""
        assert self.left, f"no line is left that begins with {begins}"
        line = self.left.pop(0)
        assert line.text.startswith(begins), f"the runbook goes on with {line.text!r}, not with {begins!r}"
        deadline = time.monotonic() + within_secs
        ran = self._stage.run(line, answer=answer)
        while (wrong := self._wrong(ran, code)) and time.monotonic() < deadline:
            time.sleep(POLL_SECS)
            ran = self._stage.run(line, answer=answer)
        assert not wrong, f"{wrong}\n{ran}"
        return ran

    def _wrong(self, ran: Ran, code: int) -> str:
        if ran.code != code:
            return f"not exit code {code}"
        missing = [shown for shown in ran.line.shown if not looks_like(self._stage.written(shown), ran.out)]
        return f"not seen: {missing}" if missing else ""

    def through(self, begins: str) -> Ran:
        """Run lines that need no care, up to and with one that begins so."""
        while not self.left[0].text.startswith(begins):
            self(self.left[0].text)
        return self(begins)


def _filled(template: str, values: dict[str, object]) -> str:
    for name, value in values.items():
        template = template.replace(f"{{{name}}}", str(value))
    return template


def new_stage(folder: Path, chain: str, wallets: int = 4) -> Stage:
    stage = Stage(folder, chain)
    stage.prepare(wallets)
    return stage
