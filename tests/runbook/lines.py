"""What does RUNBOOK.md tell an operator to type? Every command line of it, in order, with the output that is printed beneath.

A block's lines that begin with `#>` are what is seen; `for ... done` is one line, and so is one that ends with a backslash.
Inline code is a command where it begins with a program and goes on.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
RUNBOOK = ROOT / "RUNBOOK.md"
AS_ORDERED = Path(__file__).with_name("as_ordered.txt")
"""The runbook that the product was ordered with: its printed lines have to keep working."""
SERVICE = "ghost-fleet|docker|systemctl|systemd-run|journalctl"
PROGRAMS = f"{SERVICE}|curl|cast|git|cp|cat|df|free|mount|export|cd|for|sqlite3|fuser|kill|make"
HEADING = re.compile(r"^#{2,3} (.+)$", re.MULTILINE)
CODE = re.compile(r"^ *```bash\n(?P<block>.*?)^ *```$|(?<!`)`(?P<inline>[^`\n]+)`(?!`)", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(rf"(?:{PROGRAMS}|\./\S+|scripts/\S+) \S")
SHOWN = "#>"


@dataclass(frozen=True)
class Line:
    """One command line. `shown` is the output that stands beneath it."""

    text: str
    shown: tuple[str, ...] = ()


def procedures(document: Path) -> dict[str, list[Line]]:
    """The command lines under each heading: by number, `IR-001`, where it has one; headings without lines are not there."""
    text = document.read_text()
    headings = list(HEADING.finditer(text))
    ends = [*(it.start() for it in headings[1:]), len(text)]
    found = {
        heading[1].split(":")[0]: list(lines(text[heading.end() : end]))
        for heading, end in zip(headings, ends, strict=True)
    }
    return {name: there for name, there in found.items() if there}


def lines(text: str) -> Iterator[Line]:
    for code in CODE.finditer(text):
        if code["block"] is not None:
            yield from _of_block(code["block"])
        elif COMMAND.match(code["inline"]):
            yield Line(code["inline"])


def _of_block(block: str) -> Iterator[Line]:
    text, shown = "", []
    for raw in block.splitlines():
        line = raw.strip()
        if line.startswith(SHOWN):
            shown.append(line.removeprefix(SHOWN).strip())
            continue
        if not line or line.startswith("#"):
            continue
        if text and not _ends(text):
            text = f"{text}\n{line}"
            continue
        if text:
            yield Line(text, tuple(shown))
        text, shown = re.sub(r"\s+# .*$", "", line), []
    if text:
        yield Line(text, tuple(shown))


def _ends(text: str) -> bool:
    if text.startswith("for "):
        return text.splitlines()[-1] == "done"
    return not text.endswith("\\")


def looks_like(shown: str, output: str) -> bool:
    """Is this printed line in the output? Figures stand for any, `...` for anything, blanks for nothing."""
    parts = re.split(r"(\.\.\.|0x[0-9a-f.]+|\d[\d.,]*)", "".join(shown.split()))
    return re.search("".join(map(_pattern, parts)), "".join(output.split())) is not None


def _pattern(part: str) -> str:
    if part == "...":
        return ".*"
    if part.startswith("0x"):
        return "0x[0-9a-fA-F]+.*?"
    return r"\d[\d.,]*" if part[:1].isdigit() else re.escape(part)
