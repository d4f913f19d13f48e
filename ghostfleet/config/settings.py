"""What may stand in the settings file? One model a section; every key with its meaning, default and range.

Only the shape is here. What needs two keys, a file or the environment to judge is in `checks`.
"""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from ghostfleet.keys.addresses import parse_address

MAX_WEI = 2**128
"""No amount in a settings file is larger: more than any token's supply."""
MAX_WALLETS = 100_000
MAX_SECS = 366 * 24 * 3600
"""No waiting time in a settings file is longer than a year."""
GWEI = 10**9
MAX_GWEI_DIGITS = 30
DEFAULT_PORT = 8080
MAX_SIGNATURES_AT_ONCE = 256
DEFAULT_LOG_FILE = "ghostfleet.db"


def _whole_wei(value: object) -> object:
    """TOML integers end at 64 bits, so amounts in wei are strings; small ones may be integers."""
    if isinstance(value, str):
        if not re.fullmatch(r"[0-9][0-9_]{0,50}", value):
            raise ValueError('expected a whole number of wei, for example "10000000000000000000" for 10 tokens')
        return int(value.replace("_", ""))
    return value


def _gwei_to_wei(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError('expected an amount in gwei, for example "50" or 0.05')
    try:
        gwei = Decimal(str(value))
        wei = gwei * GWEI
        if gwei.adjusted() < MAX_GWEI_DIGITS and wei == wei.to_integral_value():
            return int(wei)
    except (ArithmeticError, ValueError):
        pass
    raise ValueError('expected an amount in gwei with at most 9 decimals, for example "50" or 0.05')


def _url(value: str) -> str:
    if not re.fullmatch(r"https?://[^\s/?#]+[^\s]*", value):
        raise ValueError("expected an http:// or https:// address")
    return value


def _address(value: str) -> str:
    parse_address(value)
    return value


def _no_blanks(value: str) -> str:
    if not value.strip() or "\0" in value:
        raise ValueError("expected a text that is not empty")
    return value


def _no_key(value: str) -> str:
    """A key pasted into the wrong line would be in every log line: names and paths do not look like one."""
    if LIKE_A_KEY.fullmatch(value):
        raise ValueError("it looks like a private key: those stand under private_key or, better, in a keystore")
    return value


LIKE_A_KEY = re.compile(r"\s*(0[xX])?[0-9a-fA-F]{64}\s*")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def _name(value: str) -> str:
    if not NAME.fullmatch(value):
        raise ValueError("expected 1 to 64 letters, digits, dots, dashes or underscores, a letter or digit first")
    return value


def _variable(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,127}", value):
        raise ValueError("expected the name of an environment variable")
    return value


def _kms_key_id(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9:/_-]{1,256}", value):
        raise ValueError("expected a key id, an ARN, or alias/NAME")
    return value


Variable = Annotated[str, AfterValidator(_variable), AfterValidator(_no_key)]
KmsKeyId = Annotated[str, AfterValidator(_kms_key_id), AfterValidator(_no_key)]
Name = Annotated[str, AfterValidator(_name), AfterValidator(_no_key)]
KeyText = Annotated[str, AfterValidator(_no_blanks)]
Text = Annotated[KeyText, AfterValidator(_no_key)]
Url = Annotated[str, AfterValidator(_url)]
AddressText = Annotated[str, AfterValidator(_address)]
WeiAmount = Annotated[int, BeforeValidator(_whole_wei), Field(ge=0, le=MAX_WEI)]
Gwei = Annotated[int, BeforeValidator(_gwei_to_wei), Field(gt=0, le=MAX_WEI)]
Secs = Annotated[float, Field(gt=0, le=MAX_SECS, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
PercentOfInterval = Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)]
Hours = Annotated[float, Field(ge=0, le=24 * 366, allow_inf_nan=False)]
PerHour = Annotated[float, Field(ge=0, le=72_000, allow_inf_nan=False)]
Port = Annotated[int, Field(ge=0, le=65535)]


class Section(BaseModel):
    """Strict: a number in quotes is not a number. Secrets stay out of pydantic's own messages."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


class ServiceSettings(Section):
    name: Text = Field(default="ghost-fleet", max_length=100, description="Name of this fleet in logs and metrics.")
    tick_interval_ms: int = Field(
        default=1000, ge=1, le=3_600_000, description="How often the service looks whose turn it is, milliseconds."
    )
    health_port: Port = Field(default=DEFAULT_PORT, description="Port of the HTTP interface; 0 turns it off.")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="What is logged, unless the environment or the command line say otherwise."
    )


class ChainSettings(Section):
    chain_id: int = Field(gt=0, lt=2**63, description="Id of the chain; the endpoints have to answer the same.")
    rpc_url: Url | None = Field(default=None, description="JSON-RPC endpoint, http or https.")
    rpc_urls: list[Url] = Field(
        default_factory=list, max_length=32, description="Further endpoints, used beside `rpc_url` and when it fails."
    )
    chain_type: Literal["standard", "megaeth"] = Field(
        default="standard",
        description="`megaeth`: `use_realtime` has its method, and a plain transfer takes 60,000 gas.",
    )
    gas_limit_override: int | None = Field(
        default=None,
        ge=0,
        le=10**12,
        description="Gas limit of every transaction but cancels instead of estimation; 0 = estimate.",
    )
    use_realtime: bool = Field(
        default=False, description='Send with eth_sendRawTransactionSync; only with `chain_type = "megaeth"`.'
    )
    confirmations: int = Field(default=1, ge=1, le=10_000, description="Blocks, its own included, until mined counts.")
    finality_blocks: int = Field(
        default=32, ge=1, le=100_000, description="Blocks until a transaction counts as final."
    )
    allow_live: bool = Field(default=False, description="Has to be true before the fleet acts on a live chain.")
    block_time_secs: Secs | None = Field(default=None, description="Hint: seconds between blocks; found out otherwise.")
    request_timeout_secs: Secs = Field(default=15.0, description="How long one request to an endpoint may take.")
    max_requests_per_second: float = Field(
        default=0.0,
        ge=0,
        le=1e6,
        allow_inf_nan=False,
        description="HTTP requests per second and endpoint; 0 = no limit.",
    )


class WalletSettings(Section):
    id: Name = Field(description="Name of the wallet in the log, in metrics and commands; never reuse one.")
    address: AddressText = Field(description="Its address, as a check on the key.")
    profile: Name = Field(description="A built-in profile or one of [profiles].")
    private_key: KeyText | None = Field(default=None, description="The key itself, for development only.")
    keyfile: Text | None = Field(default=None, description="Keystore V3 file, relative to the settings file.")
    password_file: Text | None = Field(
        default=None, description="Password of this keystore, where it differs from the one of [keys]."
    )
    key_env: Variable | None = Field(
        default=None, description="Environment variable that holds the key, 64 hexadecimal digits."
    )
    kms_key_id: KmsKeyId | None = Field(default=None, description="Key in AWS KMS: its id, ARN or alias.")
    remote_signer: bool = Field(default=False, description="The signer of [keys.remote] holds the key.")
    enabled: bool = Field(default=True, description="A disabled wallet takes no action and needs no key.")
    plugin: Name | None = Field(default=None, description="What it acts on; default: the first of `plugins.enabled`.")


class TreasurySettings(Section):
    address: AddressText | None = Field(default=None, description="Its address; without one there is no treasury.")
    private_key: KeyText | None = Field(default=None, description="The key itself, for development only.")
    keyfile: Text | None = Field(default=None, description="Keystore V3 file, relative to the settings file.")
    password_file: Text | None = Field(
        default=None, description="Password of this keystore, where it differs from the one of [keys]."
    )
    key_env: Variable | None = Field(default=None, description="Environment variable that holds the key.")
    kms_key_id: KmsKeyId | None = Field(default=None, description="Key in AWS KMS: its id, ARN or alias.")
    remote_signer: bool = Field(default=False, description="The signer of [keys.remote] holds the key.")


KEY_SOURCES = ("keyfile", "key_env", "kms_key_id", "remote_signer", "private_key")
"""Keys of a wallet of which an enabled one has exactly one."""


class PluginsSettings(Section):
    """The tables of the plugins themselves are each plugin's own model."""

    enabled: list[Name] = Field(default_factory=list, max_length=100, description="Plugins in use.")


class SafetySettings(Section):
    max_consecutive_errors: int = Field(
        default=5, ge=1, le=1000, description="Errors in a row, of the wallet's own making, that trip its breaker."
    )
    cooldown_secs: Secs = Field(default=3600.0, description="How long a tripped breaker stays open before one probe.")
    max_actions_per_hour: int = Field(default=20, ge=1, le=1_000_000, description="Actions per wallet and hour.")
    global_pause: bool = Field(default=False, description="Start paused: decide nothing, send nothing.")
    fleet_trip_share: float = Field(
        default=0.5,
        gt=0,
        le=1,
        allow_inf_nan=False,
        description="The fleet pauses when this share of it has tripped ...",
    )
    fleet_trip_window_secs: Secs = Field(default=600.0, description="... within this time.")
    deadman_hours: Hours = Field(
        default=0.0, description="The fleet pauses when no operator was heard of for so long; 0 = never."
    )
    allowed_contracts: list[AddressText] = Field(
        default_factory=list,
        max_length=1000,
        description="Addresses that wallets may sign to beside the fleet's own and those of the plugins' tables.",
    )


class ProfileSettings(Section):
    """Keys left out keep the built-in profile's value; a profile of your own starts from `casual`."""

    risk_tolerance: Share | None = Field(default=None, description="0 to 1.")
    activity_level: PerHour | None = Field(default=None, description="Actions per hour.")
    patience: Share | None = Field(default=None, description="0 to 1.")
    action_interval_secs: Secs | None = Field(default=None, description="Pause between two actions.")
    action_interval_jitter_pct: PercentOfInterval | None = Field(
        default=None, description="Spread of that pause, 0–100."
    )
    active_hours_start: int | None = Field(default=None, ge=0, le=23, description="First active hour, UTC.")
    active_hours_end: int | None = Field(
        default=None, ge=0, le=24, description="End of the active hours, UTC; 24 = midnight."
    )
    off_hours_factor: Share | None = Field(default=None, description="Share of the activity outside those hours.")
    afk_probability: Share | None = Field(default=None, description="Chance to go away after an action.")
    afk_min_hours: Hours | None = Field(default=None, description="Shortest time away.")
    afk_max_hours: Hours | None = Field(default=None, description="Longest time away.")


class StoreSettings(Section):
    url: Text = Field(
        default=f"sqlite:///{DEFAULT_LOG_FILE}",
        description="The event log: sqlite:///FILE (relative to the settings file) or postgresql://USER@HOST/DATABASE.",
    )


class BackupSettings(Section):
    dir: Text | None = Field(
        default=None, description="Where scheduled backups go, relative to the settings file; none are made without it."
    )
    every_secs: float = Field(
        default=86_400.0, ge=1, le=MAX_SECS, allow_inf_nan=False, description="Time from one backup to the next."
    )
    keep: int = Field(default=14, ge=1, le=10_000, description="The newest so many are kept.")


class ArchiveSettings(Section):
    dir: Text | None = Field(
        default=None,
        description="Where the files of `db archive` lie, relative to the settings file; default: beside a SQLite database.",
    )


LEAST_CHECKPOINT_SECS = 5.0
"""Nobody looks more often whether one is due."""


def _never_or_not_too_often(value: float) -> float:
    if 0 < value < LEAST_CHECKPOINT_SECS:
        raise ValueError(f"expected 0 (never), or {LEAST_CHECKPOINT_SECS:g} seconds or more")
    return value


class AuditSettings(Section):
    checkpoint_every_secs: Annotated[
        float, Field(ge=0, le=MAX_SECS, allow_inf_nan=False), AfterValidator(_never_or_not_too_often)
    ] = Field(
        default=3600.0,
        description="Time from one signed checkpoint of the log to the next, 5 or more; 0 = none is written.",
    )


class KmsSettings(Section):
    region: Name | None = Field(default=None, description="AWS region; without: the one AWS's own tools would take.")
    endpoint_url: Url | None = Field(default=None, description="Another address of KMS, of a VPC endpoint for example.")
    timeout_secs: Secs = Field(default=5.0, description="How long a signature may take, the wait for a turn included.")
    at_once: int = Field(default=16, ge=1, le=MAX_SIGNATURES_AT_ONCE, description="Signatures asked for at a time.")


class RemoteSignerSettings(Section):
    url: Url = Field(description="A signer that speaks Web3Signer's API for Ethereum 1 keys.")
    timeout_secs: Secs = Field(default=5.0, description="How long a signature may take, the wait for a turn included.")
    at_once: int = Field(default=16, ge=1, le=MAX_SIGNATURES_AT_ONCE, description="Signatures asked for at a time.")
    ca_file: Text | None = Field(
        default=None, description="Whom to believe its certificate, PEM; default: the system's."
    )
    client_certificate: Text | None = Field(default=None, description="Certificate to show it, PEM.")
    client_key: Text | None = Field(default=None, description="Key of that certificate, PEM, mode 600.")


class KeysSettings(Section):
    password_file: Text | None = Field(default=None, description="File with the keystores' password, mode 600.")
    password_env: Text | None = Field(default=None, description="Environment variable with that password.")
    credential: Name | None = Field(default=None, description="Name of a systemd credential with that password.")
    kms: KmsSettings = Field(default_factory=KmsSettings, description="How AWS KMS is asked, see below.")
    remote: RemoteSignerSettings | None = Field(default=None, description="The remote signer, see below.")


def _moment(value: object) -> object:
    """A moment of TOML, or its text (in the environment), as microseconds since the epoch."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            value = None
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise ValueError("expected a moment with its zone, for example 2027-01-31T00:00:00Z")
    return (value - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


Moment = Annotated[int, BeforeValidator(_moment)]


class AdminTokenSettings(Section):
    name: Name = Field(description="Who this is; the log names it as actor.")
    role: Literal["viewer", "operator"] = Field(default="viewer", description="`operator` may pause, resume and reset.")
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-fA-F]{64}$")] = Field(
        description="Hex of sha256 of the token: printf %s TOKEN | sha256sum"
    )
    expires: Moment | None = Field(default=None, description="Not valid from this moment on: 2027-01-31T00:00:00Z.")


class AdminSettings(Section):
    host: Text = Field(
        default="127.0.0.1", description="Where the HTTP interface listens; other than loopback needs tokens."
    )
    port: Port | None = Field(default=None, description="Overrides `service.health_port`.")
    tokens: list[AdminTokenSettings] = Field(
        default_factory=list, max_length=100, description="Who may ask and command."
    )
    require_token_on_loopback: bool = Field(default=False, description="Ask for a token on this machine too.")
    allowed_hosts: list[Text] = Field(
        default_factory=list, max_length=100, description="Further names for the Host header, for example of a proxy."
    )
    tls_cert: Text | None = Field(
        default=None, description="PEM file with the certificate and its chain: HTTPS instead of HTTP."
    )
    tls_key: Text | None = Field(default=None, description="PEM file with its key, mode 600, not encrypted.")
    tls_client_ca: Text | None = Field(
        default=None, description="PEM file; only clients with a certificate of these authorities get through."
    )
    socket: Text | None = Field(
        default=None, description="Unix socket to listen on as well; who may open it may command."
    )
    socket_mode: Literal["0600", "0660"] = Field(
        default="0600", description="Who may open the socket: its owner, or its group too."
    )


class FeesSettings(Section):
    max_fee_gwei: Gwei = Field(default=100 * GWEI, description="Cap on what a unit of gas may cost, in gwei.")
    bump_percent: float = Field(
        default=12.5,
        ge=10,
        le=1000,
        allow_inf_nan=False,
        description="Rise of both fees for a replacement; nodes want 10. "
        "Refused as underpriced, the next one's priority fee is its max fee.",
    )
    stuck_after_secs: Secs = Field(default=30.0, description="A transaction not mined for so long gets a replacement.")
    max_attempts: int = Field(default=8, ge=1, le=100, description="Attempts for one nonce, the first included.")
    min_priority_fee_wei: WeiAmount = Field(default=0, description="Least priority fee, wei.")


class LimitsSettings(Section):
    transactions_per_minute: int = Field(default=0, ge=0, le=10**9, description="Of the whole fleet; 0 = no limit.")
    gas_wei_per_wallet_per_day: WeiAmount = Field(default=0, description="Spent on gas, wei; 0 = no limit.")
    value_wei_per_wallet_per_day: WeiAmount = Field(
        default=0, description="Native coin sent to others, wei; 0 = no limit."
    )
    tokens_per_wallet_per_day: WeiAmount = Field(
        default=0, description="Protocol tokens, smallest units; 0 = no limit."
    )
    fleet_gas_wei_per_day: WeiAmount = Field(default=0, description="The same for the whole fleet; 0 = no limit.")
    fleet_value_wei_per_day: WeiAmount = Field(default=0, description="The same for the whole fleet; 0 = no limit.")
    fleet_tokens_per_day: WeiAmount = Field(default=0, description="The same for the whole fleet; 0 = no limit.")
    gas_wei_per_action: WeiAmount = Field(default=0, description="What an action's gas may cost, wei; 0 = no limit.")
    value_wei_per_action: WeiAmount = Field(default=0, description="Native coin of one action, wei; 0 = no limit.")
    tokens_per_action: WeiAmount = Field(
        default=0, description="Protocol tokens of one action, smallest units; 0 = no limit."
    )


SECTIONS: dict[str, type[Section]] = {
    "service": ServiceSettings,
    "chain": ChainSettings,
    "wallets": WalletSettings,
    "treasury": TreasurySettings,
    "plugins": PluginsSettings,
    "safety": SafetySettings,
    "profiles": ProfileSettings,
    "store": StoreSettings,
    "backup": BackupSettings,
    "archive": ArchiveSettings,
    "audit": AuditSettings,
    "keys": KeysSettings,
    "admin": AdminSettings,
    "fees": FeesSettings,
    "limits": LimitsSettings,
}
"""Model by section. `wallets` is a list of them, `profiles` a table of them, `plugins` has a free table a plugin besides."""
KEYS_TABLES: dict[str, type[Section]] = {"kms": KmsSettings, "remote": RemoteSignerSettings}
"""Tables within [keys]."""
