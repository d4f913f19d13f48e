"""A backup that was made by hand beside the running service: it is told, and written down."""

from typing import Annotated

import msgspec
from starlette.responses import Response

from ghostfleet.domain.events import BackupMade
from ghostfleet.domain.operators import RECORD_BACKUP
from ghostfleet.domain.values import Hash, JsonObject
from ghostfleet.engine.backups import MAX_FILE_CHARS
from ghostfleet.engine.commands import MAX_REASON_CHARS
from ghostfleet.http.commands import checked_reason, command_of, command_operation, done, read_command_body
from ghostfleet.http.contract import MAX_POSITION, Ask, Operation
from ghostfleet.http.problems import Problem
from ghostfleet.store.queries import EventQuery

MAX_SIZE_BYTES = 2**53 - 1
HASH_PATTERN = "^0x[0-9a-f]{64}$"


class Told(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body: what `db backup` knows of the file that it made."""

    file: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_FILE_CHARS)]
    position: Annotated[float, msgspec.Meta(ge=1, le=MAX_POSITION)]
    head_hash: Annotated[str, msgspec.Meta(pattern=HASH_PATTERN)]
    size_bytes: Annotated[float, msgspec.Meta(ge=1, le=MAX_SIZE_BYTES)]
    reason: str = ""


async def record(ask: Ask) -> Response:
    """Written down where the backup is of this very log: the row it says it ends with is there."""
    told = read_command_body(
        ask.body, Told, '{"file": "...", "position": 812, "head_hash": "0x...", "size_bytes": 4096}'
    )
    try:
        told.file.encode()
    except UnicodeError:
        raise Problem(400, "the file's name is not Unicode text") from None
    position, size_bytes = _whole(told.position), _whole(told.size_bytes)
    command = command_of(ask, RECORD_BACKUP, target=told.file, reason=checked_reason(told.reason))
    head_hash = Hash.from_hex(told.head_hash.strip())
    page = await ask.doors.log.rows(EventQuery(cursor=position - 1, limit=1))
    if [(row.position, row.hash) for row in page.items] != [(position, head_hash)]:
        raise Problem(409, f"the log has no row {position} with that hash: the backup is of another one")
    made = BackupMade(
        file=told.file,
        position=position,
        head_hash=head_hash,
        size_bytes=size_bytes,
        actor=ask.caller.actor,
    )
    return done(ask, await ask.doors.service.record_backup(command, made), status="recorded")


def _whole(number: float) -> int:
    """To JSON 4096.0 is a whole number too. Raises Problem."""
    if not number.is_integer():
        raise Problem(422, f"the body does not fit: {number} is not a whole number")
    return int(number)


_TOLD: JsonObject = {
    "type": "object",
    "additionalProperties": False,
    "required": ["file", "position", "head_hash", "size_bytes"],
    "properties": {
        "file": {"type": "string", "minLength": 1, "maxLength": MAX_FILE_CHARS},
        "position": {"type": "integer", "minimum": 1, "maximum": MAX_POSITION},
        "head_hash": {"type": "string", "pattern": HASH_PATTERN},
        "size_bytes": {"type": "integer", "minimum": 1, "maximum": MAX_SIZE_BYTES},
        "reason": {"type": "string", "maxLength": MAX_REASON_CHARS},
    },
}

OPERATIONS: tuple[Operation, ...] = (
    command_operation("record_backup", "/admin/backups", "Say that a backup was made by hand", record, body=_TOLD),
)
