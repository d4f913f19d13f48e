"""A plugin that answers what its contract does not allow: it is said, nothing is signed, and the log can be read for good."""

import asyncio
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ghostfleet.domain import events as ev
from ghostfleet.domain.values import Call, Hash, LogEntry, Octets
from ghostfleet.plugins.api import Action, Rest, Verdict
from ghostfleet.store.codec import CODEC
from ghostfleet.store.rows import GENESIS, EventRow
from tests.unit.chain import virtual_time
from tests.unit.engine.follow_stage import SAFE, Stage
from tests.unit.engine.lane_stage import GOOD, Answering, Seen, acting
from tests.unit.plugins import anything

ENTRY = LogEntry(address=SAFE, topics=(Hash(b"\x01" * 32),), data=Octets(b""))


def errors(on: Stage) -> list[tuple[str, str]]:
    return [(it.error_class, it.message.rpartition(" (")[0]) for it in on.told if isinstance(it, ev.ErrorRecorded)]


def require_readable(on: Stage) -> None:
    """Every event comes back from its row as it was."""
    for event in on.told:
        written = CODEC.encode(ev.NewEvent("wallet/w", event, ""))
        row = EventRow(1, "wallet/w", 1, written.type, written.type_version, 1, 7, "", written.payload, GENESIS)
        assert CODEC.decode(row).event == event


@pytest.mark.parametrize(
    ("method", "answer", "told"),
    [
        ("decide", None, "the answer is an Action or a Rest, got NoneType"),
        ("decide", Rest(reason=None), "a Rest's reason is a text (str), got NoneType"),  # type: ignore[arg-type]
        (
            "decide",
            Rest(reason="", secs="30"),
            "a Rest's secs is None or a finite number of seconds, 0 or more, got str",
        ),  # type: ignore[arg-type]
        ("decide", Action(kind=3, call=GOOD.call), "an Action's kind is a text (str), got int"),  # type: ignore[arg-type]
        (
            "decide",
            Action(kind="k", call=GOOD.call, params=[]),  # type: ignore[arg-type]
            "an Action's params is a JSON object: a dict with str keys, got list",
        ),
        (
            "decide",
            Action(kind="k", call=Call(to=SAFE, value_wei=-1)),
            "a call's value_wei is a whole number (int) from 0 to 2**256 - 1, got a negative one",
        ),
        ("observe", None, "the answer is its Observation, Seen, got NoneType"),
        (
            "observe",
            Seen(saved_wei=object()),
            "the answer cannot be written as JSON: NotImplementedError: cannot encode object",
        ),
    ],
)
def test_a_wrong_answer_is_a_defect_of_one_turn(method: str, answer: Any, told: str) -> None:
    """The wallet rests until its next regular turn, and goes on once the plugin is mended."""

    async def story() -> None:
        plugin = Answering(**{method: answer})
        async with acting(plugin) as on:
            await asyncio.sleep(1)
            assert errors(on) == [("defect", f"t: {method}: {told}")]
            (rested,) = [it for it in on.told if isinstance(it, ev.WalletRested)]
            assert (rested.reason, rested.until_us) == ("defect", on.world.clock.now_us() + 99_000_000)
            assert on.node.sent == []
            plugin.said |= {"observe": Seen(), "decide": GOOD}
            await on.blocks(110)
            assert errors(on) == [("defect", f"t: {method}: {told}")]
            assert "ActionSucceeded" in on.kinds
            require_readable(on)

    virtual_time.run(story())


def test_an_observe_that_is_not_async_is_told_so() -> None:
    class Plain(Answering):
        def observe(self, wallet: Any, chain: Any) -> Any:
            return Seen()

    async def story() -> None:
        async with acting(Plain()) as on:
            await asyncio.sleep(1)
            assert errors(on) == [("defect", "t: observe: observe is an `async def`, got Seen")]

    virtual_time.run(story())


@pytest.mark.parametrize("answer", ["Saved", [{"event": "Saved"}], {"event": object()}])
def test_a_log_that_is_no_json_object_is_left_out(answer: Any) -> None:
    async def story() -> None:
        async with acting(Answering(decode_log=answer)) as on:
            on.node.logs = (ENTRY,)
            await on.blocks(3)
            assert [it.logs for it in on.told if isinstance(it, ev.TransactionMined)] == [()]
            ((error_class, message),) = errors(on)
            assert error_class == "defect"
            assert message.startswith("t: decode_log: the answer")
            require_readable(on)

    virtual_time.run(story())


@pytest.mark.parametrize("answer", [None, True, Verdict(counts=None), Verdict(rest_secs="5")])  # type: ignore[arg-type]
def test_a_revert_whose_verdict_is_none_counts(answer: Any) -> None:
    async def story() -> None:
        async with acting(Answering(judge=answer)) as on:
            on.node.succeeds = False
            await on.blocks(3)
            assert [it.counts for it in on.told if isinstance(it, ev.ActionFailed)] == [True]
            assert {error_class for error_class, _ in errors(on)} == {"defect"}
            require_readable(on)

    virtual_time.run(story())


sayings = st.fixed_dictionaries(
    {
        "decide": anything.choices,
        "judge": anything.verdicts | anything.junk,
        "decode_log": anything.mostly(st.dictionaries(st.text("abc", max_size=3), anything.junk, max_size=2)),
        "observe": anything.mostly(anything.junk.map(Seen)),
    }
)


@given(said=sayings, succeeds=st.booleans())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_whatever_a_plugin_answers_all_that_is_written_can_be_read(said: dict[str, Any], succeeds: bool) -> None:
    """And the wallet goes on: a turn with right answers ends in a transaction, where the wallet can pay for it."""

    async def story() -> None:
        plugin = Answering(**said)
        async with acting(plugin) as on:
            on.node.succeeds, on.node.logs = succeeds, (ENTRY,)
            await on.blocks(4)
            require_readable(on)
            plugin.said = Answering().said
            if on.wallet.next_turn_us <= on.world.clock.now_us() + 100_000_000 and on.wallet.parked_until_wei is None:
                on.node.succeeds = True
                await on.blocks(103)
                assert on.node.sent
            require_readable(on)

    virtual_time.run(story())
