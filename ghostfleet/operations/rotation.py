"""Which wallets take the place of which? The plan of a rotation, kept in a file, so that the same command goes on after a kill.

Every step after it is an operation in the log or a state of the settings file that can be asked for again: the file is the only
memory there is, and it is written before anything else is done.
"""

import os
from collections.abc import Sequence
from pathlib import Path

import msgspec

from ghostfleet.domain.naming import some_of
from ghostfleet.domain.values import encode_json
from ghostfleet.errors import BadInput

PLAN_FILE = "rotation.json"
DONE_FILE = "rotation.done"
USUAL = "rotation-"
"""What directories are called that nobody has named: rotation-001, and so on."""
NAMED = 4
"""Wallets that a sentence names; a rotation may have thousands."""


class OtherRotation(BadInput):
    """The directory belongs to a rotation of other wallets: give another --out, or the wallets that this one began with."""


class Rotation(msgspec.Struct, frozen=True, kw_only=True):
    """`old` and their keystores go out of use; `profiles` says how many new ones of which profile there will be."""

    old: tuple[str, ...]
    keyfiles: dict[str, str]
    profiles: dict[str, int]
    to: str
    native_wei: str
    tokens: dict[str, str]

    @property
    def name(self) -> str:
        """What its fundings are told apart by."""
        return "rotation of " + ",".join(self.old)

    @property
    def reason(self) -> str:
        """The same for people, who are told of a few wallets and of how many there are."""
        return f"rotation of {_some(self.old)}"


def begun(directory: Path, wanted: Rotation) -> Rotation:
    """The rotation of this directory: the one that began here, or this one, which begins now. Raises OtherRotation."""
    file = directory / PLAN_FILE
    known = read(directory)
    if known is None:
        try:
            _write(file, wanted)
        except OSError as problem:
            raise BadInput(f"{problem.filename or directory} cannot be written: {problem.strerror}") from None
        return wanted
    if set(known.old) != set(wanted.old):
        raise OtherRotation(f"{file} is a rotation of {_some(known.old)}, not of {_some(wanted.old)}")
    return known


def _write(file: Path, wanted: Rotation) -> None:
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    partial = file.with_suffix(".partial")
    partial.write_bytes(encode_json(wanted))
    with partial.open("rb") as written:
        os.fsync(written.fileno())
    partial.replace(file)


def read(directory: Path) -> Rotation | None:
    """The rotation that began in this directory, if one did."""
    try:
        return msgspec.json.decode((directory / PLAN_FILE).read_bytes(), type=Rotation)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError) as problem:
        raise OtherRotation(f"{directory / PLAN_FILE} cannot be read: {problem}") from None


def ended(directory: Path) -> None:
    """Nothing of it is left to do: the next rotation without a name gets a directory of its own."""
    (directory / DONE_FILE).touch()


def usual_directory(base: Path) -> Path:
    """The newest rotation in `base` that has not ended, or the next one."""
    numbers = [
        int(it.name.removeprefix(USUAL))
        for it in base.glob(f"{USUAL}[0-9]*")
        if it.name.removeprefix(USUAL).isdecimal()
    ]
    newest = base / f"{USUAL}{max(numbers, default=0):03d}"
    goes_on = numbers and not (newest / DONE_FILE).exists()
    return newest if goes_on else base / f"{USUAL}{max(numbers, default=0) + 1:03d}"


def incomplete_set_aside(directory: Path, complete: str) -> None:
    """Keys of a generation that was killed: nobody has paid them, and nobody destroys a key; they are moved aside."""
    if directory.exists() and not (directory / complete).exists():
        number = 1
        while (aside := directory.with_name(f"{directory.name}.incomplete-{number}")).exists():
            number += 1
        directory.rename(aside)


def chosen(enabled: Sequence[str], count: int | None, named: Sequence[str]) -> tuple[str, ...]:
    """The wallets to rotate: those named, or the first so many of the settings, which are the oldest. Raises BadInput."""
    if (count is None) is not bool(named):
        raise BadInput("rotate --count N, or rotate --wallets wallet-001,wallet-002")
    if count is not None and not 1 <= count <= len(enabled):
        raise BadInput(f"--count {count}: the settings have {len(enabled)} enabled wallets")
    unknown = [name for name in named if name not in enabled]
    if unknown:
        raise BadInput(f"no enabled wallet {unknown[0]} in the settings")
    return tuple(named) if named else tuple(enabled[:count])


def _some(wallets: Sequence[str]) -> str:
    return some_of(wallets, NAMED, "others")
