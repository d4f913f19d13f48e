"""The settings as the service uses them: checked, resolved, frozen, with units in the names.

Nothing here prints a secret, not to rich either, which asks msgspec for every field: endpoints and the store show themselves
without credentials, keys are `keys.Secret`.
"""

from pathlib import Path
from typing import Any

import msgspec
from pydantic import BaseModel

from ghostfleet.config.redaction import bare_url
from ghostfleet.domain.profile import Profile
from ghostfleet.domain.values import Address, JsonObject, WalletId
from ghostfleet.keys.keyring import KeySource, WalletKey


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """A JSON-RPC endpoint. `name` is unique in the fleet and free of credentials: for events, metrics and log lines."""

    name: str
    url: str

    def __repr__(self) -> str:
        return f"Endpoint({self.name!r})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("name", self.name)]


class Chain(msgspec.Struct, frozen=True, kw_only=True):
    chain_id: int
    endpoints: tuple[Endpoint, ...]
    """At least one, in the order of preference."""
    megaeth: bool
    use_realtime: bool
    gas_limit_override: int | None
    confirmations: int
    finality_blocks: int
    block_time_secs: float | None
    request_timeout_secs: float
    max_requests_per_second: float | None
    """For each endpoint; None is no limit of ours."""


class Wallet(msgspec.Struct, frozen=True, kw_only=True):
    """A wallet of the file. A disabled one may have no key."""

    id: WalletId
    address: Address
    profile: str
    plugin: str
    enabled: bool
    key: KeySource | None


class PluginTable(msgspec.Struct, frozen=True, kw_only=True):
    """`[plugins.NAME]` of an enabled plugin: as it stands, and as the plugin's own model reads it."""

    name: str
    table: dict[str, Any]
    settings: BaseModel | None

    def __repr__(self) -> str:
        return f"PluginTable({self.name!r})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("name", self.name)]


class Safety(msgspec.Struct, frozen=True, kw_only=True):
    max_consecutive_errors: int
    cooldown_secs: float
    max_actions_per_hour: int
    global_pause: bool
    fleet_trip_share: float
    fleet_trip_window_secs: float
    deadman_hours: float = 0.0
    """0 is never."""
    allowed_contracts: tuple[Address, ...] = ()
    """Signed to beside the fleet's own wallets and what its plugins name."""


class Store(msgspec.Struct, frozen=True, kw_only=True):
    url: str
    """`sqlite:////absolute/path` or `postgresql://...`, without a driver's name."""

    def __repr__(self) -> str:
        return f"Store({bare_url(self.url)!r})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("url", bare_url(self.url))]


class Backups(msgspec.Struct, frozen=True, kw_only=True):
    """The schedule of backups."""

    directory: Path
    """Absolute; made when it is not there."""
    every_secs: float
    keep: int


class AdminToken(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    role: str
    """`viewer` or `operator`."""
    sha256: bytes
    expires_us: int | None = None

    def __repr__(self) -> str:
        return f"AdminToken({self.name!r}, {self.role!r})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("name", self.name), ("role", self.role)]


class Tls(msgspec.Struct, frozen=True, kw_only=True):
    """Files of TLS; with `client_ca` a client needs a certificate of these authorities."""

    cert: Path
    key: Path
    client_ca: Path | None = None


class Admin(msgspec.Struct, frozen=True, kw_only=True):
    """The HTTP interface. `port` 0 means that no port is listened on; there may be a `socket` all the same."""

    host: str
    port: int
    loopback: bool
    tokens: tuple[AdminToken, ...]
    require_token_on_loopback: bool
    allowed_hosts: tuple[str, ...]
    tls: Tls | None = None
    socket: Path | None = None
    socket_mode: int = 0o600


class Fees(msgspec.Struct, frozen=True, kw_only=True):
    max_fee_wei: int
    bump_percent: float
    stuck_after_secs: float
    max_attempts: int
    min_priority_fee_wei: int


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """None is no limit."""

    transactions_per_minute: int | None
    gas_wei_per_wallet_per_day: int | None
    tokens_per_wallet_per_day: int | None
    value_wei_per_wallet_per_day: int | None = None
    fleet_gas_wei_per_day: int | None = None
    fleet_value_wei_per_day: int | None = None
    fleet_tokens_per_day: int | None = None
    gas_wei_per_action: int | None = None
    value_wei_per_action: int | None = None
    tokens_per_action: int | None = None


class RunOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What the environment says about this run; the command line goes before it."""

    dry_run: bool = False
    log_level: str = "info"
    json_logs: bool = False


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """A settings file that can be used, with its overrides."""

    path: Path
    service_name: str
    tick_secs: float
    chain: Chain
    wallets: tuple[Wallet, ...]
    treasury: Wallet | None = None
    """Pays others when an operator asks for it, and takes no turns. Its id follows from its address."""
    plugins: tuple[PluginTable, ...]
    """The enabled ones, in their order."""
    profiles: dict[str, Profile]
    """The built-in ones and those of the file."""
    safety: Safety
    store: Store
    backups: Backups | None = None
    """None: no backups are scheduled."""
    archive_dir: Path | None = None
    """Absolute; None: beside a SQLite database."""
    checkpoint_secs: float = 0.0
    """Time from one signed checkpoint of the log to the next; 0 is never."""
    admin: Admin
    fees: Fees
    limits: Limits
    run: RunOptions
    redacted: JsonObject
    """Every setting in force, JSON-able, no secret in it: goes into the log as ConfigApplied."""
    digest: str
    """Hex of sha256 over `redacted` in canonical JSON."""
    warnings: tuple[str, ...]

    def wallet_keys(self) -> tuple[WalletKey, ...]:
        """What `keys/opening.py` wants: the treasury's key, which operations need first, and those of the enabled wallets."""
        return tuple(
            WalletKey(wallet.id, wallet.address, wallet.key)
            for wallet in (*([self.treasury] if self.treasury is not None else []), *self.wallets)
            if wallet.enabled and wallet.key is not None
        )
