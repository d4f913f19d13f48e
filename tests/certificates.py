"""Certificates for tests, made by openssl as an operator would."""

import shutil
import subprocess
from pathlib import Path

import pytest

NAMES = "subjectAltName=DNS:localhost,IP:127.0.0.1"


class Authority:
    """A certificate authority in a directory of its own."""

    def __init__(self, directory: Path) -> None:
        if shutil.which("openssl") is None:
            pytest.skip("openssl is missing")
        directory.mkdir()
        self._directory = directory
        self.cert, self._key = directory / "ca.pem", directory / "ca.key"
        _openssl("req", "-x509", *_new_key(self._key), "-out", self.cert, "-subj", "/CN=test authority", "-days", "30")

    def issue(self, name: str, *, days: int = 30, extensions: str = NAMES) -> tuple[Path, Path]:
        """A certificate and its key, mode 600; with a negative number of days it has expired."""
        cert, key, request, wanted = (self._directory / f"{name}.{end}" for end in ("pem", "key", "csr", "ext"))
        wanted.write_text(extensions)
        _openssl("req", *_new_key(key), "-out", request, "-subj", f"/CN={name}")
        _openssl(
            "x509", "-req", "-in", request, "-CA", self.cert, "-CAkey", self._key, "-CAcreateserial",
            "-days", str(days), "-out", cert, "-extfile", wanted,
        )  # fmt: skip
        key.chmod(0o600)
        return cert, key


def _new_key(key: Path) -> tuple[object, ...]:
    return "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key


def _openssl(*arguments: object) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, timeout=30)
