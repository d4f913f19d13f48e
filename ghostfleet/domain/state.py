"""The whole state as a fold of the log, and a candidate on which the next events are tried before they are written."""

from collections.abc import Iterable

import msgspec

from ghostfleet.domain import fleet as fleets
from ghostfleet.domain import spending
from ghostfleet.domain import wallet as wallets
from ghostfleet.domain.events import NewEvent, Recorded, wallet_of
from ghostfleet.domain.fleet import Fleet
from ghostfleet.domain.values import decode_octets, encode_json
from ghostfleet.domain.wallet import BrokenFold, Wallet

FOLD_VERSION = 5
"""Grows with every change of what the fold keeps; a snapshot of another version is ignored."""


class State(msgspec.Struct, kw_only=True):
    """Everything the service knows, as of `position` in the log. Changed only by `apply` and `Candidate.swap`."""

    position: int = 0
    fleet: Fleet = Fleet()
    wallets: dict[str, Wallet] = {}

    def apply(self, recorded: Recorded) -> None:
        """Fold one recorded event in. Raises BrokenFold where it does not fit."""
        if recorded.position != self.position + 1:
            raise BrokenFold(f"position {recorded.position} does not follow {self.position}")
        self.fleet = fleets.evolve(self.fleet, recorded)
        name = recorded.wallet
        if name is not None:
            before = self.wallets.get(name)
            self.wallets[name] = wallets.evolve(before, recorded)
            self.fleet = spending.follow(self.fleet, before, self.wallets[name], recorded)
        self.position = recorded.position


def fold(events: Iterable[Recorded], state: State | None = None) -> State:
    """The state after these events, from nothing or from a snapshot."""
    state = state or State()
    for recorded in events:
        state.apply(recorded)
    return state


_decoder = msgspec.json.Decoder(State, dec_hook=decode_octets)


def encode_state(state: State) -> bytes:
    """The state as JSON; equal states give equal bytes."""
    return encode_json(state)


def decode_state(data: bytes) -> State:
    """The state that `encode_state` wrote. Raises msgspec.ValidationError when it is not one."""
    return _decoder.decode(data)


class Candidate:
    """The state as it would be after events that are not written yet; the state itself stays as it is until `swap`.

    It may stand on another candidate, whose events are being written.
    """

    def __init__(self, base: "State | Candidate") -> None:
        self._base = base
        self._touched: dict[str, Wallet] = {}
        self.fleet: Fleet = base.fleet
        self.position: int = base.position
        self._marked = (self.fleet, self.position)
        self._undo: list[tuple[str, Wallet | None]] = []
        """What each event since the mark has replaced among those touched."""

    def wallet(self, name: str) -> Wallet | None:
        """A wallet as of this candidate."""
        found = self._touched.get(name)
        if found is not None:
            return found
        base = self._base
        return base.wallet(name) if isinstance(base, Candidate) else base.wallets.get(name)

    def wallet_count(self) -> int:
        """How many wallets are not retired."""
        base = self._base
        return base.wallet_count() if isinstance(base, Candidate) else sum(not w.retired for w in base.wallets.values())

    def mark(self) -> None:
        """From here on events are tried that `back` takes back."""
        self._marked = (self.fleet, self.position)
        self._undo.clear()

    def back(self) -> None:
        """As it was at the mark."""
        for name, before in reversed(self._undo):
            if before is None:
                del self._touched[name]
            else:
                self._touched[name] = before
        self._undo.clear()
        self.fleet, self.position = self._marked

    def rebase(self, base: State) -> None:
        """Stand on the state itself: what this one was tried on top of is part of it now."""
        self._base = base

    def try_events(self, events: Iterable[NewEvent], now_us: int) -> tuple[Recorded, ...]:
        """Number new events as the log will, and apply them. Raises BrokenFold where one does not fit."""
        return tuple([self._numbered(new, now_us) for new in events])

    def _numbered(self, new: NewEvent, now_us: int) -> Recorded:
        name = wallet_of(new.stream)
        wallet = self.wallet(name) if name is not None else None
        before = self.fleet.version if name is None else wallet.version if wallet is not None else 0
        recorded = Recorded(self.position + 1, new.stream, before + 1, now_us, new.correlation, new.event)
        self.fleet = fleets.evolve(self.fleet, recorded)
        if name is not None:
            after = wallets.evolve(wallet, recorded)
            self._undo.append((name, self._touched.get(name)))
            self._touched[name] = after
            self.fleet = spending.follow(self.fleet, wallet, after, recorded)
        self.position = recorded.position
        return recorded

    def swap(self) -> None:
        """Make it so: the events are durable."""
        base = self._base
        assert isinstance(base, State), "what it stands on comes first"
        base.wallets.update(self._touched)
        base.fleet = self.fleet
        base.position = self.position
