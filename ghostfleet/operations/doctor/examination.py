"""All checks at once: none waits for another, none outlives its time, and none that fails stops the others."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from ghostfleet.errors import GhostFleetError
from ghostfleet.operations.doctor import chain, log, machine
from ghostfleet.operations.doctor.backups import backups
from ghostfleet.operations.doctor.finding import Finding, red, yellow
from ghostfleet.operations.doctor.patient import Patient
from ghostfleet.store.errors import LogMissing
from ghostfleet.telemetry.logs import one_line

CHECK_SECS = 20.0
"""A check that has no answer by then has found that out."""
MAX_WORDS = 400

Check = Callable[[], Awaitable[Finding | list[Finding]]]


async def examine(patient: Patient) -> list[Finding]:
    """Every finding, in the order in which one would look: settings, machine, log, chain, fleet."""
    examiner = chain.Examiner(patient)
    checks: Sequence[tuple[str, Check]] = (
        ("config", lambda: machine.config(patient)),
        ("service", lambda: log.service(patient)),
        ("permissions", lambda: machine.permissions(patient)),
        ("disk", lambda: machine.disk(patient)),
        ("database", lambda: log.database(patient)),
        ("hash chain", lambda: log.hash_chain(patient)),
        ("backups", lambda: backups(patient)),
        ("endpoints", examiner.endpoints),
        ("clock", examiner.clock),
        ("fees", lambda: chain.fees(patient)),
        ("contracts", lambda: chain.contracts(patient)),
        ("balances", lambda: chain.balances(patient)),
        ("fleet", lambda: log.fleet(patient)),
        ("breakers", lambda: log.breakers(patient)),
        ("open slots", lambda: log.slots(patient)),
    )
    try:
        found = await asyncio.gather(*(_bounded(name, check) for name, check in checks))
    finally:
        patient.dismiss()
        examiner.dismiss()
    return [finding for findings in found for finding in findings]


async def _bounded(name: str, check: Check) -> list[Finding]:
    """What the check finds; or that it found nothing, and why."""
    try:
        async with asyncio.timeout(CHECK_SECS):
            found = await check()
    except TimeoutError:
        return [
            red(name, f"no answer within {CHECK_SECS:g} s", "Ask again; if it stays so, look at what it asks by hand.")
        ]
    except LogMissing:
        return [yellow(name, "there is no log yet")]
    except GhostFleetError as problem:
        return [red(name, one_line(str(problem), MAX_WORDS), "See the other lines, and docs/reliability.md.")]
    except Exception as problem:  # the boundary of a check: a broken fleet breaks checks in ways nobody foresaw
        told = f"could not be checked: {type(problem).__name__}: {problem}"
        return [red(name, one_line(told, MAX_WORDS), "See the other lines; if they are green, this is a defect.")]
    return found if isinstance(found, list) else [found]
