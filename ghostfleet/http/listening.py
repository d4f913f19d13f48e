"""Where is listened? On every address of a host, and on a Unix socket, which a crash may have left behind."""

import contextlib
import errno
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

from ghostfleet.errors import StopService

BACKLOG = 128
PROBE_SECS = 1.0
"""How long a socket that is there already may take to say whether somebody listens on it."""


class CannotListen(StopService):
    """The address is taken, or not this machine's. Choose another port ([service] health_port), or stop who has it."""


def bind(host: str, port: int) -> list[socket.socket]:
    """Listening sockets on every address of `host`. Raises CannotListen."""
    name = host.strip("[]")
    try:
        found = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as unknown:
        raise CannotListen(f"[admin] host {host!r} is no address of this machine: {unknown}") from None
    sockets: list[socket.socket] = []
    why = "the name has no address"
    for family, address in sorted({(family, str(address[0])) for family, _, _, _, address in found}):
        try:
            sockets.append(_listening(family, address, sockets[0].getsockname()[1] if sockets else port))
        except OSError as taken:
            why = taken.strerror or str(taken)
            if taken.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                break  # `localhost` may have no IPv6 here; an address that is taken is taken
    else:
        if sockets:
            return sockets
    for bound in sockets:
        bound.close()
    raise CannotListen(
        f"cannot listen on {host}:{port}: {why}; set [service] health_port or [admin] host, or stop who has it"
    )


def _listening(family: int, address: str, port: int) -> socket.socket:
    # asyncio turns Nagle off only where the protocol is named; without it each answer takes 40 ms.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listening.bind((address, port))
        listening.listen(BACKLOG)
        listening.setblocking(False)
    except OSError:
        listening.close()
        raise
    return listening


@contextlib.contextmanager
def bound_socket(path: Path, mode: int) -> Iterator[socket.socket]:
    """A listening Unix socket that nobody can connect to before it has its mode; taken away at the end of the block.

    One that a crash left behind is replaced; one that somebody listens on is not. Raises CannotListen.
    """
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _remove_stale(path)
        listening.bind(str(path))
        os.chmod(path, mode)
        listening.listen(BACKLOG)
        listening.setblocking(False)
        ours = path.stat()
    except OSError as taken:
        listening.close()
        raise CannotListen(
            f"cannot listen on the socket {path}: {taken.strerror or taken}; see [admin] socket"
        ) from None
    except CannotListen:
        listening.close()
        raise
    try:
        yield listening
    finally:
        listening.close()
        with contextlib.suppress(OSError):
            if os.path.samestat(path.stat(), ours):
                path.unlink()


def _remove_stale(path: Path) -> None:
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise CannotListen(f"[admin] socket {path} is there and is no socket: give another path, or move it away")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(PROBE_SECS)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
        except OSError:
            pass  # somebody listens who cannot take more
    raise CannotListen(f"another process listens on the socket {path}: stop it, or give another [admin] socket")
