"""Canary keys and passwords: no repr, message, pickle, copy, dump of variables or JSON shows them."""

import copy
import pickle
import traceback
from collections.abc import Callable

import coincurve
import msgspec
import pytest
from rich.console import Console
from rich.traceback import Traceback

from ghostfleet.domain.values import WalletId, encode_json
from ghostfleet.keys.addresses import address_of
from ghostfleet.keys.keyring import InlineKey, Keyring, KeystoreFile, KeysUnusable, WalletKey, signing_key
from ghostfleet.keys.keystore import KeystoreUnusable, open_keystore, read_keystore, write_keystore
from ghostfleet.keys.opening import load_keyring
from ghostfleet.keys.passwords import PasswordPlace, PasswordSource
from ghostfleet.keys.secret import Secret

CANARY = bytes.fromhex("c0ffee" + "5a" * 29)
PASSWORD = b"correct horse battery"
WALLET = WalletId("wallet-001")


def shows_canary(text: str) -> bool:
    forms = (CANARY.hex(), CANARY.hex().upper(), repr(CANARY)[2:-1], str(int.from_bytes(CANARY)), PASSWORD.decode())
    return any(form in text for form in forms)


def holders() -> list[object]:
    secret = Secret(CANARY)
    keyring = Keyring.of({WALLET: CANARY})
    return [
        secret,
        keyring,
        keyring.key(WALLET),
        InlineKey(secret),
        WalletKey(WALLET, keyring.address(WALLET), InlineKey(secret)),
    ]


@pytest.mark.parametrize("holder", holders(), ids=lambda holder: type(holder).__name__)
def test_no_way_to_print_or_copy_a_holder_shows_its_secret(holder):
    assert not shows_canary(f"{holder} {holder!r} {[holder]} {getattr(holder, '__dict__', {})}")
    for name in dir(holder):
        if name != "reveal":
            assert not shows_canary(repr(getattr(holder, name, None))), name
    for dump in (pickle.dumps, copy.copy, copy.deepcopy, encode_json):
        assert not shows_canary(outcome_of(dump, holder))


def outcome_of(dump: Callable[[object], object], holder: object) -> str:
    try:
        return repr(dump(holder))
    except (TypeError, NotImplementedError) as error:
        return str(error)


def test_the_canary_test_would_notice():
    assert shows_canary(repr(coincurve.PrivateKey(CANARY).secret))
    assert shows_canary(f"{msgspec.json.encode(CANARY.hex())!r}")


def test_a_keyring_says_only_how_many_wallets_it_has():
    assert repr(Keyring.of({WALLET: CANARY})) == "Keyring(1 wallets)"


async def test_errors_and_their_tracebacks_show_nothing(tmp_path):
    path = tmp_path / "key.json"
    write_keystore(path, Secret(CANARY), Secret(PASSWORD), scrypt_n=2)
    with pytest.raises(KeystoreUnusable) as wrong_password:
        open_keystore(read_keystore(path), Secret(b"wrong"))
    source = KeystoreFile(path, PasswordSource(PasswordPlace.ENVIRONMENT, "PW"))
    stranger = address_of(coincurve.PrivateKey(b"\x01" * 32))
    with pytest.raises(KeysUnusable) as wrong_address:
        await load_keyring([WalletKey(WALLET, stranger, source)], {"PW": PASSWORD.decode()})
    with pytest.raises(ValueError, match="not a private key") as no_key:
        signing_key(Secret(b"\x00" * 31 + b"\x00"))
    for caught in (wrong_password, wrong_address, no_key):
        assert not shows_canary("".join(traceback.format_exception(caught.value)))


def test_a_traceback_with_locals_shows_no_secret_of_its_holders():
    keyring, secret = Keyring.of({WALLET: CANARY}), Secret(CANARY)
    try:
        raise RuntimeError(f"{keyring} {secret}")
    except RuntimeError as error:
        trace = Traceback.from_exception(type(error), error, error.__traceback__, show_locals=True)
    console = Console(width=200, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    with console.file:
        console.print(trace)
    text = console.export_text()
    assert "keyring = Keyring(1 wallets)" in text
    assert not shows_canary(text)
