"""Is what a plugin answered what its contract says? Asked before anything is signed or written.

A type hint holds nobody back at run time, and the log is read more strictly than it is written: what its reader would refuse is
refused here. What comes out is made of plain values (a str, not a subclass of it), so that it is read as it was written.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import msgspec

from ghostfleet.domain.values import Address, Call, JsonObject, Octets, encode_json
from ghostfleet.errors import GhostFleetError
from ghostfleet.plugins.api import Action, Rest, Verdict

MAX_UINT256 = 2**256 - 1
"""What fits a word of the chain, and so an amount or a gas limit."""
MAX_REST_SECS = 366 * 24 * 3600.0
"""As in the settings: a longer rest is one of a year, after which the plugin is asked again."""
MAX_TEXT_CHARS = 1_000
"""Of a reason, a remark or what is coming; more is cut off, as it is of a node's words."""
MAX_JSON_BYTES = 512 * 1024
"""Of params, of an observation and of a decoded log: a decision with both and its call fits an event (store/codec.py)."""
MAX_LOG_BYTES = 64 * 1024
"""A transaction has a number of these."""
MAX_CALL_BYTES = 256 * 1024
"""More than any node takes in a transaction; written as hex, twice."""
MAX_JSON_DEPTH = 64
"""Nesting that is read again however deep in its stack the reader is."""
MAX_ACTIONS = 256
"""On a way out; and of remarks."""


class WrongAnswer(GhostFleetError):
    """A plugin's method answered something else than its contract says (docs/plugins.md, The contract); nothing of it was used.
    Mend the plugin."""


def choice(answer: object, kinds: Sequence[str]) -> Action | Rest:
    """What `decide` may answer. Raises WrongAnswer."""
    if isinstance(answer, Action):
        return action(answer, kinds)
    if not isinstance(answer, Rest):
        _refuse("the answer", "an Action or a Rest", answer)
    return Rest(reason=_text(answer.reason, "a Rest's reason"), secs=_secs(answer.secs, "a Rest's secs"))


def action(answer: object, kinds: Sequence[str]) -> Action:
    """An action of one of these kinds. Raises WrongAnswer."""
    if not isinstance(answer, Action):
        _refuse("the answer", "an Action", answer)
    kind = _text(answer.kind, "an Action's kind")
    if kind not in kinds:
        raise WrongAnswer(f"an Action's kind is one of kinds ({', '.join(kinds)}), got {kind[:40]!r}")
    return Action(
        kind=kind,
        call=_call(answer.call),
        params=json_object(answer.params, "an Action's params"),
        spend_wei=_whole(answer.spend_wei, "an Action's spend_wei"),
        gas=None if answer.gas is None else _whole(answer.gas, "an Action's gas"),
    )


def view(answer: object, observation: type[msgspec.Struct]) -> msgspec.Struct:
    """What `observe` may answer. Whether it can be written shows when it is (`json_object`). Raises WrongAnswer."""
    if not isinstance(answer, observation):
        _refuse("the answer", f"its Observation, {observation.__name__}", answer)
    return answer


def verdict(answer: object) -> Verdict:
    """What `judge` may answer. Raises WrongAnswer."""
    if not isinstance(answer, Verdict):
        _refuse("the answer", "a Verdict", answer)
    if not isinstance(answer.counts, bool):
        _refuse("a Verdict's counts", "True or False", answer.counts)
    return Verdict(counts=answer.counts, rest_secs=_secs(answer.rest_secs, "a Verdict's rest_secs"))


def decoded_log(answer: object) -> JsonObject | None:
    """What `decode_log` may answer. Raises WrongAnswer."""
    return None if answer is None else json_object(answer, "the answer", MAX_LOG_BYTES)


def way_out(answer: object, kinds: Sequence[str]) -> tuple[Action, ...]:
    """What `withdraw` may answer. Raises WrongAnswer."""
    return tuple(action(it, kinds) for it in _sequence(answer, "Actions"))


def remarks(answer: object) -> tuple[str, ...]:
    """What `remarks` may answer. Raises WrongAnswer."""
    return tuple(_text(it, "a remark") for it in _sequence(answer, "str"))


def coming(answer: object) -> str:
    """What `coming` may answer. Raises WrongAnswer."""
    return _text(answer, "the answer")


def json_object(value: object, what: str, max_bytes: int = MAX_JSON_BYTES) -> JsonObject:
    """The object as it will be read from the log: encoded once and decoded again. Raises WrongAnswer."""
    if type(value) is not dict and not isinstance(value, Mapping):
        _refuse(what, "a JSON object: a dict with str keys", value)
    for key in value:
        if not isinstance(key, str):
            _refuse(what, "a JSON object: a dict with str keys", value)
    try:
        text = encode_json(value)
        found = msgspec.json.decode(text)
    except Exception as problem:  # whatever its values do when they are written
        raise WrongAnswer(f"{what} cannot be written as JSON: {type(problem).__name__}: {problem}") from problem
    if not isinstance(found, dict):
        _refuse(what, "a JSON object", found)
    if len(text) > max_bytes:
        raise WrongAnswer(f"{what} has {len(text)} bytes as JSON, of at most {max_bytes}")
    if text.count(b"{") + text.count(b"[") > MAX_JSON_DEPTH and _deeper_than(MAX_JSON_DEPTH, found):
        raise WrongAnswer(f"{what} is nested deeper than {MAX_JSON_DEPTH}")
    return found


def _call(value: object) -> Call:
    if not isinstance(value, Call):
        _refuse("an Action's call", "a Call", value)
    if not isinstance(value.to, Address) or len(value.to) != 20:
        _refuse("a call's to", "an Address of 20 bytes", value.to)
    if not isinstance(value.data, Octets) or len(value.data) > MAX_CALL_BYTES:
        _refuse("a call's data", f"Octets, at most {MAX_CALL_BYTES} of them", value.data)
    to = value.to if type(value.to) is Address else Address(bytes.__add__(value.to, b""))
    data = value.data if type(value.data) is Octets else Octets(bytes.__add__(value.data, b""))
    return Call(to=to, value_wei=_whole(value.value_wei, "a call's value_wei"), data=data)


def _whole(value: object, what: str) -> int:
    if type(value) is int and 0 <= value <= MAX_UINT256:
        return value
    wanted = "a whole number (int) from 0 to 2**256 - 1"
    if not isinstance(value, int) or isinstance(value, bool):
        _refuse(what, wanted, value)
    number = int.__add__(value, 0)
    if not 0 <= number <= MAX_UINT256:
        raise WrongAnswer(f"{what} is {wanted}, got {'a negative one' if number < 0 else 'a larger one'}")
    return number


def _secs(value: object, what: str) -> float | None:
    wanted = "None or a finite number of seconds, 0 or more"
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        _refuse(what, wanted, value)
    number = int.__add__(value, 0) if isinstance(value, int) else float.__float__(value)
    if not (isinstance(number, int) or math.isfinite(number)) or number < 0:
        raise WrongAnswer(f"{what} is {wanted}, got {'a negative one' if number < 0 else 'one that is not finite'}")
    return float(min(number, MAX_REST_SECS))


def _text(value: object, what: str) -> str:
    if not isinstance(value, str):
        _refuse(what, "a text (str)", value)
    text = (value if type(value) is str else str.__str__(value))[:MAX_TEXT_CHARS]
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        raise WrongAnswer(f"{what} is a text that UTF-8 can hold, got one with half of a surrogate pair") from None
    return text


def _sequence(value: object, of: str) -> Sequence[Any]:
    if not isinstance(value, list | tuple) or len(value) > MAX_ACTIONS:
        _refuse("the answer", f"a list or tuple of {of}, at most {MAX_ACTIONS}", value)
    return value


def _deeper_than(limit: int, value: object) -> bool:
    level = [value]
    for _ in range(limit):
        level = [
            inner
            for it in level
            if isinstance(it, dict | list)
            for inner in (it.values() if isinstance(it, dict) else it)
        ]
    return bool(level)


def _refuse(what: str, wanted: str, got: object) -> NoReturn:
    """By its type: the value itself may be anything, and long."""
    raise WrongAnswer(f"{what} is {wanted}, got {type(got).__name__}")
