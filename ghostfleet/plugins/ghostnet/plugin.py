"""The plugin `ghostnet`: settings as its operators have them, and the parts of this package put together."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

from pydantic import Field, model_validator

from ghostfleet.config.settings import AddressText, Section, WeiAmount
from ghostfleet.domain.profile import Profile
from ghostfleet.domain.schedule import Random
from ghostfleet.domain.values import Address, JsonObject, LogEntry
from ghostfleet.keys.addresses import parse_address
from ghostfleet.plugins.api import Action, ChainView, Plugin, Rest, Token, Verdict, WalletFacts
from ghostfleet.plugins.ghostnet import policy, protocol
from ghostfleet.plugins.ghostnet.view import Deployment, GhostnetView, observe


class GhostnetSettings(Section):
    """`[plugins.ghostnet]`."""

    ghost_core: AddressText = Field(description="The GhostCore proxy.")
    data_token: AddressText = Field(description="The DATA token.")
    hash_crash: AddressText | None = Field(default=None, description="HashCrash, where it is played.")
    arcade_core: AddressText | None = Field(default=None, description="ArcadeCore, which takes bets and pays out.")
    min_stake: WeiAmount = Field(default=0, description="Never stake less than this, wei; a level may ask for more.")
    hashcrash_enabled: bool = Field(default=False, description="Bet in HashCrash as well.")

    @model_validator(mode="after")
    def _game_has_addresses(self) -> Self:
        if self.hashcrash_enabled and (self.hash_crash is None or self.arcade_core is None):
            raise ValueError(
                "hashcrash_enabled needs hash_crash and arcade_core: add both addresses or set it to false"
            )
        return self


class GhostnetPlugin(Plugin[GhostnetView]):
    """Stakes DATA in GhostCore and, where enabled, bets it in HashCrash."""

    name: ClassVar[str] = "ghostnet"
    kinds: ClassVar[tuple[str, ...]] = (
        "approve",
        "jack_in",
        "add_stake",
        "claim_rewards",
        "extract",
        "hashcrash_bet",
        "withdraw_payout",
    )
    Settings = GhostnetSettings
    Observation = GhostnetView
    errors = protocol.ERRORS

    def __init__(self, settings: GhostnetSettings, *, chain_id: int) -> None:
        super().__init__(settings, chain_id=chain_id)
        plays = settings.hashcrash_enabled and settings.hash_crash is not None and settings.arcade_core is not None
        self.deployment = Deployment(
            ghost_core=parse_address(settings.ghost_core),
            data_token=parse_address(settings.data_token),
            hash_crash=parse_address(settings.hash_crash) if plays and settings.hash_crash else None,
            arcade_core=parse_address(settings.arcade_core) if plays and settings.arcade_core else None,
            min_stake_wei=settings.min_stake,
        )

    async def observe(self, wallet: WalletFacts, chain: ChainView) -> GhostnetView:
        return await observe(wallet.address, chain, self.deployment)

    def decide(self, view: Any, wallet: WalletFacts, profile: Profile, random: Random) -> Action | Rest:
        return policy.decide(view, self.deployment, profile, random)

    def tokens(self) -> Sequence[Token]:
        return (
            Token(
                symbol=protocol.DATA_SYMBOL,
                address=self.deployment.data_token,
                decimals=protocol.DATA_DECIMALS,
                tax_bps=protocol.DATA_TAX_BPS,
            ),
        )

    def contracts(self) -> Mapping[str, Address]:
        found = {
            "ghost_core": self.deployment.ghost_core,
            "data_token": self.deployment.data_token,
            "hash_crash": self.deployment.hash_crash,
            "arcade_core": self.deployment.arcade_core,
        }
        return {name: address for name, address in found.items() if address is not None}

    def withdraw(self, view: Any, wallet: WalletFacts) -> Sequence[Action]:
        return policy.withdraw(view, self.deployment)

    def remarks(self, view: Any) -> Sequence[str]:
        return policy.remarks(view)

    def coming(self, view: Any) -> str:
        return policy.coming(view)

    def judge(self, kind: str, reason: str) -> Verdict:
        return protocol.judge(reason)

    def decode_log(self, entry: LogEntry) -> JsonObject | None:
        return protocol.decode_log(entry, self.deployment.ghost_core, self.deployment.data_token)
