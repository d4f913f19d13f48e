"""What is wrong with a settings file, in words an operator can act on, and never with a secret in them."""

import difflib
import re
from collections.abc import Iterable, Sequence

import msgspec

from ghostfleet.errors import BadInput

_KEY_LIKE = re.compile(r"(0[xX])?[0-9a-fA-F]{48,}")
"""Long runs of hexadecimal digits may be keys wherever they stand; addresses (40 digits) are not."""
MAX_TEXT = 600


class Problem(msgspec.Struct, frozen=True):
    """One thing to put right. `file` may also be the environment; `key` is a path such as `wallets[2].address`."""

    file: str
    key: str
    wrong: str
    right: str

    def __str__(self) -> str:
        where = f"{self.file}: {self.key}" if self.key else self.file
        return f"{where}: {self.wrong}; {self.right}"


class ConfigInvalid(BadInput):
    """The settings cannot be used; `problems` has everything that is wrong with them, in the order of the file."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        assert problems
        self.problems = tuple(problems)
        first, more = self.problems[0], len(self.problems) - 1
        super().__init__(str(first) + (f" (and {more} more; `ghost-fleet validate` lists them)" if more else ""))


def problem(file: str, key: str, wrong: str, right: str) -> Problem:
    """The only way to make one: on one line, bounded, without anything that looks like a key."""
    return Problem(shown(file), shown(key), shown(wrong), shown(right))


def shown(text: str) -> str:
    hidden = _KEY_LIKE.sub("<hidden>", text)
    clean = "".join(character if character.isprintable() else "?" for character in hidden)
    return clean if len(clean) <= MAX_TEXT else clean[: MAX_TEXT - 1] + "…"


def nearest(word: str, known: Iterable[str]) -> str:
    """Advice for a name that does not exist: the one that was probably meant, or all there are."""
    names = sorted(known)
    close = difflib.get_close_matches(word.lower(), names, n=1, cutoff=0.6)
    if close:
        return f"did you mean `{close[0]}`?"
    return "known: " + ", ".join(names) if names else "remove it"
