"""Keys that somebody else holds: signatures that a node takes, whatever whoever made them is like; or none, and no key either."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable
from hashlib import sha256
from pathlib import Path

import aiohttp
import coincurve
import pytest
from eth_hash.auto import keccak
from hypothesis import given
from hypothesis import strategies as st

from ghostfleet.chain import transactions
from ghostfleet.domain.values import Address, Call, Fees, Octets, Unsigned, WalletId
from ghostfleet.engine.signing import KeyringSigner
from ghostfleet.keys.addresses import address_of, checksummed
from ghostfleet.keys.far import CURVE_ORDER, FarKey, Scalars, SignerUnavailable, WrongSignature, signature_of
from ghostfleet.keys.keyring import Keyring, KmsKey, RemoteKey, WalletKey
from ghostfleet.keys.kms import KmsPlace
from ghostfleet.keys.opening import load_keyring
from ghostfleet.keys.web3signer import LOOK_AGAIN_SECS, RemotePlace, Web3Signer
from tests.signers.certificates import make_certificates
from tests.signers.processes import AWS_ENVIRONMENT, Server, kms, web3signer

KEYS = [sha256(f"elsewhere {number}".encode()).digest() for number in range(4)]
ADDRESSES = [address_of(coincurve.PrivateKey(key)) for key in KEYS]
WALLETS = [WalletId(f"wallet-{number}") for number in range(4)]
TIMEOUT_SECS = 1.0
Place = Callable[[int], KmsKey | RemoteKey]


def unsigned(nonce: int) -> Unsigned:
    call = Call(to=ADDRESSES[0], value_wei=nonce**3, data=Octets(bytes(nonce)))
    return Unsigned(chain_id=31337, nonce=nonce, call=call, gas=21_000, fees=Fees(10**9 + nonce, 10**8))


def remote(url: str, **more: object) -> RemotePlace:
    settings: dict[str, object] = {"name": "the signer", "timeout_secs": TIMEOUT_SECS, "at_once": 8}
    return RemotePlace(url=url, **(settings | more))  # type: ignore[arg-type]


def at_aws(server: Server) -> Place:
    place = KmsPlace(region=None, endpoint_url=server.url, timeout_secs=TIMEOUT_SECS, at_once=8)
    return lambda number: KmsKey(f"alias/{number}", place)


@contextlib.asynccontextmanager
async def keyring(key_of: Place, addresses: list[Address] = ADDRESSES) -> AsyncIterator[Keyring]:
    wanted = [WalletKey(WALLETS[n], address, key_of(n)) for n, address in enumerate(addresses)]
    loaded = await load_keyring(wanted, {})
    async with contextlib.aclosing(loaded):
        yield loaded


@pytest.fixture(autouse=True)
def aws_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in AWS_ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(params=["web3signer", "kms"])
async def held(request: pytest.FixtureRequest) -> AsyncIterator[tuple[Server, Place]]:
    """Whoever holds the keys, and how a wallet's key is named there."""
    if request.param == "kms":
        async with kms(KEYS) as server:
            yield server, at_aws(server)
    else:
        async with web3signer({key: key for key in KEYS}) as server:
            yield server, lambda number: RemoteKey(remote(server.url))


async def test_what_they_sign_a_node_takes(held: tuple[Server, Place]) -> None:
    """Forty each, so that both values of v come up, and with KMS both halves of s."""
    _, key_of = held
    async with keyring(key_of) as keys:
        assert await keys.problems() == []
        signer = KeyringSigner(keys)
        for number in range(40):
            wallet, tx = number % 4, unsigned(number)
            signed = await signer.sign(WALLETS[wallet], tx)
            assert transactions.decode(signed.raw) == (tx, ADDRESSES[wallet])
            fields = list(transactions._items(bytes(signed.raw)))
            assert int.from_bytes(fields[11], "big") <= CURVE_ORDER // 2


async def test_another_key_under_a_wallets_name_at_kms_is_found_out() -> None:
    stranger = address_of(coincurve.PrivateKey(b"\7" * 32))
    async with kms(KEYS[:2]) as server, keyring(at_aws(server), [ADDRESSES[0], stranger]) as keys:
        assert await keys.problems() == [
            f"wallet-1: the key belongs to {checksummed(ADDRESSES[1])}, the settings say {checksummed(stranger)}"
        ]
        with pytest.raises(WrongSignature, match=f"AWS KMS is not one of {checksummed(stranger)}"):
            await KeyringSigner(keys).sign(WALLETS[1], unsigned(1))
        await KeyringSigner(keys).sign(WALLETS[0], unsigned(1))


async def test_a_remote_signer_that_signs_with_another_key_is_found_out() -> None:
    held = {KEYS[0]: KEYS[0], KEYS[1]: KEYS[2]}
    async with (
        web3signer(held) as impostor,
        keyring(lambda _: RemoteKey(remote(impostor.url)), ADDRESSES[:2]) as keys,
    ):
        with pytest.raises(WrongSignature, match=checksummed(ADDRESSES[1])):
            await KeyringSigner(keys).sign(WALLETS[1], unsigned(1))
        await KeyringSigner(keys).sign(WALLETS[0], unsigned(1))


async def test_a_key_they_do_not_hold_is_waited_for(held: tuple[Server, Place]) -> None:
    _, key_of = held
    stranger = address_of(coincurve.PrivateKey(b"\7" * 32))
    key_of_9 = (lambda _: KmsKey("alias/9", key_of(0).place)) if isinstance(key_of(0), KmsKey) else key_of
    async with keyring(key_of_9, [stranger]) as keys:
        (problem,) = await keys.problems()
        assert "NotFoundException" in problem or f"holds no key of {checksummed(stranger)}" in problem
        with pytest.raises(SignerUnavailable):
            await KeyringSigner(keys).sign(WALLETS[0], unsigned(1))


async def test_one_that_hangs_is_left_in_time_and_is_asked_again(held: tuple[Server, Place]) -> None:
    server, key_of = held
    async with keyring(key_of) as keys:
        signer = KeyringSigner(keys)
        await signer.sign(WALLETS[0], unsigned(0))
        server.hang()
        started = time.monotonic()
        answers = await asyncio.gather(
            *(signer.sign(WALLETS[n % 4], unsigned(n)) for n in range(30)), return_exceptions=True
        )
        assert time.monotonic() - started < 3 * TIMEOUT_SECS
        assert {type(it) for it in answers} == {SignerUnavailable}
        server.go_on()
        await asyncio.sleep(TIMEOUT_SECS)
        await signer.sign(WALLETS[0], unsigned(1))
        await server.kill()
        with pytest.raises(SignerUnavailable, match="cannot be asked"):
            await signer.sign(WALLETS[0], unsigned(2))


async def test_no_more_is_asked_at_once_than_the_settings_allow() -> None:
    async with (
        web3signer({KEYS[0]: KEYS[0]}, "--late", "0.02") as server,
        keyring(lambda _: RemoteKey(remote(server.url, at_once=3)), ADDRESSES[:1]) as keys,
    ):
        await asyncio.gather(*(KeyringSigner(keys).sign(WALLETS[0], unsigned(n)) for n in range(20)))
        async with aiohttp.ClientSession() as session, session.get(f"{server.url}/test/count") as answer:
            assert await answer.json() == {"most": 3, "signed": 20}


async def test_a_key_that_comes_in_later_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    async with web3signer({KEYS[0]: KEYS[0]}) as server, keyring(lambda _: RemoteKey(remote(server.url))) as keys:
        signer = KeyringSigner(keys)
        with pytest.raises(SignerUnavailable, match="holds no key"):
            await signer.sign(WALLETS[1], unsigned(1))
        async with aiohttp.ClientSession() as session:
            await session.post(f"{server.url}/test/add", data=f"{KEYS[1].hex()} {KEYS[1].hex()}")
        with pytest.raises(SignerUnavailable, match="holds no key"):
            await signer.sign(WALLETS[1], unsigned(1))  # the list is not asked for with every signature
        loop = asyncio.get_running_loop()
        now = loop.time
        monkeypatch.setattr(loop, "time", lambda: now() + LOOK_AGAIN_SECS)
        await signer.sign(WALLETS[1], unsigned(1))


async def test_it_shows_its_credentials_and_keeps_them_to_itself() -> None:
    async with web3signer({KEYS[0]: KEYS[0]}, "--user", "fleet:hunter2-hunter2") as server:
        for word, held in (("hunter2-hunter2", True), ("hunter3-hunter3", False)):
            place = remote(server.url.replace("://", f"://fleet:{word}@"), name=server.url)
            async with keyring(lambda _, place=place: RemoteKey(place), ADDRESSES[:1]) as keys:
                problems = await keys.problems()
                assert (problems == []) == held
                shown = repr([problems, place, keys, keys.key(WALLETS[0]), RemoteKey(place), place.__rich_repr__()])
                assert "hunter" not in shown
                assert held or "401" in problems[0]


async def test_both_sides_may_want_certificates(tmp_path: Path) -> None:
    make_certificates(tmp_path)
    async with web3signer({KEYS[0]: KEYS[0]}, "--tls", str(tmp_path)) as server:
        ours = {"client_certificate": tmp_path / "client.pem", "client_key": tmp_path / "client.key"}
        theirs = {"ca_file": tmp_path / "ca.pem"}
        for files, trusted in ((ours | theirs, True), (theirs, False), (ours, False)):
            place = remote(server.url, **files)
            async with keyring(lambda _, place=place: RemoteKey(place), ADDRESSES[:1]) as keys:
                assert (await keys.problems() == []) == trusted


@pytest.mark.parametrize(
    "answer",
    [b"", b"0x", b"null", b"[1]", b"0x" + b"0" * 129, b"0x" + b"0" * 130, b"0x" + b"f" * 130, b"<html>", b"x" * 10**6],
)
async def test_an_answer_that_is_no_signature_is_no_signature(answer: bytes) -> None:
    """From a list of keys to a signature: whatever comes, it is one of our two errors."""
    public = "0x" + coincurve.PrivateKey(KEYS[0]).public_key.format(compressed=False)[1:].hex()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        body = f'["{public}", "0x12", "0xzz"]'.encode() if head.startswith(b"GET") else answer
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % len(body) + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        service = Web3Signer(remote(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"))
        with pytest.raises((SignerUnavailable, WrongSignature)):
            await FarKey(service, "", ADDRESSES[0]).sign(b"message")
        await service.close()


async def test_what_aws_says_of_a_refused_request_is_not_passed_on() -> None:
    """InvalidSignatureException comes with the canonical request, in which the session token stands."""
    said = json.dumps({"__type": "InvalidSignatureException", "message": "x-amz-security-token:canary-token"}).encode()

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/x-amz-json-1.1\r\n")
        writer.write(b"content-length: %d\r\nconnection: close\r\n\r\n" % len(said) + said)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    place = KmsPlace(region=None, endpoint_url=url, timeout_secs=TIMEOUT_SECS, at_once=1)
    async with server, keyring(lambda _: KmsKey("alias/0", place), ADDRESSES[:1]) as keys:
        assert await keys.problems() == ["wallet-0: AWS KMS refuses: InvalidSignatureException"]
        with pytest.raises(SignerUnavailable, match=r"refuses: InvalidSignatureException$"):
            await KeyringSigner(keys).sign(WALLETS[0], unsigned(0))


PRIVATE_KEYS = st.integers(1, CURVE_ORDER - 1).map(lambda it: it.to_bytes(32, "big"))


@given(key=PRIVATE_KEYS, message=st.binary(), high=st.booleans())
def test_of_both_values_of_s_the_low_one_is_taken_and_v_is_found(key: bytes, message: bytes, high: bool) -> None:
    private, digest = coincurve.PrivateKey(key), keccak(message)
    signature = private.sign_recoverable(digest, hasher=None)
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:64], "big")
    assert signature_of(address_of(private), digest, Scalars(r, CURVE_ORDER - s if high else s)) == signature
    assert signature_of(ADDRESSES[0], digest, Scalars(r, s)) is None or address_of(private) == ADDRESSES[0]


@given(r=st.integers(-1, 2**256), s=st.integers(-1, 2**256))
def test_numbers_that_nobody_signed_are_nobodys(r: int, s: int) -> None:
    for edge in (Scalars(r, s), Scalars(0, s), Scalars(r, CURVE_ORDER), Scalars(CURVE_ORDER, s), Scalars(r, 0)):
        assert signature_of(ADDRESSES[0], keccak(b""), edge) is None
