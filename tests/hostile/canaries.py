"""Secrets that sing: planted values, every form in which they could come out, and where they did."""

import base64
import secrets
from collections.abc import Iterator, Mapping
from urllib.parse import quote

SHORTEST_FORM = 6


def forms(secret: bytes) -> Iterator[bytes]:
    """As bytes, in hex, base64 at any offset, decimal, as Python and JSON print them, percent-encoded."""
    yield secret
    yield secret.hex().encode()
    yield secret.hex().upper().encode()
    for offset in range(3):
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            yield encode(bytes(offset) + secret)[4 if offset else 0 : -4]
    yield str(int.from_bytes(secret)).encode()
    yield hex(int.from_bytes(secret)).removeprefix("0x").encode()
    yield repr(secret)[2:-1].encode()
    yield ", ".join(map(str, secret)).encode()
    yield "".join(f"\\u{byte:04x}" for byte in secret).encode()
    yield quote(secret).encode()
    yield secret.decode("latin-1").encode("utf-16-le")


class Canaries:
    """Named secrets."""

    def __init__(self, planted: Mapping[str, bytes]) -> None:
        self.planted = dict(planted)
        self._forms = [
            (name, form)
            for name, secret in self.planted.items()
            for form in {*forms(secret)}
            if len(form) >= SHORTEST_FORM
        ]

    def __getitem__(self, name: str) -> str:
        return self.planted[name].decode()

    def heard_in(self, text: bytes | str) -> list[str]:
        """Names of the secrets that stand in there, each with some of what stands before it."""
        data = text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
        heard = []
        for name, form in self._forms:
            at = data.find(form)
            if at >= 0:
                heard.append(f"{name} after {data[max(0, at - 60) : at]!r}")
        return heard


def password(name: str) -> bytes:
    """One that nobody else has, and that a URL takes as it is."""
    return f"{name}-{secrets.token_hex(8)}".encode()
