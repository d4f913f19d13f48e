"""Whose is a file that root makes where the service works? Its who owns that place: the service has to open it afterwards."""

import contextlib
import os
from pathlib import Path


def belong_to_the_owner_of(whose: Path, file: Path) -> None:
    """Only root can give files away; for everybody else, and where the disk knows no owners, they stay as they are.

    A file with a second name is not given away: the other one may lie where that owner must not write.
    """
    with contextlib.suppress(OSError):
        owner, mine = whose.stat(), file.lstat()
        if (owner.st_uid, owner.st_gid) != (mine.st_uid, mine.st_gid) and mine.st_nlink == 1:
            os.chown(file, owner.st_uid, owner.st_gid, follow_symlinks=False)
