"""From any question of an auditor to its answer, over the wire, out of a real log."""

import asyncio
import hashlib
import struct
from typing import Any

import msgspec
import pytest
from fleet_over_http import START_US, Running, registered, running

from ghostfleet.domain import events as ev
from ghostfleet.domain.values import Address, AnswerClass, BlockRef, Call, Fees, Hash, Octets
from ghostfleet.http import app as http_app
from ghostfleet.http import audit
from ghostfleet.telemetry.moments import iso

W, ACTION = "wallet/wallet-001", "wallet-001/1"
TO = Address(b"\x0a" * 20)
FIRST, SECOND, OUTSIDE = Hash(b"\x01" * 32), Hash(b"\x02" * 32), Hash(b"\x0f" * 32)


def signed(attempt: int, tx: Hash) -> ev.Event:
    return ev.TransactionSigned(
        action_id=ACTION, nonce=0, attempt=attempt, purpose="action", hash=tx, raw=Octets(b"\x02raw"), to=TO,
        value_wei=0, gas=100_000, fees=Fees(10**9 * attempt, 10**8),
    )  # fmt: skip


LIFE: list[ev.Event] = [
    ev.ActionDecided(
        action_id=ACTION, plugin="ghostnet", kind="jack_in", params={"amount": "10"}, seed=42,
        observation={"position": None}, profile="degen", config_digest="d1", call=Call(to=TO), spend_wei=10,
        balance_wei=10**18, next_turn_us=START_US + 1,
    ),
    signed(1, FIRST),
    ev.BroadcastFailed(
        action_id=ACTION, nonce=0, hash=FIRST, endpoint="node-a", error_class=AnswerClass.RATE_LIMITED, message="429"
    ),
    ev.BroadcastAccepted(action_id=ACTION, nonce=0, hash=FIRST, endpoint="node-b"),
    signed(2, SECOND),
    ev.BroadcastAccepted(action_id=ACTION, nonce=0, hash=SECOND, endpoint="node-a"),
    ev.TransactionMined(
        action_id=ACTION, nonce=0, attempt=2, hash=SECOND, block=BlockRef(7, Hash(b"\x07" * 32)), success=True,
        gas_used=50_000, gas_price_wei=10**9,
    ),
    ev.ActionSucceeded(action_id=ACTION),
    ev.TransactionFinal(action_id=ACTION, nonce=0, hash=SECOND),
]  # fmt: skip


@pytest.fixture
async def past(fleet: Running) -> Running:
    """Settings, then the life of one action with a replacement, then a stranger's transaction."""
    await fleet.service.append(ev.NewEvent("fleet", ev.ConfigApplied(digest="d1", settings={"chain": {"chain_id": 1}})))
    for event in LIFE:
        await fleet.service.append(ev.NewEvent(W, event, ACTION))
    stranger = ev.OutsideTransactionSeen(nonce=9, hash=OUTSIDE, block=BlockRef(8, Hash(b"\x08" * 32)))
    await fleet.service.append(ev.NewEvent("wallet/wallet-002", stranger))
    return fleet


async def types(fleet: Running, query: str) -> list[str]:
    status, answer, _ = await fleet.get(f"/audit/events?{query}")
    assert status == 200, answer
    return [event["type"] for event in answer["events"]]


async def test_events_are_found_by_each_filter(past: Running) -> None:
    assert await types(past, "type=ConfigApplied") == ["ConfigApplied"]
    assert await types(past, "wallet=wallet-002") == ["WalletRegistered", "OutsideTransactionSeen"]
    assert await types(past, f"correlation={ACTION}") == [type(event).__name__ for event in LIFE]
    assert set(await types(past, f"tx={FIRST}")) >= {"TransactionSigned", "BroadcastFailed", "BroadcastAccepted"}
    assert await types(past, "wallet=wallet-001&type=TransactionSigned") == ["TransactionSigned"] * 2
    status, problem, _ = await past.get("/audit/events?wallet=nobody")
    assert (status, problem["detail"]) == (404, "the log knows no wallet nobody; GET /admin/status lists them")


async def test_events_are_found_between_two_moments_in_both_notations(past: Running) -> None:
    everything = (await past.get("/audit/events?limit=1000"))[1]["events"]
    since, until = everything[3], everything[6]
    for form in ("time", "time_us"):
        found = (await past.get(f"/audit/events?since={since[form]}&until={until[form]}"))[1]["events"]
        assert [event["position"] for event in found] == [event["position"] for event in everything[3:6]]


async def test_pages_follow_each_other_without_gap_or_overlap(past: Running) -> None:
    seen: list[int] = []
    after: int | None = 0
    while after is not None:
        answer = (await past.get(f"/audit/events?limit=4&after={after}"))[1]
        assert len(answer["events"]) <= 4
        seen += [event["position"] for event in answer["events"]]
        after = answer["next"]
    assert seen == list(range(1, past.service.state.position + 1))


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=1001", "limit=ten", "after=-1", "since=yesterday", "type=Nothing", "tx=0x12", "wallet=../x", "walet=x",
     "limit=1&limit=2", "correlation=", "until=9999999999999999999", "tx=" + "0x" + "zz" * 32, "limit=%D9%A3", "after=1e3"],
)  # fmt: skip
async def test_a_filter_that_does_not_fit_is_refused_instead_of_ignored(past: Running, query: str) -> None:
    status, problem, _ = await past.get(f"/audit/events?{query}")
    assert (status, problem["status"]) == (400, 400)


async def test_an_event_carries_all_that_its_hash_covers(past: Running) -> None:
    event = (await past.get("/audit/events?type=TransactionSigned&limit=1"))[1]["events"][0]
    assert event["time"] == iso(event["time_us"])
    assert event["data"]["hash"] == str(FIRST)
    assert len(event["hash"]) == 66


async def test_the_story_of_a_transaction_has_decision_config_attempts_errors_and_outcome(past: Running) -> None:
    for tx in (FIRST, SECOND):
        status, story, _ = await past.get(f"/audit/transactions/{tx}")
        assert status == 200
        assert story["decision"]["data"]["observation"] == {"position": None}
        assert story["decision"]["data"]["profile"] == "degen"
        assert story["decision"]["data"]["seed"] == 42
        assert story["config"]["settings"] == {"chain": {"chain_id": 1}}
        assert [(it["hash"], it["status"], it["final"]) for it in story["attempts"]] == [
            (str(FIRST), "superseded", False),
            (str(SECOND), "final", True),
        ]
        assert story["attempts"][1]["fee_wei"] == str(50_000 * 10**9)
        assert [error["data"]["message"] for error in story["errors"]] == ["429"]
        assert story["outcome"]["status"] == "succeeded"
        assert len(story["events"]) == len(LIFE)


async def test_a_strangers_transaction_is_told_as_such_and_an_unknown_one_is_404(past: Running) -> None:
    story = (await past.get(f"/audit/transactions/{OUTSIDE}"))[1]
    assert (story["wallet"], story["outcome"]["status"]) == ("wallet-002", "not ours")
    assert (await past.get("/audit/transactions/0x" + "ee" * 32))[0] == 404
    assert (await past.get("/audit/transactions/0x12"))[0] == 400


async def test_a_timeline_is_the_wallets_own(past: Running) -> None:
    answer = (await past.get("/audit/wallets/wallet-001"))[1]
    assert [event["type"] for event in answer["events"]] == ["WalletRegistered", *(type(it).__name__ for it in LIFE)]
    assert (await past.get("/audit/wallets/wallet-999"))[0] == 404


async def test_a_wallet_as_it_was_at_a_position_or_a_moment(past: Running) -> None:
    events = (await past.get("/audit/wallets/wallet-001"))[1]["events"]
    opened = next(event for event in events if event["type"] == "TransactionSigned")
    before = opened["position"] - 1
    for at, slots in ((before, 0), (opened["position"], 1), (opened["time"], 1), (opened["time_us"], 1), (10**12, 0)):
        answer = (await past.get(f"/audit/wallets/wallet-001?at={at}"))[1]
        assert len(answer["state"]["slots"]) == slots, at
    now = (await past.get("/audit/wallets/wallet-001?at=9999-01-01"))[1]
    assert now["state"] == msgspec.json.decode(audit.encode_json(past.service.state.wallets["wallet-001"]))
    never = (await past.get("/audit/wallets/wallet-001?at=0"))[1]
    assert (never["state"], never["position"]) == (None, 0)


async def test_a_fold_that_takes_too_long_says_where_to_ask_instead(
    past: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "FOLD_SECS", 0.0)
    monkeypatch.setattr(audit, "FOLD_PAGE_ROWS", 1)
    status, problem, _ = await past.get("/audit/wallets/wallet-001?at=2030-01-01")
    assert status == 503
    assert "ghost-fleet audit wallet" in problem["detail"]


def chained(lines: list[dict[str, Any]]) -> list[int]:
    """Positions whose hash does not follow from the lines, computed from docs/http.md alone."""
    previous, wrong = bytes(32), []
    for line in lines:
        texts = [line[column].encode() for column in ("stream", "type", "correlation", "payload")]
        numbers = [line[column] for column in ("position", "version", "type_version", "critical", "time_us")]
        header = struct.pack(">QQIBQIIII", *numbers, *map(len, texts))
        if "0x" + hashlib.sha256(previous + header + b"".join(texts)).hexdigest() != line["hash"]:
            wrong.append(line["position"])
        previous = bytes.fromhex(line["hash"][2:])
    return wrong


async def test_an_export_proves_itself_and_an_edited_line_is_found(past: Running) -> None:
    lines = [msgspec.json.decode(line) for line in (await past.get("/audit/export"))[1].splitlines()]
    assert chained(lines) == []
    lines[4]["payload"] = lines[4]["payload"].replace("429", "200") + " "
    assert chained(lines) == [5]


async def test_attempts_have_the_status_that_the_log_gives_them(past: Running) -> None:
    story = (await past.get(f"/audit/transactions/{FIRST}"))[1]
    for attempt in story["attempts"]:
        row = await past.log.transaction(Hash.from_hex(attempt["hash"]))
        assert attempt["status"] == row.status


async def test_the_export_is_the_whole_log_line_by_line(past: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "EXPORT_PAGE_ROWS", 4)
    status, content, headers = await past.get("/audit/export")
    assert (status, headers["content-type"]) == (200, "application/x-ndjson")
    lines = [msgspec.json.decode(line) for line in content.splitlines()]
    assert [line["position"] for line in lines] == list(range(1, past.service.state.position + 1))
    tail = (await past.get(f"/audit/export?after={len(lines) - 2}"))[1]
    assert tail.splitlines() == content.splitlines()[-2:]
    assert (await past.ask("HEAD", "/audit/export"))[:2] == (200, b"")


async def test_an_export_goes_as_fast_as_it_is_read_and_hinders_nothing(
    log: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(log) as fleet:
        await fleet.service.append(registered("wallet-001"))
        for _ in range(20):
            rested = ev.WalletRested(reason="r" * 2000, until_us=START_US)
            await fleet.service.append(*[ev.NewEvent(W, rested)] * 500)
        pages = 0
        ask_rows = fleet.log.rows

        async def counted(query: Any) -> Any:
            nonlocal pages
            pages += 1
            return await ask_rows(query)

        monkeypatch.setattr(fleet.log, "rows", counted)
        reader, writer = await asyncio.open_connection(fleet.server.host, fleet.server.port, limit=4096)
        writer.write(b"GET /audit/export HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await reader.readline()
        await asyncio.sleep(0.5)
        assert 0 < pages < 12, "a client that does not read does not make the service read on"
        assert (await fleet.post("/admin/pause"))[0] == 200
        writer.close()
        assert (await fleet.get("/audit/export"))[1].count(b"\n") == fleet.service.state.position


async def test_a_few_large_reads_at_a_time_and_the_others_are_told_to_come_back(
    past: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting, go = asyncio.Event(), asyncio.Event()
    ask_rows = past.log.rows

    async def held(query: Any) -> Any:
        waiting.set()
        await go.wait()
        return await ask_rows(query)

    monkeypatch.setattr(past.log, "rows", held)
    reads = [asyncio.create_task(past.get("/audit/export")) for _ in range(http_app.MAX_HEAVY_READS)]
    await asyncio.sleep(0.2)
    status, _, headers = await past.get("/audit/export")
    assert (status, headers["retry-after"]) == (503, "2")
    assert (await past.post("/admin/pause"))[0] == 200, "commands do not wait for readers"
    go.set()
    assert [answer[0] for answer in await asyncio.gather(*reads)] == [200] * http_app.MAX_HEAVY_READS
    assert (await past.get("/audit/export"))[0] == 200, "places are given back"


async def test_the_page_says_that_nothing_leaves_only_where_that_is_so(past: Running) -> None:
    """An operation that was asked for under a pause sends, and a fleet that crawls was told to."""
    started = ev.OperationStarted(
        operation_id="extract-1", kind="extract", wallets=("wallet-001",), params={}, actor="ada"
    )
    suspended = ev.OperationSuspended(operation_id="extract-1", actor="ada", reason="paused")
    throttled = ev.FleetThrottled(factor=0.25, actor="ada", reason="<i>")
    for event, told, untold in (
        (ev.FleetPaused(actor="ada", reason="x"), "Nothing leaves; receipts", "Operation"),
        (started, "Nothing leaves but what a running operation sends; receipts", "Nothing leaves; receipts"),
        (started, "<p>Operation extract-1 runs: 0 of 1 wallets are done</p>", "suspended"),
        (suspended, "Nothing leaves; receipts", "Operation extract-1 runs"),
        (throttled, "Operation extract-1 is suspended", "of its pace"),
        (ev.FleetResumed(actor="ada"), "At 0.25 of its pace by ada since 2026-01-01T00:", "Paused"),
        (ev.FleetThrottled(factor=1.0, actor="ada", reason=""), "Not paused", "of its pace"),
    ):
        await past.service.append(ev.NewEvent("fleet", event))
        page = (await past.get("/"))[1].decode()
        assert told in page
        assert untold not in page
        assert "<i>" not in page


async def test_the_page_shows_what_is_and_obeys_nothing_it_shows(past: Running) -> None:
    evil = "<script>alert(1)</script>\"'&\u202e"
    await past.service.append(
        ev.NewEvent("wallet/wallet-002", ev.ErrorRecorded(error_class="x", message=evil)),
        ev.NewEvent("fleet", ev.FleetPaused(actor="ada", reason=evil)),
    )
    status, content, headers = await past.get("/")
    page = content.decode()
    assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "<script" not in page
    assert "\u202e" not in page, "it would turn around what the page says after it"
    assert "&lt;script&gt;alert(1)" in page
    assert "Paused by ada" in page
    assert "default-src 'none'; style-src 'sha256-" in headers["content-security-policy"]
    assert not {"http://", "https://", "javascript:", "style="} & {
        word for word in ("http://", "https://", "javascript:", "style=") if word in page
    }
