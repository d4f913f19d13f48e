"""moto's AWS KMS, as a server of its own, with one thing put right and with keys that the test knows.

moto signs sha256 of a digest where AWS signs the digest itself: its own verify does not mind, every node does. Takes private
keys in hex line by line until an empty line; says its URL and then a key id for each.
"""

import sys

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from moto.kms.models import kms_backends
from moto.kms.utils import ECDSAPrivateKey
from moto.server import ThreadedMotoServer

ACCOUNT, REGION = "123456789012", "eu-central-1"


def sign(self: ECDSAPrivateKey, message: bytes, signing_algorithm: str) -> bytes:
    assert signing_algorithm == "ECDSA_SHA_256"
    return self.private_key.sign(message, ec.ECDSA(Prehashed(hashes.SHA256())))


def serve() -> None:
    ECDSAPrivateKey.sign = sign
    wanted = iter(sys.stdin.readline, "\n")
    keys = [int(line, 16) for line in wanted]
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    ids = []
    backend = kms_backends[ACCOUNT][REGION]
    for number, key in enumerate(keys):
        made = backend.create_key(None, "SIGN_VERIFY", "ECC_SECG_P256K1", "", None)
        made.private_key.private_key = ec.derive_private_key(key, ec.SECP256K1())
        backend.create_alias(made.id, f"alias/{number}")
        ids.append(made.id)
    print(f"http://{host}:{port}", *ids, sep="\n", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    serve()
