"""EP-002: everything out of every wallet, under a pause, through the service or without it, whatever happens in between."""

import pytest

from ghostfleet.domain import events as ev
from ghostfleet.plugins.ghostnet.protocol import LATER_SECS
from tests.acceptance.service_process import SETTLE_SECS
from tests.operations.stage import ETH, SAFE, MoneyFleet, answer

pytestmark = [pytest.mark.anvil, pytest.mark.timeout(900), pytest.mark.parametrize("anvil", [0.5], indirect=True)]


async def test_through_the_service_everything_arrives_but_the_tax(fleet: MoneyFleet):
    """The table, the log and the chain say the same, to the wei; the story is in the log."""
    async with fleet.service() as service:
        await service.ready()
        await fleet.acted(2)
        running = await fleet.run("extract-all", "--to", SAFE, "--yes", url=service.url)
        assert running.code == 5
        assert "pause it first" in running.err
        await service.post("/admin/pause", reason="everything out")
        plan = answer(await fleet.run("extract-all", "--to", SAFE, "--plan", "--json", url=service.url))
        assert set(plan["plans"]) == set(fleet.wallets)
        done = await fleet.run("extract-all", "--to", SAFE, "--yes", "--json", url=service.url)
        assert done.code == 0, done.err
        assert (await service.get("/admin/status"))["paused"]
        shown = await fleet.run("operations", "show", "extract-1", url=service.url)
        assert shown.code == 0, shown.err
        assert await service.terminate() == 0
    table = answer(done)
    assert shown.out.startswith("extract-1 done: 3 of 3 wallets, ")
    assert all(name in shown.out for name in fleet.wallets)
    assert "{" not in shown.out
    assert table["problems"] == []
    assert set(table["rows"]) == set(fleet.wallets)
    moved = table["summary"]["moved"]
    assert int(moved["DATA"]["received"]) == await fleet.data(SAFE)
    assert int(moved["native"]["received"]) == await fleet.native(SAFE)
    assert 0 < int(moved["DATA"]["tax"]) * 9 <= int(moved["DATA"]["received"]) + 100
    await fleet.empty()
    await fleet.agrees()
    started, finished = await fleet.recorded(ev.OperationStarted, ev.OperationFinished)
    assert (started.event.wallets, finished.event.outcome) == (tuple(fleet.wallets), "done")
    errands = [each.event for each in await fleet.recorded(ev.ActionDecided) if each.event.operation]
    assert {it.operation for it in errands} == {"extract-1"}
    assert {"sweep_token", "sweep_native"} <= {it.kind for it in errands}


async def test_a_pause_suspends_it_and_the_same_command_goes_on(fleet: MoneyFleet):
    """Stop means stop for an operation as well: after the answer no nonce of any wallet moves."""
    async with fleet.service() as service:
        await service.ready()
        await fleet.acted(1)
        await service.post("/admin/pause")
        body = {"kind": "extract", "extract": {"to": SAFE}}
        first = await service.post("/admin/operations", **body)
        await fleet.see(ev.TransactionMined, after=first["position"])
        await service.post("/admin/pause", reason="not so fast")
        (standing,) = (await service.get("/admin/operations"))["operations"]
        assert (standing["state"], standing["why"]) == ("suspended", "paused by local")
        signed = len(await fleet.attempts())
        pending = {name: await fleet.nonce(name, "pending") for name in fleet.wallets}
        await fleet.chain.call("anvil_mine", "0x3")
        assert {name: await fleet.nonce(name, "pending") for name in fleet.wallets} == pending
        assert len(await fleet.attempts()) == signed
        waiting = await fleet.run("operations", "list", url=service.url)
        assert "extract-1 suspended" in waiting.out
        done = await fleet.run("extract-all", "--to", SAFE, "--yes", "--json", url=service.url)
        assert done.code == 0, done.err
        assert answer(done)["id"] == "extract-1"
    await fleet.empty()
    await fleet.agrees()


async def test_alone_with_the_database_it_pauses_the_fleet_and_empties_it(fleet: MoneyFleet):
    """The service was killed and does not come back: the money does, all the same."""
    async with fleet.service() as service:
        await service.ready()
        await fleet.acted(1)
        await service.kill()
    done = await fleet.run("extract-all", "--to", SAFE, "--yes", "--json")
    assert done.code == 0, done.err
    await fleet.empty()
    await fleet.agrees()
    async with fleet.service() as service:
        await service.ready()
        assert (await service.get("/admin/status"))["pause"]["reason"] == "extract-all without a running service"


async def test_a_plan_and_a_question_that_nobody_answers_change_nothing(fleet: MoneyFleet):
    """The service is down: the log keeps its last event, and the next start is not paused."""
    async with fleet.service() as service:
        await service.ready()
        await fleet.acted(1)
        assert await service.terminate() == 0
    before = await fleet.head()
    plan = answer(await fleet.run("extract-all", "--to", SAFE, "--plan", "--json"))
    assert set(plan["plans"]) == set(fleet.wallets)
    assert int(plan["plans"]["wallet-001"]["holds"]["native"]) == await fleet.native(fleet.wallets["wallet-001"])
    unanswered = await fleet.run("extract-all", "--to", SAFE)
    assert (unanswered.code, "--yes says so" in unanswered.err) == (2, True)
    assert "no operation is open" in (await fleet.run("operations", "list")).out
    assert await fleet.head() == before
    async with fleet.service() as service:
        await service.ready()
        assert (await service.get("/admin/status"))["paused"] is False


async def test_named_wallets_are_emptied_while_the_others_go_on_and_retire_if_asked(fleet: MoneyFleet):
    """The others act again, also one that a contract has just told to come later, and rests for that."""
    async with fleet.service() as service:
        await service.ready()
        await fleet.acted(1)
        done = await fleet.run(
            "extract-all", "--to", SAFE, "--wallets", "wallet-001", "--retire", "--yes", "--json", url=service.url
        )
        assert done.code == 0, done.err
        await fleet.acted(1, wallets=["wallet-002", "wallet-003"], within_secs=LATER_SECS + SETTLE_SECS)
        wallets = {it["id"]: it["state"] for it in (await service.get("/admin/status"))["wallets"]}
        assert wallets["wallet-001"] == "retired"
    at = fleet.wallets["wallet-001"]
    assert (await fleet.native(at), await fleet.data(at)) == (0, 0)


async def test_what_makes_no_sense_is_refused_and_nobody_is_asked_twice(fleet: MoneyFleet):
    own = str(fleet.wallets["wallet-001"])
    for to, words in (
        (own, "one of the wallets to be emptied"),
        (str(fleet.data_token), "is a contract of the protocol"),
        ("0x" + "00" * 20, "zero address"),
        ("0x1234", "to:"),
    ):
        refused = await fleet.run("extract-all", "--to", to, "--yes")
        assert refused.code == 2, refused
        assert words in refused.err
    unasked = await fleet.run("extract-all", "--to", SAFE)
    assert unasked.code == 2
    assert "--yes says so" in unasked.err
    assert await fleet.recorded(ev.OperationStarted) == []


async def test_a_wallet_that_could_not_pay_for_all_of_it_is_emptied_by_the_same_command_once_it_can(fleet: MoneyFleet):
    """It has retired in between, and its last transaction is final: its key is there, as the settings name it still."""
    at = str(fleet.wallets["wallet-001"])
    extract = ("extract-all", "--to", SAFE, "--wallets", "wallet-001", "--retire", "--yes", "--json")
    async with fleet.service(settings={"safety.global_pause": True}) as service:
        await service.ready()
        await fleet.chain.call("anvil_setBalance", at, hex(1))
        poor = await fleet.run(*extract, url=service.url)
        assert poor.code == 1
        assert "cannot pay for it" in poor.out
        await fleet.see(ev.WalletRetired)
        await fleet.chain.call("anvil_setBalance", at, hex(ETH))
        await fleet.chain.call("anvil_mine", "0x8")
        done = await fleet.run(*extract, url=service.url)
        assert done.code == 0, done.out
    assert (await fleet.native(at), await fleet.data(at)) == (0, 0)
    await fleet.agrees()
