"""Plugins are found by their entry points; one that cannot be used says why."""

import sys
from pathlib import Path

import msgspec
import pytest
from pydantic import BaseModel

from ghostfleet.plugins.api import Plugin
from ghostfleet.plugins.ghostnet import GhostnetPlugin
from ghostfleet.plugins.loading import PluginUnusable, load_plugins, settings_models

GHOSTNET = {"ghost_core": "0x" + "c0" * 20, "data_token": "0x" + "da" * 20}

FOREIGN = {
    "no_plugin": "Thing = dict",
    "broken_import": "import there_is_no_such_module",
    "missing_name": "",
    "other_name": (
        "from ghostfleet.plugins.transfer import TransferPlugin\nclass Thing(TransferPlugin): name = 'something'"
    ),
    "half_done": (
        "from ghostfleet.plugins.api import Plugin\nfrom pydantic import BaseModel\n"
        "class Thing(Plugin): name = 'half_done'; kinds = (); Settings = BaseModel; Observation = object"
    ),
    "speechless": "from ghostfleet.plugins.api import Plugin\nclass Thing(Plugin): name = 'speechless'",
}


@pytest.fixture
def foreign(tmp_path: Path, monkeypatch) -> None:
    """Some installed packages whose plugins are no good."""
    for name, source in FOREIGN.items():
        (tmp_path / f"foreign_{name}.py").write_text(source)
        metadata = tmp_path / f"foreign_{name}-1.0.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: foreign-{name}\nVersion: 1.0\n")
        entry = f"{name} = foreign_{name}:Thing\n"
        (metadata / "entry_points.txt").write_text(f"[ghostfleet.plugins]\n{entry}")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])


def test_the_built_in_plugins_are_installed():
    assert {"ghostnet", "transfer", "call"} <= set(settings_models())


def test_only_enabled_plugins_are_made():
    plugins = load_plugins({"ghostnet": GHOSTNET, "call": {"not": "read"}}, ["ghostnet", "transfer"], 6343)
    assert list(plugins) == ["ghostnet", "transfer"]
    assert isinstance(plugins["ghostnet"], GhostnetPlugin)
    assert plugins["ghostnet"].chain_id == 6343


def test_an_unknown_plugin_is_answered_with_the_nearest_one():
    with pytest.raises(PluginUnusable, match="did you mean `ghostnet`"):
        load_plugins({}, ["gohstnet"], 1)


def test_settings_that_do_not_fit_are_named_without_their_values():
    with pytest.raises(PluginUnusable) as refused:
        load_plugins({"ghostnet": {"ghost_core": "a-secret-in-the-wrong-place"}}, ["ghostnet"], 1)
    assert "[plugins.ghostnet]: ghost_core" in str(refused.value)
    assert "1 more" in str(refused.value)
    assert "a-secret" not in str(refused.value)


def test_hashcrash_needs_its_addresses():
    with pytest.raises(PluginUnusable, match="needs hash_crash and arcade_core"):
        load_plugins({"ghostnet": GHOSTNET | {"hashcrash_enabled": True}}, ["ghostnet"], 1)


def test_addresses_without_the_game_enabled_are_kept_out_of_play():
    table = GHOSTNET | {"hash_crash": "0x" + "01" * 20, "arcade_core": "0x" + "02" * 20, "min_stake": "25"}
    deployment = load_plugins({"ghostnet": table}, ["ghostnet"], 1)["ghostnet"].deployment
    assert (deployment.hash_crash, deployment.arcade_core, deployment.min_stake_wei) == (None, None, 25)


@pytest.mark.usefixtures("foreign")
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("no_plugin", "no subclass of"),
        ("broken_import", "ModuleNotFoundError.*there_is_no_such_module"),
        ("missing_name", "AttributeError"),
        ("other_name", "calls itself 'something'"),
        ("half_done", "does not define decide, observe"),
        ("speechless", "does not say its kinds, Settings, Observation"),
    ],
)
def test_a_plugin_that_is_no_good_says_why(name, words):
    with pytest.raises(PluginUnusable, match=words):
        load_plugins({}, [name], 1)
    assert name not in settings_models()
    assert "ghostnet" in settings_models()


@pytest.mark.parametrize("name", ["ghostnet", "transfer", "call"])
def test_the_built_in_plugins_keep_the_contract(name):
    tables = {"ghostnet": GHOSTNET, "call": {"calls": [{"address": "0x" + "01" * 20, "signature": "f()"}]}}
    plugin = load_plugins(tables, [name], 1)[name]
    assert isinstance(plugin, Plugin)
    assert issubclass(plugin.Settings, BaseModel)
    assert issubclass(plugin.Observation, msgspec.Struct)
    assert plugin.Observation.__struct_config__.frozen
    assert all(kind.isidentifier() for kind in plugin.kinds)
