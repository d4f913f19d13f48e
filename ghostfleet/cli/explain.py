"""`ghost-fleet explain`: why a wallet acts or not, what became of a transaction; asked of the service, or of the log alone."""

import re
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ghostfleet.cli.client import NoInterface, ServiceRefused, ServiceUnreachable, Way, ask_service, asking
from ghostfleet.cli.options import options_of
from ghostfleet.cli.output import print_json, print_line, print_warning
from ghostfleet.cli.reading import asked_of
from ghostfleet.config.loaded import Loaded
from ghostfleet.domain.values import Hash
from ghostfleet.errors import BadInput

if TYPE_CHECKING:
    from ghostfleet.store.log import EventLog

NO_SUCH = 404


@asking
def explain(
    context: typer.Context,
    way: Way,
    subject: Annotated[str, typer.Argument(metavar="WALLET|TX_HASH", help="A wallet's id or address, or a hash.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Say in sentences why a wallet acts or does not act now, or what became of a transaction, and what to do."""
    if re.fullmatch(r"0x[0-9a-fA-F]{64}", subject):
        _transaction(context, Hash(bytes.fromhex(subject[2:])), as_json)
        return
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", subject):
        raise BadInput(
            f"{subject[:70]!r} is neither a wallet's id or address nor a transaction's hash (0x and 64 digits)"
        )
    document = _by_the_service(context, way, subject)
    if as_json:
        print_json(document)
        return
    print_line(f"{document['wallet']} {'can act' if document['acts'] else 'does not act'}:")
    for number, reason in enumerate(document["reasons"], 1):
        print_line(f"\n{number}. {reason['sentence']}")
        if reason["remedy"]:
            print_line(f"   What to do: {reason['remedy']}")


def _by_the_service(context: typer.Context, way: Way, subject: str) -> Any:
    """The running service's own words; where there is none, or none for us, those of the log."""
    try:
        return ask_service(context, way, "GET", f"/admin/explain/{subject}")
    except ServiceUnreachable as nobody:
        if way.url is not None:
            raise
        settings = options_of(context).load(keys=False)
        writer = _writer_of(settings)
        if writer:
            print_warning(f"{nobody}; but {writer} writes the log: this is what the log alone says")
        return _by_the_log(settings, subject, running=bool(writer))
    except NoInterface as nobody:
        print_warning(f"{nobody}; this is what the log alone says")
        return _by_the_log(options_of(context).load(keys=False), subject, running=True)
    except ServiceRefused as refused:
        if refused.status == NO_SUCH:
            raise
        print_warning(f"{refused}; this is what the log alone says")
        return _by_the_log(options_of(context).load(keys=False), subject, running=True)


def _writer_of(settings: Loaded) -> str:
    """Who writes the log now, though nobody answers; empty where nobody does, or where that stands in a database server."""
    from ghostfleet.store.lock import holder_of
    from ghostfleet.store.places import sqlite_path

    file = sqlite_path(settings.store.url)
    return holder_of(file) if file is not None else ""


def _by_the_log(settings: Loaded, subject: str, *, running: bool) -> Any:
    from ghostfleet.engine.recovery import recover
    from ghostfleet.engine.tuning import rules_of
    from ghostfleet.http.explain import explanation_json
    from ghostfleet.operations.asking import recent_events, wallet_named
    from ghostfleet.operations.explain import Circumstances
    from ghostfleet.operations.explain import explain as explained

    async def read(log: "EventLog") -> Any:
        state = await recover(log)
        name = wallet_named(state, subject)
        return explanation_json(
            explained(
                state,
                name,
                Circumstances(now_us=time.time_ns() // 1000, running=running, dry_run=settings.run.dry_run),
                rules=rules_of(settings),
                profiles=settings.profiles,
                recent=await recent_events(log, name),
            )
        )

    return asked_of(settings, read)


def _transaction(context: typer.Context, tx: Hash, as_json: bool) -> None:
    from ghostfleet.http.story import events_of
    from ghostfleet.operations.asking import nearest_transaction
    from ghostfleet.operations.explain import UnknownSubject
    from ghostfleet.operations.tale import tell

    async def read(log: "EventLog") -> tuple[str, ...]:
        found = await events_of(log, tx)
        if not found:
            hint = await nearest_transaction(log, tx)
            raise UnknownSubject(f"the log knows no transaction {tx}: it was not sent from here; {hint}")
        return tell(tx, found, time.time_ns() // 1000)

    sentences = asked_of(options_of(context).load(keys=False), read)
    if as_json:
        print_json({"hash": str(tx), "sentences": sentences})
        return
    for sentence in sentences:
        print_line(sentence)
