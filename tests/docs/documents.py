"""What is there to check? Every document of the repository, and what stands in it: links, headings, code."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).parents[2]
ELSEWHERE = {".venv", "node_modules", "out", "demo", "dist", "build"}
"""Folders that are not the repository's own."""
FENCE = re.compile(r"^( *)```(\w*)[^\n]*\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
INDENTED = re.compile(r"(?:^ {4,}\S.*\n)+", re.MULTILINE)
INLINE = re.compile(r"`([^`]+)`")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)
NOT_IN_ANCHORS = re.compile(r"[^\w\- ]")


@dataclass(frozen=True)
class Document:
    """One of them."""

    path: Path

    def __str__(self) -> str:
        return str(self.path.relative_to(ROOT))

    @cached_property
    def text(self) -> str:
        return self.path.read_text()

    @cached_property
    def prose(self) -> str:
        """Without fenced blocks; what is `inline` stays."""
        return FENCE.sub("", self.text)

    @property
    def links(self) -> list[str]:
        return LINK.findall(INLINE.sub("", self.prose))

    @property
    def anchors(self) -> set[str]:
        """As GitHub makes them: lower case, punctuation gone, spaces to hyphens, a number from the second one on."""
        found: dict[str, int] = {}
        anchors = set()
        for heading in HEADING.findall(self.prose):
            anchor = NOT_IN_ANCHORS.sub("", heading.strip().lower()).replace(" ", "-")
            times = found.get(anchor, 0)
            found[anchor] = times + 1
            anchors.add(f"{anchor}-{times}" if times else anchor)
        return anchors

    @property
    def inline(self) -> list[str]:
        """`Inline code`, a line break in it being a space."""
        return [" ".join(code.split()) for code in INLINE.findall(self.prose)]

    @property
    def shell(self) -> Iterator[str]:
        """The lines of shell blocks and of indented ones, continuations joined, comments gone."""
        blocks = [text for _, language, text in FENCE.findall(self.text) if language in ("bash", "sh", "console", "")]
        for block in blocks + INDENTED.findall(self.prose):
            for line in block.replace("\\\n", " ").splitlines():
                code = re.sub(r"(?:^|\s)#.*$", "", line).strip().removeprefix("$ ")
                if code:
                    yield code


def documents() -> list[Document]:
    """All of them."""
    found = (path for path in sorted(ROOT.rglob("*.md")) if not ELSEWHERE & set(path.relative_to(ROOT).parts))
    return [Document(path) for path in found if not any(part.startswith(".") for part in path.relative_to(ROOT).parts)]
