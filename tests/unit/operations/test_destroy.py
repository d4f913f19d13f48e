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


def duty_at(monkeypatch: pytest.MonkeyPatch, transfer_gas: int, now: Holdings) -> destroy.DestroyDuty:
    """On a chain of such transfers, with this to be seen in the wallet now."""

    async def answer(value: Any) -> Any:
        return value

    monkeypatch.setattr(destroy, "look", lambda *_: answer(now))
    world: Any = SimpleNamespace(
        plugins={},
        chain_rules=ChainRules(chain_id=1, transfer_gas=transfer_gas),
        fees=SimpleNamespace(suggest=lambda _: answer(Fees(2 * GWEI, GWEI))),
        heads=SimpleNamespace(first=lambda: answer(None)),
    )
    return destroy.DestroyDuty("extract-1", {}, world)


@pytest.mark.parametrize("transfer_gas", [TRANSFER_GAS, MEGAETH_TRANSFER_GAS])
async def test_what_is_dust_depends_on_what_a_transfer_takes_on_this_chain(
    transfer_gas: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    duty, wallet = duty_at(monkeypatch, transfer_gas, Holdings(native_wei=0, tokens={})), SimpleNamespace()
    dust_wei = transfer_gas * 2 * GWEI
    assert await duty._why_kept(wallet, {NATIVE: dust_wei}) == ""  # type: ignore[arg-type]
    assert "not empty at finality" in await duty._why_kept(wallet, {NATIVE: dust_wei + 1})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("now", "kept"),
    [
        (Holdings(native_wei=GWEI, tokens={"DATA": 0}), ""),
        (Holdings(native_wei=0, tokens={"DATA": 7}), "not empty: 7 DATA; extract it first"),
        (Holdings(native_wei=10**18, tokens={}), f"not empty: {10**18} native; extract it first"),
    ],
)
async def test_what_has_come_since_finality_keeps_the_key_too(
    now: Holdings, kept: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The newest blocks were looked at for the protocol only: a transfer in one of them was lost with the key."""
    duty = duty_at(monkeypatch, TRANSFER_GAS, now)
    assert await duty._why_kept(SimpleNamespace(), {NATIVE: 0, "DATA": 0}) == kept  # type: ignore[arg-type]
