"""What is left in a wallet and cannot be moved, because moving it costs more, does not keep its key."""

from types import SimpleNamespace
from typing import Any

import pytest

from ghostfleet.domain.operation import NATIVE
from ghostfleet.domain.values import Fees
from ghostfleet.engine.in_force import MEGAETH_TRANSFER_GAS, TRANSFER_GAS, ChainRules
from ghostfleet.operations import destroy
from ghostfleet.operations.holdings import Holdings

GWEI = 10**9


@pytest.mark.parametrize("transfer_gas", [TRANSFER_GAS, MEGAETH_TRANSFER_GAS])
async def test_what_is_dust_depends_on_what_a_transfer_takes_on_this_chain(
    transfer_gas: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nothing_else(*_: object) -> Any:
        return Holdings(native_wei=0, tokens={})

    async def answer(value: Any) -> Any:
        return value

    monkeypatch.setattr(destroy, "look", nothing_else)
    world: Any = SimpleNamespace(
        plugins={},
        chain_rules=ChainRules(chain_id=1, transfer_gas=transfer_gas),
        fees=SimpleNamespace(suggest=lambda _: answer(Fees(2 * GWEI, GWEI))),
        heads=SimpleNamespace(first=lambda: answer(None)),
    )
    duty, wallet = destroy.DestroyDuty("extract-1", {}, world), SimpleNamespace()
    dust_wei = transfer_gas * 2 * GWEI
    assert await duty._why_kept(wallet, {NATIVE: dust_wei}) == ""  # type: ignore[arg-type]
    assert "not empty at finality" in await duty._why_kept(wallet, {NATIVE: dust_wei + 1})  # type: ignore[arg-type]
