"""Every link between documents, every anchor and every path named in them leads to something that is there."""

import re
from pathlib import Path

import pytest

from tests.docs.documents import ROOT, Document, documents

FOLDERS = tuple(f"{path.name}/" for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith("."))
SCHEMES = ("http://", "https://", "mailto:")
MADE_BY_RUNNING = ("out/", "config/production.toml", "contracts/out")
"""Paths that are in no checkout: what a run writes, and what operators make of the examples."""


@pytest.mark.parametrize("document", documents(), ids=str)
def test_links_and_anchors(document: Document) -> None:
    for link in document.links:
        if link.startswith(SCHEMES):
            continue
        name, _, anchor = link.partition("#")
        target = Document((document.path.parent / name).resolve() if name else document.path)
        assert target.path.exists(), f"{document} links to {link}: there is no such file"
        assert target.path.is_relative_to(ROOT), f"{document} links to {link}: out of the repository"
        assert not anchor or anchor in target.anchors, f"{document} links to {link}: there is no such heading"


@pytest.mark.parametrize("document", documents(), ids=str)
def test_paths_in_the_text(document: Document) -> None:
    """`ghostfleet/store/codec.py`, `tests/simulation/`, `*` in them included; without arguments or placeholders."""
    for code in document.inline:
        if not code.startswith(FOLDERS) or code.startswith(MADE_BY_RUNNING) or not re.fullmatch(r"[\w./*-]+", code):
            continue
        assert any(ROOT.glob(code.rstrip("/"))), f"{document} names {code}: there is no such path"


def test_every_document_of_docs_is_reachable_from_the_readme() -> None:
    waiting, reached = [ROOT / "README.md"], set()
    while waiting:
        path = waiting.pop()
        if path in reached or path.suffix != ".md" or not path.is_file():
            continue
        reached.add(path)
        names = (link.partition("#")[0] for link in Document(path).links if not link.startswith(SCHEMES))
        waiting += [(path.parent / name).resolve() for name in names if name]
    assert set((ROOT / "docs").glob("*.md")) <= reached
    assert (ROOT / "RUNBOOK.md") in reached


def test_it_would_see_a_broken_one(tmp_path: Path) -> None:
    """The checks themselves: an anchor as GitHub makes it, a link in a code block that is none."""
    text = "# A `b`, c_d (e)\n\n## Twice\n\n## Twice\n\n[x](#twice-1) `[y](none.md)`\n\n```\n[z](none.md)\n```\n"
    (tmp_path / "a.md").write_text(text)
    document = Document(tmp_path / "a.md")
    assert document.anchors == {"a-b-c_d-e", "twice", "twice-1"}
    assert document.links == ["#twice-1"]
