"""A file that a command was given to judge: read whole, within a bound; - is standard input."""

import sys
from pathlib import Path

from ghostfleet.errors import BadInput

MAX_BYTES = 64 * 2**20
"""A manifest of a hundred thousand addresses, twice, fits in a quarter of it."""


def given_bytes(path: Path) -> bytes:
    """Raises BadInput."""
    try:
        if str(path) == "-":
            return sys.stdin.buffer.read(MAX_BYTES)
        with path.open("rb") as file:
            return file.read(MAX_BYTES)
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}") from None
