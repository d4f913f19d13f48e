"""The settings without their secrets, and a digest that changes when a setting does.

Keys, passwords and tokens become a word; a URL loses its credentials, path and query, where providers put theirs. Other
long hexadecimal values of plugin tables become a fingerprint: not readable, but a change of them still changes the digest.
"""

import datetime
import hashlib
import json
import math
import re
from urllib.parse import urlsplit

from ghostfleet.domain.values import JsonObject

HIDDEN = "<hidden>"
_SECRET_NAME = re.compile(
    r"(^|_)(key|secret|password|passphrase|token|mnemonic|seed|credential|auth|pk)$|private", re.I
)
_ADDRESS = re.compile(r"0[xX][0-9a-fA-F]{40}")
_LONG_HEX = re.compile(r"(0[xX])?[0-9a-fA-F]{48,}")
_URL = re.compile(r"[a-z][a-z0-9+.-]*://", re.I)
MAX_SAFE_INTEGER = 2**53
"""JSON readers elsewhere lose digits above it, so larger integers are written as strings."""


def bare_url(url: str) -> str:
    """Scheme, host and port; `…` stands for what was left out. A SQLite path is not a secret and stays."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return HIDDEN
    if parts.scheme.startswith("sqlite"):
        return url
    place = (f"[{host}]" if ":" in host else host) + (f":{port}" if port is not None else "")
    rest = parts.path.strip("/") or parts.query or parts.fragment
    return f"{parts.scheme}://{place}" + ("/…" if rest else "")


def redact(value: object, name: str = "") -> object:
    """A JSON-able copy of a free table without anything that is or may be a secret."""
    if isinstance(value, dict):
        return {str(key): redact(inner, str(key)) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [redact(inner, name) for inner in value]
    if isinstance(value, str):
        return _redact_text(value, name)
    if isinstance(value, bool) or value is None:
        return value
    if _SECRET_NAME.search(name):
        return HIDDEN
    if isinstance(value, int):
        return value if abs(value) < MAX_SAFE_INTEGER else hex(value) if abs(value) >= 1 << 256 else str(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    return HIDDEN


def _redact_text(value: str, name: str) -> str:
    if _ADDRESS.fullmatch(value):
        return value
    if _SECRET_NAME.search(name):
        return HIDDEN
    if _URL.match(value):
        return bare_url(value)
    return _LONG_HEX.sub(lambda match: "sha256:" + hashlib.sha256(match[0].lower().encode()).hexdigest()[:16], value)


def digest_of(redacted: JsonObject) -> str:
    """Hex of sha256 over canonical JSON: sorted keys, no blanks, ASCII."""
    text = json.dumps(redacted, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode("ascii")).hexdigest()
