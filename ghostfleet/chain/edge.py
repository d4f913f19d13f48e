"""The RPC edge: whatever waits at one moment shares one HTTP request, over the endpoints that are well.

Calls wait in queues by kind (reads, sends, sends that wait for a block), which never share a batch. A batch is made up when
an endpoint is free for it, goes to that one endpoint, and each of its calls then ends or goes back to its queue. The gate
is asked where a batch of sends is written, not before its queue: what has passed an earlier check could leave after a pause
was answered.
"""

import asyncio
import math
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from ghostfleet.chain.calls import (
    Call,
    EndpointsUnavailable,
    NotServed,
    RpcRefused,
    SendOutcome,
    Unfit,
    as_it_is,
    cut_off,
)
from ghostfleet.chain.deadlines import Deadlines
from ghostfleet.chain.endpoint_set import EndpointSet
from ghostfleet.chain.endpoints import Endpoint, EndpointConfig, Kind, OnChange, choose, rested
from ghostfleet.chain.exchange import Exchanges, OnExchange
from ghostfleet.chain.passage import GateClosed, SendGate
from ghostfleet.chain.transport import Transport
from ghostfleet.chain.wire import encode_params

__all__ = [
    "EndpointsUnavailable",
    "GateClosed",
    "NotServed",
    "RpcEdge",
    "RpcRefused",
    "SendGate",
    "SendOutcome",
    "Unfit",
]

MAX_BATCH_BYTES = 1024 * 1024
"""A batch is closed when its calls are as large as this together; endpoints bound their request bodies."""
MAX_WAITING = 20_000
"""Calls that may wait; more wait to be let in."""
LONGEST_WAIT_SECS = 30.0
"""A call waits at most so long for an endpoint to be free, or to be let in."""
LONGEST_WAIT_FOR_ONE_SECS = 1.0
"""A question that only one endpoint can answer is not worth waiting longer for it."""


QueueKey = tuple[Kind, str | None, frozenset[str]]
"""Calls that wait for the same endpoints: one that waits for a resting endpoint does not hold up those that need not."""


class RpcEdge:
    """Coalesces calls. Use as `async with`: it owns the tasks that serve its queues."""

    def __init__(
        self,
        endpoints: Sequence[EndpointConfig],
        transport: Transport,
        *,
        gate: SendGate,
        request_timeout_secs: float = 10.0,
        on_change: OnChange = lambda _name, _tripped, _reason: None,
        on_exchange: OnExchange = lambda _endpoint, _calls, _secs: None,
    ) -> None:
        self._endpoints = EndpointSet(endpoints, on_change)
        self._transport = transport
        self._gate = gate
        self._timeout_secs = request_timeout_secs
        self._exchanges = Exchanges(self._endpoints, transport, on_exchange)
        self._queues: dict[QueueKey, deque[Call]] = {}
        self._deadlines = Deadlines(self._expire)
        self._waiting = 0
        """Calls in the queues, and those that were let in and are on their way there."""
        self._wake = asyncio.Event()
        self._outside: deque[asyncio.Future[None]] = deque()
        """Who waits to be let in, first come first served."""
        self._tasks: dict[asyncio.Task[None], None] = {}
        self._open = False

    async def __aenter__(self) -> "RpcEdge":
        self._open = True
        self._start(self._pump())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """End the tasks and the connections. Calls that still wait are told to try again."""
        self._open = False
        for place in self._outside:
            if not place.done():
                place.set_exception(EndpointsUnavailable("the edge is closed"))
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        for queue in self._queues.values():
            while queue:
                queue.popleft().fail(EndpointsUnavailable("the edge is closed"))
        self._deadlines.close()
        await self._transport.close()

    def status(self) -> Sequence[Endpoint]:
        """Every endpoint as it is now."""
        return self._endpoints.all

    def use(self, endpoints: Sequence[EndpointConfig], *, request_timeout_secs: float) -> None:
        """These endpoints from now on, in this order. Requests under way at those that go are finished, and calls that waited
        for one of them go elsewhere or hear that it is gone."""
        self._endpoints.use(endpoints)
        self._timeout_secs = request_timeout_secs
        self._wake.set()

    def keep_to(self, chain_id: int) -> None:
        """Ask nothing of an endpoint, and send nothing to it, before it has said that it serves this chain."""
        self._exchanges.keep_to(chain_id)

    def drain(self, name: str, *, drained: bool = True) -> None:
        """No new request to this endpoint, while those under way there are finished; or new ones again."""
        self._endpoints.drain(name, drained=drained)
        self._wake.set()

    def asks(self, name: str) -> bool:
        """Whether this endpoint is one that may be asked at all."""
        return self._endpoints.asks(name)

    async def request(
        self,
        method: str,
        params: Sequence[Any],
        *,
        endpoint: str | None = None,
        timeout_secs: float | None = None,
        parse: Callable[[Any], Any] = as_it_is,
    ) -> Any:
        """The result of a read, as `parse` makes of it; a result it finds Unfit is the endpoint's fault.

        Raises RpcRefused, EndpointsUnavailable or BadInput. `endpoint` asks that one only.
        """
        if endpoint is not None and not self._endpoints.asks(endpoint):
            raise EndpointsUnavailable(f"{method}: {self._standing(endpoint)}")
        call = Call(Kind.READ, (method,), encode_params(method, params), timeout_secs or self._timeout_secs)
        call.wanted, call.parse = endpoint, parse
        return await self._ask(call)

    async def send(
        self,
        method: str,
        params: Sequence[Any],
        *,
        timeout_secs: float | None = None,
        alone: bool = False,
        instead: Sequence[str] = (),
        rather_not: str = "",
        sender: str = "",
    ) -> SendOutcome:
        """The outcome of a send. Raises GateClosed or EndpointsUnavailable: then nothing has left.

        `alone` is for calls that the node answers only once a block has come: they get a request of their own. `instead`
        are methods to fall back to, in order, where an endpoint does not know the first. `rather_not` is an endpoint to
        ask only while every other one rests. `sender` is whom the gate is asked for.
        """
        kind = Kind.ALONE if alone else Kind.SEND
        params_json = encode_params(method, params)
        call = Call(kind, (method, *instead), params_json, timeout_secs or self._timeout_secs)
        call.sender = sender
        if rather_not:
            call.avoid = frozenset({rather_not})
        outcome = await self._ask(call)
        assert isinstance(outcome, SendOutcome)
        return outcome

    async def _ask(self, call: Call) -> Any:
        if self._waiting >= MAX_WAITING or self._outside or not self._open:
            await self._let_in()
        else:
            self._waiting += 1
        self._queue_of(call).append(call)
        self._wake.set()
        same_moment = self._deadlines.group(LONGEST_WAIT_SECS + call.timeout_secs)
        same_moment[call] = None
        try:
            return await call.done
        finally:
            same_moment.pop(call, None)

    async def _let_in(self) -> None:
        """Wait for a place among those that wait. It is counted when this returns."""
        if not self._open:
            raise EndpointsUnavailable("the edge is closed")
        place = asyncio.get_running_loop().create_future()
        self._outside.append(place)
        self._wake.set()
        try:
            async with asyncio.timeout(LONGEST_WAIT_SECS):
                await place
        except BaseException as problem:
            if place.done() and not place.cancelled() and place.exception() is None:
                self._waiting -= 1  # let in at the very moment in which it gave up: the place is the next one's
                self._wake.set()
            if isinstance(problem, TimeoutError):
                standing = self._standing(None)
                raise EndpointsUnavailable(f"{self._waiting} calls wait already: {standing}") from None
            raise

    def _let_others_in(self) -> None:
        """As many of those outside as there are places; nobody else hears of it."""
        while self._outside and (self._outside[0].done() or self._waiting < MAX_WAITING):
            place = self._outside.popleft()
            if not place.done():
                self._waiting += 1
                place.set_result(None)

    def _expire(self, call: Call) -> None:
        """Its time is up while it waits; bytes of a send that are leaving have the request's own time limit."""
        if not call.leaving:
            call.fail(EndpointsUnavailable(f"{call.methods[0]}: no answer in time: {self._standing(call.wanted)}"))

    def _standing(self, wanted: str | None) -> str:
        return self._endpoints.standing(wanted, asyncio.get_running_loop().time())

    def _queue_of(self, call: Call) -> deque[Call]:
        key = (call.kind, call.wanted, call.avoid)
        queue = self._queues.get(key)
        if queue is None:
            queue = self._queues[key] = deque()
        return queue

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks[task] = None
        task.add_done_callback(self._tasks.pop)

    async def _pump(self) -> None:
        """Start every batch and probe that can start; then wait for a call, an answer, or the moment an endpoint is free."""
        while True:
            self._wake.clear()
            now = asyncio.get_running_loop().time()
            again_at = min(self._start_batches(now), self._start_probes(now))
            self._let_others_in()
            try:
                async with asyncio.timeout_at(None if again_at == math.inf else again_at):
                    await self._wake.wait()
            except TimeoutError:
                continue

    def _start_batches(self, now: float) -> float:
        """A batch for each queue in turn, as long as any can go: under a rate limit, sends and reads alternate."""
        soonest = math.inf
        blocked: set[QueueKey] = set()
        while len(blocked) < len(self._queues):
            soonest = math.inf
            for key in list(self._queues):
                if not self._queues[key]:
                    del self._queues[key]
                    blocked.discard(key)
                    continue
                ready_at = self._start_batch(self._queues[key], now)
                if ready_at <= now:
                    blocked.clear()
                    self._queues[key] = self._queues.pop(key)  # to the end of the turn
                else:
                    blocked.add(key)
                    soonest = min(soonest, ready_at)
        return soonest

    def _start_probes(self, now: float) -> float:
        """Ask those whose rest is over if they are well again, also where nobody needs them now. When the next one is due."""
        due, next_at = rested(self._endpoints.all, now)
        for endpoint in due:
            self._start(self._probe(endpoint, probe=endpoint.take(now, Kind.READ)))
        return next_at

    def _start_batch(self, queue: deque[Call], now: float) -> float:
        """Send the head of the queue off if an endpoint is free for it. When one will be, otherwise."""
        while queue:
            call = queue[0]
            candidates = self._endpoints.candidates(call.wanted)
            if not candidates:
                call.fail(EndpointsUnavailable(f"{call.methods[0]}: {self._standing(call.wanted)}"))
            patience = LONGEST_WAIT_SECS if call.wanted is None else LONGEST_WAIT_FOR_ONE_SECS
            if not call.done.done():
                endpoint, ready_at = choose(candidates, call.avoid, now, call.kind)
                if ready_at <= now:
                    batch = self._take(queue, endpoint.batch_size(now))
                    probe = endpoint.take(now, call.kind)
                    self._start(self._serve(endpoint, batch, probe=probe))
                    return now
                if ready_at == math.inf or ready_at - now <= patience:
                    return ready_at
                call.fail(EndpointsUnavailable(f"{call.methods[0]}: {self._standing(call.wanted)}"))
            queue.popleft()
            self._waiting -= 1
        return math.inf

    def _take(self, queue: deque[Call], most: int) -> list[Call]:
        """The next batch: calls that can share a request, cancelled ones left out."""
        batch: list[Call] = []
        size = 0
        most = 1 if queue[0].kind is Kind.ALONE else most
        while queue and len(batch) < most and size < MAX_BATCH_BYTES:
            if not queue[0].done.done() and batch and not queue[0].rides_with(batch[0]):
                break
            call = queue.popleft()
            self._waiting -= 1
            if not call.done.done():
                batch.append(call)
                size += len(call.params)
        return batch

    async def _serve(self, endpoint: Endpoint, batch: list[Call], *, probe: bool) -> None:
        """One batch at one endpoint, sends under the gate."""
        kind = batch[0].kind
        try:
            if kind is Kind.READ:
                self._put_back(await self._exchanges.run(endpoint, batch, probe=probe))
                return
            waiting = [call for call in batch if not call.done.done()]
            async with self._gate.sending([call.sender for call in waiting]) as passage:
                for call in waiting:
                    call.leaving = not call.done.done() and call.sender in passage.senders
                    if not call.leaving:
                        call.fail(GateClosed("nothing of this wallet is sent: the fleet is paused"))
                leaving = [call for call in waiting if call.leaving]
                if leaving:
                    self._put_back(await self._exchanges.run(endpoint, leaving, probe=probe, passage=passage))
        except GateClosed as closed:
            for call in batch:
                call.fail(GateClosed(str(closed)))
        except BaseException:  # closed under way, or a defect: nobody is left waiting, and it goes on up
            for call in batch:
                cut_off(endpoint, call)
            raise
        finally:
            endpoint.give_back(kind, probe=probe)
            self._wake.set()

    async def _probe(self, endpoint: Endpoint, *, probe: bool) -> None:
        """A question that nobody waits for."""
        try:
            await self._exchanges.prove(endpoint, self._timeout_secs, probe=probe)
        finally:
            endpoint.give_back(Kind.READ, probe=probe)
            self._wake.set()

    def _put_back(self, calls: Sequence[Call]) -> None:
        """To the head of their queues, in their order."""
        for call in reversed(calls):
            call.leaving = False
            self._queue_of(call).appendleft(call)
            self._waiting += 1
