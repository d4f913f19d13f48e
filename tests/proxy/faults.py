"""What happens to a request on its way? Drawn from the seed and the number of the request, so that a run can be repeated."""

import random

import msgspec

from ghostfleet.errors import BadInput

KINDS = (
    "refused",  # the port closes for a moment, connections and all
    "request_lost",  # never arrives; the connection hangs, then is cut
    "answer_lost",  # arrives; the connection is cut before the answer
    "delayed",  # arrives late, or its answer does
    "late",  # arrives after whoever sent it has given up
    "duplicated",  # arrives twice; either answer comes back
    "limited",  # 429 with Retry-After
    "bad_gateway",  # 502 with HTML; it may have arrived
    "garbage",  # arrives; the answer is no JSON
    "truncated",  # arrives; the answer ends in the middle
    "left_out",  # arrives; some entries of a batch are not answered
    "reordered",  # arrives; the answers of a batch come in another order
    "denied",  # arrives; an entry's answer is an internal error all the same
    "slow",  # arrives; the answer dribbles in
)
DEFAULT_SHARE = 0.01
"""Of requests, for each kind: with fourteen kinds every seventh request is in trouble."""
MAX_SHARE = 0.5


class Fate(msgspec.Struct, frozen=True):
    """What becomes of one request: None is nothing. `random` decides the rest, in the same way each time."""

    kind: str | None
    random: random.Random


class Faults:
    """A share of requests for each kind; `on` can be switched."""

    def __init__(self, seed: int, shares: dict[str, float]) -> None:
        self.seed = seed
        self.shares = shares
        self.on = True
        self.requests = 0
        self.done = dict.fromkeys(KINDS, 0)

    def next(self) -> Fate:
        """The fate of the next request."""
        self.requests += 1
        drawn = random.Random(f"{self.seed}/{self.requests}")
        point = drawn.random()
        if not self.on:
            return Fate(None, drawn)
        for kind, share in self.shares.items():
            point -= share
            if point < 0:
                self.done[kind] += 1
                return Fate(kind, drawn)
        return Fate(None, drawn)


def parse_shares(text: str) -> dict[str, float]:
    """ "all", "none", "all=0.02" or "delayed=0.1,limited=0.05". Raises BadInput."""
    shares: dict[str, float] = {}
    for part in filter(None, (one.strip() for one in text.split(","))):
        name, _, value = part.partition("=")
        try:
            share = float(value) if value else DEFAULT_SHARE
        except ValueError:
            raise BadInput(f"--faults {part}: the share is a number from 0 to {MAX_SHARE}") from None
        if not 0 <= share <= MAX_SHARE:
            raise BadInput(f"--faults {part}: the share is a number from 0 to {MAX_SHARE}")
        if name not in (*KINDS, "all", "none"):
            raise BadInput(f"--faults {name}: there is all, none, {', '.join(KINDS)}")
        shares |= {name: share} if name in KINDS else dict.fromkeys(KINDS, share) if name == "all" else {}
    if sum(shares.values()) > 1:
        raise BadInput(f"--faults {text}: the shares add up to more than 1")
    return shares
