"""Who presented so many wrong credentials that none is looked at for a while?

Counted by where they came from, so that nobody is locked out by others elsewhere. Who presents no credential is never
locked out of what needs none.
"""

import ipaddress
import math
from collections import OrderedDict

import msgspec

from ghostfleet.domain.values import HOUR_US, MINUTE_US, SECOND_US

MAX_FAILURES = 10
"""Within WINDOW_US: a person who mistypes stays below, a program that guesses does not."""
WINDOW_US = MINUTE_US
FIRST_LOCKOUT_US = MINUTE_US
LONGEST_LOCKOUT_US = HOUR_US
"""Each lock-out is twice as long as the one before, up to here; so long without a wrong one, and it begins anew."""
MAX_REMEMBERED = 1000
"""Places with failures; beyond them the one that failed longest ago is forgotten."""
IPV6_SITE_BITS = 64
"""One customer has at least so much of the address for himself: counted as one."""


class Lockout(msgspec.Struct, frozen=True, kw_only=True):
    """No credential from `remote` is looked at until then."""

    remote: str
    name: str
    failures: int
    until_us: int


class _Failures(msgspec.Struct):
    times_us: list[int] = []
    lockouts: int = 0
    until_us: int = 0


class Lockouts:
    """Failures by place, and by the name of the token where a known one was wrong (it had expired)."""

    def __init__(self) -> None:
        self._by_place: OrderedDict[tuple[str, str], _Failures] = OrderedDict()

    def locked_secs(self, remote: str, name: str, now_us: int) -> int:
        """For how many more seconds nothing from there is looked at; 0: it is."""
        known = self._by_place.get((place_of(remote), name))
        left_us = min(known.until_us - now_us, LONGEST_LOCKOUT_US) if known is not None else 0
        return max(0, math.ceil(left_us / SECOND_US))

    def failed(self, remote: str, name: str, now_us: int) -> Lockout | None:
        """Note a wrong credential. Returns the lock-out where this was one too many."""
        place = place_of(remote)
        known = self._by_place.pop((place, name), None) or _Failures()
        if known.times_us and now_us - known.times_us[-1] > LONGEST_LOCKOUT_US:
            known = _Failures()
        self._by_place[place, name] = known
        while len(self._by_place) > MAX_REMEMBERED:
            self._by_place.popitem(last=False)
        known.times_us = [*(at for at in known.times_us if at > now_us - WINDOW_US), now_us]
        if len(known.times_us) < MAX_FAILURES:
            return None
        length_us = min(FIRST_LOCKOUT_US * 2**known.lockouts, LONGEST_LOCKOUT_US)
        known.lockouts = min(known.lockouts + 1, 60)
        known.until_us = now_us + length_us
        failures = len(known.times_us)
        known.times_us = [now_us]
        return Lockout(remote=place, name=name, failures=failures, until_us=known.until_us)


def place_of(remote: str) -> str:
    """What is counted as one: an IPv4 address, an IPv6 site, a user on the socket."""
    try:
        address = ipaddress.ip_address(remote)
    except ValueError:
        return remote
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    if address.is_loopback:
        return str(address)
    return str(ipaddress.ip_network((address, IPV6_SITE_BITS), strict=False))
