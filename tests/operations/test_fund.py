"""MP-001: wallets are paid from a treasury or a keystore: exactly, once, with the tax on top."""

import pytest

from ghostfleet.domain import events as ev
from ghostfleet.keys.keystore import write_keystore
from ghostfleet.keys.secret import Secret
from tests.acceptance.service_process import until
from tests.operations.stage import ETH, TREASURY, TREASURY_KEY, MoneyFleet, answer

pytestmark = [pytest.mark.anvil, pytest.mark.timeout(900), pytest.mark.parametrize("anvil", [0.5], indirect=True)]


async def test_what_is_named_arrives_and_the_same_again_pays_nobody_twice(fleet: MoneyFleet):
    """While the service runs, paused: nobody else spends what arrives."""
    amounts = ("--from", "treasury", "--native", "0.05ether", "--token", "DATA=100")
    async with fleet.service(settings={"safety.global_pause": True}) as service:
        await service.ready()
        before = {name: (await fleet.native(at), await fleet.data(at)) for name, at in fleet.wallets.items()}
        plan = await fleet.run("fund", *amounts, "--plan")
        assert "111.111111111111111111 DATA" in plan.out
        done = await fleet.run("fund", *amounts, "--yes", "--json", url=service.url)
        assert done.code == 0, done.err
        for name, at in fleet.wallets.items():
            assert await fleet.native(at) == before[name][0] + ETH // 20
            assert 100 * ETH <= await fleet.data(at) - before[name][1] <= 100 * ETH + 2
        again = await fleet.run("fund", *amounts, "--yes", "--json", url=service.url)
        assert again.code == 0
        assert "has paid this before" in again.err
        assert {await fleet.paid(name) for name in fleet.wallets} == {2}
        more = await fleet.run("fund", *amounts, "--again", "second", "--yes", "--json", url=service.url)
        assert more.code == 0, more.err
    assert {await fleet.paid(name) for name in fleet.wallets} == {4}
    await fleet.agrees()


async def test_more_wallets_than_an_ordinary_request_could_name_are_paid(fleet: MoneyFleet):
    """Addresses that are in no settings yet, as for a new part of the fleet: 400 of them, each once."""
    addresses = [f"0x{number:040x}" for number in range(0x1000, 0x1000 + 400)]
    listed = fleet.directory / "many.csv"
    listed.write_text("address,key,id,profile\n" + "".join(f"{at},,new-{at[-4:]},whale\n" for at in addresses))
    fund = ("fund", "--from", "treasury", "--native", "0.001", "--to-csv", str(listed), "--yes", "--json")
    async with fleet.service(settings={"safety.global_pause": True}) as service:
        await service.ready()
        done = await fleet.run(*fund, url=service.url)
        assert done.code == 0, done.err
        assert len([name for name in answer(done)["rows"] if name.startswith("new-")]) == 400
    held = await fleet.chain.batch([("eth_getBalance", [at, "latest"]) for at in addresses])
    assert {int(wei, 16) for wei in held} == {ETH // 1000}
    await fleet.agrees()


async def test_from_a_keystore_alone_and_the_password_stands_nowhere(fleet: MoneyFleet):
    """The key is lent for the operation, and the log, the answers and the output know nothing of the password."""
    canary = "canary-password-of-the-funder"
    keyfile = fleet.directory / "funder.json"
    write_keystore(keyfile, Secret(bytes.fromhex(TREASURY_KEY[2:])), Secret(canary.encode()), scrypt_n=2)
    fleet.edit_config((f'[treasury]\naddress = "{TREASURY}"\nprivate_key = "{TREASURY_KEY}"\n', ""))
    no_password = await fleet.run("fund", "--from", str(keyfile), "--native", "0.01", "--yes")
    assert no_password.code == 2
    assert "GHOST_FLEET_FUNDER_PASSWORD" in no_password.err
    fleet.variables["GHOST_FLEET_FUNDER_PASSWORD"] = canary
    done = await fleet.run(
        "fund", "--from", str(keyfile), "--native", "0.01", "--wallets", "wallet-002", "--yes", "--json"
    )
    assert done.code == 0, done.err
    assert answer(done)["rows"]["wallet-002"]["moved"]["native"]["received"] == str(ETH // 100)
    texts = [done.out, done.err, *(str(each) for each in await fleet.recorded())]
    assert not any(canary in text for text in texts)


async def test_a_funder_without_means_waits_and_says_what_it_lacks(fleet: MoneyFleet):
    """Nothing is sent in part: it waits for the whole of what it owes."""
    async with fleet.service(settings={"safety.global_pause": True}) as service:
        await service.ready()
        body = {
            "funder": TREASURY,
            "targets": {name: str(at) for name, at in fleet.wallets.items()},
            "native_wei": str(10**6 * ETH),
        }
        await service.post("/admin/operations", kind="fund", fund=body)
        await fleet.see(ev.OperationWalletPlanned)

        async def waits() -> bool:
            (standing,) = (await service.get("/admin/operations"))["operations"]
            return "needs 3000000 ETH and has" in str(standing["waiting"])

        await until(waits, "what it lacks")
        abandoned = await fleet.run("operations", "abandon", "fund-1", url=service.url)
        assert abandoned.code == 0, abandoned.err
        assert (await service.get("/admin/operations/fund-1"))["state"] == "abandoned"
    assert await fleet.recorded(ev.TransactionSigned) == []
