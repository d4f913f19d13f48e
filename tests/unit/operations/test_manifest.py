"""The fleet's list of addresses is believed only as one of them signed it."""

from typing import Any

import coincurve
import msgspec
import pytest

from ghostfleet.domain.fleet import Fleet
from ghostfleet.domain.state import State
from ghostfleet.domain.values import HOUR_US, Address, WalletId, encode_json
from ghostfleet.domain.wallet import Wallet
from ghostfleet.engine.signing import KeyringSigner
from ghostfleet.keys.addresses import address_of, checksummed
from ghostfleet.keys.keyring import Keyring
from ghostfleet.keys.messages import signer_of_text
from ghostfleet.operations.fleet_signature import NoSigner
from ghostfleet.operations.manifest import ManifestDesk, NotAManifest, manifest_text, verified

NOON_US = 1_767_268_800_000_000
SECRETS = {WalletId(f"wallet-00{n}"): bytes([n]) * 32 for n in (1, 2, 3)}
ADDRESSES = {name: address_of(coincurve.PrivateKey(secret)) for name, secret in SECRETS.items()}


class Stage:
    """A fleet of three, wallet-001 retired, whose signatures are counted."""

    def __init__(self, keys: dict[WalletId, bytes] = SECRETS) -> None:
        self.us = NOON_US
        self.signed: list[str] = []
        self._signer = KeyringSigner(Keyring.of(keys))
        wallets = {
            name: Wallet(id=name, address=address, profile="degen", plugin="transfer", retired=name == "wallet-001")
            for name, address in ADDRESSES.items()
        }
        self.state = State(fleet=Fleet(chain_id=6343), wallets=wallets)
        self.desk = ManifestDesk(lambda: self.state, self, self)  # type: ignore[arg-type]

    def now_us(self) -> int:
        return self.us

    async def sign_message(self, wallet: WalletId, text: bytes) -> Any:
        self.signed.append(wallet)
        return await self._signer.sign_message(wallet, text)

    def withheld(self, wallet: WalletId) -> str:
        return self._signer.withheld(wallet)


async def test_it_names_every_address_retired_ones_too_and_is_signed_by_an_active_one():
    stage = Stage()
    document = encode_json(await stage.desk.current())
    manifest = verified(document)
    assert set(manifest.addresses) == {checksummed(address) for address in ADDRESSES.values()}
    assert (manifest.chain_id, manifest.signer) == (6343, checksummed(ADDRESSES[WalletId("wallet-002")]))
    assert manifest.text == manifest_text(6343, NOON_US, list(ADDRESSES.values()))
    assert not manifest.text.endswith("\n"), "a shell would drop it"


async def test_it_is_signed_anew_only_when_the_fleet_has_changed_or_an_hour_has_passed():
    stage = Stage()
    first = await stage.desk.current()
    stage.us += HOUR_US - 1
    assert await stage.desk.current() is first
    stage.us += 1
    assert (await stage.desk.current()).issued != first.issued
    newcomer = Address(b"\x09" * 20)
    stage.state.wallets["zz-new"] = Wallet(id="zz-new", address=newcomer, profile="degen", plugin="transfer")
    assert checksummed(newcomer) in (await stage.desk.current()).addresses
    assert stage.signed == ["wallet-002"] * 3


async def test_another_wallet_signs_where_the_first_ones_key_is_gone():
    stage = Stage({WalletId("wallet-003"): SECRETS[WalletId("wallet-003")]})
    assert (await stage.desk.current()).signer == checksummed(ADDRESSES[WalletId("wallet-003")])
    with pytest.raises(NoSigner, match="not loaded"):
        await Stage({}).desk.current()


@pytest.mark.parametrize(
    "change",
    [
        lambda it: it | {"text": it["text"].replace("chain 6343", "chain 1"), "chain_id": 1},
        lambda it: it | {"addresses": it["addresses"][:-1]},
        lambda it: it | {"chain_id": 1},
        lambda it: it | {"issued": "2030-01-01T00:00:00.000000Z"},
        lambda it: it | {"signer": checksummed(ADDRESSES[WalletId("wallet-003")])},
        lambda it: it | {"signature": it["signature"][:-2] + "00"},
        lambda it: it | {"signature": "0x"},
        lambda it: it | {"text": "hello"},
        lambda it: {"text": it["text"]},
    ],
)
async def test_whatever_is_changed_it_is_not_believed(change: Any):
    document = msgspec.json.decode(encode_json(await Stage().desk.current()))
    with pytest.raises(NotAManifest):
        verified(encode_json(change(document)))


async def test_a_stranger_cannot_sign_a_list_that_does_not_hold_him():
    stranger = WalletId("stranger")
    signer = KeyringSigner(Keyring.of({stranger: b"\x77" * 32}))
    text = manifest_text(6343, NOON_US, list(ADDRESSES.values()))
    document = msgspec.json.decode(encode_json(await Stage().desk.current()))
    forged = document | {
        "text": text,
        "signer": checksummed(address_of(coincurve.PrivateKey(b"\x77" * 32))),
        "signature": str(await signer.sign_message(stranger, text.encode())),
    }
    with pytest.raises(NotAManifest, match="none of its addresses"):
        verified(encode_json(forged))


@pytest.mark.parametrize("document", [b"", b"{}", b"[]", b"\xff", b"[" * 100_000])
def test_what_is_no_manifest_is_said_to_be_none(document: bytes):
    with pytest.raises(NotAManifest):
        verified(document)


async def test_a_signed_text_is_no_transaction_and_recovers_as_eip_191_says():
    """The key and text of EIP-191's own `personal_sign` as web3.py's documentation has them."""
    key = bytes.fromhex("b25c7db31feed9122727bf0939dc769a96564b2de4c4726d035b36ecf1e5b364")
    signer = KeyringSigner(Keyring.of({WalletId("w"): key}))
    signature = await signer.sign_message(WalletId("w"), "I♥SF".encode())
    assert str(signature) == (
        "0xe6ca9bba58c88611fad66a6ce8f996908195593807c4b38bd528d2cff09d4eb3"
        "3e5bfbbf4d3e39b1a2fd816a7680c19ebebaf3a141b239934ad43cb33fcec8ce1c"
    )
    address = address_of(coincurve.PrivateKey(key))
    assert signer_of_text("I♥SF".encode(), signature) == address
