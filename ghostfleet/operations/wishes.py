"""What may an operator wish for? From words to the wish that goes into the log, checked against what the log knows."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from ghostfleet.domain.events import OperationStarted
from ghostfleet.domain.operating import funder_id
from ghostfleet.domain.operation import OperationKind
from ghostfleet.domain.state import State
from ghostfleet.domain.values import Address, JsonObject, WalletId
from ghostfleet.errors import BadInput
from ghostfleet.keys.addresses import checksummed, parse_address
from ghostfleet.operations.holdings import tokens_of
from ghostfleet.plugins.api import Plugin

ZERO = Address(20)
MAX_AMOUNT = 2**128


class BadWish(BadInput):
    """An operation that makes no sense: the message says what is wrong with it and what would be right."""


class Extraction(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Empty wallets into `to`. No wallets named: every one of the log. `wait` waits out locks; `retire` ends their turns."""

    to: str
    wallets: tuple[str, ...] = ()
    wait: bool = True
    retire: bool = False


class Funding(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Pay `targets` (addresses by wallet id) from `funder`. Amounts in smallest units, as text, and what is named arrives."""

    funder: str
    targets: dict[str, str]
    native_wei: str = "0"
    tokens: dict[str, str] = {}
    again: str = ""
    """A name for this funding: the same amounts to the same targets under another name are another funding."""


class Cancellation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Give open nonces away. No wallets named: of every wallet that has some."""

    wallets: tuple[str, ...] = ()


class Destruction(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Destroy keystores (paths on the service's machine, by wallet id) once their wallets are proven empty at finality."""

    keyfiles: dict[str, str]


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """A checked wish. `funder` is the address of the wallet that pays, where one does."""

    kind: OperationKind
    wallets: tuple[str, ...]
    params: JsonObject
    funder: Address | None = None

    def event(self, operation_id: str, actor: str, reason: str) -> OperationStarted:
        """As the log has it."""
        return OperationStarted(
            operation_id=operation_id,
            kind=self.kind,
            wallets=self.wallets,
            params=self.params,
            actor=actor,
            reason=reason,
        )


def extraction(state: State, plugins: Mapping[str, Plugin[Any]], asked: Extraction) -> Wish:
    """Raises BadWish."""
    to = _address(asked.to, "to")
    wallets = _wallets(state, asked.wallets)
    own = {state.wallets[name].address for name in wallets}
    contracts = {address for plugin in plugins.values() for address in plugin.contracts().values()}
    if to in own:
        raise BadWish(f"{checksummed(to)} is one of the wallets to be emptied: name a safe address outside of them")
    if to in contracts:
        raise BadWish(f"{checksummed(to)} is a contract of the protocol: what is sent there is lost")
    if not asked.wallets and state.fleet.paused is None:
        raise BadWish("the fleet is running: pause it first (ghost-fleet pause), or name wallets")
    params: JsonObject = {"to": str(to), "wait": asked.wait, "retire": asked.retire, "destinations": [str(to)]}
    return Wish(kind="extract", wallets=wallets, params=params)


def funding(state: State, plugins: Mapping[str, Plugin[Any]], asked: Funding) -> Wish:
    """Raises BadWish."""
    funder = _address(asked.funder, "funder")
    targets = {name: _address(text, name) for name, text in asked.targets.items()}
    if not targets:
        raise BadWish("no wallets to fund: name some")
    if funder in targets.values():
        raise BadWish(f"{checksummed(funder)} would pay itself: take it out of the targets")
    names: dict[Address, str] = {}
    for name, address in targets.items():
        if names.setdefault(address, name) != name:
            raise BadWish(f"{names[address]} and {name} are the same address: it would be paid twice")
    _require_own_nonces(state, funder)
    known = tokens_of(plugins)
    unknown = sorted(set(asked.tokens) - set(known))
    if unknown:
        raise BadWish(f"no token {unknown[0]}: the settings name {', '.join(known) or 'none'}")
    amounts = {symbol: str(_amount(text, symbol)) for symbol, text in asked.tokens.items()}
    native_wei = _amount(asked.native_wei, "native")
    if not native_wei and not any(int(amount) for amount in amounts.values()):
        raise BadWish("nothing to send: give an amount of the native coin or of a token")
    params: JsonObject = {
        "targets": {name: str(address) for name, address in targets.items()},
        "native_wei": str(native_wei),
        "tokens": amounts,
        "again": asked.again,
        "destinations": sorted(str(address) for address in targets.values()),
    }
    return Wish(kind="fund", wallets=(funder_id(funder),), params=params, funder=funder)


def _require_own_nonces(state: State, funder: Address) -> None:
    """A funder takes nonces under a name of its own: one address under two names would take each twice. Raises BadWish."""
    name = funder_id(funder)
    known = state.wallets.get(WalletId(name))
    if known is not None and known.address != funder:
        raise BadWish(f"{name} is the name of another funder, {checksummed(known.address)}: pay from another address")
    for wallet in state.wallets.values():
        if wallet.address == funder and wallet.id != name and (not wallet.retired or wallet.slots):
            raise BadWish(
                f"{checksummed(funder)} is {wallet.id}, which takes nonces of its own: pay from an address that is no wallet of"
                " the fleet, or take it out of the settings first"
            )


def cancellation(state: State, asked: Cancellation) -> Wish:
    """Raises BadWish when nothing is open."""
    wallets = _wallets(state, asked.wallets) if asked.wallets else tuple(state.wallets)
    wallets = tuple(name for name in wallets if state.wallets[name].pending)
    if not wallets:
        raise BadWish("no transaction is open: there is nothing to cancel")
    return Wish(kind="cancel", wallets=wallets, params={"destinations": []})


def destruction(state: State, asked: Destruction, *, planned: bool = False) -> Wish:
    """Raises BadWish for a wallet that still acts, unless it is only `planned`."""
    wallets = _wallets(state, tuple(asked.keyfiles)) if asked.keyfiles else ()
    if not wallets:
        raise BadWish("no keystores named: give them by wallet id")
    for name in wallets:
        if not planned and not state.wallets[name].retired:
            raise BadWish(f"{name} is in use: extract it with --retire, or take it out of the settings, first")
        if not asked.keyfiles[name].startswith("/"):
            raise BadWish(f"{name}: {asked.keyfiles[name]} is no absolute path")
    return Wish(kind="destroy", wallets=wallets, params={"keyfiles": dict(asked.keyfiles), "destinations": []})


def _wallets(state: State, named: Sequence[str]) -> tuple[str, ...]:
    """The named wallets, or all that are not funders of others."""
    unknown = sorted(set(named) - set(state.wallets))
    if unknown:
        raise BadWish(f"no wallet {unknown[0]}; ghost-fleet status lists them")
    chosen = tuple(dict.fromkeys(named)) or tuple(_acting(state))
    if not chosen:
        raise BadWish("the log knows no wallet yet")
    return chosen


def _acting(state: State) -> Iterable[str]:
    return (name for name, wallet in state.wallets.items() if name != funder_id(wallet.address))


def _address(text: str, what: str) -> Address:
    try:
        address = parse_address(text)
    except ValueError as error:
        raise BadWish(f"{what}: {error}") from None
    if address == ZERO:
        raise BadWish(f"{what}: the zero address takes everything and gives nothing back")
    return address


def _amount(text: str, what: str) -> int:
    if not text.isdecimal() or not text.isascii() or int(text) >= MAX_AMOUNT:
        raise BadWish(f"{what}: {text[:40]!r} is no amount in smallest units")
    return int(text)
