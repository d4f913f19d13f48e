"""What would change between two settings, key by key, and what of it can a running service take?

Every key is in one of the tables below; a test walks the models and names those that are not. Secrets stay hidden: that one
changed is told, what it was is not.
"""

from collections.abc import Iterable, Iterator
from enum import Enum

import msgspec

from ghostfleet.config.loaded import Loaded
from ghostfleet.config.redaction import HIDDEN
from ghostfleet.config.settings import KEYS_TABLES
from ghostfleet.domain.values import JsonObject
from ghostfleet.keys.keyring import KeystoreFile, RemoteKey
from ghostfleet.keys.web3signer import RemotePlace


class Applies(Enum):
    """When a change of a key takes effect."""

    RUNNING = "while running"
    RESTART = "needs a restart"
    NEVER = "refused"


WHILE_RUNNING = frozenset(
    {
        "service.name",
        "service.tick_interval_ms",
        "service.log_level",
        "chain.rpc_url",
        "chain.rpc_urls",
        "chain.gas_limit_override",
        "chain.use_realtime",
        "chain.confirmations",
        "chain.finality_blocks",
        "chain.allow_live",
        "chain.block_time_secs",
        "chain.request_timeout_secs",
        "chain.max_requests_per_second",
        "wallets.id",
        "wallets.profile",
        "wallets.private_key",
        "wallets.keyfile",
        "wallets.password_file",
        "wallets.key_env",
        "wallets.kms_key_id",
        "wallets.remote_signer",
        "wallets.enabled",
        "wallets.plugin",
        "plugins.enabled",
        "plugins.*",
        "safety.max_consecutive_errors",
        "safety.cooldown_secs",
        "safety.max_actions_per_hour",
        "safety.global_pause",
        "safety.allowed_contracts",
        "safety.fleet_trip_share",
        "safety.fleet_trip_window_secs",
        "profiles.*",
        "keys.password_file",
        "keys.password_env",
        "keys.credential",
        "audit.checkpoint_every_secs",
        "fees.max_fee_wei",
        "fees.bump_percent",
        "fees.stuck_after_secs",
        "fees.max_attempts",
        "fees.min_priority_fee_wei",
        "limits.transactions_per_minute",
        "limits.gas_wei_per_wallet_per_day",
        "limits.value_wei_per_wallet_per_day",
        "limits.tokens_per_wallet_per_day",
        "limits.fleet_gas_wei_per_day",
        "limits.fleet_value_wei_per_day",
        "limits.fleet_tokens_per_day",
        "limits.gas_wei_per_action",
        "limits.value_wei_per_action",
        "limits.tokens_per_action",
    }
)
"""Keys by section; `*` stands for whatever a plugin's table or a profile holds."""
NEEDS_RESTART = {
    "service.health_port": "the HTTP interface is bound at a start",
    "chain.chain_id": "a log belongs to one chain: another chain needs another [store] url too",
    "chain.chain_type": "how the chain is spoken to is decided at a start",
    **{
        f"treasury.{key}": "the treasury's key is opened at a start"
        for key in ("address", "private_key", "keyfile", "password_file", "key_env", "kms_key_id", "remote_signer")
    },
    "keys.kms": "who holds keys elsewhere is read at a start",
    "keys.remote": "who holds keys elsewhere is read at a start",
    "store.url": "the log is opened at a start",
    "archive.dir": "the log is opened at a start",
    "backup.dir": "the schedule of backups begins at a start",
    "backup.every_secs": "the schedule of backups begins at a start",
    "backup.keep": "the schedule of backups begins at a start",
    "admin.host": "the HTTP interface is bound at a start",
    "admin.port": "the HTTP interface is bound at a start",
    "admin.tokens": "who may ask is read at a start",
    "admin.require_token_on_loopback": "who may ask is read at a start",
    "admin.allowed_hosts": "who may ask is read at a start",
    "admin.tls_cert": "the HTTP interface is bound at a start",
    "admin.tls_key": "the HTTP interface is bound at a start",
    "admin.tls_client_ca": "the HTTP interface is bound at a start",
    "admin.socket": "the HTTP interface is bound at a start",
    "admin.socket_mode": "the HTTP interface is bound at a start",
    "safety.deadman_hours": "the deadman is set at a start",
}
"""Keys that a running service refuses to change, and why."""
NEVER_CHANGES = {"wallets.address": "a new key needs a new id: the log knows this wallet by its address"}
"""Keys that not even a restart can change."""


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One key that differs: `before` is None where it is new, `after` where it is gone. Wallets come and go whole."""

    key: str
    before: object
    after: object
    applies: Applies
    why: str = ""

    def shown(self) -> JsonObject:
        """As an event and an answer have it."""
        return {"key": self.key, "before": self.before, "after": self.after}


class Difference(msgspec.Struct, frozen=True):
    """Everything that differs, in the order of the sections."""

    changes: tuple[Change, ...] = ()

    def refused(self) -> tuple[Change, ...]:
        """What a running service does not take."""
        return tuple(it for it in self.changes if it.applies is not Applies.RUNNING)

    def is_wallet(self, change: Change) -> bool:
        """Whether a wallet comes or goes with it."""
        return change.key.startswith(_WALLETS) and not _wallet_of(change)

    def wallets(self) -> dict[str, list[str]]:
        """Ids of the wallets that are added, removed and changed."""
        found: dict[str, list[str]] = {"added": [], "removed": [], "changed": []}
        for change in self.changes:
            if change.key.startswith(_WALLETS):
                name = _wallet_of(change)
                what = "changed" if name else "added" if change.before is None else "removed"
                name = name or change.key.removeprefix(_WALLETS)
                if name not in found[what]:
                    found[what].append(name)
        return found


_WALLETS = "wallets."
_TABLES = ("wallets", "profiles", "plugins")
"""Sections of named tables: `wallets.ID.key`, `profiles.NAME.key`, `plugins.NAME.key`."""


def between(before: JsonObject, after: JsonObject) -> Difference:
    """What differs between two redacted settings: the one in force and another one, of this release or another."""
    found: list[Change] = []
    for section in dict.fromkeys((*before, *after)):
        old, new = _by_name(before.get(section)), _by_name(after.get(section))
        for name in dict.fromkeys((*old, *new)):
            was, will = old.get(name), new.get(name)
            if was == will:
                continue
            if section in _TABLES and isinstance(was, dict) and isinstance(will, dict):
                keys = [key for key in dict.fromkeys((*was, *will)) if was.get(key) != will.get(key)]
                found += [_change(section, key, was.get(key), will.get(key), of=name) for key in keys]
            else:
                found.append(_change(section, "id" if section == "wallets" else name, was, will, of=name))
    return Difference(tuple(found))


def difference(before: Loaded, after: Loaded) -> Difference:
    """What differs between two settings, also where both look the same because it is hidden."""
    shown = between(before.redacted, after.redacted)
    known = {change.key for change in shown.changes}
    hidden = [change for change in _hidden(before, after) if change.key not in known]
    return Difference((*shown.changes, *hidden))


def classify(section: str, key: str) -> tuple[Applies, str] | None:
    """What becomes of a change of this key of a section's model, and why. None for a key that nobody has thought about."""
    for name in (f"{section}.{key}", f"{section}.*"):
        if name in WHILE_RUNNING:
            return Applies.RUNNING, ""
        if name in NEEDS_RESTART:
            return Applies.RESTART, NEEDS_RESTART[name]
        if name in NEVER_CHANGES:
            return Applies.NEVER, NEVER_CHANGES[name]
    return None


def _change(section: str, key: str, before: object, after: object, *, of: str = "") -> Change:
    """A change of a key of a section, or of the table `of` in it, with what becomes of it."""
    applies, why = classify(section, key) or (Applies.RESTART, "this release does not know it")
    whole = key == "id" or of in ("", key)
    return Change(
        key=f"{section}.{of or key}" if whole else f"{section}.{of}.{key}",
        before=before,
        after=after,
        applies=applies,
        why=why,
    )


def _wallet_of(change: Change) -> str:
    """The wallet whose attribute this is, or empty where the wallet comes or goes as a whole."""
    whole = isinstance(change.before if change.after is None else change.after, dict)
    return "" if whole else change.key.removeprefix(_WALLETS).rpartition(".")[0]


def _by_name(section: object) -> dict[str, object]:
    """A section's keys; of the wallets their ids."""
    if isinstance(section, list):
        return {str(entry.get("id")): {k: v for k, v in entry.items() if k != "id"} for entry in section}
    return dict(section) if isinstance(section, dict) else {}


def _hidden(before: Loaded, after: Loaded) -> Iterator[Change]:
    """Keys whose hidden values differ."""

    def hidden(section: str, key: str, of: str = "") -> Change:
        return _change(section, key, HIDDEN, HIDDEN, of=of)

    if [it.url for it in before.chain.endpoints] != [it.url for it in after.chain.endpoints]:
        yield hidden("chain", "rpc_url" if "rpc_url" in _given(after, "chain") else "rpc_urls")
    if before.store.url != after.store.url:
        yield hidden("store", "url")
    if [it.sha256 for it in before.admin.tokens] != [it.sha256 for it in after.admin.tokens]:
        yield hidden("admin", "tokens")
    tables = {it.name: it.table for it in before.plugins}
    for plugin in after.plugins:
        old = tables.get(plugin.name, {})
        yield from (hidden("plugins", key, plugin.name) for key in plugin.table if old.get(key) != plugin.table[key])
    was, will = set(_passwords(before)), set(_passwords(after))
    if was - will and will - was:
        yield hidden("keys", next((key for key in _given(after, "keys") if key not in KEYS_TABLES), "password_file"))
    if {it.url for it in _remotes(before)} != {it.url for it in _remotes(after)}:
        yield hidden("keys", "remote")


def _given(loaded: Loaded, section: str) -> Iterable[str]:
    return [key for key, value in loaded.redacted.get(section, {}).items() if value is not None]


def _passwords(loaded: Loaded) -> Iterator[object]:
    return (it.key.password for it in loaded.wallets if isinstance(it.key, KeystoreFile))


def _remotes(loaded: Loaded) -> Iterator[RemotePlace]:
    return (it.key.place for it in loaded.wallets if isinstance(it.key, RemoteKey))
