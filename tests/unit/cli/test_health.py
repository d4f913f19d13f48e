"""The health check answers fast, with 0 or 1 and nothing else, and finds the service where the settings put it."""

import http.server
import json
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from ghostfleet.cli.health import Place, Probe, place_of, probe_of, run
from ghostfleet.cli.main import app
from ghostfleet.config.admin_section import admin_place


class Answering(http.server.BaseHTTPRequestHandler):
    """/health is well, /health/ready is not."""

    def do_GET(self) -> None:
        ready = {
            "status": "unready",
            "checks": [{"name": "log", "ok": False, "reason": "the disk is full"}, {"ok": True}],
        }
        known = {"/health": (200, {"status": "healthy", "uptime_secs": 1}), "/health/ready": (503, ready)}
        status, answer = known[self.path]
        assert self.headers["Host"] == "localhost"
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())

    def address_string(self) -> str:
        return "somebody"

    def log_message(self, *_: object) -> None:
        pass


class OnSocket(socketserver.UnixStreamServer):
    pass


@pytest.fixture
def serving(request: Any, tmp_path: Path) -> Iterator[Path]:
    """A settings file that leads to such a service, over TCP or a Unix socket."""
    unix = getattr(request, "param", "tcp") == "socket"
    server: Any = (
        OnSocket(str(tmp_path / "s"), Answering) if unix else http.server.HTTPServer(("127.0.0.1", 0), Answering)
    )
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    config = tmp_path / "config.toml"
    config.write_text('[admin]\nsocket = "s"\nport = 1\n' if unix else f"[admin]\nport = {server.server_port}\n")
    yield config
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("serving", ["tcp", "socket"], indirect=True)
def test_a_service_that_answers_is_healthy(serving: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(Probe(serving), {}) == 0
    assert capsys.readouterr().out == "healthy\n"


def test_ready_is_asked_for_and_says_what_is_missing(serving: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(Probe(serving, ready=True), {}) == 1
    assert capsys.readouterr().err == "ghost-fleet: error: unhealthy: the service answered 503: log: the disk is full\n"


@pytest.mark.parametrize(
    ("text", "why"),
    [("[service]\nhealth_port = 0\n", "there is nobody to ask"), ("[admin\n", ""), ("[admin]\nport = 1\n", "127.0.0.1:1"),
     ("[admin]\nport = 'x'\n", "")],
)  # fmt: skip
def test_whatever_is_wrong_is_one_line_and_1(
    text: str, why: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "config.toml").write_text(text)
    assert run(Probe(tmp_path / "config.toml", timeout_secs=1), {}) == 1
    told = capsys.readouterr().err
    assert told.startswith("ghost-fleet: error: unhealthy: ")
    assert told.count("\n") == 1
    assert why in told


def test_a_service_that_hangs_is_unhealthy_in_time(tmp_path: Path) -> None:
    with socketserver.TCPServer(("127.0.0.1", 0), socketserver.BaseRequestHandler) as silent:
        port = silent.server_address[1]
        (tmp_path / "config.toml").write_text(f"[admin]\nport = {port}\n")
        assert run(Probe(tmp_path / "config.toml", timeout_secs=0.2), {}) == 1


SETTINGS = [
    "", "[service]\nhealth_port = 9000\n", "[service]\nhealth_port = 9000\n[admin]\nport = 9001\n",
    '[admin]\nsocket = "run/admin.sock"\n', '[admin]\ntls_cert = "cert.pem"\ntls_key = "key.pem"\n',
    '[admin]\nhost = "0.0.0.0"\n', '[admin]\nhost = "::"\n', '[admin]\nhost = "::1"\n', '[admin]\nhost = "10.1.2.3"\nport = 1\n',
]  # fmt: skip


@pytest.mark.parametrize("text", SETTINGS)
@pytest.mark.parametrize(
    "environ", [{}, {"GHOST_FLEET__ADMIN__PORT": "9100"}, {"GHOST_FLEET__SERVICE__HEALTH_PORT": "9200"}]
)
def test_it_looks_where_every_other_command_looks(text: str, environ: dict[str, str], tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(text)
    place = place_of(path, environ)
    host = f"[{place.host}]" if ":" in place.host else place.host
    there = admin_place(path, environ)
    assert (place.unix_socket, place.tls_cert) == (there.socket, there.cert)
    scheme = "http" if place.tls_cert is None else "https"
    assert (f"{scheme}://{host}:{place.port}" if place.port else "") == there.url


def test_the_settings_file_is_found_as_always(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert place_of(None, {}) == Place()
    (tmp_path / "config.toml").write_text("[admin]\nport = 1\n")
    assert place_of(None, {}).port == 1
    (tmp_path / "other.toml").write_text("[admin]\nport = 2\n")
    assert place_of(None, {"GHOST_FLEET_CONFIG": "other.toml"}).port == 2
    assert place_of(Path("config.toml"), {"GHOST_FLEET_CONFIG": "other.toml"}).port == 1


@pytest.mark.parametrize(
    ("arguments", "probe"),
    [
        (["health"], Probe()),
        (["--config", "c.toml", "health", "--ready"], Probe(Path("c.toml"), ready=True)),
        (["health", "--timeout", "2.5"], Probe(timeout_secs=2.5)),
        (["health", "--help"], None),
        (["health", "--timeout", "x"], None),
        (["status"], None),
        ([], None),
    ],
)
def test_only_a_plain_health_check_takes_the_short_way(arguments: list[str], probe: Probe | None) -> None:
    assert probe_of(arguments) == probe


def test_both_ways_are_the_same_command(serving: Path) -> None:
    result = CliRunner().invoke(app, ["--config", str(serving), "health"])
    assert (result.exit_code, result.stdout) == (0, "healthy\n")


def test_the_short_way_loads_nothing_but_the_standard_library(serving: Path) -> None:
    script = (
        "import sys; from ghostfleet.cli import health; code = health.run(health.Probe(health.Path(sys.argv[1])), {});"
        "third = {name.partition('.')[0] for name in sys.modules} - sys.stdlib_module_names - {'ghostfleet', '__main__'};"
        "print(sorted(name for name in third if not name.startswith('_'))); sys.exit(code)"
    )
    done = subprocess.run((sys.executable, "-c", script, str(serving)), capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout) == (0, "healthy\n[]\n"), done.stderr
