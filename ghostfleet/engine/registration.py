"""From settings to the log: what a start writes before any lane runs. Pure."""

from collections.abc import Mapping, Sequence

import msgspec

from ghostfleet.domain import events as ev
from ghostfleet.domain.decisions import CONFIG_ACTOR, pause, resume
from ghostfleet.domain.limits import LIMIT_REACHED
from ghostfleet.domain.profile import Profile
from ghostfleet.domain.schedule import Random, first_turn
from ghostfleet.domain.state import Candidate
from ghostfleet.domain.values import Address, Hash, JsonObject
from ghostfleet.domain.wallet import Wallet
from ghostfleet.errors import StopService


class ConfiguredWallet(msgspec.Struct, frozen=True, kw_only=True):
    """A wallet as the settings have it."""

    id: str
    address: Address
    profile: str
    plugin: str


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What the settings want of the log, redacted."""

    config_digest: str
    settings: JsonObject
    wallets: tuple[ConfiguredWallet, ...]
    paused_by_config: bool


class Start(Wanted, frozen=True, kw_only=True):
    """What a start knows once it has read its settings and asked the chain who it is."""

    release: str
    chain_id: int
    genesis_hash: Hash
    dry_run: bool


class Change(Wanted, frozen=True, kw_only=True):
    """What a reload knows: settings that differ from those in force, how, and who wants them."""

    changes: tuple[JsonObject, ...]
    was_paused_by_config: bool
    actor: str
    reason: str


class WrongChain(StopService):
    """The endpoint serves another chain than the one in the log. Nothing was signed. Correct rpc_url or the store's url."""


class AddressChanged(StopService):
    """A wallet id in the settings has another address than in the log: give the new key a new id."""


def require_same_chain(state: Candidate, start: Start) -> None:
    """A log belongs to one chain, by id and genesis, for ever. Raises WrongChain."""
    fleet = state.fleet
    if fleet.chain_id is None:
        return
    if (fleet.chain_id, fleet.genesis_hash) != (start.chain_id, start.genesis_hash):
        raise WrongChain(
            f"the log is of chain {fleet.chain_id} with genesis {fleet.genesis_hash}, "
            f"the endpoint serves chain {start.chain_id} with genesis {start.genesis_hash}: "
            "correct [chain] rpc_url, or use another [store] url"
        )


def start_events(
    state: Candidate,
    now_us: int,
    *,
    start: Start,
    known: Sequence[str],
    profiles: Mapping[str, Profile],
    random: Random,
) -> list[ev.NewEvent]:
    """Service, settings, pause and wallets as they are from this start on. `known` are the wallets of the log."""
    require_same_chain(state, start)
    fleet: list[ev.Event] = []
    if start.config_digest != state.fleet.config_digest:
        fleet.append(ev.ConfigApplied(digest=start.config_digest, settings=start.settings))
    fleet.append(
        ev.ServiceStarted(
            version=start.release,
            config_digest=start.config_digest,
            chain_id=start.chain_id,
            genesis_hash=start.genesis_hash,
            dry_run=start.dry_run,
        )
    )
    events = [ev.NewEvent(ev.FLEET_STREAM, event) for event in fleet]
    return [*events, *_config_pause(state, start), *_wallet_events(state, now_us, start, known, profiles, random)]


def change_events(
    state: Candidate,
    now_us: int,
    *,
    change: Change,
    known: Sequence[str],
    profiles: Mapping[str, Profile],
    random: Random,
) -> list[ev.NewEvent]:
    """Settings, pause and wallets as they are from this reload on. Raises AddressChanged.

    A pause follows the settings only when they change their mind about it: an operator may have had another since."""
    applied = ev.ConfigApplied(
        digest=change.config_digest,
        settings=change.settings,
        changes=change.changes,
        actor=change.actor,
        reason=change.reason,
    )
    paused = _config_pause(state, change) if change.paused_by_config != change.was_paused_by_config else []
    wallets = _wallet_events(state, now_us, change, known, profiles, random)
    return [ev.NewEvent(ev.FLEET_STREAM, applied), *paused, *wallets]


def _config_pause(state: Candidate, start: Wanted) -> list[ev.NewEvent]:
    """`global_pause` in the settings pauses; without it a pause of the settings ends, one of an operator does not."""
    paused = state.fleet.paused
    if start.paused_by_config:
        return pause(state, CONFIG_ACTOR, "global_pause = true in the settings")
    if paused is not None and paused.actor == CONFIG_ACTOR:
        return resume(state, CONFIG_ACTOR, "global_pause is no longer set in the settings")
    return []


def _wallet_events(
    state: Candidate, now_us: int, start: Wanted, known: Sequence[str], profiles: Mapping[str, Profile], random: Random
) -> list[ev.NewEvent]:
    events: list[ev.NewEvent] = []
    for configured in start.wallets:
        wallet = state.wallet(configured.id)
        if wallet is not None and wallet.address != configured.address:
            raise AddressChanged(
                f"wallet {configured.id} is {wallet.address} in the log and {configured.address} in the settings: "
                "a new key needs a new id"
            )
        if wallet is not None and (wallet.profile, wallet.plugin, wallet.retired) == (
            configured.profile,
            configured.plugin,
            False,
        ):
            events += _limits_asked_again(wallet, now_us, start, state)
            continue
        registered = ev.WalletRegistered(
            address=configured.address,
            profile=configured.profile,
            plugin=configured.plugin,
            first_turn_us=first_turn(profiles[configured.profile], now_us, random),
        )
        events.append(ev.NewEvent(ev.wallet_stream(configured.id), registered))
    named = {configured.id for configured in start.wallets}
    for name in known:
        wallet = state.wallet(name)
        if wallet is not None and not wallet.retired and name not in named:
            retired = ev.WalletRetired(reason="no longer enabled in the settings")
            events.append(ev.NewEvent(ev.wallet_stream(name), retired))
    return events


def _limits_asked_again(wallet: Wallet, now_us: int, start: Wanted, state: Candidate) -> list[ev.NewEvent]:
    """A rest that a limit of other settings imposed ends: the limits of these may leave room."""
    if start.config_digest == state.fleet.config_digest or not wallet.rest.startswith(LIMIT_REACHED):
        return []
    rested = ev.WalletRested(reason="other settings: the limits are asked again", until_us=now_us)
    return [ev.NewEvent(ev.wallet_stream(wallet.id), rested)]
