"""Keys of a start: a wrong password is heard of before the fleet runs, and all that takes long is opened beside it."""

import asyncio
import gc
import json
import os
import sys
import threading
import time
from pathlib import Path

import coincurve
import pytest

from ghostfleet.domain.values import Address, Call, Fees, Unsigned, WalletId
from ghostfleet.engine.signing import KeyringSigner, NoKey
from ghostfleet.keys import opening as opening_module
from ghostfleet.keys.addresses import address_of, checksummed
from ghostfleet.keys.far import FarKey, SignerUnavailable
from ghostfleet.keys.keyring import (
    BEING_OPENED,
    EnvironmentKey,
    InlineKey,
    Keyring,
    KeySource,
    KeystoreFile,
    KeysUnusable,
    RemoteKey,
    WalletKey,
)
from ghostfleet.keys.keystore import Keystore, open_keystore, write_keystore
from ghostfleet.keys.opening import NICENESS, Opening
from ghostfleet.keys.passwords import PasswordPlace, PasswordSource
from ghostfleet.keys.secret import Secret
from ghostfleet.keys.web3signer import RemotePlace

ENVIRON = {"PW": "right", "OTHER": "other", "KEY": "15" * 32}
RIGHT, OTHER = (PasswordSource(PasswordPlace.ENVIRONMENT, name) for name in ("PW", "OTHER"))
TRANSACTION = Unsigned(chain_id=1, nonce=0, call=Call(to=Address(bytes(20))), gas=21_000, fees=Fees(1, 1))


def address(number: int) -> Address:
    return address_of(coincurve.PrivateKey(bytes([number]) * 32))


def wanted(number: int, source: KeySource) -> WalletKey:
    return WalletKey(WalletId(f"w{number}"), address(number), source)


def keystore(folder: Path, number: int, password: bytes = b"right", said: PasswordSource = RIGHT) -> WalletKey:
    path = folder / f"w{number}.json"
    write_keystore(path, Secret(bytes([number]) * 32), Secret(password), scrypt_n=2)
    return wanted(number, KeystoreFile(path, said))


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The keystores that are opened, in order."""
    names: list[str] = []

    def told(file: Keystore, password: Secret) -> Secret:
        names.append(file.path.stem)
        return open_keystore(file, password)

    monkeypatch.setattr(opening_module, "open_keystore", told)
    return names


async def test_what_takes_no_time_is_there_before_the_fleet_runs_and_the_rest_comes(
    tmp_path: Path, opened: list[str]
) -> None:
    elsewhere = wanted(
        22, RemoteKey(RemotePlace(url="http://127.0.0.1:9", name="the signer", timeout_secs=1.0, at_once=1))
    )
    keys = [
        *(keystore(tmp_path, number) for number in (1, 2, 3)),
        *(keystore(tmp_path, number, b"other", OTHER) for number in (4, 5)),
        wanted(20, InlineKey(Secret(bytes([20]) * 32))),
        wanted(21, EnvironmentKey("KEY")),
        elsewhere,
    ]
    opening = Opening(keys, ENVIRON)
    keyring, heard = opening.keyring, []
    await opening.begin()
    opening.require_usable()
    assert sorted(opened) == ["w1", "w4"]  # one of each password
    assert {name for name in ("w1", "w2", "w3", "w4", "w5", "w20", "w21", "w22") if WalletId(name) not in keyring} == {
        "w2", "w3", "w5",
    }  # fmt: skip
    assert isinstance(keyring.key(elsewhere.wallet), FarKey)
    signer = KeyringSigner(keyring)
    assert signer.withheld(WalletId("w2")) == BEING_OPENED
    assert signer.awaits(WalletId("w2"))
    with pytest.raises(SignerUnavailable, match="the key of w2 is still being opened"):
        await signer.sign(WalletId("w2"), TRANSACTION)
    await opening.finish(heard.append)
    assert sorted(opened) == ["w1", "w2", "w3", "w4", "w5"]
    assert sorted(heard) == ["w2", "w3", "w5"]
    assert all(keyring.address(WalletId(f"w{number}")) == address(number) for number in range(1, 6))
    assert (keyring.awaited, dict(keyring.unusable), signer.withheld(WalletId("w2"))) == (0, {}, "")
    await keyring.aclose()


async def test_where_every_wallet_has_a_password_of_its_own_most_are_opened_beside_the_fleet(
    tmp_path: Path, opened: list[str]
) -> None:
    numbers = range(1, 13)
    sources = {number: PasswordSource(PasswordPlace.ENVIRONMENT, f"PW{number}") for number in numbers}
    keys = [keystore(tmp_path, number, b"%d" % number, sources[number]) for number in numbers]
    opening = Opening(keys, {f"PW{number}": str(number) for number in numbers})
    await opening.begin()
    assert len(opened) == 8
    await opening.finish()
    assert len(opened) == 12
    opening.require_usable()


async def test_every_wallet_whose_password_cannot_be_read_is_told_at_once(tmp_path: Path, opened: list[str]) -> None:
    sources = {number: PasswordSource(PasswordPlace.ENVIRONMENT, f"PW{number}") for number in range(1, 13)}
    keys = [keystore(tmp_path, number, b"%d" % number, sources[number]) for number in sources]
    opening = Opening(keys, {f"PW{number}": str(number) for number in sources if number not in (3, 12)})
    await opening.begin()
    with pytest.raises(KeysUnusable) as refused:
        opening.require_usable()
    assert [problem.partition(":")[0] for problem in refused.value.problems] == ["w3", "w12"]
    assert not {"w3", "w12"} & set(opened)


async def test_whoever_has_something_open_comes_first(tmp_path: Path, opened: list[str]) -> None:
    opening = Opening([keystore(tmp_path, number) for number in range(1, 7)], ENVIRON, at_once=1)
    await opening.begin()
    opening.prefer({WalletId("w5"), WalletId("w3"), WalletId("w1")})
    await opening.finish()
    assert opened == ["w1", "w3", "w5", "w2", "w4", "w6"]


async def test_the_address_of_a_new_wallet_is_proven_before_it_is_registered(tmp_path: Path, opened: list[str]) -> None:
    """Foundry's keystores do not state theirs, and what is registered under a wrong one is so for ever."""
    keys = [keystore(tmp_path, number) for number in range(1, 6)]
    for silent in keys[2:]:
        assert isinstance(silent.source, KeystoreFile)
        content = json.loads(silent.source.path.read_text())
        del content["address"]
        silent.source.path.write_text(json.dumps(content))
    keys[3] = WalletKey(keys[3].wallet, address(99), keys[3].source)
    opening = Opening(keys, ENVIRON)
    await opening.begin()
    unproven = await opening.unproven({keys[2].wallet: keys[2].address, keys[3].wallet: address(4)})
    assert unproven == {"w4", "w5"}
    await opening.prove(unproven)
    assert opened[0] == "w1"
    assert sorted(opened[1:]) == ["w4", "w5"]  # w2 states its own, w3 is known by it
    with pytest.raises(KeysUnusable, match=f"^w4: the key belongs to {checksummed(address(4))}"):
        opening.require_usable()
    await opening.finish()
    assert sorted(opened) == ["w1", "w2", "w3", "w4", "w5"]


async def test_a_wrong_password_is_heard_of_after_one_keystore(tmp_path: Path, opened: list[str]) -> None:
    opening = Opening([keystore(tmp_path, number, b"another") for number in range(1, 9)], ENVIRON)
    await opening.begin()
    with pytest.raises(KeysUnusable, match=r"^w1: the password does not open keystore"):
        opening.require_usable()
    assert opened == ["w1"]


async def test_one_that_does_not_open_later_keeps_nobody_else_from_signing(tmp_path: Path) -> None:
    keys = [keystore(tmp_path, 1), keystore(tmp_path, 2, b"another"), keystore(tmp_path, 3)]
    opening = Opening(keys, ENVIRON)
    await opening.begin()
    opening.require_usable()
    await opening.finish()
    signer = KeyringSigner(opening.keyring)
    assert "the password does not open keystore" in signer.withheld(WalletId("w2"))
    assert not signer.awaits(WalletId("w2"))
    with pytest.raises(NoKey, match="the key of w2 cannot be used: the password does not open keystore"):
        await signer.sign(WalletId("w2"), TRANSACTION)
    assert await signer.sign(WalletId("w3"), TRANSACTION)
    with pytest.raises(KeysUnusable):
        opening.require_usable()


async def test_a_key_that_was_forgotten_or_replaced_meanwhile_is_not_put_back(
    tmp_path: Path, opened: list[str]
) -> None:
    opening = Opening([keystore(tmp_path, number) for number in (1, 2, 3)], ENVIRON)
    await opening.begin()
    keyring = opening.keyring
    keyring.forget(WalletId("w2"))
    newer = Keyring.of({WalletId("w3"): bytes([33]) * 32})
    keyring.adopt(newer)
    assert keyring.awaited == 0
    await opening.finish()
    assert opened == ["w1"]  # nobody waits for the others
    assert WalletId("w2") not in keyring
    assert keyring.address(WalletId("w3")) == address(33)


async def test_a_keyring_that_is_closed_takes_nothing_more(tmp_path: Path) -> None:
    opening = Opening([keystore(tmp_path, number) for number in (1, 2)], ENVIRON)
    await opening.begin()
    await opening.keyring.aclose()
    await opening.finish()
    assert len(opening.keyring) == 0


async def test_whoever_gives_up_opens_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opening = Opening([keystore(tmp_path, number) for number in range(1, 12)], ENVIRON, at_once=2)
    await opening.begin()
    going_on, begun = threading.Event(), []

    def slow(file: Keystore, password: Secret) -> Secret:
        begun.append(file.path.stem)
        going_on.wait(10)
        return open_keystore(file, password)

    monkeypatch.setattr(opening_module, "open_keystore", slow)
    finishing = asyncio.ensure_future(opening.finish())
    while len(begun) < 2:  # noqa: ASYNC110 - another thread
        await asyncio.sleep(0.01)
    finishing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await finishing
    going_on.set()
    await asyncio.sleep(0.1)
    assert len(begun) == 2


async def test_passwords_are_let_go_of_when_the_last_key_is_there(tmp_path: Path) -> None:
    environ = ENVIRON | {"PW": "a password of its own"}
    opening = Opening([keystore(tmp_path, number, b"a password of its own") for number in (1, 2, 3)], environ)
    await opening.begin()
    assert _secrets(b"a password of its own")
    await opening.finish()
    assert not _secrets(b"a password of its own")


def _secrets(content: bytes) -> list[Secret]:
    gc.collect()
    return [it for it in gc.get_objects() if isinstance(it, Secret) and it.reveal() == content]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a priority is a whole process's")
async def test_the_fleet_has_the_processor_before_keystores_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[int] = []

    def look(file: Keystore, password: Secret) -> Secret:
        found.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
        return open_keystore(file, password)

    monkeypatch.setattr(opening_module, "open_keystore", look)
    own = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    await Opening([keystore(tmp_path, 1)], ENVIRON).begin()
    assert found == [max(own, NICENESS)]
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == own


@pytest.mark.parametrize(("cores", "at_once"), [(1, 1), (2, 1), (4, 3), (64, 4)])
async def test_where_no_thread_may_step_back_a_core_is_left_to_the_fleet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cores: int, at_once: int
) -> None:
    def forbidden(*_: int) -> None:
        raise PermissionError("a sandbox")

    monkeypatch.setattr(opening_module.os, "setpriority", forbidden)
    monkeypatch.setattr(opening_module.os, "getpriority", lambda *_: 0)
    monkeypatch.setattr(opening_module.os, "sched_getaffinity", lambda _: set(range(cores)))
    monkeypatch.setattr(opening_module.os, "cpu_count", lambda: cores)
    lock, under_way, most = threading.Lock(), 0, 0

    def watched(file: Keystore, password: Secret) -> Secret:
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
        time.sleep(0.02)
        with lock:
            under_way -= 1
        return open_keystore(file, password)

    monkeypatch.setattr(opening_module, "open_keystore", watched)
    opening = Opening([keystore(tmp_path, number) for number in range(1, 14)], ENVIRON)
    await opening.begin()
    await opening.finish()
    assert len(opening.keyring) == 13
    assert most == at_once
