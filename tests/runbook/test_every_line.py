"""No line of RUNBOOK.md is left out: each procedure with lines is walked by a test, and what is excepted still stands there."""

import re
from pathlib import Path

import pytest
import yaml

from tests.docs.documents import ROOT, Document
from tests.runbook.exceptions import NOT_RUN, WITHOUT_AN_ENGINE, WRITTEN_OTHERWISE
from tests.runbook.lines import AS_ORDERED, RUNBOOK, Line, lines, looks_like, procedures

TESTS = "".join(path.read_text() for path in sorted(Path(__file__).parent.glob("test_*.py")))
WALKED = {
    RUNBOOK: set(re.findall(r'stage\.procedure\("([^"]+)"\)', TESTS)),
    AS_ORDERED: set(re.findall(r'stage\.procedure\("([^"]+)", AS_ORDERED\)', TESTS)),
}
TEXTS = {document: [line.text for found in procedures(document).values() for line in found] for document in WALKED}
EVERY_LINE = [*TEXTS[RUNBOOK], *TEXTS[AS_ORDERED]]
NEEDS_AN_ENGINE = ("docker ", "systemctl ", "systemd-run ", "journalctl ")
NUMBER = re.compile(r"\b(?:IR|MP|EP)-\d{3}\b")


def test_every_procedure_is_walked_by_a_test() -> None:
    """Procedure fails where a line of it was not run."""
    assert WALKED[RUNBOOK] == set(procedures(RUNBOOK))


def test_every_line_as_ordered_stands_in_the_runbook_or_is_walked_by_a_test() -> None:
    for name, found in procedures(AS_ORDERED).items():
        left = [line.text for line in found if line.text not in {*TEXTS[RUNBOOK], *NOT_RUN}]
        assert left == [] or name in WALKED[AS_ORDERED], left


def test_every_line_that_needs_an_engine_has_its_reason() -> None:
    assert {text for text in EVERY_LINE if text.startswith(NEEDS_AN_ENGINE)} == {
        text for text in [*WITHOUT_AN_ENGINE, *NOT_RUN] if text.startswith(NEEDS_AN_ENGINE)
    }


@pytest.mark.parametrize("text", [*WITHOUT_AN_ENGINE, *NOT_RUN])
def test_what_is_excepted_still_stands_there(text: str) -> None:
    assert text in EVERY_LINE


@pytest.mark.parametrize("text", WRITTEN_OTHERWISE)
def test_what_is_written_otherwise_still_stands_there(text: str) -> None:
    assert any(text in line for line in EVERY_LINE)


def test_numbers_and_anchors_are_those_that_were_ordered() -> None:
    assert Document(AS_ORDERED).anchors - Document(RUNBOOK).anchors == {"table-of-contents"}


def test_every_number_that_is_cited_is_a_procedure() -> None:
    """In alerts, the dashboard, the documents and the code."""
    there = set(NUMBER.findall("".join(re.findall(r"^### .*$", RUNBOOK.read_text(), re.MULTILINE))))
    folders = ("deploy", "docs", "ghostfleet", "scripts")
    files = [path for name in folders for path in (ROOT / name).rglob("*") if path.is_file()]
    cited = {
        number
        for path in files
        for number in NUMBER.findall(path.read_text(errors="ignore"))
        if ".pyc" not in path.name
    }
    assert cited - there == set()


def test_every_alert_stands_in_the_procedure_that_it_names() -> None:
    """Whoever is woken by it finds it there."""
    rules = yaml.safe_load((ROOT / "deploy" / "alerts.yml").read_text())["groups"][0]["rules"]
    sections = re.split(r"^### ", RUNBOOK.read_text(), flags=re.MULTILINE)
    there = {text[:6]: text for text in sections}
    missing = [
        rule["alert"]
        for rule in rules
        if rule["alert"] not in there[rule["annotations"]["runbook"].removeprefix("RUNBOOK.md, ")]
    ]
    assert missing == []


def test_a_token_that_the_runbook_makes_has_a_name_that_no_example_has_taken() -> None:
    [made] = set(re.findall(r"admin token create (\S+)", RUNBOOK.read_text()))
    examples = "".join(path.read_text() for path in (ROOT / "config").iterdir() if path.is_file())
    assert 'name = "on-call"' in examples, "it looks where names are"
    assert f'"{made}"' not in examples


def test_it_would_see_what_it_reads_for() -> None:
    """The parser: blocks, comments, continuations, loops, output beneath, inline commands and what is none."""
    text = (
        "`ghost-fleet doctor` and `reload`, `--yes`, `in X seconds`\n\n"
        "   ```bash\n   # a comment\n   curl -s x | jq     # behind it\n   #> { \"a\": 1 }\n"
        "   for a in b; do\n     echo $a\n   done\n   docker run \\\n     image\n   ```\n"
    )  # fmt: skip
    assert list(lines(text)) == [
        Line("ghost-fleet doctor"),
        Line("curl -s x | jq", ('{ "a": 1 }',)),
        Line("for a in b; do\necho $a\ndone"),
        Line("docker run \\\nimage"),
    ]


@pytest.mark.parametrize(
    ("shown", "output", "fits"),
    [
        ('{ "status": "healthy", "uptime_secs": 12345 }', '{\n  "status": "healthy",\n  "uptime_secs": 7\n}', True),
        ('{ "status": "healthy" }', '{"status": "unready"}', False),
        ("4 wallets at block 110: 3.9 native", "12 wallets at block 7: 0 native", True),
        ("head 0x3461", "head 0xffab", True),
        ("a ... c", "a b c", True),
        ("a ... c", "a b", False),
    ],
)
def test_it_would_see_another_output(shown: str, output: str, fits: bool) -> None:
    assert looks_like(shown, output) is fits
