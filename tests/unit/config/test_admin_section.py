"""[admin]: files of TLS are tried before a start, sockets can be made, and a command finds the service through half a file."""

import os
from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict

from ghostfleet.config.admin_section import admin_place
from ghostfleet.config.loaded import Loaded
from ghostfleet.config.loading import load
from ghostfleet.config.problems import ConfigInvalid
from tests.certificates import Authority


class Anything(BaseModel):
    """The settings of a plugin that none of this is about."""

    model_config = ConfigDict(extra="allow")


BASE = '[chain]\nchain_id = 31337\nrpc_url = "http://127.0.0.1:8545"\n[plugins]\nenabled = ["transfer"]\n[plugins.transfer]\n'
DIGEST = "ab" * 32


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates") / "ca")


def loaded(directory: Path, text: str) -> Loaded:
    path = directory / "config.toml"
    path.write_text(BASE + text)
    return load(path, {}, {"transfer": Anything})


def problems(directory: Path, text: str) -> str:
    with pytest.raises(ConfigInvalid) as raised:
        loaded(directory, text)
    return "\n".join(map(str, raised.value.problems))


def tls(cert: Path, key: Path, more: str = "") -> str:
    return f'[admin]\ntls_cert = "{cert}"\ntls_key = "{key}"\n{more}'


def test_a_certificate_and_its_key_are_taken_and_paths_start_from_the_file(
    authority: Authority, tmp_path: Path
) -> None:
    cert, key = authority.issue("good")
    (tmp_path / "cert.pem").symlink_to(cert)
    found = loaded(tmp_path, tls(Path("cert.pem"), key, f'tls_client_ca = "{authority.cert}"\n'))
    assert found.admin.tls is not None
    assert (found.admin.tls.cert, found.admin.tls.key) == (tmp_path / "cert.pem", key)
    assert found.warnings == ("no wallet is enabled: the service will do nothing",)
    assert key.read_text().splitlines()[1] not in str(found.redacted)


def test_what_tls_could_not_be_spoken_with_is_a_problem(authority: Authority, tmp_path: Path) -> None:
    cert, key = authority.issue("fine")
    other, _ = authority.issue("another")
    expired = authority.issue("expired", days=-1)
    for_clients = authority.issue("client", extensions="extendedKeyUsage=clientAuth")
    empty = tmp_path / "empty.pem"
    empty.write_text("")
    empty.chmod(0o600)
    for text, told in (
        (tls(other, key), "are no certificate and its key"),
        (tls(*expired), "has expired; renew it"),
        (tls(*for_clients), "is not fit for a server"),
        (tls(empty, key), "are no certificate and its key"),
        (tls(cert, empty), "are no certificate and its key"),
        (tls(tmp_path / "nowhere.pem", key), "nowhere.pem cannot be read: No such file"),
        (tls(cert, tmp_path), "cannot be read: Is a directory"),
        (tls(cert, key, f'tls_client_ca = "{empty}"'), "empty.pem holds no certificate"),
        (f'[admin]\ntls_cert = "{cert}"\n', "tls_key: is missing beside tls_cert"),
        (f'[admin]\ntls_key = "{key}"\n', "tls_cert: is missing beside tls_key"),
        (f'[admin]\ntls_client_ca = "{cert}"\n', "tls_cert: is missing beside tls_client_ca"),
    ):
        assert told in problems(tmp_path, text), text


def test_a_key_that_others_may_read_is_a_problem(authority: Authority, tmp_path: Path) -> None:
    cert, key = authority.issue("open")
    key.chmod(0o640)
    assert f"others may read {key} (mode 640)" in problems(tmp_path, tls(cert, key))


def test_a_certificate_that_ends_soon_is_a_warning(authority: Authority, tmp_path: Path) -> None:
    found = loaded(tmp_path, tls(*authority.issue("soon", days=3)))
    assert any("ends in" in warning and "renew it" in warning for warning in found.warnings)


def test_a_socket_has_a_directory_and_a_path_that_the_kernel_takes(tmp_path: Path) -> None:
    found = loaded(tmp_path, '[admin]\nsocket = "a.sock"\nsocket_mode = "0660"\n')
    assert (found.admin.socket, found.admin.socket_mode) == (tmp_path / "a.sock", 0o660)
    assert "longer than 107 bytes" in problems(tmp_path, f'[admin]\nsocket = "{"a" * 100}.sock"\n')
    assert "socket_mode" in problems(tmp_path, '[admin]\nsocket = "a.sock"\nsocket_mode = "0666"\n')


def test_a_directory_that_only_a_running_unit_has_is_missed_by_nobody_but_a_start(tmp_path: Path) -> None:
    """RuntimeDirectory= goes with its unit: the log has to be readable, and a backup restored, while it is away."""
    text = '[admin]\nsocket = "no/a.sock"\n'
    [warning] = [it for it in loaded(tmp_path, text).warnings if "socket" in it]
    assert f"there is no directory {tmp_path / 'no'}" in warning
    looked_at = load(tmp_path / "config.toml", {}, {"transfer": Anything}, keys=False)
    assert not [it for it in looked_at.warnings if "socket" in it]


def test_who_only_looks_needs_no_certificate_and_no_right_to_read_its_key(tmp_path: Path) -> None:
    """One that has expired, or the key, which is the service's user's alone, kept everybody from the log."""
    text = tls(tmp_path / "cert.pem", tmp_path / "key.pem")
    assert "cannot be read" in problems(tmp_path, text)
    for but in ({"keys": False}, {"serves": False}):
        assert load(tmp_path / "config.toml", {}, {"transfer": Anything}, **but).admin.tls is not None
    assert "beside" in _problems_of_looking(tmp_path, f'[admin]\ntls_cert = "{tmp_path / "cert.pem"}"\n')


def _problems_of_looking(directory: Path, text: str) -> str:
    (directory / "config.toml").write_text(BASE + text)
    with pytest.raises(ConfigInvalid) as raised:
        load(directory / "config.toml", {}, {"transfer": Anything}, keys=False)
    return "\n".join(map(str, raised.value.problems))


def test_a_token_ends_at_a_moment_with_its_zone(tmp_path: Path) -> None:
    def token(expires: str) -> str:
        return f'[[admin.tokens]]\nname = "ada"\nsha256 = "{DIGEST}"\nexpires = {expires}\n'

    for text in ("2100-01-01T00:00:00Z", '"2100-01-01T00:00:00+00:00"', "2100-01-01T01:00:00+01:00"):
        found = loaded(tmp_path, token(text))
        assert found.admin.tokens[0].expires_us == 4_102_444_800_000_000
        assert DIGEST not in str(found.redacted)
    for text in ("2100-01-01T00:00:00", "2100-01-01", '"soon"', "4102444800", "true"):
        assert "expected a moment with its zone" in problems(tmp_path, token(text))
    assert any("the token ada" in it for it in loaded(tmp_path, token("2020-01-01T00:00:00Z")).warnings)


@pytest.mark.parametrize(
    ("text", "url", "socket"),
    [
        ("", "http://127.0.0.1:8080", None),
        ('[admin]\nhost = "::"\nport = 1\ntls_cert = "c.pem"\n', "https://[::1]:1", None),
        ('[admin]\nhost = "[::1]"\n', "http://[::1]:8080", None),
        ('[admin]\nport = 0\nsocket = "a.sock"\n[chain]\nnonsense = 1\n[[wallets]]\n', "", "a.sock"),
    ],
)
def test_a_command_finds_the_service_through_half_a_file(
    tmp_path: Path, text: str, url: str, socket: str | None
) -> None:
    path = tmp_path / "config.toml"
    path.write_text(text)
    place = admin_place(path, {})
    assert (place.url, place.socket) == (url, tmp_path / socket if socket else None)
    assert os.fspath(place.cert or "") == (str(tmp_path / "c.pem") if "tls_cert" in text else "")


@pytest.mark.parametrize("name", ["local", "deadman", "signal"])
def test_a_token_with_the_name_of_somebody_else_in_the_log_is_warned_of(tmp_path: Path, name: str) -> None:
    text = f'[[admin.tokens]]\nname = "{name}"\nsha256 = "{DIGEST}"\n'
    assert any(f"the token {name} of [admin] tokens has the name of" in it for it in loaded(tmp_path, text).warnings)
