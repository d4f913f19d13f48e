"""The Dockerfile as instructions, stage by stage."""

import json
import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "Dockerfile"


class Instruction(NamedTuple):
    """One instruction; continued lines are one, comments are gone."""

    name: str
    text: str

    @property
    def words(self) -> list[str]:
        """Of the JSON form as it is, of the other one split at blanks."""
        return json.loads(self.text) if self.text.startswith("[") else self.text.split()


def stages() -> list[list[Instruction]]:
    """The instructions of each stage, its FROM first."""
    text = re.sub(r"^#.*\n", "", DOCKERFILE.read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    found: list[list[Instruction]] = []
    for line in filter(None, map(str.strip, text.splitlines())):
        name, rest = line.split(maxsplit=1)
        if name == "FROM":
            found.append([])
        found[-1].append(Instruction(name, rest))
    return found


def of(stage: list[Instruction], name: str) -> list[Instruction]:
    return [instruction for instruction in stage if instruction.name == name]


def environment(stage: list[Instruction]) -> dict[str, str]:
    """What ENV sets."""
    return dict(pair.split("=", 1) for each in of(stage, "ENV") for pair in each.words)
