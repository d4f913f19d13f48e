"""What a plugin may answer, and what each wrong answer is told: by what is wanted, never by the value."""

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings

from ghostfleet.domain.values import Address, Call, Octets, encode_json
from ghostfleet.plugins import answers
from ghostfleet.plugins.answers import MAX_REST_SECS, MAX_TEXT_CHARS, WrongAnswer
from ghostfleet.plugins.api import Action, Rest, Verdict
from tests.unit.plugins import anything
from tests.unit.plugins.anything import KINDS, TO, Kind, Listed, Renamed, Text

CALL = Call(to=TO, value_wei=1, data=Octets(b"\x01"))
GOOD = Action(kind="save", call=CALL, params={"amount_wei": 2**255}, spend_wei=2**256 - 1, gas=21_000)


class View(msgspec.Struct, frozen=True):
    saved_wei: int = 0


def changed(**fields: Any) -> Action:
    return msgspec.structs.replace(GOOD, **fields)


def calling(**fields: Any) -> Action:
    return changed(call=msgspec.structs.replace(CALL, **fields))


def test_what_the_contract_says_passes_unchanged() -> None:
    assert answers.choice(GOOD, KINDS) == GOOD
    for rest in (Rest(reason="full"), Rest(reason="", secs=0), Rest(reason="ü", secs=30.5)):
        assert answers.choice(rest, KINDS) == rest
    for verdict in (Verdict(), Verdict(counts=False, rest_secs=10)):
        assert answers.verdict(verdict) == verdict
    view = View()
    assert answers.view(view, View) is view
    assert answers.decoded_log(None) is None
    assert answers.decoded_log({"event": "Saved", "amount_wei": 2**255}) == {"event": "Saved", "amount_wei": 2**255}
    assert answers.way_out([GOOD], KINDS) == (GOOD,)
    assert answers.remarks(("lost",)) == ("lost",)
    assert answers.coming("") == ""


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (None, "the answer is an Action or a Rest, got NoneType"),
        ((GOOD,), "the answer is an Action or a Rest, got tuple"),
        (Rest, "the answer is an Action or a Rest, got StructMeta"),
        (Rest(reason=None), "a Rest's reason is a text (str), got NoneType"),  # type: ignore[arg-type]
        (Rest(reason=5), "a Rest's reason is a text (str), got int"),  # type: ignore[arg-type]
        (Rest(reason="\ud800"), "a Rest's reason is a text that UTF-8 can hold, got one with half of a surrogate pair"),
        (Rest(reason="", secs="30"), "a Rest's secs is None or a finite number of seconds, 0 or more, got str"),  # type: ignore[arg-type]
        (Rest(reason="", secs=True), "a Rest's secs is None or a finite number of seconds, 0 or more, got bool"),
        (
            Rest(reason="", secs=-1),
            "a Rest's secs is None or a finite number of seconds, 0 or more, got a negative one",
        ),
        (
            Rest(reason="", secs=float("nan")),
            "a Rest's secs is None or a finite number of seconds, 0 or more, got one that is not finite",
        ),
        (changed(kind=None), "an Action's kind is a text (str), got NoneType"),
        (changed(kind=3), "an Action's kind is a text (str), got int"),
        (changed(kind="savings"), "an Action's kind is one of kinds (save, empty), got 'savings'"),
        (changed(params=None), "an Action's params is a JSON object: a dict with str keys, got NoneType"),
        (changed(params=[1]), "an Action's params is a JSON object: a dict with str keys, got list"),
        (changed(params={1: 2}), "an Action's params is a JSON object: a dict with str keys, got dict"),
        (
            changed(params={"a": object()}),
            "an Action's params cannot be written as JSON: NotImplementedError: cannot encode object",
        ),
        (changed(params=anything._nested(70)), "an Action's params is nested deeper than 64"),
        (
            changed(spend_wei=-1),
            "an Action's spend_wei is a whole number (int) from 0 to 2**256 - 1, got a negative one",
        ),
        (changed(spend_wei=1.5), "an Action's spend_wei is a whole number (int) from 0 to 2**256 - 1, got float"),
        (changed(gas=2**256), "an Action's gas is a whole number (int) from 0 to 2**256 - 1, got a larger one"),
        (changed(gas=True), "an Action's gas is a whole number (int) from 0 to 2**256 - 1, got bool"),
        (changed(call=None), "an Action's call is a Call, got NoneType"),
        (calling(value_wei=-1), "a call's value_wei is a whole number (int) from 0 to 2**256 - 1, got a negative one"),
        (calling(to=bytes(TO)), "a call's to is an Address of 20 bytes, got bytes"),
        (calling(to=str(TO)), "a call's to is an Address of 20 bytes, got str"),
        (calling(to=Address(b"\x01" * 19)), "a call's to is an Address of 20 bytes, got Address"),
        (calling(data=b""), f"a call's data is Octets, at most {answers.MAX_CALL_BYTES} of them, got bytes"),
        (
            calling(data=Octets(bytes(answers.MAX_CALL_BYTES + 1))),
            f"a call's data is Octets, at most {answers.MAX_CALL_BYTES} of them, got Octets",
        ),
    ],
)
def test_what_decide_may_not_answer(answer: Any, told: str) -> None:
    with pytest.raises(WrongAnswer) as refused:
        answers.choice(answer, KINDS)
    assert str(refused.value) == told


@pytest.mark.parametrize(
    ("method", "answer"),
    [
        (lambda it: answers.view(it, View), None),
        (lambda it: answers.view(it, View), {"saved_wei": 1}),
        (answers.verdict, None),
        (answers.verdict, False),
        (answers.verdict, Verdict(counts=None)),  # type: ignore[arg-type]
        (answers.verdict, Verdict(rest_secs=float("inf"))),
        (answers.decoded_log, "Saved"),
        (answers.decoded_log, []),
        (answers.decoded_log, {"event": "x" * answers.MAX_LOG_BYTES}),
        (lambda it: answers.way_out(it, KINDS), GOOD),
        (lambda it: answers.way_out(it, KINDS), (it for it in [GOOD])),
        (lambda it: answers.way_out(it, KINDS), [Rest(reason="no")]),
        (lambda it: answers.way_out(it, KINDS), [changed(params=None)]),
        (answers.remarks, "lost"),
        (answers.remarks, [None]),
        (answers.remarks, ["lost"] * (answers.MAX_ACTIONS + 1)),
        (answers.coming, None),
        (answers.coming, ["a bet"]),
    ],
)
def test_what_no_other_method_may_answer(method: Any, answer: Any) -> None:
    with pytest.raises(WrongAnswer):
        method(answer)


def test_what_is_only_long_is_cut() -> None:
    assert answers.choice(Rest(reason="x" * 10_000, secs=1e300), KINDS) == Rest(
        reason="x" * MAX_TEXT_CHARS, secs=MAX_REST_SECS
    )
    assert answers.choice(Rest(reason="", secs=2**80), KINDS) == Rest(reason="", secs=MAX_REST_SECS)
    assert answers.coming("x" * 10_000) == "x" * MAX_TEXT_CHARS


def test_subclasses_become_what_they_are_read_as() -> None:
    renamed = Renamed(to=TO, value_wei=5)
    for kind in (Kind.SAVE, Text("save")):
        found = answers.choice(changed(kind=kind, call=renamed, params={"a": (1, Kind.SAVE)}), KINDS)
        assert isinstance(found, Action)
        assert (type(found.kind), found.kind) == (str, "save")
        assert (type(found.call), found.call) == (Call, Call(to=TO, value_wei=5))
        assert found.params == {"a": [1, "save"]}


@given(anything.choices)
@settings(max_examples=500)
def test_whatever_decide_answers_is_refused_or_reads_as_it_was_written(answer: Any) -> None:
    try:
        found = answers.choice(answer, KINDS)
    except WrongAnswer:
        return
    again = msgspec.json.decode(encode_json(found), type=type(found), dec_hook=_decoded)
    assert again == found


@given(anything.junk | anything.verdicts)
def test_whatever_the_others_answer_is_refused_or_reads_as_it_was_written(answer: Any) -> None:
    for method in (
        answers.verdict,
        answers.decoded_log,
        answers.remarks,
        answers.coming,
        lambda it: answers.way_out(it, KINDS),
    ):
        try:
            found: Any = method(answer)
        except WrongAnswer:
            continue
        kind = type(found) if isinstance(found, msgspec.Struct) else Any
        again = msgspec.json.decode(encode_json(found), type=kind, dec_hook=_decoded)
        assert again == (list(found) if isinstance(found, tuple) else found)


def test_a_view_that_is_written_as_a_list_is_no_view() -> None:
    with pytest.raises(WrongAnswer):
        answers.json_object(Listed(), "the answer")


def _decoded(kind: type, value: Any) -> Any:
    return kind.from_hex(value)  # type: ignore[attr-defined]
