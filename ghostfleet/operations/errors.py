"""Which errors did the fleet have between two moments? Read from the log, newest first, for as far back as was asked."""

from typing import TYPE_CHECKING

from ghostfleet.domain.breakdown import ERROR_TYPES, WAYS, Counted, Group, add, by
from ghostfleet.domain.events import UnknownEvent
from ghostfleet.domain.values import JsonObject
from ghostfleet.store.queries import MAX_PAGE_ROWS, EventQuery, pages
from ghostfleet.telemetry.moments import iso

if TYPE_CHECKING:
    from ghostfleet.store.log import EventLog


async def errors_between(log: "EventLog", since_us: int, until_us: int) -> dict[Group, Counted]:
    """The breakdown of the errors recorded from `since_us` on and before `until_us`.

    The end of the reading is a whole page of older events, so that a clock that once jumped back does not cut it short.
    """
    groups: dict[Group, Counted] = {}
    async for page in pages(log.rows, EventQuery(types=ERROR_TYPES, descending=True, limit=MAX_PAGE_ROWS)):
        inside = [row for row in page.items if since_us <= row.time_us < until_us]
        for row in inside:
            recorded = log.decode(row)
            if not isinstance(recorded.event, UnknownEvent):
                add(groups, recorded)
        if page.items and all(row.time_us < since_us for row in page.items):
            break
    return groups


def errors_document(groups: dict[Group, Counted], since_us: int, until_us: int) -> JsonObject:
    """The breakdown as tools read it: every side of it, and the groups themselves."""
    ordered = sorted(groups.items(), key=lambda item: (-item[1].count, item[0].cls, item[0].wallet, item[0].endpoint))
    return {
        "since": iso(since_us),
        "until": iso(until_us),
        "total": sum(counted.count for counted in groups.values()),
        **{f"by_{way}": [{way: side, **_counted(counted)} for side, counted in by(way, groups)] for way in WAYS},
        "groups": [
            {"class": group.cls, "wallet": group.wallet, "endpoint": group.endpoint, **_counted(counted)}
            for group, counted in ordered
        ],
    }


def _counted(counted: Counted) -> JsonObject:
    return {
        "count": counted.count,
        "first": iso(counted.first_us),
        "last": iso(counted.last_us),
        "example": counted.example,
        "position": counted.position,
    }
