"""Plugins are found by their entry points; one that cannot be used says why."""

import sys
from pathlib import Path

import msgspec
import pytest
from pydantic import BaseModel

from ghostfleet.plugins.api import Plugin
from ghostfleet.plugins.ghostnet import GhostnetPlugin
from ghostfleet.plugins.loading import PluginUnusable, load_plugins, settings_models
from tests.unit.plugins.foreign import PIGGY, install

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
    "ill_written": "a = 1\nb =\n",
    "half_installed": "\nimport a_library_that_is_not_there",
    "one_kind": PIGGY.replace('"piggy"', '"one_kind"').replace('("save",)', '("save")'),
    "listed": PIGGY.replace('"piggy"', '"listed"').replace("frozen=True", "array_like=True"),
    "no_view": PIGGY.replace('"piggy"', '"no_view"').replace("Observation = PiggyView", "Observation = dict"),
    "no_errors": PIGGY.replace('"piggy"', '"no_errors"') + "    errors = {b'1234': 'Locked'}\n",
}


@pytest.fixture
def foreign(tmp_path: Path, monkeypatch) -> None:
    """Some installed packages whose plugins are no good."""
    for name, source in FOREIGN.items():
        install(tmp_path, name, source)
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
        ("ill_written", r"SyntaxError: .* \(foreign_ill_written\.py:2\); mend the plugin"),
        (
            "half_installed",
            r"a_library_that_is_not_there' \(foreign_half_installed\.py:2\); mend the plugin, or install what",
        ),
        ("one_kind", "kinds has to be a tuple of names"),
        ("listed", "Observation has to be a msgspec Struct that is written as an object"),
        ("no_view", "Observation has to be a msgspec Struct"),
        ("no_errors", "errors has to be a name and the ABI types"),
    ],
)
def test_a_plugin_that_is_no_good_says_why(name, words):
    with pytest.raises(PluginUnusable, match=words):
        load_plugins({}, [name], 1)
    assert name not in settings_models()
    assert "ghostnet" in settings_models()


def test_a_plugin_whose_module_is_gone_is_to_be_reinstalled(tmp_path: Path, monkeypatch) -> None:
    install(tmp_path, "gone", "")
    (tmp_path / "foreign_gone.py").unlink()
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(PluginUnusable, match="No module named 'foreign_gone'; reinstall the plugin"):
        load_plugins({}, ["gone"], 1)


BANK = {"piggy": {"bank": "0x" + "01" * 20}}


@pytest.mark.parametrize(
    ("source", "table", "words"),
    [
        (
            PIGGY,
            {"piggy": {"bank": "0x1234"}},
            r"^\[plugins\.piggy\]: the plugin cannot be made of it: ValueError: expected an address: 0x and 40 hexadecimal"
            r" digits \(foreign_piggy\.py:25\); put its table right",
        ),
        (
            PIGGY.replace("super().__init__(settings, chain_id=chain_id)", "pass"),
            BANK,
            r"^\[plugins\.piggy\]: the plugin fails at addresses: AttributeError: 'Thing' object has no attribute 'settings'",
        ),
        (
            PIGGY + "    def addresses(self): return [str(self.bank)]\n",
            BANK,
            r"addresses names an Address of 20 bytes each time, got str \(foreign_piggy\.py:32\); mend the plugin",
        ),
        (PIGGY + "    def contracts(self): return [self.bank]\n", BANK, "fails at contracts: AttributeError: 'list'"),
        (PIGGY + "    def tokens(self): return [self.bank]\n", BANK, "fails at tokens: AttributeError: 'Address'"),
    ],
)
def test_a_plugin_that_cannot_be_made_of_its_table_says_why(source, table, words, tmp_path, monkeypatch):
    install(tmp_path, "piggy", source)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "foreign_piggy", raising=False)
    with pytest.raises(PluginUnusable, match=words):
        load_plugins(table, ["piggy"], 1)


def test_two_plugins_of_one_name_are_refused_with_where_each_is_from(tmp_path, monkeypatch):
    """The last one installed won, and took the place of one of ours."""
    install(tmp_path, "transfer", PIGGY.replace('"piggy"', '"transfer"'), "better-transfer")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(PluginUnusable, match="is there more than once: ") as refused:
        load_plugins({}, ["transfer"], 1)
    assert "better-transfer 1.0 (better_transfer:Thing)" in str(refused.value)
    assert "ghost-fleet" in str(refused.value)
    assert "transfer" not in settings_models()
    assert list(load_plugins({"ghostnet": GHOSTNET}, ["ghostnet"], 1)) == ["ghostnet"]


@pytest.mark.parametrize("name", ["ghostnet", "transfer", "call"])
def test_the_built_in_plugins_keep_the_contract(name):
    tables = {"ghostnet": GHOSTNET, "call": {"calls": [{"address": "0x" + "01" * 20, "signature": "f()"}]}}
    plugin = load_plugins(tables, [name], 1)[name]
    assert isinstance(plugin, Plugin)
    assert issubclass(plugin.Settings, BaseModel)
    assert issubclass(plugin.Observation, msgspec.Struct)
    assert plugin.Observation.__struct_config__.frozen
    assert all(kind.isidentifier() for kind in plugin.kinds)
