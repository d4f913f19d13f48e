"""`ghost-fleet audit`: what happened, asked of the database itself, whether the service runs or not. Changes nothing."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, cast

import msgspec
import typer

from ghostfleet.cli.checkpoints import checkpoints
from ghostfleet.cli.given import given_bytes
from ghostfleet.cli.moments import check_order, moment_of
from ghostfleet.cli.options import options_of
from ghostfleet.cli.output import print_json, print_line, print_notice, print_table, print_warning
from ghostfleet.cli.reading import asked, place_of
from ghostfleet.domain.values import Hash, JsonObject
from ghostfleet.errors import BadInput, GhostFleetError

if TYPE_CHECKING:
    from ghostfleet.store.log import EventLog
    from ghostfleet.store.queries import EventQuery, TransactionRow, TransactionStatus
    from ghostfleet.store.rows import EventRow
    from ghostfleet.store.verification import Verification

T = TypeVar("T")

app = typer.Typer(help="What happened, from the log itself; works while the service runs and while it is down.")

AsJson = Annotated[bool, typer.Option("--json", help="One JSON object a line.")]
Wallet = Annotated[str | None, typer.Option("--wallet", help="Only of this wallet.")]
MAX_NAMED = 10
"""Positions in a line."""
MAX_POSITION = 10**12
"""As over HTTP."""
Limit = Annotated[int, typer.Option("--limit", min=1, max=MAX_POSITION, help="At most so many.")]
After = Annotated[int, typer.Option("--after", min=0, max=MAX_POSITION, help="After this position.")]


class NotVerified(GhostFleetError):
    """The log does not hang together. Keep it, restore a backup beside it, and find out who wrote to the file."""

    exit_code = 1


class NotTheLog(GhostFleetError):
    """The log hangs together, and does not hold a checkpoint that was noted elsewhere: it was written anew, or is another one.
    Keep it as it is, compare it with a backup, and find out who could write to it."""

    exit_code = 1


@app.callback()
def about(
    context: typer.Context,
    log: Annotated[
        str | None,
        typer.Option(
            "--log",
            metavar="FILE|URL",
            help="Ask this log: a file, a backup (.db.gz) or postgresql://…; no settings are needed then.",
        ),
    ] = None,
) -> None:
    """What happened, from the log itself; works while the service runs and while it is down."""
    if log is not None:
        context.find_root().obj = msgspec.structs.replace(options_of(context), log=log)


@app.command("events")
def events(
    context: typer.Context,
    wallet: Wallet = None,
    kind: Annotated[str | None, typer.Option("--type", help="Only of this type, for example ErrorRecorded.")] = None,
    since: Annotated[str | None, typer.Option("--since", help="From this time on, ISO 8601 or microseconds.")] = None,
    until: Annotated[str | None, typer.Option("--until", help="Before this time.")] = None,
    correlation: Annotated[str | None, typer.Option("--correlation", help="Of this action or command.")] = None,
    tx: Annotated[str | None, typer.Option("--tx", help="That name this transaction.")] = None,
    after: After = 0,
    limit: Limit = 100,
    as_json: AsJson = False,
) -> None:
    """Events by filter, oldest first."""
    from ghostfleet.store.queries import EventQuery

    query = EventQuery(
        wallet=wallet,
        types=_known_type(kind),
        since_us=_moment("--since", since),
        until_us=_moment("--until", until),
        correlation=correlation,
        tx=_hash(tx) if tx is not None else None,
        cursor=after,
    )
    check_order(query.since_us, query.until_us)
    asked(context, lambda log: _print_events(_knowing(log, wallet), query, limit, as_json))


@app.command("wallet")
def wallet(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="WALLET")],
    at: Annotated[str | None, typer.Option("--at", help="The wallet as it was at this time or position.")] = None,
    limit: Limit = 100,
    as_json: AsJson = False,
) -> None:
    """A wallet's timeline, newest last; with --at its state as it was then."""
    from ghostfleet.store.queries import EventQuery

    if at is None:
        query = EventQuery(wallet=name, descending=True)
        asked(context, lambda log: _print_latest(_knowing(log, name), query, limit, as_json))
        return
    state = asked(context, lambda log: _wallet_at(_knowing(log, name), name, _position_or_moment(at)))
    if state is None:
        raise BadInput(f"the log knows no wallet {name} at {at}")
    print_json(state)


@app.command("transaction")
def transaction(
    context: typer.Context,
    tx: Annotated[str, typer.Argument(metavar="HASH", help="0x and 64 hex digits; of any attempt.")],
    as_json: AsJson = False,
) -> None:
    """The whole story of one transaction: decision and inputs, settings, every attempt and error, the outcome."""
    story = asked(context, lambda log: _story(log, _hash(tx)))
    if as_json:
        print_json(story)
        return
    for key in ("hash", "wallet", "address", "action_id", "outcome"):
        print_line(f"{key}: {_text(story[key])}")
    print_line("decision: " + _text(story["decision"]))
    print_line("settings: " + _text(story["config"]))
    print_line("")
    print_table(("position", "time", "event", "what"), [_event_cells(event) for event in story["events"]])


@app.command("transactions")
def transactions(
    context: typer.Context,
    wallet: Wallet = None,
    status: Annotated[
        str | None, typer.Option("--status", help="open, mined, final, reverted, superseded or cancelled.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=0, help="At most so many; 0 is all.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Every attempt ever signed, a line each, oldest first."""
    from ghostfleet.store.queries import MAX_PAGE_ROWS, TransactionQuery, every

    query = TransactionQuery(wallet=wallet, statuses=_known_status(status), limit=MAX_PAGE_ROWS)
    found = asked(context, lambda log: _collect(every(_knowing(log, wallet).transactions, query), limit))
    if as_json:
        for row in found:
            print_json(transaction_line(row))
        return
    columns = ("wallet", "address", "action_id", "nonce", "attempt", "hash", "status", "block")
    print_table(columns, [[_text(transaction_line(row)[column]) for column in columns] for row in found])


@app.command("export")
def export(
    context: typer.Context,
    after: After = 0,
) -> None:
    """The log as JSON lines with its hashes, as /audit/export gives it."""
    from ghostfleet.http.audit import export_line
    from ghostfleet.store.queries import MAX_PAGE_ROWS, EventQuery, every

    async def lines(log: "EventLog") -> None:
        async for row in every(log.rows, EventQuery(cursor=after, limit=MAX_PAGE_ROWS)):
            print_line(export_line(row).decode().rstrip("\n"))

    asked(context, lines)


@app.command("verify")
def verify(
    context: typer.Context,
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            "--checkpoint",
            metavar="FILE",
            help="Holds the log what `audit checkpoints` printed then? - is standard input.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Walk the hash chain and check every signed checkpoint; the first row that does not fit is named. Exit code 1 when one
    does not."""
    from ghostfleet.keys.messages import signer_of_text
    from ghostfleet.operations.noted_checkpoints import checkpoints_in
    from ghostfleet.store.checkpoints import Asked
    from ghostfleet.store.errors import LogCorrupt
    from ghostfleet.store.log import verify_log

    noted = checkpoints_in(given_bytes(checkpoint).decode(errors="replace")) if checkpoint is not None else []
    asked_for = Asked(signer_of=signer_of_text, noted=noted)
    try:
        with place_of(context) as place:
            found = asyncio.run(verify_log(place.url, archives=place.archives, asked=asked_for))
    except LogCorrupt as corrupt:
        raise NotVerified(str(corrupt)) from None
    if as_json:
        print_json(found)
    elif not found.problem:
        after = f" after position {found.after}" if found.after else ""
        print_line(f"{found.rows} events verified{after}, head {found.head.hash}")
        print_line(_checkpoints(found))
    for missing in found.missing:
        print_warning(f"{missing}: not verified, nor what the read models derive from them")
    if found.checkpoints_unseen:
        print_warning(
            f"{found.checkpoints_unseen} checkpoints name rows of archives that are not at hand: only their signatures"
        )
    if found.problem:
        raise NotVerified(f"{found.problem}; {found.rows} events before it verify")
    if found.not_contained:
        raise NotTheLog(found.not_contained)
    if noted and not as_json:
        print_line(f"the log holds what was noted: {', '.join(str(it.position) for it in noted[-MAX_NAMED:])}")


def _checkpoints(found: "Verification") -> str:
    """How much of the log a signature covers."""
    from ghostfleet.keys.addresses import checksummed
    from ghostfleet.telemetry.moments import iso

    newest = found.newest_checkpoint
    if newest is None:
        return "no checkpoint among them: nothing is signed"
    return (
        f"checkpoints verified: {found.checkpoints}, the newest of position {newest.covers}, written {iso(newest.time_us)},"
        f" signed by {checksummed(newest.signer)}; {found.head.position - newest.covers} events after it are not signed"
    )


app.command("checkpoints")(checkpoints)


@app.command("state")
def state(
    context: typer.Context,
    by: Annotated[
        str, typer.Option("--by", help="fold: of the whole log. snapshot: the newest one and the tail.")
    ] = "fold",
    as_json: AsJson = False,
) -> None:
    """The state that the log makes, as JSON; the same bytes by fold and by snapshot."""
    from ghostfleet.domain.state import encode_state
    from ghostfleet.engine.recovery import recover

    if by not in ("fold", "snapshot"):
        raise BadInput(f"--by {by}: there is fold and snapshot")
    recovered = asked(context, lambda log: recover(log, use_snapshot=by == "snapshot"))
    print_line(encode_state(recovered).decode())


def transaction_line(row: "TransactionRow") -> JsonObject:
    """One attempt as tools read it."""
    return {
        "wallet": row.wallet,
        "address": row.address,
        "action_id": row.action_id,
        "nonce": row.nonce,
        "attempt": row.attempt,
        "hash": row.hash,
        "status": row.status,
        "block": row.block_number,
    }


def _knowing(log: "EventLog", wallet: str | None) -> "EventLog":
    """The log, where it knows this wallet: that nothing is found of a misspelt one would be read as that nothing happened."""
    from ghostfleet.operations.explain import nearest

    if wallet is not None and wallet not in (known := log.wallets):
        raise BadInput(f"the log knows no wallet {wallet}; {nearest(wallet, known)}")
    return log


async def _collect(items: AsyncIterator[T], limit: int) -> list[T]:
    found: list[T] = []
    async for item in items:
        found.append(item)
        if limit and len(found) >= limit:
            break
    return found


async def _rows(log: "EventLog", query: "EventQuery", limit: int) -> "list[EventRow]":
    from ghostfleet.store.queries import MAX_PAGE_ROWS, every

    return await _collect(every(log.rows, msgspec.structs.replace(query, limit=min(limit, MAX_PAGE_ROWS))), limit)


async def _print_events(log: "EventLog", query: "EventQuery", limit: int, as_json: bool) -> None:
    found = await _rows(log, query, limit + 1)
    _print_rows(found[:limit], as_json)
    if len(found) > limit:
        position = found[limit - 1].position
        print_notice(f"that is not all: --after {position} goes on, and --limit takes more than {limit}")


async def _print_latest(log: "EventLog", query: "EventQuery", limit: int, as_json: bool) -> None:
    found = await _rows(log, query, limit + 1)
    _print_rows(found[:limit][::-1], as_json)
    if len(found) > limit:
        print_notice(f"these are the newest {limit} only: --limit takes more")


def _print_rows(rows: "list[EventRow]", as_json: bool) -> None:
    from ghostfleet.http.audit import event_json

    documents = [event_json(row) for row in rows]
    if as_json:
        for document in documents:
            print_json(document)
        return
    cells = [
        (each["position"], each["time"], each["stream"], each["type"], bytes(each["data"]).decode())
        for each in documents
    ]
    print_table(("position", "time", "stream", "event", "what"), cells)


async def _story(log: "EventLog", tx: Hash) -> JsonObject:
    from ghostfleet.http.story import story_of

    story = await story_of(log, tx)
    if story is None:
        raise BadInput(f"the log knows no transaction {tx}: it was not sent from here, or not yet seen on chain")
    return story


async def _wallet_at(log: "EventLog", name: str, at: int) -> Any:
    from ghostfleet.http.audit import wallet_at

    found, _ = await wallet_at(log, name, at)
    return found


def _event_cells(event: JsonObject) -> tuple[object, ...]:
    return event["position"], event["time"], event["type"], _text(event["data"])


def _text(value: object) -> str:
    from ghostfleet.domain.values import encode_json

    return str(value) if isinstance(value, str | bytes | int) else encode_json(value).decode()


def _hash(text: str) -> Hash:
    if not re.fullmatch(r"0x[0-9a-fA-F]{64}", text):
        raise BadInput(f"{text[:80]!r} is no transaction hash: 0x and 64 hex digits")
    return Hash(bytes.fromhex(text[2:]))


def _known_status(name: str | None) -> "tuple[TransactionStatus, ...]":
    from typing import get_args

    from ghostfleet.store.queries import TransactionStatus

    if name is None:
        return ()
    if name not in get_args(TransactionStatus):
        raise BadInput(f"--status {name}: there is {', '.join(get_args(TransactionStatus))}")
    return (cast("TransactionStatus", name),)


def _known_type(name: str | None) -> tuple[str, ...]:
    import difflib

    from ghostfleet.domain.events import CATALOGUE

    if name is None:
        return ()
    if name in CATALOGUE:
        return (name,)
    nearest = difflib.get_close_matches(name, CATALOGUE, 1)
    hint = f"; did you mean {nearest[0]}?" if nearest else "; docs/events.md lists them"
    raise BadInput(f"--type {name}: there is no such event{hint}")


def _moment(option: str, text: str | None) -> int | None:
    return None if text is None else moment_of(option, text)


def _position_or_moment(text: str) -> int:
    return moment_of("--at", text)
