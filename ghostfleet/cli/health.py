"""`ghost-fleet health`: does the service answer? For a container's HEALTHCHECK, so it starts fast, by the standard library alone.

It finds the service by the few keys of the settings file that say where it listens. The rest of the file may be wrong.
"""

import http.client
import json
import os
import socket
import ssl
import sys
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

DEFAULT_TIMEOUT_SECS = 3.0
MAX_ANSWER_BYTES = 64 * 1024
DEFAULT_PORT = 8080
CONFIG_VARIABLES = ("GHOST_FLEET_CONFIG", "CONFIG_PATH")
DEFAULT_PATHS = (Path("config.toml"), Path("/etc/ghost-fleet/config.toml"))
EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104 - read, not bound
"""How a service is reached that listens on every address."""
OWN_NAME = "localhost"
"""The Host header has to name the service; from the machine itself this one always does."""


class Probe(NamedTuple):
    """What is asked, and how long the answer may take."""

    config: Path | None = None
    ready: bool = False
    timeout_secs: float = DEFAULT_TIMEOUT_SECS


class Place(NamedTuple):
    """Where the service listens."""

    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    tls_cert: Path | None = None
    unix_socket: Path | None = None


class _OverSocket(http.client.HTTPConnection):
    """A connection to a Unix socket."""

    def __init__(self, path: Path, timeout_secs: float) -> None:
        super().__init__(OWN_NAME, timeout=timeout_secs)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def probe_of(arguments: Sequence[str]) -> Probe | None:
    """The probe that these arguments ask for in the plain way; None when they are for the whole command line."""
    config: Path | None = None
    ready, timeout_secs, named = False, DEFAULT_TIMEOUT_SECS, False
    words = iter(arguments)
    for word in words:
        if word == "--config" and not named:
            config = Path(next(words, ""))
        elif word == "health" and not named:
            named = True
        elif word == "--ready" and named:
            ready = True
        elif word == "--timeout" and named:
            try:
                timeout_secs = float(next(words, ""))
            except ValueError:
                return None
        else:
            return None
    return Probe(config, ready, timeout_secs) if named and timeout_secs > 0 else None


def run(probe: Probe, environ: Mapping[str, str]) -> int:
    """Ask once, say how it went in one line, and return the exit code: 0 or 1."""
    why = unhealthy(probe, environ)
    if why:
        sys.stderr.write(f"ghost-fleet: error: unhealthy: {' '.join(why.split())}\n")
        return 1
    sys.stdout.write("ready\n" if probe.ready else "healthy\n")
    return 0


def unhealthy(probe: Probe, environ: Mapping[str, str]) -> str:
    """Why the service is not well; empty when it is."""
    try:
        place = place_of(probe.config, environ)
    except (OSError, ValueError) as problem:
        return str(problem)
    try:
        status, answer = _ask(place, probe)
    except (OSError, ValueError, http.client.HTTPException) as problem:
        why = getattr(problem, "strerror", None) or str(problem) or type(problem).__name__
        return f"nobody answers at {place.unix_socket or f'{place.host}:{place.port}'}: {why}"
    if status == 200:
        return ""
    wrong = [f"{it.get('name')}: {it.get('reason')}" for it in answer.get("checks", ()) if not it.get("ok")]
    return f"the service answered {status}" + (f": {'; '.join(wrong)}" if wrong else "")


def place_of(config: Path | None, environ: Mapping[str, str]) -> Place:
    """Where the settings say that the service listens. Raises OSError or ValueError where they cannot be read."""
    path = _config_path(config, environ)
    table: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8")) if path is not None else {}
    folder = path.absolute().parent if path is not None else Path.cwd()

    def key(section: str, name: str) -> Any:
        given = environ.get(f"GHOST_FLEET__{section.upper()}__{name.upper()}")
        values = table.get(section, {})
        return given or (values.get(name) if isinstance(values, dict) else None)

    def file(name: str) -> Path | None:
        value = key("admin", name)
        return folder / str(value) if value else None

    port = next((it for it in (key("admin", "port"), key("service", "health_port")) if it is not None), DEFAULT_PORT)
    host = str(key("admin", "host") or "127.0.0.1").strip("[]")
    place = Place(EVERYWHERE.get(host, host), int(port), file("tls_cert"), file("socket"))
    if not place.port and place.unix_socket is None:
        raise ValueError("the settings turn the HTTP interface off (health_port = 0): there is nobody to ask")
    return place


def _config_path(given: Path | None, environ: Mapping[str, str]) -> Path | None:
    named = given or next((Path(environ[name]) for name in CONFIG_VARIABLES if environ.get(name)), None)
    return named or next((path for path in DEFAULT_PATHS if path.is_file()), None)


def _ask(place: Place, probe: Probe) -> tuple[int, dict[str, Any]]:
    connection = _connection(place, probe.timeout_secs)
    try:
        connection.request("GET", "/health/ready" if probe.ready else "/health", headers={"Host": OWN_NAME})
        response = connection.getresponse()
        answer = json.loads(response.read(MAX_ANSWER_BYTES))
    finally:
        connection.close()
    if not isinstance(answer, dict):
        raise ValueError("what answers there is not Ghost Fleet")
    return response.status, answer


def _connection(place: Place, timeout_secs: float) -> http.client.HTTPConnection:
    if place.unix_socket is not None:
        return _OverSocket(place.unix_socket, timeout_secs)
    if place.tls_cert is None:
        return http.client.HTTPConnection(place.host, place.port, timeout=timeout_secs)
    context = ssl.create_default_context(cafile=str(place.tls_cert))
    context.check_hostname = False  # it is this very certificate, whatever names stand in it
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return http.client.HTTPSConnection(place.host, place.port, timeout=timeout_secs, context=context)


def main() -> None:
    """The entry point of the command: a health check at once, everything else by the whole command line."""
    probe = probe_of(sys.argv[1:])
    if probe is not None:
        sys.exit(run(probe, os.environ))
    from ghostfleet.cli.main import entry

    entry()
