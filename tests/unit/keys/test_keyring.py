"""Keys are opened, checked against their addresses, and sign as coincurve does."""

import json
import os

import coincurve
import eth_account
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ghostfleet.domain.values import Address, WalletId
from ghostfleet.keys.addresses import address_of, checksummed, parse_address
from ghostfleet.keys.keyring import InlineKey, Keyring, KeystoreFile, KeysUnusable, WalletKey
from ghostfleet.keys.keystore import KeystoreUnusable, open_keystore, read_keystore, write_keystore
from ghostfleet.keys.opening import load_keyring
from ghostfleet.keys.passwords import PasswordPlace, PasswordSource, PasswordUnusable, default_source, read_password
from ghostfleet.keys.secret import Secret

KEYS = {f"wallet-{number:03d}": bytes([number]) * 32 for number in range(1, 21)}
PASSWORD = PasswordSource(PasswordPlace.ENVIRONMENT, "PW")
ENVIRON = {"PW": "hunter2"}


def address(key: bytes) -> Address:
    return address_of(coincurve.PrivateKey(key))


@pytest.fixture
def fleet(tmp_path):
    """Twenty keystores, cheap ones."""
    wanted = []
    for name, key in KEYS.items():
        path = tmp_path / f"{name}.json"
        write_keystore(path, Secret(key), Secret(b"hunter2"), scrypt_n=2)
        wanted.append(WalletKey(WalletId(name), address(key), KeystoreFile(path, PASSWORD)))
    return wanted


async def test_twenty_keystores_open_together(fleet):
    keyring = await load_keyring(fleet, ENVIRON)
    assert len(keyring) == 20
    assert all(keyring.address(WalletId(name)) == address(key) for name, key in KEYS.items())


async def test_every_key_that_does_not_open_is_named(fleet):
    fleet[3] = WalletKey(fleet[3].wallet, fleet[4].address, fleet[3].source)
    fleet[7].source.path.write_text("{}")
    fleet[9] = WalletKey(fleet[9].wallet, fleet[9].address, InlineKey(Secret(b"\0" * 32)))
    missing = PasswordSource(PasswordPlace.FILE, "/nowhere")
    fleet[11] = WalletKey(fleet[11].wallet, fleet[11].address, KeystoreFile(fleet[11].source.path, missing))
    with pytest.raises(KeysUnusable) as refused:
        await load_keyring(fleet, ENVIRON)
    assert [found.partition(":")[0] for found in refused.value.problems] == [
        "wallet-004", "wallet-008", "wallet-010", "wallet-012",
    ]  # fmt: skip
    assert checksummed(fleet[4].address) in refused.value.problems[0]
    assert "/nowhere" in refused.value.problems[3]


async def test_a_wrong_password_is_named_as_such(fleet):
    with pytest.raises(KeysUnusable, match="the password does not open keystore"):
        await load_keyring(fleet[:1], {"PW": "wrong"})


def test_a_key_signs_as_coincurve_does():
    keyring = Keyring.of({WalletId("a"): KEYS["wallet-001"]})
    digest = b"\x07" * 32
    expected = coincurve.PrivateKey(KEYS["wallet-001"]).sign_recoverable(digest, hasher=None)
    assert keyring.key(WalletId("a")).sign_recoverable(digest) == expected


def test_others_read_our_keystores_and_we_theirs(tmp_path):
    key = KEYS["wallet-001"]
    ours, theirs = tmp_path / "ours.json", tmp_path / "theirs.json"
    write_keystore(ours, Secret(key), Secret(b"pw"), scrypt_n=2)
    assert bytes(eth_account.Account.decrypt(ours.read_text(), "pw")) == key
    theirs.write_text(json.dumps(eth_account.Account.encrypt(key, "pw", kdf="pbkdf2", iterations=2)))
    keystore = read_keystore(theirs)
    assert keystore.address == address(key)
    assert open_keystore(keystore, Secret(b"pw")).reveal() == key


def test_keystores_are_their_owners_alone_and_never_overwritten(tmp_path):
    path = tmp_path / "key.json"
    write_keystore(path, Secret(KEYS["wallet-001"]), Secret(b"pw"), scrypt_n=2)
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileExistsError):
        write_keystore(path, Secret(KEYS["wallet-002"]), Secret(b"pw"), scrypt_n=2)


VALID = {
    "version": 3,
    "address": "00" * 20,
    "crypto": {
        "cipher": "aes-128-ctr",
        "cipherparams": {"iv": "00" * 16},
        "ciphertext": "00" * 32,
        "kdf": "scrypt",
        "kdfparams": {"dklen": 32, "n": 2, "r": 8, "p": 1, "salt": "00"},
        "mac": "00" * 32,
    },
}
anything = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 40) | st.text(max_size=5) | st.just("00" * 32),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["n", "r", "p", "iv", "kdf"]), inner),
    max_leaves=4,
)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_keystore_that_is_none_is_one_kind_of_error(tmp_path_factory, data):
    content = json.loads(json.dumps(VALID))
    target = content
    for key in data.draw(st.sampled_from([["crypto"], ["crypto", "kdfparams"], []])):
        target = target[key]
    target[data.draw(st.sampled_from(sorted(target)))] = data.draw(anything)
    path = tmp_path_factory.mktemp("k") / "key.json"
    path.write_text(json.dumps(content))
    with pytest.raises(KeystoreUnusable):
        open_keystore(read_keystore(path), Secret(b"pw"))


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"null", b"\xff", b"{" * 5000, b"[" * 60_000, b"x" * 70_000, b'{"crypto": 1}']
)
def test_bytes_that_are_no_keystore(tmp_path, content):
    path = tmp_path / "key.json"
    path.write_bytes(content)
    with pytest.raises(KeystoreUnusable):
        read_keystore(path)


def test_a_keystore_may_not_take_all_memory(tmp_path):
    content = json.loads(json.dumps(VALID))
    content["crypto"]["kdfparams"]["n"] = 1 << 40
    path = tmp_path / "key.json"
    path.write_text(json.dumps(content))
    with pytest.raises(KeystoreUnusable):
        read_keystore(path)


def test_passwords_come_from_a_file_a_variable_or_a_credential(tmp_path):
    (tmp_path / "keystore-password").write_bytes(b" p w \r\n")
    file = PasswordSource(PasswordPlace.FILE, str(tmp_path / "keystore-password"))
    assert read_password(file, {}).reveal() == b" p w "
    assert default_source({}) is None
    credential = default_source({"CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert credential is not None
    assert read_password(credential, {}).reveal() == b" p w "
    both = {"CREDENTIALS_DIRECTORY": str(tmp_path), "GHOST_FLEET_KEYSTORE_PASSWORD": "env"}
    chosen = default_source(both)
    assert chosen is not None
    assert read_password(chosen, both).reveal() == b"env"


@pytest.mark.parametrize("content", [b"", b"\n", b"x" * 5000])
def test_an_empty_or_endless_password_is_refused(tmp_path, content):
    (tmp_path / "pw").write_bytes(content)
    with pytest.raises(PasswordUnusable, match=str(tmp_path / "pw")):
        read_password(PasswordSource(PasswordPlace.FILE, os.fspath(tmp_path / "pw")), {})


def test_addresses_in_one_case_need_no_checksum_and_others_do():
    right = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
    expected = Address(bytes.fromhex(right[2:]))
    for text in (right, right.lower(), "0x" + right[2:].upper()):
        assert parse_address(text) == expected
    with pytest.raises(ValueError, match=right):
        parse_address(right.replace("f39F", "F39F"))
    for text in ("", right[2:], right + "00", "0x" + "g" * 40):
        with pytest.raises(ValueError, match="40 hexadecimal digits"):
            parse_address(text)
