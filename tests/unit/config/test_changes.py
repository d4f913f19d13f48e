"""What differs between two settings is told key by key, without a secret, with what a running service can take of it."""

from pathlib import Path

import pytest
from operator_file import INLINE_KEY, OperatorFile

from ghostfleet.config import changes
from ghostfleet.config.changes import Applies, Change, Difference, between, difference
from ghostfleet.config.redaction import HIDDEN
from ghostfleet.config.settings import SECTIONS


@pytest.mark.parametrize("section", SECTIONS)
def test_somebody_has_thought_about_every_key(section: str) -> None:
    """Whoever adds a setting says in config/changes.py whether a running service takes a change of it."""
    names = {"max_fee_gwei": "max_fee_wei"}
    keys = [names.get(key, key) for key in SECTIONS[section].model_fields]
    assert [key for key in keys if changes.classify(section, key) is None] == []


def test_no_key_is_in_two_tables_and_none_is_made_up() -> None:
    tables = (changes.WHILE_RUNNING, changes.NEEDS_RESTART.keys(), changes.NEVER_CHANGES.keys())
    keys = [key for table in tables for key in table]
    assert len(keys) == len(set(keys))
    known = {f"{section}.{key}" for section, model in SECTIONS.items() for key in model.model_fields}
    assert {key for key in keys if not key.endswith(".*")} - known == {"fees.max_fee_wei"}


def test_what_needs_a_restart_is_documented() -> None:
    document = (Path(__file__).parents[3] / "docs/config.md").read_text()
    told = document.split("## Changing settings while the service runs")[1].split("\n## ")[0]
    for name in changes.NEEDS_RESTART:
        section, _, key = name.partition(".")
        assert f"`[{section}]`" in told or f"`{key}`" in told or f"`[{name}]`" in told, name


def differs(operator: OperatorFile, *replacements: tuple[str, str]) -> Difference:
    before = operator.load()
    return difference(before, operator.load(*replacements))


def test_the_same_settings_do_not_differ(operator: OperatorFile) -> None:
    assert differs(operator) == Difference()


@pytest.mark.parametrize(
    ("old", "new", "key", "before", "after", "applies"),
    [
        ("cooldown_secs = 3600", "cooldown_secs = 60", "safety.cooldown_secs", 3600.0, 60.0, Applies.RUNNING),
        ("chain_id = 6343", "chain_id = 31337", "chain.chain_id", 6343, 31337, Applies.RESTART),
        ("health_port = 8080", "health_port = 8081", "service.health_port", 8080, 8081, Applies.RESTART),
        ("patience = 0.9", "patience = 0.8", "profiles.whale.patience", 0.9, 0.8, Applies.RUNNING),
        ("hashcrash_enabled = true", "", "plugins.ghostnet.hashcrash_enabled", True, None, Applies.RUNNING),
        ('"nightowl"', '"casual"', "wallets.wallet-002.profile", "nightowl", "casual", Applies.RUNNING),
        (
            "0x5cbdd86a2fa8dc4bddd8a8f69dba48572eec07fb",
            "0x5cbdd86a2fa8dc4bddd8a8f69dba48572eec07fc",
            "wallets.wallet-003.address",
            "0x5cbdd86a2fa8dc4bddd8a8f69dba48572eec07fb",
            "0x5cbdd86a2fa8dc4bddd8a8f69dba48572eec07fc",
            Applies.NEVER,
        ),
    ],
)
def test_a_key_that_differs_is_told_with_both_values_and_what_becomes_of_it(
    operator: OperatorFile, old: str, new: str, key: str, before: object, after: object, applies: Applies
) -> None:
    found = differs(operator, (old, new)).changes
    assert [(it.key, it.before, it.after, it.applies) for it in found] == [(key, before, after, applies)]
    assert (applies is Applies.RUNNING) == (found[0].why == "")


def test_wallets_are_told_as_added_removed_and_changed_whatever_they_are_called(operator: OperatorFile) -> None:
    found = differs(operator, ('id = "wallet-001"', 'id = "a.address"'), ('"nightowl"', '"casual"'))
    assert found.wallets() == {"added": ["a.address"], "removed": ["wallet-001"], "changed": ["wallet-002"]}
    assert found.refused() == ()
    assert INLINE_KEY not in repr(found)


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("https://carrot.megaeth.com/rpc", "https://carrot.megaeth.com/canary-key", "chain.rpc_url"),
        ('min_stake = "10000000000000000000"', 'min_stake = "0x' + "12" * 40 + '"', "plugins.ghostnet.min_stake"),
    ],
)
def test_a_hidden_value_that_differs_is_told_and_not_shown(
    operator: OperatorFile, old: str, new: str, key: str
) -> None:
    found = differs(operator, (old, new)).changes
    assert [it.key for it in found] == [key]
    assert "canary" not in repr(found)
    assert "12" * 24 not in repr(found)


def test_only_a_hidden_part_differs(operator: OperatorFile) -> None:
    with_key = ("https://carrot.megaeth.com/rpc", "https://carrot.megaeth.com/rpc?apikey=canary-one")
    before = operator.load(with_key)
    after = operator.load(with_key, ("canary-one", "canary-two"))
    assert before.digest == after.digest
    assert difference(before, after).changes == (
        Change(key="chain.rpc_url", before=HIDDEN, after=HIDDEN, applies=Applies.RUNNING),
    )


def test_another_password_of_the_keystores_is_told_once(operator: OperatorFile) -> None:
    before = operator.load()
    password = operator.path.parent / "password"
    password.write_text("canary-password")
    password.chmod(0o600)
    after = operator.load(("[safety]", f'[keys]\npassword_file = "{password}"\n[safety]'))
    assert [(it.key, it.before, it.after) for it in difference(before, after).changes] == [
        ("keys.password_file", None, HIDDEN)
    ]


def test_other_credentials_of_the_remote_signer_are_told_and_not_shown(operator: OperatorFile) -> None:
    remote = [
        (f'private_key = "0x{INLINE_KEY}"', "remote_signer = true"),
        ("[safety]", '[keys.remote]\nurl = "https://fleet:canary-one@signer:9000"\n[safety]'),
    ]
    before, after = operator.load(*remote), operator.load(*remote, ("canary-one", "canary-two"))
    found = difference(before, after).changes
    assert [(it.key, it.before, it.after, it.applies) for it in found] == [
        ("keys.remote", HIDDEN, HIDDEN, Applies.RESTART)
    ]
    assert before.redacted["keys"]["remote"]["url"] == "https://signer:9000"


def test_settings_of_another_release_differ_by_keys_that_wait_for_a_restart() -> None:
    found = between({"service": {"mood": "good"}}, {"service": {"mood": "bad"}, "weather": {"rain": True}})
    assert [(it.key, it.applies) for it in found.changes] == [
        ("service.mood", Applies.RESTART),
        ("weather.rain", Applies.RESTART),
    ]


def test_the_log_level_of_the_file_holds_where_nobody_else_says_one(operator: OperatorFile) -> None:
    level = ("health_port = 8080", 'health_port = 8080\nlog_level = "warning"')
    assert operator.load(level).run.log_level == "warning"
    operator.environ["GHOST_FLEET_LOG_LEVEL"] = "debug"
    assert operator.load(level).run.log_level == "debug"
