"""Every reason to refuse a settings file, by name: the file, the key, what is wrong, what would be right."""

import pytest

from ghostfleet.config.loading import load
from ghostfleet.config.problems import ConfigInvalid

WALLET_1 = "0x19E7E376E7C213B7E7e7e46cc70A5dD086DAff2A"
INLINE_LINE = 'private_key = "0x' + "11" * 32 + '"'

# name of the reason: replacements, key, part of what is wrong, part of what would be right
REASONS = {
    "unknown key, with the nearest known one": (
        [("tick_interval_ms", "tick_intervall_ms")], "service.tick_intervall_ms", "unknown key", "`tick_interval_ms`",
    ),
    "unknown section": ([("[safety]", "[saftey]")], "saftey", "unknown section", "`safety`"),
    "unknown key of a wallet": (
        [('profile = "sniper"', 'profil = "sniper"\nprofile = "sniper"')], "wallets[2].profil", "unknown key", "`profile`",
    ),
    "unknown key of a profile": ([("patience = 0.9", "patients = 0.9")], "profiles.whale.patients", "unknown", "`patience`"),
    "unknown key of a plugin": (
        [("min_stake", "min_steak")], "plugins.ghostnet.min_steak", "unknown key", "`min_stake`",
    ),
    "a key in the place of a name": (
        [('"ghost-fleet-testnet"', f'"{"11" * 32}"')], "service.name", "<hidden>", "looks like a private key",
    ),
    "a key in a longer text": (
        [('"wallet-003"', f'"the key of this wallet is {"ab" * 32}"')],
        "wallets[2].id", "'the key of this wallet is <hidden>'", "letters",
    ),
    "a key in the name of a profile": (
        [("[profiles.nightowl]", f"[profiles.nightowl]\n[profiles.{'11' * 32}]")], "profiles.<hidden>", "no name", "letters",
    ),
    "missing key": ([("chain_id = 6343\n", "")], "chain.chain_id", "is missing", "Id of the chain"),
    "missing endpoint": ([('rpc_url = "https://carrot.megaeth.com/rpc"\n', "")], "chain.rpc_url", "is missing", "rpc_urls"),
    "endpoint of another kind": ([("https://carrot", "wss://carrot")], "chain.rpc_url", "not accepted", "https://"),
    "text for a number": ([("chain_id = 6343", 'chain_id = "6343"')], "chain.chain_id", "is a text", "a whole number"),
    "number for a text": ([('"ghost-fleet-testnet"', "5")], "service.name", "is a whole number", "string"),
    "number for yes or no": ([("use_realtime = true", "use_realtime = 1")], "chain.use_realtime", "whole number", "bool"),
    "value for a section": ([("[service]\n", 'store = "x"\n[service]\n')], "store", "is a text, not a table", "[store]"),
    "number out of range": ([("health_port = 8080", "health_port = 80800")], "service.health_port", "is 80800", "65535"),
    "share above one": ([("patience = 0.9", "patience = 1.9")], "profiles.whale.patience", "is 1.9", "equal to 1"),
    "not a number": ([("patience = 0.9", "patience = nan")], "profiles.whale.patience", "is nan", ""),
    "hour that no day has": ([("active_hours_end = 24", "active_hours_end = 25")], "profiles.whale.active_hours_end", "25", "24"),
    "away times upside down": ([("afk_max_hours = 8", "afk_max_hours = 1")], "profiles.whale.afk_max_hours", "less than", ""),
    "chain type": ([('"megaeth"', '"megaeht"')], "chain.chain_type", "'megaeht'", "'megaeth'"),
    "unknown profile": ([('profile = "sniper"', 'profile = "snipper"')], "wallets[2].profile", "'snipper'", "`sniper`"),
    "duplicate wallet": ([('"wallet-003"', '"wallet-001"')], "wallets[2].id", "also wallets[0]", "a name of its own"),
    "duplicate address": (
        [("0x5cbdd86a2fa8dc4bddd8a8f69dba48572eec07fb", WALLET_1.lower())], "wallets[2].address", "wallet-001", "of its own",
    ),
    "bad checksum": (
        [("0x5cbdd86a2fa8dc4bddd8a8f69dba48572eec07fb", "0x5CBDD86a2fa8dc4bddd8a8f69dba48572eec07fb")],
        "wallets[2].address", "0x5CBDD86a2fa8dc4", "0x5CbDd86a2FA8Dc4bDdd8a8f69dBa48572EeC07FB",
    ),
    "not an address": ([(WALLET_1, "0x19E7")], "wallets[0].address", "'0x19E7'", "40 hexadecimal digits"),
    "address of another inline key": (
        [(WALLET_1, "0x000000000000000000000000000000000000dEaD")], "wallets[0].address", "does not belong", WALLET_1,
    ),
    "address of another keystore": (
        [("0x1563915e194D8CfBA1943570603F7606A3115508", "0x000000000000000000000000000000000000dEaD")],
        "wallets[1].address", "0x1563915e194D8CfBA1943570603F7606A3115508", "keystore's own address",
    ),
    "no key": ([(INLINE_LINE + "\n", "")], "wallets[0].keyfile", "has no key", "enabled = false"),
    "two keys": ([(INLINE_LINE, INLINE_LINE + '\nkeyfile = "x"')], "wallets[0].private_key", "both", "keep the keyfile"),
    "two keys, one elsewhere": (
        [(INLINE_LINE, 'kms_key_id = "alias/fleet"\nremote_signer = true')],
        "wallets[0].remote_signer", "has both a remote_signer and a kms_key_id", "keep the kms_key_id",
    ),
    "a remote signer that is nowhere": (
        [(INLINE_LINE, "remote_signer = true")], "wallets[0].remote_signer", "there is none", "[keys.remote]",
    ),
    "a variable that is not set": (
        [(INLINE_LINE, 'key_env = "FLEET_KEY_1"')], "wallets[0].key_env", "FLEET_KEY_1 is not set", "64 hexadecimal",
    ),
    "a key in the place of its variable": (
        [(INLINE_LINE, f'key_env = "{"ab" * 32}"')], "wallets[0].key_env", "<hidden>", "looks like a private key",
    ),
    "no name of a variable": ([(INLINE_LINE, 'key_env = "a=b"')], "wallets[0].key_env", "'a=b'", "environment variable"),
    "no name of a key at KMS": ([(INLINE_LINE, 'kms_key_id = "a b"')], "wallets[0].kms_key_id", "'a b'", "alias/NAME"),
    "a remote signer of another kind": (
        [("[safety]", '[keys.remote]\nurl = "ws://fleet:canary-password@signer"\n[safety]')],
        "keys.remote.url", "not accepted", "https://",
    ),
    "a remote signer without an address": (
        [("[safety]", "[keys.remote]\nat_once = 3\n[safety]")], "keys.remote.url", "is missing", "Web3Signer",
    ),
    "certificates that are not there": (
        [("[safety]", '[keys.remote]\nurl = "https://signer"\nca_file = "nowhere.pem"\n[safety]')],
        "keys.remote", "nowhere.pem", "PEM",
    ),
    "unknown key of KMS": (
        [("[safety]", "[keys.kms]\nregoin = 3\n[safety]")], "keys.kms.regoin", "unknown key", "remove it",
    ),
    "a key that is none": ([("11" * 32, "11" * 31)], "wallets[0].private_key", "no private key", "64 hexadecimal"),
    "a key outside the curve": ([("11" * 32, "ff" * 32)], "wallets[0].private_key", "not a private key", "another key"),
    "unreadable keyfile": (
        [("keys/wallet-002.json", "keys/wallet-2.json")], "wallets[1].keyfile", "No such file", "keystore V3",
    ),
    "zero contract address": (
        [("0x5FbDB2315678afecb367f032d93F642f64180aa3", "0x" + "0" * 40)],
        "plugins.ghostnet.ghost_core", "zero address", "contract's address",
    ),
    "bad checksum of a contract": (
        [("0x5FbDB2315678afecb367f032d93F642f64180aa3", "0x5FbDB2315678afecb367f032d93F642f64180aA3")],
        "plugins.ghostnet.ghost_core", "no address", "checksum",
    ),
    "no such plugin": ([('["ghostnet"]', '["ghostnet", "ghostnet2"]')], "plugins.enabled", "'ghostnet2'", "`ghostnet`"),
    "table of no plugin": ([("[safety]", "[plugins.gostnet]\n[safety]")], "plugins.gostnet", "no such plugin", "ghostnet"),
    "no plugin enabled": ([('["ghostnet"]', "[]")], "plugins.enabled", "no plugin is enabled", "ghostnet"),
    "plugin of a wallet not enabled": (
        [('profile = "sniper"', 'profile = "sniper"\nplugin = "call"')], "wallets[2].plugin", "not enabled", "ghostnet",
    ),
    "live chain": ([("chain_id = 6343", "chain_id = 4326")], "chain.chain_id", "is live (MegaETH)", "allow_live = true"),
    "Ethereum itself": ([("chain_id = 6343", "chain_id = 1")], "chain.chain_id", "is live (Ethereum)", "allow_live = true"),
    "public key on a live chain": (
        [
            ("chain_id = 6343", "chain_id = 4326\nallow_live = true"),
            ("0x5cbdd86a2fa8dc4bddd8a8f69dba48572eec07fb", "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"),
        ],
        "wallets[2].address", "everybody knows", "of your own",
    ),
    "final before confirmed": (
        [("chain_id = 6343", "chain_id = 6343\nconfirmations = 40")], "chain.finality_blocks", "40 confirmations", "",
    ),
    "open interface without tokens": (
        [("[safety]", '[admin]\nhost = "0.0.0.0"\n[safety]')], "admin.host", "no token", "127.0.0.1",
    ),
    "a required token that nobody has": (
        [("[safety]", "[admin]\nrequire_token_on_loopback = true\n[safety]")],
        "admin.require_token_on_loopback", "none is configured", "add one",
    ),
    "two tokens of one name": (
        [("[safety]", f'[admin]\ntokens = [{{name="a", sha256="{"a" * 64}"}}, {{name="a", sha256="{"b" * 64}"}}]\n[safety]')],
        "admin.tokens[1].name", "twice", "of its own",
    ),
    "a token instead of its hash": (
        [("[safety]", '[admin]\ntokens = [{name="a", sha256="canary-password"}]\n[safety]')],
        "admin.tokens[0].sha256", "not accepted", "pattern",
    ),
    "store of another kind": ([("[safety]", '[store]\nurl = "mysql://x/y"\n[safety]')], "store.url", "", "postgresql://"),
    "libpq's name for TLS": (
        [("[safety]", '[store]\nurl = "postgresql://me@db/log?passfile=/p&sslmode=require"\n[safety]')],
        "store.url", "a parameter sslmode", "ssl=require",
    ),
    "parameter that PostgreSQL has not": (
        [("[safety]", '[store]\nurl = "postgresql://me@db/log?pasfile=/p"\n[safety]')], "store.url", "pasfile", "`passfile`",
    ),
    "log in memory": ([("[safety]", '[store]\nurl = "sqlite:///:memory:"\n[safety]')], "store.url", "", "sqlite:///FILE"),
    "fee cap with too many decimals": (
        [("[safety]", '[fees]\nmax_fee_gwei = "0.0000000001"\n[safety]')], "fees.max_fee_gwei", "", "9 decimals",
    ),
    "wei that are none": (
        [("[safety]", '[limits]\ngas_wei_per_wallet_per_day = "1.5 ether"\n[safety]')],
        "limits.gas_wei_per_wallet_per_day", "'1.5 ether'", "whole number of wei",
    ),
    "password file missing": (
        [("[safety]", '[keys]\npassword_file = "pw"\n[safety]')], "keys.password_file", "cannot read", "password",
    ),
    "password variable empty": ([("[safety]", '[keys]\npassword_env = "PW"\n[safety]')], "keys.password_env", "empty", ""),
    "credential outside of systemd": (
        [("[safety]", '[keys]\ncredential = "pw"\n[safety]')], "keys.credential", "CREDENTIALS_DIRECTORY", "LoadCredential",
    ),
}  # fmt: skip


@pytest.mark.parametrize("reason", REASONS)
def test_refused(reason, operator, only_problem):
    replacements, key, wrong, right = REASONS[reason]
    found = only_problem(*replacements)
    assert found.file == str(operator.path)
    assert found.key == key
    assert wrong in found.wrong
    assert right in found.right


def test_everything_at_once_in_one_answer(operator):
    problems = operator.problems(
        ("tick_interval_ms", "tick"),
        ("health_port = 8080", "health_port = -1"),
        ("chain_id = 6343", "chain_id = 4326"),
        ("0x1563915e194D8CfBA1943570603F7606A3115508", "0x19E7E376E7C213B7E7e7e46cc70A5dD086DAff2A"),
        ('profile = "sniper"', 'profile = "nobody"\nshoesize = 5'),
        ("0x5FbDB2315678afecb367f032d93F642f64180aa3", "0x" + "0" * 40),
    )
    assert {found.key for found in problems} == {
        "service.tick",
        "service.health_port",
        "chain.chain_id",
        "wallets[1].address",
        "wallets[2].shoesize",
        "wallets[2].profile",
        "plugins.ghostnet.ghost_core",
    }


def test_one_problem_of_a_wallet_does_not_hide_another_in_the_same_table(operator):
    problems = operator.problems(
        ('profile = "sniper"', 'profile = "nobody"\nenabled_ = 1\nplugin = "x y"'),
        ('id = "wallet-003"', 'id = "wallet-001"'),
        ("0x5cbdd86a2fa8dc4bddd8a8f69dba48572eec07fb", "0x12"),
    )
    assert {found.key for found in problems} == {
        "wallets[2].enabled_", "wallets[2].profile", "wallets[2].plugin", "wallets[2].id", "wallets[2].address",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("[service\n", "line 1"),
        ('[service]\nname = "a\n', "line 2"),
        ("[service]\nname = 1\nname = 2\n", "line 3"),
        ("a = " + "[" * 100_000, "not TOML"),
        ("a = 1" + "0" * 5000, "not TOML"),
        ("a = 1979-13-45", "line 1"),
    ],
)
def test_syntax_errors_name_the_place(operator, text, place):
    operator.path.write_text(text)
    with pytest.raises(ConfigInvalid) as refused:
        load(operator.path, {}, operator.models)
    assert place in str(refused.value)


def test_not_utf_8(operator):
    operator.path.write_bytes(b"[service]\nname = '\xff'\n")
    with pytest.raises(ConfigInvalid, match=r"line 2: is not UTF-8"):
        load(operator.path, {}, operator.models)


def test_no_file_and_no_file_but_a_directory(tmp_path):
    with pytest.raises(ConfigInvalid, match="No such file"):
        load(tmp_path / "none.toml", {}, {})
    with pytest.raises(ConfigInvalid, match="is a directory"):
        load(tmp_path, {}, {})


def test_wallets_that_are_no_list(operator):
    operator.path.write_text("[chain]\nchain_id = 6343\nrpc_url = 'http://localhost'\n[wallets]\nid = 'a'\n")
    with pytest.raises(ConfigInvalid, match=r"wallets: is a table; write one \[\[wallets\]\]"):
        load(operator.path, {}, operator.models)


def test_settings_with_keys_that_others_may_read(operator, only_problem):
    operator.path.chmod(0o640)
    found = only_problem()
    assert "mode 640" in found.wrong
    assert found.right == f"chmod 600 {operator.path}"


def test_settings_without_keys_may_be_read_by_anybody(operator):
    operator.path.chmod(0o644)
    operator.load((INLINE_LINE, "enabled = false"), ("enabled = true", ""))


def test_keystore_that_others_may_read(operator, only_problem):
    operator.keystore.chmod(0o604)
    found = only_problem()
    assert found.key == "wallets[1].keyfile"
    assert found.right == f"chmod 600 {operator.keystore}"


def test_password_file_that_others_may_read(operator, only_problem):
    password = operator.path.parent / "pw"
    password.write_text("canary-password\n")
    password.chmod(0o644)
    found = only_problem(("[safety]", '[keys]\npassword_file = "pw"\n[safety]'))
    assert found.key == "keys.password_file"
    assert found.right == f"chmod 600 {password}"


def test_keystores_without_a_password(operator, only_problem):
    operator.environ.clear()
    found = only_problem()
    assert found.key == "keys.password_file"
    assert "GHOST_FLEET_KEYSTORE_PASSWORD" in found.right


def test_a_keyfile_that_is_no_keystore(operator, only_problem):
    operator.keystore.write_text('{"version": 4}')
    assert "not a keystore file" in only_problem().wrong
