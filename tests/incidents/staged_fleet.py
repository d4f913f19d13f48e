"""How does a test tell the story of one incident? The simulator's world without chance in its troubles: the test says what
goes wrong, and when. Every promise of the simulator is checked all along, to the end of a quiet time afterwards.

stage = Stage()
stage.when(ev.TransactionSigned, lambda told: stage.kill(down_secs=30))
stage.play()
assert stage.sent ...
"""

import contextlib
import functools
import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from random import Random
from typing import Any, TypeVar, cast
from unittest.mock import patch

import msgspec
import pytest

from ghostfleet.chain import transactions
from ghostfleet.config.loaded import Loaded
from ghostfleet.domain import events as ev
from ghostfleet.domain.events import Recorded
from ghostfleet.domain.values import Address, Call, Fees, Hash, Unsigned, WalletId
from ghostfleet.domain.wallet import Wallet
from ghostfleet.keys.keyring import Keyring
from ghostfleet.keys.opening import Opening
from ghostfleet.store.codec import CODEC
from tests.simulation import settings, simulation
from tests.simulation.chain import CHAIN_ID, GWEI, SINK, Block, Tx
from tests.simulation.memory_recorder import Commit
from tests.simulation.node import Node
from tests.simulation.simulation import Outcome, Simulation, SlowKeys
from tests.simulation.universe import Violation

replace = msgspec.structs.replace
E = TypeVar("E", bound=ev.Event)

WALLET = settings.NAMES[0]
ADDRESS = settings.ADDRESSES[WALLET]
STORY_SECS = 120.0
"""How long a story may take to happen; then the quiet time begins, in which all has to come right."""


class Stage(Simulation):
    """One wallet (or more), one endpoint (or more) with one node each; the settings are plain and can be changed by name."""

    def __init__(
        self,
        *,
        wallets: int = 1,
        node: type[Node] = Node,
        endpoints: int = 1,
        secs: float = STORY_SECS,
        chain: dict[str, Any] | None = None,
        fees: dict[str, Any] | None = None,
    ) -> None:
        loaded = _plain(wallets, endpoints, chain or {}, fees or {})
        self.slow_keys: dict[str, float | str] = {}
        """Seconds after which each of these wallets' keys opens, one after the other, at starts from now on; or a problem."""
        self.sent: list[tuple[float, Tx]] = []
        """What has left the service: when, and what."""
        self.strangers: list[Tx] = []
        self._waiting: list[tuple[type[ev.Event], Callable[[Any], bool], Callable[[Any], Any]]] = []
        self._always: list[tuple[type[ev.Event], Callable[[Any], Any]]] = []
        with patch.object(settings, "drawn", lambda *_args, **_more: loaded), patch.object(simulation, "Node", node):
            super().__init__(seed=1, families=(), faults_secs=secs)
        self._one_node_each()
        self.chain.inclusion = 1.0
        self.disk_weather.slowest_secs = 0.001
        self.disk.durable.tell = self.promises.on_durable = self._durable  # type: ignore[attr-defined, method-assign]
        self._leaves, self.network.on_send = self.network.on_send, self._sends

    def _one_node_each(self) -> None:
        kept = [site.nodes[0] for site in self.sites]
        told = {kept_node._hears_of for kept_node in kept}
        self.chain.on_block[:] = [
            it for it in self.chain.on_block if it in told or not isinstance(getattr(it, "__self__", None), Node)
        ]
        self.nodes[:] = kept
        for site, node in zip(self.sites, kept, strict=True):
            site.nodes[:] = [node]
            node.peers = [peer for peer in kept if peer is not node]
            node.habits.sync = False
        for name, node in zip(self.promises.nodes, kept, strict=True):
            self.promises.nodes[name] = [node]

    def opening(self, keyring: Keyring) -> Opening | None:
        return SlowKeys(keyring, self.slow_keys) if self.slow_keys else None

    # --- the story -----------------------------------------------------------------------------------------------------

    def play(self) -> Outcome:
        """Everything, to the end; fails where a promise was broken or the script waits for something that never came."""
        outcome = self.simulate()
        assert outcome.violation is None, outcome.violation
        assert not self._waiting, f"never happened: {[kind.__name__ for kind, _, _ in self._waiting]}"
        return outcome

    def when(self, kind: type[E], do: Callable[[E], Any], where: Callable[[E], bool] = lambda _: True) -> None:
        """Do something at the moment when the next such event is durable, before the service goes on."""
        self._waiting.append((kind, where, do))

    def always(self, kind: type[E], check: Callable[[E], Any]) -> None:
        """Check something at each such event."""
        self._always.append((kind, check))

    def at(self, secs: float, do: Callable[[], Any]) -> None:
        """Do something so many seconds from now."""
        self.universe.after(secs, do)

    def kill(self, *, down_secs: float = 1.0) -> None:
        """SIGKILL before the service's next step."""
        assert self.run is not None
        self.downtime_secs = down_secs
        self.run.loop.crash_in = 0

    def from_outside(
        self, nonce: int, *, tip_wei: int = 10 * GWEI, max_fee_wei: int = 90 * GWEI, mine: bool = False
    ) -> Tx:
        """Somebody else uses the wallet's key: 1 wei to the sink, at this nonce, in every pool. `mine` puts it in a block."""
        unsigned = Unsigned(
            chain_id=CHAIN_ID,
            nonce=nonce,
            call=Call(to=SINK, value_wei=1),
            gas=self.chain.transfer_gas,
            fees=Fees(max_fee_wei, tip_wei),
        )
        signed = transactions.sign(unsigned, settings.KEYRING.key(WalletId(WALLET)))
        self.promises.outsiders[signed.hash] = (WALLET, nonce)
        tx = self.chain.decode(bytes(signed.raw))
        for pool in (self.chain.pool, *(node.pool for node in self.nodes)):
            pool.waiting[tx.sender, nonce] = tx
        self.strangers.append(tx)
        if mine:
            self.chain.make_block()
        return tx

    def drop(self, *nonces: int) -> None:
        """These nonces of the wallet (all without) vanish from every pool."""
        for pool in (self.chain.pool, *(node.pool for node in self.nodes)):
            for key in [key for key in pool.waiting if key[0] == ADDRESS and (not nonces or key[1] in nonces)]:
                del pool.waiting[key]

    # --- what came of it -----------------------------------------------------------------------------------------------

    @property
    def recorded(self) -> list[Recorded]:
        """The whole log."""
        return [CODEC.decode(row) for commit in self.disk.durable for row in commit.rows]

    def events(self, kind: type[E]) -> list[E]:
        """The events of this type, oldest first."""
        return [each.event for each in self.recorded if isinstance(each.event, kind)]

    def wallet(self, name: str = WALLET) -> Wallet:
        """The wallet as the log has it."""
        return self.promises.shadow.wallets[name]

    def mined(self, address: Address = ADDRESS) -> list[Tx]:
        """What the wallet's key did in the canonical chain, in order, strangers included."""
        return [done.tx for _, done in self.chain.canonical_transactions() if done.tx.sender == address]

    def sends_of(self, nonce: int) -> list[Tx]:
        """The bytes that left for a nonce, send by send."""
        return [tx for _, tx in self.sent if tx.nonce == nonce]

    def attempts_at(self, nonce: int) -> list[ev.TransactionSigned]:
        """What was signed for a nonce."""
        return [each for each in self.events(ev.TransactionSigned) if each.nonce == nonce]

    def block_with(self, tx: Hash) -> Block | None:
        """The canonical block of a transaction."""
        return self.chain.block_of(tx)

    # --- how it listens ------------------------------------------------------------------------------------------------

    def _durable(self, commit: Commit) -> None:
        type(self.promises).on_durable(self.promises, commit)
        for row in commit.rows:
            event = CODEC.decode(row).event
            for waiting in list(self._waiting):
                kind, fits, do = waiting
                if isinstance(event, kind) and fits(event):
                    self._waiting.remove(waiting)
                    do(event)
            for kind, check in self._always:
                if isinstance(event, kind):
                    self._held(check, event)

    def _held(self, check: Callable[[Any], Any], event: ev.Event) -> None:
        try:
            check(event)
        except AssertionError as broken:
            self.universe.violated("the story holds", f"{event}: {broken}")

    def _sends(self, raw_hex: str) -> None:
        self._leaves(raw_hex)
        self.sent.append((self.universe.now, self.chain.decode(bytes.fromhex(raw_hex[2:]))))


Plant = Callable[[], AbstractContextManager[Any]]
Test = TypeVar("Test", bound=Callable[..., Any])


def broken_by(plant: Plant) -> Callable[[Test], Test]:
    """Decorator: the test passes, and with this bug planted it does not."""

    def twice(test: Test) -> Test:
        @contextlib.contextmanager
        def with_the_bug() -> Iterator[None]:
            with plant(), pytest.raises((Exception, Violation)) as broken:
                yield
            print(f"with the bug: {broken.value!s:.300}")

        def both(*args: Any, **kwargs: Any) -> None:
            test(*args, **kwargs)
            with with_the_bug():
                test(*args, **kwargs)

        async def both_async(*args: Any, **kwargs: Any) -> None:
            await test(*args, **kwargs)
            with with_the_bug():
                await test(*args, **kwargs)

        return cast(Test, functools.wraps(test)(both_async if inspect.iscoroutinefunction(test) else both))

    return twice


def consecutive(nonces: Sequence[int]) -> bool:
    """Whether they count up one by one from 0."""
    return list(nonces) == list(range(len(nonces)))


def _plain(wallets: int, endpoints: int, chain: dict[str, Any], fees: dict[str, Any]) -> Loaded:
    drawn = settings.drawn(Random("plain"), endpoints)
    names = settings.NAMES[:wallets]
    return settings.with_digest(
        replace(
            drawn,
            chain=replace(
                drawn.chain,
                **{
                    "megaeth": False,
                    "use_realtime": False,
                    "confirmations": 1,
                    "request_timeout_secs": 5.0,
                    "max_requests_per_second": None,
                }
                | chain,
            ),
            wallets=tuple(
                replace(drawn.wallets[0], id=WalletId(name), address=settings.ADDRESSES[name], profile="busy")
                for name in names
            ),
            safety=replace(drawn.safety, max_consecutive_errors=5, max_actions_per_hour=0, fleet_trip_share=0.0),
            fees=replace(
                drawn.fees, **{"max_fee_wei": 1000 * GWEI, "stuck_after_secs": 10.0, "max_attempts": 4} | fees
            ),
            limits=replace(
                drawn.limits,
                transactions_per_minute=None,
                gas_wei_per_wallet_per_day=None,
                tokens_per_wallet_per_day=None,
                fleet_tokens_per_day=None,
                fleet_value_wei_per_day=None,
                value_wei_per_action=None,
            ),
        )
    )
