"""The plugin `transfer`: sends the native coin or an ERC-20 token, within a range of amounts, to itself or a given list."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, Self

import msgspec
from pydantic import Field, model_validator

from ghostfleet.config.settings import AddressText, Section, WeiAmount
from ghostfleet.domain.amounts import BPS, MAX_DECIMALS, NATIVE_DECIMALS
from ghostfleet.domain.profile import Profile
from ghostfleet.domain.schedule import Random
from ghostfleet.domain.values import Address, Call, JsonObject, LogEntry
from ghostfleet.keys.addresses import checksummed, parse_address
from ghostfleet.plugins.abi import function, read
from ghostfleet.plugins.api import Action, ChainView, Plugin, Rest, Token, WalletFacts
from ghostfleet.plugins.tokens import transfer_in

BALANCE_OF = function("balanceOf(address)", "uint256")
TRANSFER = function("transfer(address,uint256)")
ERRORS = [
    function("ERC20InsufficientBalance(address,uint256,uint256)"),
    function("ERC20InvalidReceiver(address)"),
    function("ERC20InvalidSender(address)"),
]
KEEP_NATIVE_WEI = 5 * 10**15
"""0.005 of the native coin stays for gas unless the settings say otherwise: below it, operators are alerted."""
MAX_RECIPIENTS = 1_000
MAX_SYMBOL_CHARS = 16
MIN_GAS = 21_000
MAX_GAS = 30_000_000


class AmountRange(Section):
    """`{min = "1", max = "1000"}`: any amount of the range, its ends included."""

    min: WeiAmount
    max: WeiAmount

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.max < self.min:
            raise ValueError("max is less than min: give a range from min up to max")
        return self


class TransferSettings(Section):
    """`[plugins.transfer]`."""

    asset: Literal["native"] | AddressText = Field(default="native", description='"native", or the address of a token.')
    to: Literal["self"] | AddressText | Annotated[list[AddressText], Field(min_length=1, max_length=MAX_RECIPIENTS)] = (
        Field(default="self", description='"self", an address, or a list of addresses to choose from.')
    )
    amount_wei: WeiAmount | AmountRange = Field(
        default=1, description='Smallest units: an amount, or {min = "1", max = "1000"} to draw from.'
    )
    keep_wei: WeiAmount | None = Field(
        default=None, description=f"What always stays in the wallet; by default {KEEP_NATIVE_WEI} of the native coin."
    )
    symbol: str = Field(
        default="TOKEN",
        pattern=r"^[A-Za-z][A-Za-z0-9._-]*$",
        max_length=MAX_SYMBOL_CHARS,
        description="What commands and tables call the token.",
    )
    decimals: int = Field(
        default=NATIVE_DECIMALS, ge=0, le=MAX_DECIMALS, description="Digits after the point in a whole token."
    )
    tax_bps: int = Field(
        default=0, ge=0, le=BPS, description="What the token takes of a transfer, in hundredths of a percent."
    )
    gas: int | None = Field(
        default=None, ge=MIN_GAS, le=MAX_GAS, description="A gas limit that needs no estimation, for native transfers."
    )

    @model_validator(mode="after")
    def _gas_is_for_native(self) -> Self:
        if self.gas is not None and self.asset != "native":
            raise ValueError('gas is for asset = "native": a token\'s transfer is estimated; remove it')
        return self


class TransferView(msgspec.Struct, frozen=True, kw_only=True):
    """What the wallet holds of the asset, smallest units."""

    holds_wei: int


class TransferPlugin(Plugin[TransferView]):
    """Moves value around, nothing else: to exercise a chain, or to feed known addresses."""

    name: ClassVar[str] = "transfer"
    kinds: ClassVar[tuple[str, ...]] = ("transfer",)
    Settings = TransferSettings
    Observation = TransferView
    errors: ClassVar[Mapping[bytes, tuple[str, tuple[str, ...]]]] = {
        error.selector: (error.signature.partition("(")[0], error.inputs) for error in ERRORS
    }

    def __init__(self, settings: TransferSettings, *, chain_id: int) -> None:
        super().__init__(settings, chain_id=chain_id)
        self.token = None if settings.asset == "native" else parse_address(settings.asset)
        amount = settings.amount_wei
        self.least_wei, self.most_wei = (amount, amount) if isinstance(amount, int) else (amount.min, amount.max)
        self.keep_wei = settings.keep_wei
        if self.keep_wei is None:
            self.keep_wei = KEEP_NATIVE_WEI if self.token is None else 0
        self.recipients = _recipients(settings.to)

    async def observe(self, wallet: WalletFacts, chain: ChainView) -> TransferView:
        if self.token is None:
            return TransferView(holds_wei=await chain.balance(wallet.address))
        return TransferView(holds_wei=await read(chain, self.token, BALANCE_OF, wallet.address))

    def decide(self, view: Any, wallet: WalletFacts, profile: Profile, random: Random) -> Action | Rest:
        most_wei = min(self.most_wei, view.holds_wei - self.keep_wei)
        if most_wei < self.least_wei:
            return Rest(reason=f"holds {view.holds_wei} wei, keeps {self.keep_wei} wei: nothing to transfer")
        amount_wei = random.randint(self.least_wei, most_wei)
        to = random.choice(self.recipients) if self.recipients else wallet.address
        call = Call(to=to, value_wei=amount_wei)
        if self.token is not None:
            call = Call(to=self.token, data=TRANSFER.encode(to, amount_wei))
        return Action(
            kind="transfer",
            call=call,
            params={"to": checksummed(to), "amount_wei": amount_wei},
            spend_wei=0 if to == wallet.address else amount_wei,
            gas=self.settings.gas,
        )

    def tokens(self) -> Sequence[Token]:
        if self.token is None:
            return ()
        settings = self.settings
        return (
            Token(symbol=settings.symbol, address=self.token, decimals=settings.decimals, tax_bps=settings.tax_bps),
        )

    def contracts(self) -> Mapping[str, Address]:
        return {} if self.token is None else {self.settings.symbol: self.token}

    def decode_log(self, entry: LogEntry) -> JsonObject | None:
        return transfer_in(entry, self.token) if self.token is not None else None


def _recipients(to: str | Sequence[str]) -> tuple[Address, ...]:
    """Empty: to itself."""
    if to == "self":
        return ()
    return tuple(parse_address(text) for text in ([to] if isinstance(to, str) else to))
