"""What is known of the fleet before any check: its settings, as far as they can be read, and where its things are."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ghostfleet.config.loaded import Loaded
from ghostfleet.config.loading import load
from ghostfleet.config.partial import Partly, read_partly
from ghostfleet.config.problems import ConfigInvalid, Problem
from ghostfleet.domain.state import State
from ghostfleet.engine.recovery import recover
from ghostfleet.errors import BadInput
from ghostfleet.store.log import open_log
from ghostfleet.store.places import sqlite_path


@dataclass
class Patient:
    """The fleet as the checks look at it. `loaded` is None where the settings cannot be used."""

    path: Path
    environ: Mapping[str, str]
    parts: Partly
    loaded: Loaded | None
    problems: tuple[Problem, ...]
    unhealthy: Callable[[], str]
    """Asks the running service over HTTP: why it is not well, or empty. Blocks for a moment."""
    unready: Callable[[], str]
    """The same of its readiness."""
    _state: "asyncio.Task[State] | None" = field(default=None, init=False)

    @property
    def database(self) -> Path | None:
        """The log's file, where it is one."""
        try:
            return sqlite_path(self.parts.store_url)
        except BadInput:
            return None

    @property
    def archives(self) -> Path | None:
        """Where the log's archives lie, as far as the settings can be used."""
        return self.loaded.archive_dir if self.loaded is not None else None

    async def state(self) -> State:
        """The state that the log makes, folded once for all checks that want it."""
        if self._state is None:
            self._state = asyncio.create_task(_fold(self.parts.store_url, self.archives))
        return await asyncio.shield(self._state)

    def dismiss(self) -> None:
        """Nobody waits for the state any more."""
        if self._state is not None:
            self._state.cancel()


def admitted(
    path: Path, environ: Mapping[str, str], unhealthy: Callable[[], str], unready: Callable[[], str]
) -> Patient:
    """The patient, however bad the settings are."""
    loaded: Loaded | None = None
    problems: tuple[Problem, ...] = ()
    try:
        loaded = load(path, environ, opens=False)
    except ConfigInvalid as invalid:
        problems = invalid.problems
    return Patient(
        path=path,
        environ=environ,
        parts=read_partly(path, environ),
        loaded=loaded,
        problems=problems,
        unhealthy=unhealthy,
        unready=unready,
    )


async def _fold(url: str, archives: Path | None) -> State:
    log = await open_log(url, read_only=True, archives=archives)
    try:
        return await recover(log)
    finally:
        await log.close()
