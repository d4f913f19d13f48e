"""A key comes from where the settings say, need not be there before it is needed, and is let go of when it is not any more."""

import asyncio
import contextlib
import gc
import sys

import coincurve
import pytest

from ghostfleet.domain.values import WalletId
from ghostfleet.keys.addresses import address_of, checksummed
from ghostfleet.keys.keyring import EnvironmentKey, Keyring, KeysUnusable, KmsKey, RemoteKey, WalletKey
from ghostfleet.keys.kms import KmsPlace
from ghostfleet.keys.opening import load_keyring
from ghostfleet.keys.secret import Secret
from ghostfleet.keys.web3signer import RemotePlace

KEY = bytes(range(32))
ADDRESS = address_of(coincurve.PrivateKey(KEY))
WALLET = WalletId("wallet-001")
AT_KMS = KmsKey("alias/fleet", KmsPlace(region="eu-central-1", endpoint_url=None, timeout_secs=1.0, at_once=1))
AT_REMOTE = RemoteKey(RemotePlace(url="http://127.0.0.1:9", name="the signer", timeout_secs=1.0, at_once=1))


@pytest.mark.parametrize("text", [KEY.hex(), "0x" + KEY.hex().upper(), f" {KEY.hex()}\n"])
async def test_a_key_in_the_environment_is_read(text: str) -> None:
    keyring = await load_keyring([WalletKey(WALLET, ADDRESS, EnvironmentKey("KEY"))], {"KEY": text})
    assert keyring.address(WALLET) == ADDRESS


@pytest.mark.parametrize(
    ("environ", "told"),
    [
        ({}, "the environment variable KEY is not set"),
        ({"KEY": " "}, "the environment variable KEY is not set"),
        ({"KEY": KEY.hex()[:-1]}, "holds no private key (64 hexadecimal digits)"),
        ({"KEY": "f" * 64}, "not a private key of secp256k1"),
        ({"KEY": "11" * 32}, f"the settings say {checksummed(ADDRESS)}"),
    ],
)
async def test_what_is_no_key_of_the_wallet_is_named_without_it(environ: dict[str, str], told: str) -> None:
    with pytest.raises(KeysUnusable) as refused:
        await load_keyring([WalletKey(WALLET, ADDRESS, EnvironmentKey("KEY"))], environ)
    assert told in str(refused.value)
    assert environ.get("KEY", "").strip() not in str(refused.value) or not environ.get("KEY", "").strip()


@pytest.mark.parametrize("source", [AT_KMS, AT_REMOTE])
async def test_who_holds_a_key_elsewhere_need_not_be_there_at_the_start(source: KmsKey | RemoteKey) -> None:
    async with contextlib.aclosing(await load_keyring([WalletKey(WALLET, ADDRESS, source)], {})) as keyring:
        assert keyring.address(WALLET) == ADDRESS


async def test_kms_without_its_library_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "botocore"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "botocore", None)
    with pytest.raises(
        KeysUnusable, match=r"wallet-001: keys in AWS KMS need botocore: pip install 'ghost-fleet\[kms\]'"
    ):
        await load_keyring([WalletKey(WALLET, ADDRESS, AT_KMS)], {})


async def test_a_key_that_is_forgotten_is_held_by_nobody() -> None:
    """CPython frees it without wiping; that nothing refers to it any more is what can be promised."""
    keyring = await load_keyring([WalletKey(WALLET, ADDRESS, EnvironmentKey("KEY"))], {"KEY": KEY.hex()})
    other = Keyring.of({WalletId("wallet-002"): bytes([2]) * 32})
    keyring.adopt(other)
    assert (len(keyring), len(other)) == (2, 0)
    keyring.forget(WALLET)
    keyring.forget(WALLET)
    await asyncio.sleep(0)  # until then the loop itself holds the answer it woke this test with
    gc.collect()
    assert WALLET not in keyring
    assert not [it for it in gc.get_objects() if isinstance(it, coincurve.PrivateKey) and it.secret == KEY]
    await keyring.aclose()
    assert len(keyring) == 0


async def test_opened_keys_and_passwords_are_let_go_of_once_they_are_in() -> None:
    before = sum(isinstance(it, Secret) for it in gc.get_objects())
    keyring = await load_keyring([WalletKey(WALLET, ADDRESS, EnvironmentKey("KEY"))], {"KEY": KEY.hex()})
    await asyncio.sleep(0)
    gc.collect()
    assert sum(isinstance(it, Secret) for it in gc.get_objects()) <= before
    assert len(keyring) == 1
