"""Installs packages of plugin authors, good ones and others, where Python finds them."""

from pathlib import Path

PIGGY = """
from pydantic import BaseModel, ConfigDict
import msgspec
from ghostfleet.keys.addresses import parse_address
from ghostfleet.plugins.api import Plugin, Rest


class PiggySettings(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    bank: str


class PiggyView(msgspec.Struct, frozen=True):
    saved_wei: int = 0


class Thing(Plugin[PiggyView]):
    name = "piggy"
    kinds = ("save",)
    Settings = PiggySettings
    Observation = PiggyView

    def __init__(self, settings, *, chain_id):
        super().__init__(settings, chain_id=chain_id)
        self.bank = parse_address(settings.bank)

    async def observe(self, wallet, chain):
        return PiggyView()

    def decide(self, view, wallet, profile, random):
        return Rest(reason="full")
"""


def install(folder: Path, plugin: str, source: str, distribution: str = "") -> None:
    """A distribution with one module and one plugin, which is its `Thing`."""
    distribution = distribution or f"foreign-{plugin}"
    module = distribution.replace("-", "_")
    (folder / f"{module}.py").write_text(source)
    metadata = folder / f"{module}-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[ghostfleet.plugins]\n{plugin} = {module}:Thing\n")
