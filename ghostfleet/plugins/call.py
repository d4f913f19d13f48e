"""The plugin `call`: contract calls declared in the settings, by signature and ranges of arguments, without any code."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Self

import msgspec
from pydantic import Field, model_validator

from ghostfleet.config.settings import AddressText, Section, WeiAmount
from ghostfleet.domain.profile import Profile
from ghostfleet.domain.schedule import Random
from ghostfleet.domain.values import Address, Call, JsonObject
from ghostfleet.keys.addresses import parse_address
from ghostfleet.plugins.abi import BadSignature, Function, function
from ghostfleet.plugins.api import Action, ChainView, Plugin, Rest, WalletFacts
from ghostfleet.plugins.literals import parse_integer, parse_literal

MAX_CALLS = 100
MAX_ARGS = 32
MAX_CHOICES = 1_000
MIN_GAS = 21_000
MAX_GAS = 30_000_000


class Range(Section):
    """`{min = 1, max = 10}`: any whole number of the range, its ends included."""

    min: int | str
    max: int | str


class Choices(Section):
    """`{choices = [...]}`: any of these."""

    choices: Annotated[list[Any], Field(min_length=1, max_length=MAX_CHOICES)]


class CallSettings(Section):
    """One entry of `[[plugins.call.calls]]`."""

    address: AddressText = Field(description="The contract.")
    signature: str = Field(description="For example `deposit(uint256,address)`; types only.")
    args: list[Range | Choices | Any] = Field(
        default_factory=list,
        max_length=MAX_ARGS,
        description='A literal, {min, max}, {choices}, or "self" for the wallet\'s own address; one for each argument.',
    )
    value_wei: WeiAmount = Field(default=0, description="Native coin sent along.")
    weight: float = Field(default=1.0, gt=0, le=1e6, allow_inf_nan=False, description="How often, against the others.")
    gas: int | None = Field(default=None, ge=MIN_GAS, le=MAX_GAS, description="A gas limit that needs no estimation.")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        try:
            declared(self)
        except BadSignature as error:
            raise ValueError(str(error)) from error
        return self


class CallPluginSettings(Section):
    """`[plugins.call]`."""

    calls: list[CallSettings] = Field(min_length=1, max_length=MAX_CALLS, description="The calls to choose from.")


class Own(msgspec.Struct, frozen=True):
    """The wallet's own address."""


class Literally(msgspec.Struct, frozen=True):
    value: Any


class Between(msgspec.Struct, frozen=True):
    low: int
    high: int


class OneOf(msgspec.Struct, frozen=True):
    values: tuple[Any, ...]


Argument = Own | Literally | Between | OneOf


class Declared(msgspec.Struct, frozen=True, kw_only=True):
    """A declared call, checked: every value an argument can take encodes."""

    to: Address
    function: Function
    arguments: tuple[Argument, ...]
    value_wei: int
    weight: float
    gas: int | None


class NothingSeen(msgspec.Struct, frozen=True):
    """The calls are made without looking."""


class CallPlugin(Plugin[NothingSeen]):
    """Calls what the settings declare."""

    name: ClassVar[str] = "call"
    kinds: ClassVar[tuple[str, ...]] = ("call",)
    Settings = CallPluginSettings
    Observation = NothingSeen

    def __init__(self, settings: CallPluginSettings, *, chain_id: int) -> None:
        super().__init__(settings, chain_id=chain_id)
        self.calls = tuple(declared(entry) for entry in settings.calls)

    async def observe(self, wallet: WalletFacts, chain: ChainView) -> NothingSeen:
        return NothingSeen()

    def decide(self, view: Any, wallet: WalletFacts, profile: Profile, random: Random) -> Action | Rest:
        chosen = weighted(self.calls, random)
        values = [draw(argument, wallet.address, random) for argument in chosen.arguments]
        return Action(
            kind="call",
            call=Call(to=chosen.to, value_wei=chosen.value_wei, data=chosen.function.encode(*values)),
            params=_shown(chosen, values),
            gas=chosen.gas,
        )

    def contracts(self) -> Mapping[str, Address]:
        """A call is known by its place and its function; two calls of one contract name it twice."""
        return {f"calls[{index}] {call.function.signature}": call.to for index, call in enumerate(self.calls)}


def declared(entry: CallSettings) -> Declared:
    """The entry, checked. Raises BadSignature or ValueError with what is wrong with it."""
    called = function(entry.signature)
    if len(entry.args) != len(called.inputs):
        raise ValueError(f"{called.signature} takes {len(called.inputs)} arguments, args has {len(entry.args)}")
    arguments = tuple(
        _argument(called, index, kind, given)
        for index, (kind, given) in enumerate(zip(called.inputs, entry.args, strict=True))
    )
    return Declared(
        to=parse_address(entry.address),
        function=called,
        arguments=arguments,
        value_wei=entry.value_wei,
        weight=entry.weight,
        gas=entry.gas,
    )


def weighted(calls: Sequence[Declared], random: Random) -> Declared:
    """One of them, as often as its weight says."""
    point = random.random() * sum(call.weight for call in calls)
    for call in calls:
        point -= call.weight
        if point < 0:
            return call
    return calls[-1]


def draw(argument: Argument, own: Address, random: Random) -> Any:
    match argument:
        case Own():
            return own
        case Literally(value):
            return value
        case Between(low, high):
            return random.randint(low, high)
        case OneOf(values):
            value = random.choice(values)
            return own if isinstance(value, Own) else value


def _argument(called: Function, index: int, kind: str, given: object) -> Argument:
    try:
        if isinstance(given, Range):
            low, high = parse_integer(kind, given.min), parse_integer(kind, given.max)
            if low > high:
                raise ValueError("min is more than max")
            return Between(low, high)
        if isinstance(given, Choices):
            return OneOf(tuple(_one(kind, choice) for choice in given.choices))
        one = _one(kind, given)
    except ValueError as error:
        raise ValueError(f"args[{index}] of {called.signature}: {error}") from error
    return one if isinstance(one, Own) else Literally(one)


def _one(kind: str, given: object) -> Any:
    return Own() if kind == "address" and given == "self" else parse_literal(kind, given)


def _shown(chosen: Declared, values: Sequence[Any]) -> JsonObject:
    return {"function": chosen.function.signature, "args": [_readable(value) for value in values]}


def _readable(value: Any) -> Any:
    if isinstance(value, bytes):
        return "0x" + value.hex()
    return [_readable(item) for item in value] if isinstance(value, list | tuple) else value
