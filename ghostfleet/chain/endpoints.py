"""How is each endpoint? A breaker, a rate limit and what it can do, for every endpoint on its own. No waiting in here:
times are the event loop's seconds and come in as arguments."""

import base64
import hashlib
import math
import re
from collections.abc import Callable
from enum import Enum
from urllib.parse import unquote, urlsplit

import msgspec

FAULTS_TO_TRIP = 3
PAUSE_SECS = 0.05
"""A call that failed at an endpoint is tried there again no sooner, so that its attempts are not spent in one bad moment."""
FIRST_REST_SECS = 1.0
LONGEST_REST_SECS = 60.0
FIRST_LIMIT_SECS = 0.5
LONGEST_LIMIT_SECS = 300.0
MAX_BATCH = 100
BATCH_AGAIN_SECS = 600.0
"""An endpoint that refused a batch is offered one again after this long."""
MAX_IN_FLIGHT = 4
"""Batches of one kind under way at once at one endpoint."""
MAX_SINGLES_IN_FLIGHT = 16
"""The same where an endpoint takes no batches."""
MAX_ALONE_IN_FLIGHT = 64
"""Calls that the node answers only once a block has come: nearly all of their time is waiting."""
MIN_SECRET_CHARS = 8
"""A part of a URL's path or query that is shorter is a word, not a credential."""
MAX_REASON = 200
LATENCY_MEMORY = 0.9
"""How much of the latency told is that of earlier requests: the last twenty or so count."""
_WORDS = re.compile(r"[^/?#&=;:,@+ ]+")

OnChange = Callable[[str, bool, str], None]
"""Called with (endpoint, tripped, reason) when it trips or recovers."""


class Kind(Enum):
    """What travels together. Kinds never share a batch, and none can take the others' places."""

    READ = "read"
    SEND = "send"
    ALONE = "alone"


class EndpointConfig(msgspec.Struct, frozen=True, kw_only=True):
    """One endpoint. `name` is shown to people and holds no credential; `url` is never shown."""

    name: str
    url: str
    max_requests_per_second: float | None = None

    def __repr__(self) -> str:
        return f"EndpointConfig({self.name!r})"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        return [("name", self.name)]


def public_name(url: str) -> str:
    """What may be shown of an endpoint: its host, and a digest that tells two keys at one provider apart."""
    digest = hashlib.sha256(url.encode()).hexdigest()[:6]
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "endpoint", parts.port
    except ValueError:
        return f"endpoint#{digest}"
    return f"{host}:{port}#{digest}" if port is not None else f"{host}#{digest}"


def handle_of(name: str) -> str:
    """An endpoint's name as it can stand in the path of a URL: host, port, and `~2` for the second one there."""
    place, _, twin = name.rpartition("://")[2].partition("#")
    return place.partition("/")[0] + (f"~{twin}" if twin else "")


def secrets_of(url: str) -> tuple[str, ...]:
    """The parts of a URL that may be credentials, longest first: a node may repeat them in what it says."""
    try:
        parts = urlsplit(url)
        rest, user = f"{parts.path}?{parts.query}#{parts.fragment}", (parts.username or "", parts.password or "")
    except ValueError:
        rest, user = url, ("", "")
    words = _WORDS.findall(rest) + _WORDS.findall(unquote(rest))
    found = {word for word in (url, *words) if len(word) >= MIN_SECRET_CHARS}
    found |= {word for part in user if part for word in (part, unquote(part))}
    if any(user):
        found |= {_basic(unquote(user[0]), unquote(user[1]), encoding) for encoding in ("latin-1", "utf-8")}
    return tuple(sorted(found, key=lambda word: (-len(word), word)))


def _basic(user: str, password: str, encoding: str) -> str:
    """What the Authorization header makes of them, without the padding."""
    return base64.b64encode(f"{user}:{password}".encode(encoding, "replace")).decode().rstrip("=")


class Endpoint:
    """What is remembered of one endpoint: closed, open (`tripped`, resting) or probing (tripped, one request under way)."""

    def __init__(self, config: EndpointConfig, on_change: OnChange) -> None:
        self.name = config.name
        self.url = config.url
        self.requests = 0
        self.faults = 0
        self.reason = ""
        self.last_fault = ""
        self.tripped = False
        self.drained = False
        """An operator wants no further request to go there; those under way finish."""
        self.limits_seen = 0
        """How often it asked to be left alone."""
        self.latency_secs: float | None = None
        """Of its answered requests, the latest ones most."""
        self.height: int | None = None
        """The highest block that it has shown."""
        self.unserved: frozenset[str] = frozenset()
        """Methods it has said it does not know."""
        self.proven_until = 0.0
        """Until when it need not be asked again which chain it serves."""
        self._secrets = secrets_of(config.url)
        self._spacing_secs = _spacing_secs(config)
        self._on_change = on_change
        self._in_flight = dict.fromkeys(Kind, 0)
        self._probing = False
        self._consecutive = 0
        self._rest_secs = 0.0
        self._rest_until = 0.0
        self._again_at = 0.0
        self._limited_until = 0.0
        self._limit_secs = 0.0
        self._next_request_at = 0.0
        self._batch_limit = MAX_BATCH
        self._batch_again_at = math.inf

    @property
    def healthy(self) -> bool:
        return not self.tripped

    def well(self, now: float) -> bool:
        """Whether it answers, and does not ask to be left alone."""
        return self.healthy and self._limited_until <= now

    @property
    def in_flight(self) -> int:
        """Requests that have no answer yet."""
        return sum(self._in_flight.values())

    def adopt(self, config: EndpointConfig) -> None:
        """Other settings for the same endpoint: what is known of it stays known."""
        assert (config.name, config.url) == (self.name, self.url)
        self._spacing_secs = _spacing_secs(config)

    def dismiss(self) -> None:
        """It is no longer one of the configured ones: what its last requests come to is no news."""
        self._on_change = lambda _name, _tripped, _reason: None

    def took(self, secs: float) -> None:
        """A request was answered after so long."""
        before = self.latency_secs
        self.latency_secs = secs if before is None else LATENCY_MEMORY * before + (1 - LATENCY_MEMORY) * secs

    def batch_size(self, now: float) -> int:
        """How many calls it takes at once; a probe is one."""
        if self.tripped:
            return 1
        if now >= self._batch_again_at:
            self._batch_limit, self._batch_again_at = MAX_BATCH, math.inf
        return self._batch_limit

    def ready_at(self, now: float, kind: Kind, *, again: bool = False) -> float:
        """When it may be asked next; infinity while requests of this kind have to come back first. `again` is for a call
        that failed here before."""
        if self._probing or self._in_flight[kind] >= self._places(now, kind):
            return math.inf
        pause = self._again_at if again else now
        return max(now, pause, self._rest_until, self._limited_until, self._next_request_at)

    def may_be_probed(self, now: float, kind: Kind) -> bool:
        """Whether this kind of call is to find out if it is well again."""
        return kind is Kind.READ and self.ready_at(now, kind) <= now

    def take(self, now: float, kind: Kind) -> bool:
        """A request goes out; `give_back` has to follow. True when it is the probe of a tripped endpoint."""
        self.requests += 1
        self._in_flight[kind] += 1
        if self._spacing_secs:
            self._next_request_at = max(now, self._next_request_at) + self._spacing_secs
        self._probing = self.tripped
        return self._probing

    def also(self, now: float) -> None:
        """One request more goes out in the place of one that was taken."""
        self.requests += 1
        self._next_request_at = max(now, self._next_request_at) + self._spacing_secs

    def give_back(self, kind: Kind, *, probe: bool) -> None:
        """A request is over, however it went."""
        self._in_flight[kind] -= 1
        assert self._in_flight[kind] >= 0
        if probe:
            self._probing = False

    def answered(self) -> None:
        """It answered, whatever it said."""
        self._consecutive = 0
        self._rest_secs = self._rest_until = 0.0
        if self.tripped:
            self.tripped, self.reason = False, ""
            self._on_change(self.name, False, "")

    def unlimited(self) -> None:
        """It answered without asking to be left alone."""
        self._limit_secs = 0.0

    def limited(self, now: float, retry_after_secs: float | None) -> None:
        """It asked to be left alone for a while: no fault."""
        self.limits_seen += 1
        self._limit_secs = min(max(self._limit_secs * 2, FIRST_LIMIT_SECS), LONGEST_LIMIT_SECS)
        wait = min(retry_after_secs or self._limit_secs, LONGEST_LIMIT_SECS)  # 0 s is no time either
        self._limited_until = max(self._limited_until, now + wait)

    def failed(self, now: float, reason: str, *, probe: bool) -> None:
        """It did not answer, or not in a way that can be read."""
        self.faults += 1
        self.last_fault = self.scrub(reason)[:MAX_REASON]
        self._consecutive += 1
        self._again_at = now + PAUSE_SECS * self._consecutive
        if self.tripped and not probe:
            return  # it went out before the trip, and says nothing new
        if not self.tripped and self._consecutive < FAULTS_TO_TRIP:
            return
        self._rest_secs = min(max(self._rest_secs * 2, FIRST_REST_SECS), LONGEST_REST_SECS)
        self._rest_until = now + self._rest_secs
        self.reason, self.proven_until = self.last_fault, 0.0
        if not self.tripped:
            self.tripped = True
            self._on_change(self.name, True, self.reason)

    def batch_refused(self, now: float, size: int, *, too_large: bool) -> None:
        """It takes no batches, or none so large. Remembered for a while."""
        self._batch_limit = min(max(size // 2, 1), self._batch_limit) if too_large else 1
        self._batch_again_at = now + BATCH_AGAIN_SECS

    def standing(self, now: float) -> str:
        """Why it is not asked right now, for people."""
        if self.drained:
            return "drained"
        if self.tripped:
            return f"left alone after {self.reason}"
        if self._limited_until > now:
            return f"rate limited for {self._limited_until - now:.1f} s more"
        return "busy"

    def scrub(self, text: str) -> str:
        """A node's words without its own credentials."""
        for secret in self._secrets:
            text = text.replace(secret, "…")
        for secret in self._secrets:  # the words may have been cut to length in the middle of one
            for length in range(len(secret) - 1, MIN_SECRET_CHARS // 2, -1):
                if text.endswith(secret[:length]):
                    return text[:-length] + "…"
        return text

    def _places(self, now: float, kind: Kind) -> int:
        if kind is Kind.ALONE:
            return MAX_ALONE_IN_FLIGHT
        return MAX_IN_FLIGHT if self.batch_size(now) > 1 else MAX_SINGLES_IN_FLIGHT


def _spacing_secs(config: EndpointConfig) -> float:
    return 1 / config.max_requests_per_second if config.max_requests_per_second else 0.0


def choose(endpoints: tuple[Endpoint, ...], avoid: frozenset[str], now: float, kind: Kind) -> tuple[Endpoint, float]:
    """The first in order of preference that may be asked now, else the one that may be asked first; and when that is.
    There has to be one.

    An endpoint that failed this call before is asked again only while every other one rests. A read may be the probe of
    one that rested; a send is not, as long as another endpoint is well.
    """
    others = [it for it in endpoints if it.name not in avoid and (not it.tripped or it.may_be_probed(now, kind))]
    times = [(it, it.ready_at(now, kind, again=it.name in avoid)) for it in others or endpoints]
    return min(times, key=lambda pair: pair[1])


def rested(endpoints: tuple[Endpoint, ...], now: float) -> tuple[list[Endpoint], float]:
    """The tripped ones whose rest is over, and when the next one's is.

    While the first in order of preference answers everything, no read would ever come to a tripped one behind it.
    """
    times = [(it, it.ready_at(now, Kind.READ)) for it in endpoints if it.tripped and not it.drained]
    return [it for it, at in times if at <= now], min((at for _, at in times if at > now), default=math.inf)
