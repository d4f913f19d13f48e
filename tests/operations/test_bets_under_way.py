"""What comes back only later: an extraction waits for it, and no key is destroyed before it is in."""

import pytest

from ghostfleet.domain import events as ev
from ghostfleet.operations.holdings import TRANSFER
from ghostfleet.plugins.ghostnet import protocol
from tests.acceptance.service_process import until
from tests.operations.stage import ETH, SAFE, TREASURY, MoneyFleet, answer

pytestmark = [pytest.mark.anvil, pytest.mark.timeout(900), pytest.mark.parametrize("anvil", [0.5], indirect=True)]
ALMOST_SURE = 101
"""A target, in hundredths, that 99 rounds of 100 reach."""


def contract(fleet: MoneyFleet, name: str) -> str:
    line = next(line for line in fleet.config.read_text().splitlines() if line.startswith(name))
    return line.split('"')[1]


async def bet(fleet: MoneyFleet, wallet: str, amount: int) -> None:
    """Stake on the round that takes bets, at its beginning, with the wallet's own key."""
    address, crash = str(fleet.wallets[wallet]), contract(fleet, "hash_crash")
    await fleet.chain.call("anvil_impersonateAccount", address)

    async def send(to: str, data: object) -> bool:
        sent = {"from": address, "to": to, "data": str(data), "gas": hex(500_000)}
        transaction = await fleet.chain.call("eth_sendTransaction", sent)

        async def receipt() -> dict[str, str] | None:
            found: dict[str, str] | None = await fleet.chain.call("eth_getTransactionReceipt", transaction)
            return found

        found = await until(receipt, f"{transaction} is mined")
        assert found is not None
        return found["status"] == "0x1"

    async def taken() -> bool:
        return await send(crash, protocol.PLACE_BET.encode(amount, ALMOST_SURE))

    arcade = contract(fleet, "arcade_core")
    assert await send(str(fleet.data_token), protocol.APPROVE.encode(type(fleet.data_token).from_hex(arcade), amount))
    await until(taken, "a round takes the bet")


async def bet_all_it_is_given(fleet: MoneyFleet, wallet: str) -> None:
    """Somebody pays a wallet, which stakes the tokens and is left without a wei: after an extraction, however long it took."""
    address = fleet.wallets[wallet]
    await fleet.chain.call("anvil_setBalance", str(address), hex(ETH))
    gift = {"from": TREASURY, "to": str(fleet.data_token), "data": str(TRANSFER.encode(address, 10 * ETH))}
    await fleet.chain.call("eth_sendTransaction", gift)
    given = await until(lambda: fleet.data(address), "tokens to bet")
    await bet(fleet, wallet, given)
    await fleet.chain.call("anvil_setBalance", str(address), "0x0")
    assert (await fleet.data(address), await fleet.native(address)) == (0, 0)


async def owed(fleet: MoneyFleet, wallet: str) -> int:
    data = str(protocol.GET_PENDING_PAYOUT.encode(fleet.wallets[wallet]))
    return int(await fleet.chain.call("eth_call", {"to": contract(fleet, "arcade_core"), "data": data}, "latest"), 16)


async def test_an_extraction_waits_for_a_bet_and_takes_what_it_won(fleet: MoneyFleet):
    """Else the last of the native coin is gone, and what the bet wins lies where nobody can fetch it."""
    await bet(fleet, "wallet-001", 10 * ETH)
    done = await fleet.run("extract-all", "--to", SAFE, "--yes", "--json")
    assert done.code == 0, done.err
    assert "withdraw_payout" in {each.event.kind for each in await fleet.recorded(ev.ActionDecided)}
    assert await owed(fleet, "wallet-001") == 0
    assert answer(done)["rows"]["wallet-001"]["remarks"] == []
    await fleet.empty()


@pytest.mark.long
async def test_no_key_is_destroyed_while_something_is_owed_to_it(fleet: MoneyFleet):
    """The wallet holds nothing, at finality; its winnings lie in the arcade, and only its key can take them out."""
    emptied = await fleet.run("extract-all", "--to", SAFE, "--wallets", "wallet-001", "--retire", "--yes", "--json")
    assert emptied.code == 0, emptied.err
    await bet_all_it_is_given(fleet, "wallet-001")
    keyfile = fleet.directory / "keystores" / "wallet-001.json"
    fleet.edit_config(('id = "wallet-001"\n', 'id = "wallet-001"\nenabled = false\n'))

    async def won() -> bool:
        return await owed(fleet, "wallet-001") > 0

    await until(won, "the round ends, and the bet has won")
    await fleet.chain.call("anvil_mine", "0x8")
    async with fleet.service(settings={"safety.global_pause": True}) as service:
        await service.ready()
        keyfiles = {"wallet-001": str(keyfile)}
        begun = await service.post("/admin/operations", kind="destroy", destroy={"keyfiles": keyfiles})
        await fleet.see(ev.OperationFinished, after=begun["position"])
        row = (await service.get(f"/admin/operations/{begun['operation']}"))["rows"]["wallet-001"]
    assert row["destroyed"] is False
    assert "withdraw_payout" in row["remarks"][0]
    assert keyfile.exists()
