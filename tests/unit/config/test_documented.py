"""docs/config.md has every key with its meaning, every variable and profile; no key of it is made up."""

import re
from pathlib import Path

import pytest

from ghostfleet.config.environment import CONFIG_VARIABLES, KNOWN_VARIABLES
from ghostfleet.config.settings import SECTIONS, AdminTokenSettings
from ghostfleet.domain.profile import BUILT_IN_PROFILES

DOCUMENT = (Path(__file__).parents[3] / "docs/config.md").read_text()
HEADINGS = {"wallets": "## [[wallets]]", "profiles": "## [profiles.NAME]"}
MODELS = {HEADINGS.get(name, f"## [{name}]"): model for name, model in SECTIONS.items()}
MODELS["### [[admin.tokens]]"] = AdminTokenSettings


@pytest.mark.parametrize("heading", MODELS)
def test_every_key_of_a_section_stands_there_with_its_meaning_and_no_other(heading):
    section = re.split(r"^#{2,3} ", DOCUMENT.split(heading + "\n")[1], maxsplit=1, flags=re.MULTILINE)[0]
    rows = dict(re.findall(r"^\| `(\w+)` \| .*? \| (.+) \|$", section, flags=re.MULTILINE))
    assert rows == {name: field.description for name, field in MODELS[heading].model_fields.items()}


def test_every_variable_and_profile_stands_there():
    for name in (*KNOWN_VARIABLES, *CONFIG_VARIABLES, *BUILT_IN_PROFILES):
        assert f"`{name}`" in DOCUMENT
