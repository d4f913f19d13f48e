"""docs/plugins.md is true: its example is installed and passes its own test on a real chain, and it names every setting."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from pydantic import BaseModel

from ghostfleet.plugins.api import Action, Plugin
from ghostfleet.plugins.call import CallSettings
from ghostfleet.plugins.loading import load_plugins, settings_models

ROOT = Path(__file__).parents[3]
GUIDE = (ROOT / "docs" / "plugins.md").read_text()
BLOCKS = dict(re.findall(r"^```\w+ (\S+)\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL))
MODULES = ROOT / "node_modules" / ".bin"


def run(*command: str | Path, cwd: Path, **environment: str) -> str:
    """Run it, and have its output in the failure."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=os.environ | environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The blocks as the files they name, compiled."""
    compiler = shutil.which("solcjs", path=f"{MODULES}{os.pathsep}{os.environ['PATH']}")
    if compiler is None:
        if os.environ.get("CI") == "true":
            pytest.fail("solcjs is not installed: run `npm install`")
        pytest.skip("solcjs is not installed")
    for name, text in BLOCKS.items():
        (tmp_path / name).write_text(text)
    command = re.search(r"`solcjs (.*?)`", GUIDE)
    assert command is not None
    run(compiler, *command[1].split(), cwd=tmp_path)
    return tmp_path


def test_the_worked_example_installs_and_passes_its_own_test(project):
    site = project / "site"
    pip = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-build-isolation")
    run(sys.executable, *pip, "--no-index", "--target", site, ".", cwd=project)
    (project / "piggy.py").unlink()  # the installed one has to do
    arguments = ("-q", "-p", "no:cacheprovider", "-p", "no:xdist", "--rootdir", project, "test_piggy.py")
    output = run(sys.executable, "-m", "pytest", *arguments, cwd=project, PYTHONPATH=str(site))
    assert "4 passed" in output


def test_the_declared_calls_are_accepted():
    tables = tomllib.loads(BLOCKS["call-settings.toml"])["plugins"]
    plugin = load_plugins(tables, ["call"], 1)["call"]
    assert [call.function.signature for call in plugin.calls] == ["vote(uint256,bool,address)", "save()"]


def section(name: str) -> str:
    found = re.search(rf"^## {re.escape(name)}\n(.*?)(?=^## |\Z)", GUIDE, re.MULTILINE | re.DOTALL)
    assert found is not None, f"docs/plugins.md has no section {name!r}"
    return found[1]


@pytest.mark.parametrize("name", ["ghostnet", "transfer", "call"])
def test_every_setting_and_kind_of_the_built_in_plugins_is_documented(name):
    text = section(f"Built in: {name}")
    models: list[type[BaseModel]] = [settings_models()[name], *([CallSettings] if name == "call" else [])]
    for model in models:
        missing = [field for field in model.model_fields if f"`{field}`" not in text]
        assert not missing, f"docs/plugins.md, {name}: {missing}"
    table = {"ghost_core": "0x" + "c0" * 20, "data_token": "0x" + "da" * 20} if name == "ghostnet" else {}
    call = {"calls": [{"address": "0x" + "01" * 20, "signature": "f()"}]} if name == "call" else {}
    plugin = load_plugins({name: table | call}, [name], 1)[name]
    assert not [kind for kind in plugin.kinds if f"`{kind}`" not in text]


def test_every_member_of_the_contract_is_documented():
    text = section("The contract")
    members = [member for member in (*Plugin.__annotations__, *vars(Plugin)) if not member.startswith("_")]
    assert not [member for member in members if f"`{member}" not in text]
    assert not [field for field in Action.__struct_fields__ if field != "gas" and f"`{field}`" not in text]
