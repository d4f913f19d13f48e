"""What holds a client of TLS before it has said anything that HTTP can bound: a time limit, and a place that it can lose.

asyncio would do the handshake by itself, for as many clients at once as there are file descriptors.
"""

import asyncio
import ssl
import sys
from asyncio.sslproto import SSLProtocol
from typing import cast

from ghostfleet.domain.values import encode_json
from ghostfleet.http.problems import PROBLEM_JSON
from ghostfleet.http.untaken import untaken_bytes

MAX_HANDSHAKES = 128
"""Under way at one time; beyond them the oldest one makes room."""
HANDSHAKE_SECS = 10
SHUTDOWN_SECS = 5
TAKING_SECS = 30
"""At the end of a connection a client has to take something of what was said before in so long."""
TLS_HANDSHAKE = 0x16
"""The first byte of what a client of TLS says."""
SAID_PLAINLY = encode_json(
    {"type": "about:blank", "title": "Bad Request", "status": 400, "detail": "this port speaks https, not http"}
)
PLAIN_ANSWER = (
    f"HTTP/1.1 400 Bad Request\r\nContent-Type: {PROBLEM_JSON}\r\nContent-Length: {len(SAID_PLAINLY)}\r\n"
    "Connection: close\r\n\r\n"
).encode() + SAID_PLAINLY


class Handshake(SSLProtocol):
    """TLS of one connection, under what will speak HTTP once it is secure. `under_way` is shared by all of a server."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        spoken: asyncio.Protocol,
        context: ssl.SSLContext,
        under_way: "dict[Handshake, None]",
    ) -> None:
        super().__init__(
            loop,
            spoken,
            context,
            None,  # type: ignore[arg-type]  # nobody waits for it
            server_side=True,
            ssl_handshake_timeout=HANDSHAKE_SECS,
            ssl_shutdown_timeout=SHUTDOWN_SECS,
        )
        self._under_way = under_way
        self._raw: asyncio.Transport | None = None
        self._buffer: memoryview | None = None
        self._heard = False
        self._left_bytes = sys.maxsize

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._raw = cast(asyncio.Transport, transport)  # uvloop's is one in all but name
        self._under_way[self] = None
        if len(self._under_way) > MAX_HANDSHAKES:
            oldest = next(iter(self._under_way))
            oldest.ended()
            oldest.abort()
        super().connection_made(transport)

    def abort(self) -> None:
        """Cut it off."""
        if self._raw is not None:
            self._raw.abort()

    def untaken_bytes(self) -> int:
        """What was said and the client has not taken yet."""
        encrypted = int(self._outgoing.pending)  # type: ignore[attr-defined]  # typeshed does not know it
        return self._write_buffer_size + encrypted + (untaken_bytes(self._raw) if self._raw is not None else 0)

    def _check_shutdown_timeout(self) -> None:
        """The end takes its time: cut off who takes nothing any more. A long answer to a slow client goes on being taken."""
        left_bytes = self.untaken_bytes()
        if not 0 < left_bytes < self._left_bytes:
            self.abort()
            return
        self._left_bytes = left_bytes
        self._shutdown_timeout_handle = self._loop.call_later(TAKING_SECS, self._check_shutdown_timeout)

    def ended(self) -> None:
        """The handshake is over, one way or the other."""
        self._under_way.pop(self, None)

    def get_buffer(self, n: int) -> memoryview:
        self._buffer = memoryview(super().get_buffer(n))
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        if not self._heard and self._buffer is not None and self._raw is not None and nbytes:
            self._heard = True
            if self._buffer[0] != TLS_HANDSHAKE:
                self._raw.write(PLAIN_ANSWER)
                self._raw.close()
                return
        super().buffer_updated(nbytes)

    def connection_lost(self, exc: BaseException | None) -> None:
        self.ended()
        super().connection_lost(exc)
