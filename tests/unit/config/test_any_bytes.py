"""Whatever the bytes of a settings file are: settings, or problems. Never a traceback, never a secret."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from operator_file import INLINE_KEY, KEYSTORE_KEY, OPERATOR_TOML, PASSWORD, OperatorFile

from ghostfleet.config.loading import load
from ghostfleet.config.problems import ConfigInvalid, Problem

LINES = OPERATOR_TOML.splitlines()
VALUES = (
    "1", "-1", "0", "0.5", "nan", "inf", "-inf", "1e400",
    "9" * 400, "0x" + "f" * 20_000, '"1e999999999"', '"nan"', '"-1"', "true", '""', '"x"', '"\\u0000"', '"\\u202e"',
    "[]", "[[]]", "[1]", "{}", "{a = {b = 1}}", "1979-05-27", "07:32:00", '"0x"', '"../../.."', '"/dev/null"', '"http://"',
    '"http://[::1"', '"http://user:pass@host:99999/x"', f'"{INLINE_KEY}"', f'"0x{KEYSTORE_KEY}"', '"' + "a" * 5000 + '"',
    '["ghostnet", 5]', '["ghostnet", "ghostnet"]', '"0x' + "0" * 40 + '"', '"\\uFFFF"', "'''a\nb'''", "[" * 200 + "]" * 200,
)  # fmt: skip
OF_THE_FILE = ("is not TOML",)
"""Rejections of the file as a whole; every other one names the key."""


@pytest.fixture(scope="module")
def operator():
    with tempfile.TemporaryDirectory() as directory:
        yield OperatorFile(Path(directory))


def outcome(operator: OperatorFile, content: bytes, environ: dict[str, str]) -> tuple[Problem, ...]:
    operator.path.write_bytes(content)
    problems: tuple[Problem, ...] = ()
    try:
        shown = repr(load(operator.path, environ, operator.models))
    except ConfigInvalid as error:
        problems = error.problems
        shown = "".join(map(str, problems)) + str(error) + repr(error)
        shown.encode()  # raises for what no terminal takes
    assert [it for it in problems if not it.key and not it.wrong.startswith(OF_THE_FILE)] == []
    assert "\n" not in shown
    for secret in (INLINE_KEY, KEYSTORE_KEY, PASSWORD):
        assert secret not in shown
    return problems


@settings(max_examples=100, deadline=None)
@given(content=st.binary(max_size=300))
def test_any_bytes(operator, content):
    outcome(operator, content, operator.environ)


changed_line = st.tuples(st.integers(0, len(LINES) - 1), st.sampled_from(VALUES))


@settings(max_examples=300, deadline=None)
@given(
    changes=st.lists(changed_line, min_size=1, max_size=4), dropped=st.sets(st.integers(0, len(LINES) - 1), max_size=3)
)
def test_any_value_in_the_place_of_any_other(operator, changes, dropped):
    lines: list[str] = list(LINES)
    for number, value in changes:
        key, equals, _ = lines[number].partition(" = ")
        lines[number] = f"{key} = {value}" if equals else lines[number]
    text = "\n".join(line for number, line in enumerate(lines) if number not in dropped)
    outcome(operator, text.encode(), operator.environ)


SECTION_OF = {
    number: next((it.strip("[]") for it in reversed(LINES[:number]) if it.startswith("[")), "")
    for number, line in enumerate(LINES)
    if " = " in line and not line.startswith("#")
}
"""Line number of a setting to the table that it stands in."""


@settings(max_examples=300, deadline=None)
@given(number=st.sampled_from(sorted(SECTION_OF)), value=st.sampled_from(VALUES))
def test_a_rejection_names_the_key_whose_value_is_wrong(operator, number, value):
    key = LINES[number].partition(" = ")[0].strip()
    text = "\n".join([*LINES[:number], f"{key} = {value}", *LINES[number + 1 :]])
    problems = outcome(operator, text.encode(), operator.environ)
    assert not problems or any(key in str(it) for it in problems), (SECTION_OF[number], problems)


NAMES = """
CHAIN__CHAIN_ID CHAIN WALLETS__0 PLUGINS__ENABLED PLUGINS__ENABLED__X PLUGINS__GHOSTNET A__B __ A____ STORE__URL
PROFILES__WHALE PROFILES__WHALE__PATIENCE ADMIN__TOKENS FEES__MAX_FEE_GWEI SERVICE__NAME__X KEYS__PASSWORD_FILE
KEYS__CREDENTIAL PLUGINS__GHOSTNET__GHOST_CORE CHAIN__RPC_URLS
"""
names = st.sampled_from(["", *NAMES.split()])
texts = st.text(st.characters(exclude_characters="\0"), max_size=20) | st.sampled_from(VALUES)


@settings(max_examples=200, deadline=None)
@given(overrides=st.dictionaries(names, texts, max_size=4))
def test_any_override(operator, overrides):
    environ = operator.environ | {f"GHOST_FLEET__{name}": text for name, text in overrides.items()}
    outcome(operator, OPERATOR_TOML.encode(), environ)
