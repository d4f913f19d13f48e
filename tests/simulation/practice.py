"""The plugin of the simulation: transfers and calls of which each carries its own number, so that a second effect shows."""

from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec
from pydantic import BaseModel

from ghostfleet.domain.profile import Profile
from ghostfleet.domain.schedule import Random
from ghostfleet.domain.values import Call, Octets
from ghostfleet.plugins.api import Action, ChainView, Plugin, Rest, Verdict, WalletFacts
from tests.simulation.chain import CONTRACT, SINK

WEI_EACH = 10**6
TOKENS_EACH = 5


class PracticeSettings(BaseModel):
    """None."""


class PracticeView(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the contract refuses."""

    closed: bool


class PracticePlugin(Plugin[PracticeView]):
    """A transfer to a sink, or a call that reverts while the contract is closed."""

    name: ClassVar[str] = "practice"
    kinds: ClassVar[tuple[str, ...]] = ("transfer", "visit")
    Settings = PracticeSettings
    Observation = PracticeView
    errors: ClassVar[Mapping[bytes, tuple[str, tuple[str, ...]]]] = {}

    async def observe(self, wallet: WalletFacts, chain: ChainView) -> PracticeView:
        answer = await chain.call(CONTRACT, b"")
        return PracticeView(closed=answer[-1:] == b"\x01")

    def decide(self, view: Any, wallet: WalletFacts, profile: Profile, random: Random) -> Action | Rest:
        number = wallet.decisions + 1
        if random.random() < 0.05:
            return Rest(reason="nothing to do")
        if random.random() < 0.5 or (view.closed and random.random() < 0.8):
            return Action(kind="transfer", call=Call(to=SINK, value_wei=number * WEI_EACH), spend_wei=TOKENS_EACH)
        return Action(kind="visit", call=Call(to=CONTRACT, data=Octets(number.to_bytes(8, "big"))))

    def judge(self, kind: str, reason: str) -> Verdict:
        return Verdict(counts=True)
