"""How much of what was written to a client has it not taken yet? A slow client takes something, a dead one nothing."""

import asyncio
import fcntl
import struct
import termios


def unacknowledged_bytes(transport: asyncio.BaseTransport) -> int:
    """What the kernel has of it, which may be megabytes; 0 where the system does not tell."""
    connected = transport.get_extra_info("socket")
    try:
        return int(struct.unpack("i", fcntl.ioctl(connected.fileno(), termios.TIOCOUTQ, bytes(4)))[0])
    except OSError:
        return 0


def untaken_bytes(transport: asyncio.WriteTransport) -> int:
    """What waits in this process and in the kernel."""
    return transport.get_write_buffer_size() + unacknowledged_bytes(transport)
