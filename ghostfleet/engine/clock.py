"""Time and chance, where they are the machine's own."""

import secrets
import time


class SystemClock:
    """The machine's wall clock."""

    def now_us(self) -> int:
        return time.time_ns() // 1000


class SystemEntropy:
    """Seeds from the operating system, short enough for any JSON reader."""

    def seed(self) -> int:
        return secrets.randbits(48)
