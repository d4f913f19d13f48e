"""docs/config.md has every key with its default and its meaning, every variable and profile; no key of it is made up."""

import re
from pathlib import Path

import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from ghostfleet.config.environment import CONFIG_VARIABLES, KNOWN_VARIABLES
from ghostfleet.config.settings import KEYS_TABLES, SECTIONS, AdminTokenSettings
from ghostfleet.domain.profile import BUILT_IN_PROFILES

DOCUMENT = (Path(__file__).parents[3] / "docs/config.md").read_text()
GWEI = 10**9
HEADINGS = {"wallets": "## [[wallets]]", "profiles": "## [profiles.NAME]"}
MODELS = {HEADINGS.get(name, f"## [{name}]"): model for name, model in SECTIONS.items()}
MODELS |= {f"### [keys.{name}]": model for name, model in KEYS_TABLES.items()}
MODELS["### [[admin.tokens]]"] = AdminTokenSettings


def default_as_told(field: FieldInfo) -> str:
    """How the page says it: `code`, the word required, or nothing where there is none."""
    if field.is_required():
        return "required"
    default = field.get_default(call_default_factory=True)
    if default is None or isinstance(default, BaseModel):
        return ""  # a table of its own says what is in it
    scaled = default / GWEI if field.description and "in gwei" in field.description else default
    told = {True: "true", False: "false"}[scaled] if isinstance(scaled, bool) else scaled
    return f"`{told:g}`" if isinstance(told, float) else f"`{told}`"


@pytest.mark.parametrize("heading", MODELS)
def test_every_key_of_a_section_stands_there_with_its_default_and_its_meaning_and_no_other(heading):
    section = re.split(r"^#{2,3} ", DOCUMENT.split(heading + "\n")[1], maxsplit=1, flags=re.MULTILINE)[0]
    rows = re.findall(r"^\| `(\w+)` \| (.*?) ?\| (.+) \|$", section, flags=re.MULTILINE)
    fields = MODELS[heading].model_fields
    assert rows == [(name, default_as_told(field), field.description) for name, field in fields.items()]


def test_every_variable_and_profile_stands_there():
    for name in (*KNOWN_VARIABLES, *CONFIG_VARIABLES, *BUILT_IN_PROFILES):
        assert f"`{name}`" in DOCUMENT
