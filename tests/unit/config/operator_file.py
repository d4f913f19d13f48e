"""The operator's file of operator.toml, on disk with its keystore, ready to be changed and loaded."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict

from ghostfleet.config.loaded import Loaded
from ghostfleet.config.loading import load
from ghostfleet.config.problems import ConfigInvalid, Problem
from ghostfleet.keys.keystore import write_keystore, write_private
from ghostfleet.keys.secret import Secret

INLINE_KEY = "11" * 32
KEYSTORE_KEY = "22" * 32
PASSWORD = "canary-password"
OPERATOR_TOML = (Path(__file__).parent / "operator.toml").read_text()


class GhostnetSettings(BaseModel):
    """The shape of [plugins.ghostnet], as in the facts; the plugin itself is not needed here."""

    model_config = ConfigDict(extra="forbid", strict=True)

    ghost_core: str
    hash_crash: str | None = None
    arcade_core: str | None = None
    data_token: str
    min_stake: str = "0"
    hashcrash_enabled: bool = False


class OperatorFile:
    """The file in a directory of its own. `load` takes replacements to make in its text first."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "config.toml"
        self.environ: dict[str, str] = {"GHOST_FLEET_KEYSTORE_PASSWORD": PASSWORD}
        self.models: Mapping[str, type[BaseModel]] = {"ghostnet": GhostnetSettings}
        self.keystore = directory / "keys" / "wallet-002.json"
        self.keystore.parent.mkdir()
        write_keystore(self.keystore, Secret(bytes.fromhex(KEYSTORE_KEY)), Secret(PASSWORD.encode()), scrypt_n=2)
        write_private(self.path, b"")

    def load(self, *replacements: tuple[str, str], text: str = OPERATOR_TOML) -> Loaded:
        for old, new in replacements:
            assert old in text, old
            text = text.replace(old, new, 1)
        self.path.write_text(text)
        return load(self.path, self.environ, self.models)

    def problems(self, *replacements: tuple[str, str]) -> tuple[Problem, ...]:
        with pytest.raises(ConfigInvalid) as refused:
            self.load(*replacements)
        everything = " ".join(str(found) for found in refused.value.problems) + repr(refused.value)
        for secret in (INLINE_KEY, KEYSTORE_KEY, PASSWORD):
            assert secret not in everything
        return refused.value.problems
