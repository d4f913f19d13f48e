"""The plugin of the simulation: transfers and calls of which each carries its own number, so that a second effect shows.

The way out is to leave the contract, which pays for each visit since the wallet left last.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import msgspec
from pydantic import BaseModel

from ghostfleet.domain.profile import Profile
from ghostfleet.domain.schedule import Random
from ghostfleet.domain.values import Address, Call, Octets
from ghostfleet.plugins.api import Action, ChainView, Plugin, Rest, Verdict, WalletFacts
from tests.simulation.chain import CONTRACT, LEAVES, SINK

WEI_EACH = 10**6
TOKENS_EACH = 5
LEAVE = "leave"
CLOSED_SECS = 3.0


class PracticeSettings(BaseModel):
    """None."""


class PracticeView(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the contract refuses, and how often the wallet has visited it: since it left, and ever."""

    closed: bool
    inside: int = 0
    visits: int = 0


class PracticePlugin(Plugin[PracticeView]):
    """A transfer to a sink, or a call that reverts while the contract is closed."""

    name: ClassVar[str] = "practice"
    kinds: ClassVar[tuple[str, ...]] = ("transfer", "visit", LEAVE)
    Settings = PracticeSettings
    Observation = PracticeView
    errors: ClassVar[Mapping[bytes, tuple[str, tuple[str, ...]]]] = {}

    async def observe(self, wallet: WalletFacts, chain: ChainView) -> PracticeView:
        answer = await chain.call(CONTRACT, wallet.address)
        closed, inside, visits = (int.from_bytes(answer[start : start + 32], "big") for start in (0, 32, 64))
        return PracticeView(closed=closed == 1, inside=inside, visits=visits)

    def decide(self, view: Any, wallet: WalletFacts, profile: Profile, random: Random) -> Action | Rest:
        number = wallet.decisions + 1
        if random.random() < 0.05:
            return Rest(reason="nothing to do")
        if random.random() < 0.5 or (view.closed and random.random() < 0.8):
            return Action(kind="transfer", call=Call(to=SINK, value_wei=number * WEI_EACH), spend_wei=TOKENS_EACH)
        return Action(kind="visit", call=Call(to=CONTRACT, data=Octets(number.to_bytes(8, "big"))))

    def withdraw(self, view: Any, wallet: WalletFacts) -> Sequence[Action]:
        if not view.inside:
            return ()
        return (Action(kind=LEAVE, call=Call(to=CONTRACT, data=Octets(LEAVES + view.visits.to_bytes(8, "big")))),)

    def addresses(self) -> tuple[Address, ...]:
        return SINK, CONTRACT

    def judge(self, kind: str, reason: str) -> Verdict:
        return Verdict(counts=True, rest_secs=CLOSED_SECS if kind == LEAVE else None)
