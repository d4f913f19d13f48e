"""The settings of a simulated fleet: drawn from the seed, and drawn again where they change between runs."""

from collections.abc import Collection
from hashlib import sha256
from pathlib import Path
from random import Random

import msgspec

from ghostfleet.config import loaded as settings
from ghostfleet.config.loaded import Loaded
from ghostfleet.domain.operating import OPERATIONS_PLUGIN, funder_id
from ghostfleet.domain.profile import Profile
from ghostfleet.domain.values import Address, JsonObject, WalletId
from ghostfleet.keys.keyring import Keyring
from tests.simulation.chain import BLOCK_SECS, CHAIN_ID, GWEI

MAX_WALLETS = 4
MAX_REORGANISATION = 20
FINALITY_BLOCKS = 24
"""More than the deepest reorganisation: what is final stays."""
NAMES = tuple(f"w{number}" for number in range(1, MAX_WALLETS + 1))
KEYS = {WalletId(name): sha256(b"simulation " + name.encode()).digest() for name in NAMES}
KEYRING = Keyring.of(KEYS)
ADDRESSES: dict[str, Address] = {name: KEYRING.address(WalletId(name)) for name in NAMES}
SAFE = Address(bytes.fromhex("5afe" * 10))
"""Where extractions go."""
FUNDER_KEY = sha256(b"simulation funder").digest()
FUNDER: Address = Keyring.of({WalletId("funder"): FUNDER_KEY}).address(WalletId("funder"))
FUNDER_NAME = WalletId(funder_id(FUNDER))

BUSY = Profile(
    name="busy",
    risk_tolerance=0.5,
    activity_level=100.0,
    patience=0.5,
    action_interval_secs=12.0,
    action_interval_jitter_pct=50.0,
    active_hours_start=0,
    active_hours_end=24,
    off_hours_factor=1.0,
    afk_probability=0.02,
    afk_min_hours=0.002,
    afk_max_hours=0.01,
)
CALM = msgspec.structs.replace(BUSY, name="calm", action_interval_secs=25.0)
PROFILES = {"busy": BUSY, "calm": CALM}


def url_of(site: int) -> str:
    """The address of a site."""
    return f"http://site{site}.example/"


def drawn(random: Random, sites: int) -> Loaded:
    """Settings for a fleet, by chance."""
    wallets = random.randint(2, MAX_WALLETS)
    return with_digest(
        Loaded(
            path=Path("simulation.toml"),
            service_name="simulation",
            tick_secs=1.0,
            chain=settings.Chain(
                chain_id=CHAIN_ID,
                endpoints=tuple(settings.Endpoint(name=f"site{n}", url=url_of(n)) for n in range(sites)),
                megaeth=True,  # the one where `use_realtime` has a meaning
                use_realtime=random.random() < 0.25,
                gas_limit_override=None,
                confirmations=random.randint(1, 3),
                finality_blocks=FINALITY_BLOCKS,
                block_time_secs=BLOCK_SECS,
                request_timeout_secs=random.choice((5.0, 10.0)),
                max_requests_per_second=random.choice((None, None, 20.0)),
            ),
            wallets=tuple(_wallet(name, random) for name in NAMES[:wallets]),
            treasury=settings.Wallet(
                id=FUNDER_NAME,
                address=FUNDER,
                profile=OPERATIONS_PLUGIN,
                plugin=OPERATIONS_PLUGIN,
                enabled=True,
                key=None,
            ),
            plugins=(),
            profiles=PROFILES,
            safety=settings.Safety(
                max_consecutive_errors=random.choice((2, 5)),
                cooldown_secs=20.0,
                max_actions_per_hour=random.choice((0, 0, 0, 10)),
                global_pause=False,
                fleet_trip_share=random.choice((0.0, 0.5)),
                fleet_trip_window_secs=60.0,
            ),
            store=settings.Store(url="memory"),
            admin=settings.Admin(
                host="127.0.0.1",
                port=0,
                loopback=True,
                tokens=(),
                require_token_on_loopback=False,
                allowed_hosts=(),
            ),
            fees=settings.Fees(
                max_fee_wei=random.choice((1000 * GWEI, 50 * GWEI)),
                bump_percent=12.5,
                stuck_after_secs=random.choice((10.0, 20.0)),
                max_attempts=random.choice((2, 4, 8)),
                min_priority_fee_wei=10**7,
            ),
            limits=settings.Limits(
                transactions_per_minute=random.choice((None, None, 6)),
                gas_wei_per_wallet_per_day=random.choice((None, None, 10**18)),
                tokens_per_wallet_per_day=random.choice((None, None, 40)),
                fleet_tokens_per_day=random.choice((None, None, 60)),
                fleet_value_wei_per_day=random.choice((None, None, 400 * 10**6)),
                value_wei_per_action=random.choice((None, None, 30 * 10**6)),
            ),
            run=settings.RunOptions(),
            redacted={},
            digest="",
            warnings=(),
        )
    )


def changed(before: Loaded, random: Random) -> Loaded:
    """The same fleet after somebody edited its settings."""
    replace = msgspec.structs.replace
    after = before
    match random.randrange(8):
        case 0:
            after = replace(after, safety=replace(after.safety, max_actions_per_hour=random.choice((0, 5, 20))))
        case 1:
            after = replace(after, limits=replace(after.limits, transactions_per_minute=random.choice((None, 3, 10))))
        case 2:
            off = random.randrange(len(after.wallets))
            wallets = tuple(
                replace(it, enabled=not it.enabled) if index == off else it for index, it in enumerate(after.wallets)
            )
            after = replace(after, wallets=wallets)
        case 3:
            wallets = tuple(replace(it, profile=random.choice(("busy", "calm"))) for it in after.wallets)
            after = replace(after, wallets=wallets)
        case 4:
            chain = replace(after.chain, confirmations=random.randint(1, 3), use_realtime=random.random() < 0.5)
            after = replace(after, chain=chain)
        case 5 | 6:
            after = replace(after, safety=replace(after.safety, global_pause=not after.safety.global_pause))
        case _:
            after = replace(after, run=replace(after.run, dry_run=not after.run.dry_run))
    return with_digest(after)


def without_limits(before: Loaded) -> Loaded:
    """Settings under which only the profiles say how often a wallet acts."""
    replace = msgspec.structs.replace
    none = settings.Limits(
        transactions_per_minute=None, gas_wei_per_wallet_per_day=None, tokens_per_wallet_per_day=None
    )
    return with_digest(replace(before, limits=none, safety=replace(before.safety, max_actions_per_hour=0)))


def for_good(before: Loaded, random: Random) -> Loaded:
    """Settings under which every wallet is to act again, except those that are retired for ever."""
    replace = msgspec.structs.replace
    back = random.random() < 0.5
    return with_digest(
        replace(
            before,
            wallets=tuple(replace(it, enabled=it.enabled or back) for it in before.wallets),
            safety=replace(before.safety, global_pause=False),
            run=replace(before.run, dry_run=False),
        )
    )


def with_enabled(before: Loaded, names: Collection[str]) -> Loaded:
    """Settings that name these wallets again."""
    replace = msgspec.structs.replace
    wallets = tuple(replace(it, enabled=it.enabled or it.id in names) for it in before.wallets)
    return with_digest(replace(before, wallets=wallets))


def keyring_of(loaded: Loaded) -> Keyring:
    """As the service loads it: the keys of the enabled wallets, and of the treasury."""
    return Keyring.of({it.id: KEYS[it.id] for it in loaded.wallets if it.enabled} | {FUNDER_NAME: FUNDER_KEY})


def with_digest(loaded: Loaded) -> Loaded:
    """The settings with the digest that tells them from others."""
    replace = msgspec.structs.replace
    digest = sha256(repr(replace(loaded, digest="", redacted={})).encode()).hexdigest()
    return replace(loaded, digest=digest, redacted=_redacted(loaded))


def _redacted(loaded: Loaded) -> JsonObject:
    """What a reload compares, by the keys of a settings file; options of a run stand for what needs a restart."""
    plain = {
        name: msgspec.structs.asdict(getattr(loaded, name)) for name in ("chain", "safety", "fees", "limits", "run")
    }
    plain["chain"]["endpoints"] = [it.name for it in loaded.chain.endpoints]
    wallets = [{**msgspec.structs.asdict(it), "address": str(it.address), "key": None} for it in loaded.wallets]
    return {**plain, "wallets": wallets}


def _wallet(name: str, random: Random) -> settings.Wallet:
    return settings.Wallet(
        id=WalletId(name),
        address=ADDRESSES[name],
        profile=random.choice(("busy", "calm")),
        plugin="practice",
        enabled=True,
        key=None,
    )
