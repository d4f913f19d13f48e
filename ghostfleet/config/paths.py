"""Where is a file that the settings name? Relative to the settings file; `~` is the home directory, where there is one."""

import contextlib
from pathlib import Path


def resolved(directory: Path, text: str) -> Path:
    """The absolute path. A `~name` of nobody is taken as it stands: whoever opens it says that it is not there."""
    path = Path(text)
    with contextlib.suppress(RuntimeError):  # no home directory is known for that name
        path = path.expanduser()
    return (directory / path).absolute()
