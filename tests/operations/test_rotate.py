"""MP-004: new keys in the place of old ones; the old ones are destroyed only once they are proven empty, whatever is killed."""

import os
import signal
import tomllib
from pathlib import Path

import pytest

from ghostfleet.domain import events as ev
from tests.operations.stage import ETH, TREASURY, MoneyFleet, answer

pytestmark = [pytest.mark.anvil, pytest.mark.timeout(900), pytest.mark.parametrize("anvil", [0.5], indirect=True)]


def rotate(fleet: MoneyFleet, *more: str) -> tuple[str, ...]:
    out = str(fleet.directory / "rotation")
    amounts = ("--native", "0.05ether", "--token", "DATA=100")
    return ("rotate", "--count", "2", "--out", out, *amounts, "--scrypt-n", "2", "--yes", "--json", *more)


async def test_through_the_service_new_wallets_act_and_old_keys_are_gone(fleet: MoneyFleet):
    """Two of three wallets: the third acts all the time; the treasury gets what the old ones held."""
    keystores = [fleet.directory / "keystores" / f"{name}.json" for name in ("wallet-001", "wallet-002", "wallet-003")]
    async with fleet.service() as service:
        await service.ready()
        await fleet.acted(1)
        held = await fleet.data(TREASURY)
        done = await fleet.run(*rotate(fleet), url=service.url)
        assert done.code == 0, done.err
        table = answer(done)
        assert [it.exists() for it in keystores] == [False, False, True]
        assert {row["destroyed"] for row in table["destroyed"]["rows"].values()} == {True}
        assert await fleet.data(TREASURY) > held
        await fleet.acted(1, wallets=list(table["new"]))
        tables = {it["id"]: it.get("enabled", True) for it in tomllib.loads(fleet.config.read_text())["wallets"]}
        assert tables == {
            "wallet-001": False,
            "wallet-002": False,
            "wallet-003": True,
            **dict.fromkeys(table["new"], True),
        }
        await service.settled()
    for name in ("wallet-001", "wallet-002"):
        assert (await fleet.native(fleet.wallets[name]), await fleet.data(fleet.wallets[name])) == (0, 0)
    await fleet.agrees()
    kinds = [each.event.kind for each in await fleet.recorded(ev.OperationStarted)]
    assert kinds == ["fund", "extract", "destroy"]


async def test_killed_in_the_middle_the_same_command_goes_on_and_pays_once(fleet: MoneyFleet):
    """Without a service: killed after the funding was sent, after a withdrawal, and before a key is destroyed."""
    for aim in (
        "after:append:TransactionSigned:1",
        "after:append:TransactionMined:2",
        "before:append:OperationFinished:1",
    ):
        killed = await fleet.run(*rotate(fleet), aim=aim)
        assert killed.code == -signal.SIGKILL, killed.err
    done = await fleet.run(*rotate(fleet))
    assert done.code == 0, done.err
    assert {
        await fleet.paid(name) for name in fleet.wallets if name not in ("wallet-001", "wallet-002", "wallet-003")
    } == {2}
    await fleet.agrees()


async def test_a_key_whose_wallet_is_not_empty_is_kept(fleet: MoneyFleet):
    """Somebody pays an old wallet after it was emptied: at finality it is not empty, and its key stays."""
    done = await fleet.run("extract-all", "--to", TREASURY, "--wallets", "wallet-001", "--retire", "--yes", "--json")
    assert done.code == 0, done.err
    await fleet.chain.call("anvil_setBalance", str(fleet.wallets["wallet-001"]), hex(ETH))
    await fleet.chain.call("anvil_mine", "0x8")
    keyfile = fleet.directory / "keystores" / "wallet-001.json"
    async with fleet.service(settings={"safety.global_pause": True}) as service:
        await service.ready()
        with pytest.raises(AssertionError, match=r"409.*is in use"):
            await service.post("/admin/operations", kind="destroy", destroy={"keyfiles": {"wallet-002": str(keyfile)}})
        fleet.edit_config(('id = "wallet-001"\n', 'id = "wallet-001"\nenabled = false\n'))
        await service.post("/admin/reload")
        begun = await service.post(
            "/admin/operations", kind="destroy", destroy={"keyfiles": {"wallet-001": str(keyfile)}}
        )
        await fleet.see(ev.OperationFinished, after=begun["position"])
        row = (await service.get(f"/admin/operations/{begun['operation']}"))["rows"]["wallet-001"]
    assert row["destroyed"] is False
    assert "not empty at finality" in row["remarks"][0]
    assert Path(keyfile).exists()


async def test_nothing_is_paid_where_what_follows_would_fail_and_the_same_command_goes_on(fleet: MoneyFleet):
    """A wallet that is not rotated has no keystore any more, so the settings cannot be replaced; the treasury keeps its money."""
    keystore = fleet.directory / "keystores" / "wallet-003.json"
    async with fleet.service() as service:
        await service.ready()
        keystore.rename(keystore.with_suffix(".away"))
        held = await fleet.data(TREASURY)
        refused = await fleet.run(*rotate(fleet), url=service.url)
        assert (refused.code, "wallet-003" in refused.err) == (2, True), refused.err
        assert await fleet.recorded(ev.OperationStarted) == []
        assert await fleet.data(TREASURY) == held
        keystore.with_suffix(".away").rename(keystore)
        done = await fleet.run(*rotate(fleet), url=service.url)
        assert done.code == 0, done.err


async def test_nothing_is_paid_where_the_service_could_not_destroy_the_old_keys(fleet: MoneyFleet):
    """What the service does not see is not there for it; and what another user owns would have another owner afterwards."""
    keystore = fleet.directory / "keystores" / "wallet-001.json"
    async with fleet.service() as service:
        await service.ready()
        plan = await service.post(
            "/admin/operations/plan",
            kind="destroy",
            destroy={"keyfiles": {"wallet-001": str(keystore), "wallet-002": "/no"}},
        )
        assert plan["plans"] == {"wallet-001": {"stays": ""}, "wallet-002": {"stays": "/no is not there"}}
        keystore.unlink()
        refused = await fleet.run(*rotate(fleet), url=service.url)
        assert (refused.code, str(keystore) in refused.err) == (2, True), refused.err
        assert await fleet.recorded(ev.OperationStarted) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
async def test_another_user_than_the_keystores_is_refused_before_anything_is_paid(fleet: MoneyFleet):
    os.chown(fleet.directory / "keystores" / "wallet-001.json", 10001, 10001)
    refused = await fleet.run(*rotate(fleet))
    assert (refused.code, "sudo -u '#10001'" in refused.err) == (2, True), refused.err
    assert not (fleet.directory / "rotation").exists()


async def test_where_the_password_is_a_credential_of_the_service_a_shell_rotates_all_the_same(fleet: MoneyFleet):
    """As under deploy/ghost-fleet.service: the command has no password of the old keystores, and needs none."""
    credentials = fleet.directory / "credentials"
    credentials.mkdir()
    (fleet.directory / "keystore-password").rename(credentials / "keystore-password")
    fleet.edit_config(('password_file = "keystore-password"', 'credential = "keystore-password"'))
    fleet.variables = {"CREDENTIALS_DIRECTORY": str(credentials)}
    async with fleet.service() as service:
        fleet.variables = {}
        await service.ready()
        done = await fleet.run(*rotate(fleet), url=service.url)
        assert done.code == 0, done.err
        await fleet.acted(1, wallets=list(answer(done)["new"]))
    refused = await fleet.run("extract-all", "--to", TREASURY, "--yes", "--json")
    assert (refused.code, "`systemd-run --pipe" in refused.err) == (2, True), refused.err


@pytest.mark.long
async def test_killed_while_the_chain_is_not_final_yet_the_same_command_goes_on(fleet: MoneyFleet):
    """The old wallets did the errands of the destroying, and the extraction that came first in the second try was refused."""
    fleet.settings["chain.finality_blocks"] = 40
    killed = await fleet.run(*rotate(fleet), aim="after:append:OperationStarted:3")
    assert killed.code == -signal.SIGKILL, killed.err
    done = await fleet.run(*rotate(fleet))
    assert done.code == 0, done.err
    assert {row["destroyed"] for row in answer(done)["destroyed"]["rows"].values()} == {True}


async def test_nothing_is_paid_where_what_the_old_ones_hold_could_not_go(fleet: MoneyFleet):
    """It was found out when the new ones were paid and in use, and the same command met the same address ever after."""
    for to, words in ((str(fleet.data_token), "a contract of the protocol"), ("0x1234", "to:")):
        refused = await fleet.run(*rotate(fleet, "--to", to))
        assert (refused.code, "nothing was paid" in refused.err, words in refused.err) == (2, True, True), refused.err
    assert await fleet.recorded(ev.OperationStarted) == []
    assert not (fleet.directory / "rotation").exists()


async def test_a_wallet_that_is_not_empty_keeps_its_key_until_the_same_command_can_empty_it(fleet: MoneyFleet):
    """It has tokens and no gas: the other one's key is destroyed, and its own is there when gas has come."""
    poor = str(fleet.wallets["wallet-001"])
    async with fleet.service(settings={"safety.global_pause": True}) as service:
        await service.ready()
        await fleet.chain.call("anvil_setBalance", poor, hex(1))
        first = await fleet.run(*rotate(fleet), url=service.url)
        assert (first.code, "the keys of wallet-001 are not destroyed" in first.err) == (1, True), first.err
        assert list(answer(first)["destroyed"]["rows"]) == ["wallet-002"]
        await fleet.chain.call("anvil_setBalance", poor, hex(ETH))
        done = await fleet.run(*rotate(fleet), url=service.url)
        assert done.code == 0, done.err
    assert (await fleet.native(poor), await fleet.data(poor)) == (0, 0)
