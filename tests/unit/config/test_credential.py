"""The keystores' password may be a credential that only the service's unit has: what works outside of it, and what does not?"""

from pathlib import Path

import pytest
from operator_file import OPERATOR_TOML, PASSWORD, OperatorFile

from ghostfleet.config.editing import replace_file, require_replaceable
from ghostfleet.config.loading import load
from ghostfleet.config.problems import ConfigInvalid
from ghostfleet.keys.keyring import KeystoreFile
from ghostfleet.keys.passwords import PasswordPlace, PasswordUnusable, read_password

NAMED = OPERATOR_TOML.replace("[safety]", '[keys]\ncredential = "keystore-password"\n[safety]')
WORDS = {"named": NAMED, "by default": OPERATOR_TOML}
LINE = (
    "systemd-run --pipe --wait --collect --uid=ghost-fleet -p UMask=0077"
    " -p LoadCredentialEncrypted=keystore-password:/etc/ghost-fleet/keystore-password.cred"
    " /opt/ghost-fleet/bin/ghost-fleet --config {} COMMAND"
)

pytestmark = pytest.mark.parametrize("text", WORDS.values(), ids=WORDS)


@pytest.fixture
def shell(operator: OperatorFile) -> OperatorFile:
    """Outside of the unit: no word of a password."""
    operator.environ = {}
    return operator


def test_who_opens_no_key_is_warned_and_not_held_up(shell: OperatorFile, text: str) -> None:
    shell.path.write_text(text)
    loaded = load(shell.path, {}, shell.models, opens=False)
    assert [it for it in loaded.warnings if "password is not here" in it and "docs/deploy.md" in it]
    [source] = [it.key.password for it in loaded.wallets if isinstance(it.key, KeystoreFile)]
    assert source.place is PasswordPlace.UNIT
    with pytest.raises(PasswordUnusable, match="only the service's unit has"):
        read_password(source, {})


def test_who_opens_keys_is_refused_with_the_line_that_can(shell: OperatorFile, text: str) -> None:
    shell.path.write_text(text)
    with pytest.raises(ConfigInvalid) as refused:
        load(shell.path, {}, shell.models)
    [problem] = refused.value.problems
    assert LINE.format(shell.path) in problem.right


def test_inside_the_unit_it_is_there_or_a_problem_for_everybody(shell: OperatorFile, text: str, tmp_path: Path) -> None:
    shell.path.write_text(text)
    inside = {"CREDENTIALS_DIRECTORY": str(tmp_path / "credentials")}
    for opens in (True, False):
        with pytest.raises(ConfigInvalid):
            load(shell.path, inside, shell.models, opens=opens)
    (tmp_path / "credentials").mkdir()
    (tmp_path / "credentials" / "keystore-password").write_text(PASSWORD)
    assert not load(shell.path, inside, shell.models).warnings[1:]


def test_the_settings_are_replaced_from_a_shell(shell: OperatorFile, text: str, tmp_path: Path) -> None:
    shell.path.write_text(text)
    require_replaceable(shell.path, text + "# better\n", {})
    assert shell.path.read_text() == text
    replace_file(shell.path, text + "# better\n", {}, tmp_path / "before")
    assert shell.path.read_text() == text + "# better\n"
