"""The breakdown of errors over the wire: between two moments, by all three sides."""

from fleet_over_http import START_US, Running

from ghostfleet.domain import events as ev


def failed(wallet: str, error_class: str) -> ev.NewEvent:
    return ev.NewEvent(ev.wallet_stream(wallet), ev.ErrorRecorded(error_class=error_class, message=f"of {wallet}"))


async def test_errors_are_told_by_class_wallet_and_endpoint(fleet: Running) -> None:
    await fleet.service.append(failed("wallet-001", "insufficient_funds"), failed("wallet-002", "insufficient_funds"))
    await fleet.service.append(failed("wallet-002", "observation"))
    await fleet.service.append(ev.NewEvent(ev.FLEET_STREAM, ev.EndpointTripped(endpoint="node-b", reason="429")))
    status, answer, _ = await fleet.get("/audit/errors")
    assert (status, answer["total"]) == (200, 4)
    assert [(line["class"], line["count"]) for line in answer["by_class"]] == [
        ("insufficient_funds", 2),
        ("endpoint_tripped", 1),
        ("observation", 1),
    ]
    assert [(line["wallet"], line["count"]) for line in answer["by_wallet"]] == [("wallet-002", 2), ("wallet-001", 1)]
    assert [(line["endpoint"], line["example"]) for line in answer["by_endpoint"]] == [("node-b", "429")]
    newest = answer["by_wallet"][0]
    event = (await fleet.get(f"/audit/events?after={newest['position'] - 1}&limit=1"))[1]["events"][0]
    assert event["data"]["message"] == newest["example"] == "of wallet-002"


async def test_only_those_between_two_moments_count(fleet: Running) -> None:
    first = (await fleet.service.append(failed("wallet-001", "a")))[0].time_us
    second = (await fleet.service.append(failed("wallet-001", "b")))[0].time_us
    one = (await fleet.get(f"/audit/errors?since={first}&until={second}"))[1]
    assert [line["class"] for line in one["by_class"]] == ["a"]
    later = (await fleet.get(f"/audit/errors?since={second}"))[1]
    assert [line["class"] for line in later["by_class"]] == ["b"]
    assert (await fleet.get(f"/audit/errors?until={START_US}"))[1]["total"] == 0
    assert (await fleet.get("/audit/errors?since=yesterday"))[0] == 400
