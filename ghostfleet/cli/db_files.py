"""`ghost-fleet db backup`, `restore` and `archive`: the log in files, made and put back whole."""

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from ghostfleet.cli.client import NoInterface, ServiceUnreachable, Way, ask_service, commanding
from ghostfleet.cli.moments import moment_of
from ghostfleet.cli.options import options_of
from ghostfleet.cli.output import print_json, print_line, print_table, print_warning
from ghostfleet.errors import BadInput, GhostFleetError, TryAgain

if TYPE_CHECKING:
    from ghostfleet.config.loaded import Loaded
    from ghostfleet.operations.after_restore import ChainView
    from ghostfleet.operations.backup import Backup

AsJson = Annotated[bool, typer.Option("--json", help="As one JSON object.")]
NO_LOG_HERE = (
    "there was no log here to carry a pause over from: was the fleet paused after this backup? Then set global_pause = true"
    " before the start"
)
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


@commanding
def backup(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The backup to make, for example ghost-fleet.db.gz.")],
    way: Way,
    force: Annotated[bool, typer.Option("--force", help="Replace FILE where it exists.")] = False,
    as_json: AsJson = False,
) -> None:
    """Copy the log into a verified, compressed file, while the service runs or while it is down, and write that down."""
    from ghostfleet.operations.backup import back_up

    settings = options_of(context).load(keys=False)
    made = asyncio.run(back_up(settings.store.url, file.absolute(), force=force))
    not_recorded = _record_backup(context, way, settings, made, file.absolute())
    if as_json:
        print_json({**msgspec.structs.asdict(made), "recorded": not not_recorded, "not_recorded": not_recorded})
    else:
        print_line(f"{file}: {made.position} events, head {made.head_hash}, {made.size_bytes} bytes, verified")
    if not_recorded:
        print_warning(f"{file} is made and verified, but it is not in the log that it was: {not_recorded}")


def _record_backup(context: typer.Context, way: Way, settings: "Loaded", made: "Backup", file: Path) -> str:
    """The running service writes it down; where none runs, it is written to the log itself. Why not, where neither can be: the
    backup is as good without."""
    from ghostfleet.cli.alone import command_alone
    from ghostfleet.domain.events import BackupMade
    from ghostfleet.domain.operators import RECORD_BACKUP
    from ghostfleet.engine.backups import MAX_FILE_CHARS
    from ghostfleet.engine.clock import SystemClock
    from ghostfleet.operations.backup_record import record_alone

    path, name = "/admin/backups", str(file).encode(errors="replace").decode()[-MAX_FILE_CHARS:]
    ends = {"position": made.position, "size_bytes": made.size_bytes}
    members = {"file": name, "head_hash": str(made.head_hash), **ends}
    try:
        try:
            ask_service(context, way, "POST", path, body=members)
        except (ServiceUnreachable, NoInterface):
            if way.url is not None:
                raise
            command = command_alone(way, RECORD_BACKUP, name, path, members)
            event = BackupMade(file=name, head_hash=made.head_hash, actor=command.actor, **ends)
            asyncio.run(record_alone(settings, SystemClock(), command, event))
    except GhostFleetError as problem:
        return str(problem)
    return ""


def restore(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A backup that `db backup` or the service made.")],
    force: Annotated[
        bool, typer.Option("--force", help="Even where the log holds what the backup does not; it is set aside.")
    ] = False,
    no_chain: Annotated[bool, typer.Option("--no-chain", help="Do not compare with the chain afterwards.")] = False,
    as_json: AsJson = False,
) -> None:
    """Put a backup in the log's place; the log there is set aside, never deleted. The service has to be down."""
    from ghostfleet.operations.restore import restore

    settings = options_of(context).load(keys=False)
    done = asyncio.run(restore(settings.store.url, file.absolute(), archives=settings.archive_dir, force=force))
    chain, why_not = (None, "--no-chain") if no_chain else _compared(settings)
    if as_json:
        print_json({**msgspec.structs.asdict(done), "chain": chain, "chain_skipped": why_not})
        return
    print_line(f"restored: {done.position} events, head {done.head_hash}")
    if done.aside:
        print_line(f"the log that was there, {done.replaced_position} events, is {done.aside}")
    for line in done.carried_over:
        print_line(f"carried over: {line}")
    for line in done.not_taken_over:
        print_warning(line)
    if not done.aside:
        print_line(NO_LOG_HERE)
    if chain is None:
        print_warning(f"not compared with the chain: {why_not}")
        return
    _print_chain(chain)


def _compared(settings: "Loaded") -> "tuple[ChainView | None, str]":
    """The restored log beside the chain, or why they could not be compared: the log is restored all the same."""
    from ghostfleet.operations.after_restore import compare

    try:
        return asyncio.run(compare(settings)), ""
    except TryAgain as problem:
        return None, str(problem)


def _print_chain(chain: "ChainView") -> None:
    columns = ("wallet", "next nonce in the log", "on chain", "unknown to the log")
    rows = [(it.wallet, it.log_nonce, it.chain_nonce, _unknown(it.used_since, it.unknown)) for it in chain.wallets]
    if rows:
        print_table(columns, rows)
        print_line("the next start writes these down as outside transactions, and goes on after them")
    for line in chain.open_slots:
        print_line(line)
    if not rows:
        print_line(f"the chain has nothing that the log does not know, at block {chain.block}")


def _unknown(used: int, hashes: "tuple[object, ...]") -> str:
    named = " ".join(str(tx) for tx in hashes)
    rest = used - len(hashes)
    return f"{named} and {rest} more".strip() if rest > 0 and hashes else named or f"{used} transactions"


def archive(
    context: typer.Context,
    before: Annotated[str, typer.Option("--before", help="Events recorded before this time, ISO 8601.")],
    to: Annotated[
        Path | None,
        typer.Option(
            "--to",
            metavar="FILE",
            help="The archive file to make. Default: named after TIME, where archives lie ([archive] dir).",
        ),
    ] = None,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Move old events to an archive file that queries still reach. Ends the way back to release 0.1.0."""
    from ghostfleet.operations.archive import archive

    settings = options_of(context).load(keys=False)
    until_us = moment_of("--before", before)
    to = to or _usual_archive(settings, until_us)
    _ask_for_archive(before, to, yes)
    done = asyncio.run(archive(settings.store.url, until_us, to.absolute(), archives=settings.archive_dir))
    if done.held_back:
        print_warning(done.held_back)
    if not done.in_place:
        print_warning(f"{to} is not in the archive place: queries reach it once it lies there ([archive] dir)")
    if as_json:
        print_json(done)
    elif done.events:
        print_line(
            f"{to}: {done.events} events, positions {done.first_position} to {done.last_position}, {done.size_bytes} bytes;"
            " keep it as long as the log"
        )
    else:
        print_line(f"nothing to archive before {before}")


def _usual_archive(settings: "Loaded", until_us: int) -> Path:
    """The same for the same moment, so that one that was killed goes on."""
    from ghostfleet.store.places import archive_place
    from ghostfleet.telemetry.moments import iso

    place = archive_place(settings.store.url, settings.archive_dir)
    if place is None:
        raise BadInput(
            "--to FILE: a log in PostgreSQL has no place of its own for archives, and [archive] dir is not set"
        )
    moment = iso(until_us)[:19].replace("-", "").replace(":", "")
    return place / f"archive-before-{moment}.db"


def _ask_for_archive(before: str, to: Path, yes: bool) -> None:
    """It cannot be undone by going back to the release before: say so, and have it confirmed."""
    if yes:
        return
    told = (
        f"Events before {before} move from the database to {to}. From then on release 0.1.0 refuses this log:"
        " there is no way back to it. Make a backup first."
    )
    if not sys.stdin.isatty():
        raise BadInput(f"{told} Say --yes when that is understood.")
    print_line(told)
    typer.confirm("Archive?", abort=True)
