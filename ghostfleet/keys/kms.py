"""Keys in AWS KMS: asymmetric, ECC_SECG_P256K1, SIGN_VERIFY. They never leave it; it signs digests.

Needs the extra `ghost-fleet[kms]` (botocore). Credentials come the way AWS's own tools find them: environment, profile, role.
What AWS says of a refused request can repeat parts of it, a session token too, so only the name of the error is passed on.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import msgspec
from coincurve.ecdsa import der_to_cdata, serialize_compact
from eth_hash.auto import keccak

from ghostfleet.domain.values import Address
from ghostfleet.errors import BadInput
from ghostfleet.keys.addresses import address_of_point
from ghostfleet.keys.far import Scalars, SignerUnavailable, Turns

SPKI_OF_SECP256K1 = bytes.fromhex("3056301006072a8648ce3d020106052b8104000a034200")
"""What stands before the 65 bytes of a public key of this curve (RFC 5480)."""
POINT_BYTES = 65
T = TypeVar("T")


class KmsUnusable(BadInput):
    """AWS KMS cannot be used as the settings say: botocore is not installed, or there is no region. The message says which."""


class KmsPlace(msgspec.Struct, frozen=True, kw_only=True):
    """Which KMS, and how it is asked. Without a region: the one AWS's own tools would take."""

    region: str | None
    endpoint_url: str | None
    timeout_secs: float
    at_once: int


class Kms:
    """A KeyService. Keys are named by key id, ARN or alias."""

    def __init__(self, place: KmsPlace) -> None:
        self._client = client_of(place)
        self._turns = Turns(self.place, at_once=place.at_once, timeout_secs=place.timeout_secs)
        self._threads = ThreadPoolExecutor(place.at_once, thread_name_prefix="kms")

    @property
    def place(self) -> str:
        return "AWS KMS"

    async def sign(self, key: str, address: Address, message: bytes) -> Scalars:
        digest = keccak(message)
        answer = await self._ask(
            lambda: self._client.sign(KeyId=key, Message=digest, MessageType="DIGEST", SigningAlgorithm="ECDSA_SHA_256")
        )
        try:
            compact = serialize_compact(der_to_cdata(answer["Signature"]))
        except (KeyError, TypeError, ValueError):
            raise SignerUnavailable(f"{self.place} answers with something that is no signature") from None
        return Scalars(int.from_bytes(compact[:32], "big"), int.from_bytes(compact[32:], "big"))

    async def address(self, key: str, address: Address) -> Address | None:
        answer = await self._ask(lambda: self._client.get_public_key(KeyId=key))
        spki = answer.get("PublicKey", b"")
        if len(spki) != len(SPKI_OF_SECP256K1) + POINT_BYTES or not spki.startswith(SPKI_OF_SECP256K1):
            raise SignerUnavailable(f"{self.place}: the key is not of the kind ECC_SECG_P256K1")
        return address_of_point(spki[-POINT_BYTES:])

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._client.close()

    async def _ask(self, question: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """One call, in a thread of our own: botocore waits. Raises SignerUnavailable."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            loop = asyncio.get_running_loop()
            return await self._turns.take(lambda: loop.run_in_executor(self._threads, question))
        except ClientError as refused:
            code = str(refused.response.get("Error", {}).get("Code", "error"))[:64]
            raise SignerUnavailable(f"{self.place} refuses: {code}") from None
        except BotoCoreError as problem:
            raise SignerUnavailable(f"{self.place} cannot be asked: {type(problem).__name__}") from None


def client_of(place: KmsPlace) -> Any:
    """botocore's client. Raises KmsUnusable."""
    try:
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError
        from botocore.session import Session
    except ImportError:
        raise KmsUnusable("keys in AWS KMS need botocore: pip install 'ghost-fleet[kms]'") from None
    config = Config(
        connect_timeout=place.timeout_secs,
        read_timeout=place.timeout_secs,
        max_pool_connections=place.at_once,
        retries={"total_max_attempts": 1},  # whoever asks tries again, with a longer and longer wait
    )
    try:
        return Session().create_client("kms", region_name=place.region, endpoint_url=place.endpoint_url, config=config)
    except (BotoCoreError, ValueError) as problem:
        raise KmsUnusable(f"AWS KMS cannot be used as set ({type(problem).__name__}): see [keys.kms]") from None
