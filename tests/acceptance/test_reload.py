"""MP-002: other settings while the service runs, all of them or none; by HTTP and by SIGHUP; killed in the middle."""

import asyncio
import json
import signal
import sys
import tomllib
from typing import Any

import aiohttp
import pytest

from ghostfleet.devnet.launch import running_anvil
from ghostfleet.domain import events as ev
from tests.acceptance.agreement import assert_agreement
from tests.acceptance.service_process import Fleet, ServiceProcess, until

pytestmark = [pytest.mark.anvil, pytest.mark.parametrize("anvil", [0.5], indirect=True)]
NEW = ("wallet-004", "wallet-005", "wallet-006")
DEATH_SECS = 150.0


async def post(service: ServiceProcess, path: str, **body: object) -> tuple[int, Any]:
    """Status and answer, whatever they are."""
    async with aiohttp.ClientSession() as session, session.post(service.url + path, json=body or None) as answer:
        return answer.status, await answer.json(content_type=None)


def set_aside(fleet: Fleet, *wallets: str) -> str:
    """Take these wallets out of the settings file; their tables."""
    return "".join(fleet.without_wallet(wallet) for wallet in wallets)


def append(fleet: Fleet, text: str) -> None:
    fleet.config.write_text(fleet.config.read_text() + "\n" + text)


async def test_wallets_come_and_go_and_limits_change_while_it_runs(fleet: Fleet):
    tables = set_aside(fleet, *NEW)
    async with fleet.service() as service:
        await service.ready()
        await fleet.acted(1)
        before = (await service.get("/admin/settings"))["config_digest"]
        set_aside(fleet, "wallet-001")
        append(fleet, tables)
        fleet.edit_config(("max_consecutive_errors = 5", "max_consecutive_errors = 7"))
        answers = await asyncio.gather(
            *(post(service, "/admin/reload", reason="three more keepers") for _ in range(3)),
        )
        assert [status for status, _ in answers] == [200, 200, 200]
        (answer,) = (it for _, it in answers if it["status"] == "reloaded")
        assert sorted(it["status"] for _, it in answers) == ["reloaded", "unchanged", "unchanged"], "one at a time"
        assert answer["wallets"] == {"added": list(NEW), "removed": ["wallet-001"], "changed": []}
        assert {"key": "safety.max_consecutive_errors", "before": 5, "after": 7} in answer["changes"]
        await fleet.acted(2, wallets=NEW)
        assert (await service.get("/admin/settings"))["settings"]["safety"]["max_consecutive_errors"] == 7
        await service.settled()
        assert await service.terminate() == 0
    applied = await fleet.recorded(ev.ConfigApplied)
    assert [each.event.digest for each in applied] == [before, answer["config_digest"]]
    assert applied[1].event.changes == tuple(answer["changes"])
    assert (applied[1].event.actor, applied[1].event.reason) == ("local", "three more keepers")
    assert applied[1].correlation == answer["request_id"]
    at_once = [each for each in await fleet.recorded() if each.correlation == answer["request_id"]]
    assert len({each.time_us for each in at_once}) == 1, "one commit"
    assert sum(isinstance(each.event, ev.WalletRegistered) for each in at_once) == 3
    assert [each.wallet for each in at_once if isinstance(each.event, ev.WalletRetired)] == ["wallet-001"]
    for each in await fleet.recorded(ev.ActionDecided):
        in_force = before if each.position < applied[1].position else answer["config_digest"]
        assert each.event.config_digest == in_force
        assert each.position < applied[1].position or each.wallet != "wallet-001"
    await assert_agreement(fleet)


async def test_what_cannot_change_is_refused_by_name_and_nothing_else_changes_either(fleet: Fleet):
    async with fleet.service() as service:
        await service.ready()
        before = await service.get("/admin/settings")
        chain_id = tomllib.loads(fleet.config.read_text())["chain"]["chain_id"]
        good = fleet.config.read_text()
        fleet.edit_config(
            (f"chain_id = {chain_id}", "chain_id = 31338"),
            ("sqlite:///", "sqlite:///other-"),
            ("max_consecutive_errors = 5", "max_consecutive_errors = 7"),
        )
        status, problem = await post(service, "/admin/reload")
        assert status == 409
        assert [key["key"] for key in problem["keys"]] == ["chain.chain_id", "store.url"]
        assert {key["applies"] for key in problem["keys"]} == {"needs a restart"}
        assert "chain.chain_id needs a restart" in problem["detail"]
        fleet.config.write_text(good.replace("max_consecutive_errors = 5", "max_consecutive_errors = 0\nmood = 3"))
        status, problem = await post(service, "/admin/reload")
        assert status == 422
        assert {it["key"] for it in problem["problems"]} == {"safety.max_consecutive_errors", "safety.mood"}
        assert await service.get("/admin/settings") == before
        await fleet.acted(1)
    assert len(await fleet.recorded(ev.ConfigApplied)) == 1
    refused = [each.event for each in await fleet.recorded(ev.AdminCommandRefused)]
    assert [(it.command, it.actor) for it in refused] == [("reload", "local")] * 2


async def test_a_key_that_does_not_open_changes_nothing(fleet: Fleet):
    tables = set_aside(fleet, *NEW)
    async with fleet.service() as service:
        await service.ready()
        keystore = fleet.directory / "keystores" / "wallet-005.json"
        opens = json.loads(keystore.read_text())
        opens["crypto"]["mac"] = opens["crypto"]["mac"][::-1]
        keystore.write_text(json.dumps(opens))
        append(fleet, tables)
        status, problem = await post(service, "/admin/reload")
        assert status == 409
        assert [it.partition(":")[0] for it in problem["problems"]] == ["wallet-005"]
        assert set(NEW).isdisjoint(wallet["id"] for wallet in (await service.get("/admin/status"))["wallets"])


async def test_sighup_reads_the_settings_again_and_says_in_the_log_what_is_in_the_way(fleet: Fleet):
    async with fleet.service() as service:
        await service.ready()
        fleet.edit_config(("max_consecutive_errors = 5", "max_consecutive_errors = 7"))
        service.process.send_signal(signal.SIGHUP)
        applied = (await fleet.see(ev.ConfigApplied, count=2))[-1]
        assert (applied.event.actor, applied.event.reason) == ("signal", "SIGHUP")
        assert applied.event.changes == ({"key": "safety.max_consecutive_errors", "before": 5, "after": 7},)
        fleet.edit_config(("max_consecutive_errors = 7", "max_consecutive_errors = 0"))
        service.process.send_signal(signal.SIGHUP)
        refused = (await fleet.see(ev.AdminCommandRefused))[-1]
        assert (refused.event.command, refused.event.actor) == ("reload", "signal")

        async def told() -> bool:
            return (
                "the settings are not reloaded" in service.output and "safety.max_consecutive_errors" in service.output
            )

        await until(told, "every problem in the log lines")
        await fleet.acted(1)
        assert await service.terminate() == 0


async def test_an_endpoint_is_added_drained_and_removed_under_a_fleet_that_acts(fleet: Fleet):
    """Two ways to one node: what is asked where shows in the counts of requests."""
    here = fleet.chain.url
    there = here.replace("127.0.0.1", "localhost")
    first, second = here.removeprefix("http://"), there.removeprefix("http://")
    async with fleet.service() as service:

        async def requests() -> dict[str, int]:
            return {it["handle"]: it["requests"] for it in (await service.get("/admin/endpoints"))["endpoints"]}

        await service.ready()
        assert (await post(service, f"/admin/endpoints/{first}/drain"))[0] == 409, "it is the only one"
        fleet.edit_config((f'rpc_url = "{here}"', f'rpc_url = "{here}"\nrpc_urls = ["{there}"]'))
        status, answer = await post(service, "/admin/reload")
        assert (status, answer["unchecked_endpoints"]) == (200, []), answer
        status, answer = await post(service, f"/admin/endpoints/{first}/drain", reason="maintenance")
        assert (status, answer["endpoint"]) == (200, here)

        async def finished() -> bool:
            return all(
                it["in_flight"] == 0
                for it in (await service.get("/admin/endpoints"))["endpoints"]
                if it["handle"] == first
            )

        await until(finished, "what was under way is finished")
        before = await requests()
        await fleet.acted(2)
        after = await requests()
        assert after[first] == before[first]
        assert after[second] > before[second]
        fleet.edit_config((f'rpc_url = "{here}"\nrpc_urls = ["{there}"]', f'rpc_url = "{there}"'))
        assert (await post(service, "/admin/reload"))[0] == 200
        assert list(await requests()) == [second]
        await fleet.acted(1)
        await service.settled()
        assert await service.terminate() == 0
    await assert_agreement(fleet)
    async with fleet.service() as service:
        await service.ready()
        status, answer = await post(service, f"/admin/endpoints/{first}/restore")
        assert status == 200, "a drain outlives a restart, and its endpoint's place in the settings"


async def test_an_endpoint_of_another_chain_is_not_taken(fleet: Fleet):
    async with running_anvil(chain_id=31999) as other, fleet.service() as service:
        await service.ready()
        text = fleet.config.read_text()
        fleet.edit_config(
            (f'rpc_url = "{fleet.chain.url}"', f'rpc_url = "{fleet.chain.url}"\nrpc_urls = ["{other.url}"]')
        )
        status, problem = await post(service, "/admin/reload")
        assert status == 409
        assert "serves chain 31999" in problem["detail"]
        assert len((await service.get("/admin/endpoints"))["endpoints"]) == 1
        fleet.config.write_text(text)


@pytest.mark.parametrize("moment", ["during", "after"])
async def test_killed_in_the_middle_of_a_reload_either_the_old_settings_are_in_force_or_the_new(
    fleet: Fleet, moment: str
):
    tables = set_aside(fleet, *NEW)
    aim = f"{moment}:append:ConfigApplied:2"
    service = await fleet.start(program=(sys.executable, "-m", "tests.crashtest.aimed", aim))
    try:
        await service.ready()
        append(fleet, tables)
        service.process.send_signal(signal.SIGHUP)
        assert await service.ended(DEATH_SECS) == -signal.SIGKILL
    finally:
        await service.kill()
    applied = await fleet.recorded(ev.ConfigApplied)
    registered = {each.wallet for each in await fleet.recorded(ev.WalletRegistered)}
    assert (len(applied), registered & set(NEW)) == ((1, set()) if moment == "during" else (2, set(NEW)))
    async with fleet.service() as service:
        await service.ready()
        await fleet.acted(1)


async def test_the_commands_of_mp_002_and_ir_004_work_as_they_are_printed(fleet: Fleet):
    """Compare, apply, slow down, drain: each by its command."""
    new = fleet.directory / "new.toml"
    text = fleet.config.read_text()
    new.write_text(text.replace("max_consecutive_errors = 5", "max_consecutive_errors = 7"))
    async with fleet.service() as service:
        await service.ready()
        here = ("--url", service.url)
        compared = await fleet.command("config", "diff", str(new), *here, "--json")
        change = {
            "key": "safety.max_consecutive_errors",
            "before": 5,
            "after": 7,
            "applies": "while running",
            "why": "",
        }
        assert (compared.code, compared.lines[0]["against"]) == (1, "service")
        assert [it for it in compared.lines[0]["changes"] if it["key"] != "admin.port"] == [change]
        fleet.config.write_text(new.read_text().replace("chain_id = 31337", "chain_id = 31338"))
        refused = await fleet.command("reload", *here)
        assert refused.code == 5
        assert "chain.chain_id: needs a restart" in refused.err
        fleet.config.write_text(new.read_text())
        reloaded = await fleet.command("reload", *here, "--json")
        assert (reloaded.code, reloaded.lines[0]["status"]) == (0, "reloaded")
        slowed = await fleet.command("throttle", "0.25", "--reason", "too hot", *here, "--json")
        assert (slowed.code, slowed.lines[0]["factor"]) == (0, 0.25)
        assert (await service.get("/admin/status"))["throttle"]["reason"] == "too hot"
        drained = await fleet.command("endpoints", "drain", fleet.chain.url, "--last", *here, "--json")
        assert (drained.code, drained.lines[0]["status"]) == (0, "drained")
        listed = await fleet.command("endpoints", "list", *here)
        assert "drained" in listed.out
        assert (await fleet.command("endpoints", "restore", fleet.chain.url, *here)).code == 0
        await service.post("/admin/throttle", factor=1)
        await fleet.acted(1)
