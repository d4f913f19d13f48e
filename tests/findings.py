"""What may a test not be unlucky with? A promise that is seen broken once is broken, however often the test passes."""

from collections.abc import Iterable


class Finding(AssertionError):
    """Log and chain differ, something is lost or doubled, a secret was seen. Such a test has no second chance."""


def nothing(found: Iterable[str]) -> None:
    """Raises Finding where there is any."""
    if told := list(found):
        raise Finding("\n".join(told))
