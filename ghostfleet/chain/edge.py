"""The RPC edge: whatever waits at one moment shares one HTTP request, over the endpoints that are well.

Reads and sends wait in two queues and never share a batch. The gate is asked where a batch of sends is written, not before
its queue: what has passed an earlier check could leave after a pause was answered.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

import msgspec

from ghostfleet.chain.answers import Answer
from ghostfleet.chain.endpoints import Endpoint, EndpointConfig, OnChange
from ghostfleet.chain.transport import Transport, TransportFault
from ghostfleet.chain.wire import MISSING, Fault, encode_calls, read_answers
from ghostfleet.domain.values import AnswerClass
from ghostfleet.errors import GhostFleetError, OtherEndpoint, TryAgain

MAX_BATCH = 100
MAX_IN_FLIGHT = 4
"""Batches under way at once, for each kind of call."""
MAX_WAITING = 20_000
"""Calls that may wait; more wait to be let in."""
READ_ATTEMPTS = 3
"""Endpoints (or times) a read is tried at before its caller hears of it."""
MAX_ALONE_IN_FLIGHT = 64
"""Calls that block until a block comes (realtime sends) are not batched: one would hold up the others."""
LONGEST_WAIT_SECS = 30.0
"""A call waits at most so long for an endpoint to be free."""
LONGEST_WAIT_FOR_ONE_SECS = 1.0
"""A question that only one endpoint can answer is not worth waiting longer for it."""
FAULTS = frozenset({AnswerClass.ENDPOINT_FAULT, AnswerClass.RATE_LIMITED})
"""Error objects that speak of the endpoint, not of the call."""


class GateClosed(TryAgain):
    """Nothing may leave: the fleet is paused, stopping, or its log cannot be written. No byte was sent."""


class RpcRefused(GhostFleetError):
    """The node answered the call with an error of the call's own (a revert, a bad argument)."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(f"{answer.cls}: {answer.message}")
        self.answer = answer


class EndpointsUnavailable(OtherEndpoint):
    """No endpoint could answer: the message says which, and why."""


class SendGate(Protocol):
    """Asked just before bytes leave, held until the answer is in. Raises GateClosed."""

    def sending(self) -> AbstractAsyncContextManager[None]: ...


class SendOutcome(msgspec.Struct, frozen=True):
    """What became of a send: the node's result, or its refusal sorted. `endpoint` took it, or was to."""

    endpoint: str
    result: Any = None
    answer: Answer | None = None


class _Call:
    __slots__ = ("alone", "done", "endpoint", "method", "params", "timeout_secs")

    def __init__(
        self,
        method: str,
        params: Sequence[Any],
        timeout_secs: float,
        *,
        endpoint: str | None = None,
        alone: bool = False,
    ) -> None:
        self.method, self.params, self.timeout_secs = method, params, timeout_secs
        self.endpoint, self.alone = endpoint, alone
        self.done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()


class RpcEdge:
    """Coalesces calls. Use as `async with`: it owns the tasks that serve its two queues."""

    def __init__(
        self,
        endpoints: Sequence[EndpointConfig],
        transport: Transport,
        *,
        gate: SendGate,
        request_timeout_secs: float = 10.0,
        on_change: OnChange = lambda _name, _tripped, _reason: None,
        on_call: Callable[[str, float, str], None] | None = None,
    ) -> None:
        self._endpoints = [Endpoint(config, on_change) for config in endpoints]
        self._by_name = {endpoint.name: endpoint for endpoint in self._endpoints}
        self._transport = transport
        self._gate = gate
        self._timeout_secs = request_timeout_secs
        self._on_call = on_call
        self._reads: deque[_Call] = deque()
        self._sends: deque[_Call] = deque()
        self._wake: dict[int, asyncio.Event] = {}
        self._room = asyncio.Event()
        self._room.set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._next_id = 0

    async def __aenter__(self) -> "RpcEdge":
        for queue, serve in ((self._reads, self._serve_reads), (self._sends, self._serve_sends)):
            self._wake[id(queue)] = asyncio.Event()
            self._start(self._pump(queue, serve))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """End the tasks and the connections. Calls that still wait are told to try again."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        for queue in (self._reads, self._sends):
            while queue:
                _fail(queue.popleft(), EndpointsUnavailable("the edge is closed"))
        await self._transport.close()

    def status(self) -> Sequence[Endpoint]:
        """Every endpoint as it is now."""
        return self._endpoints

    async def request(
        self, method: str, params: Sequence[Any], *, endpoint: str | None = None, timeout_secs: float | None = None
    ) -> Any:
        """The result of a read. Raises RpcRefused or EndpointsUnavailable."""
        return await self._ask(
            self._reads, _Call(method, params, timeout_secs or self._timeout_secs, endpoint=endpoint)
        )

    async def send(
        self, method: str, params: Sequence[Any], *, timeout_secs: float | None = None, alone: bool = False
    ) -> SendOutcome:
        """The outcome of a send. Raises GateClosed or EndpointsUnavailable: then nothing has left.

        `alone` is for calls that the node answers only once a block has come: they get a request of their own.
        """
        call = _Call(method, params, timeout_secs or self._timeout_secs, alone=alone)
        outcome = await self._ask(self._sends, call)
        assert isinstance(outcome, SendOutcome)
        return outcome

    async def _ask(self, queue: deque[_Call], call: _Call) -> Any:
        while len(queue) >= MAX_WAITING:
            self._room.clear()
            await self._room.wait()
        queue.append(call)
        self._wake[id(queue)].set()
        return await call.done

    def _start(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _pump(self, queue: deque[_Call], serve: Callable[[list[_Call]], Any]) -> None:
        """Take what waits, a batch at a time, a few batches at once."""
        shared, alone = asyncio.Semaphore(MAX_IN_FLIGHT), asyncio.Semaphore(MAX_ALONE_IN_FLIGHT)
        wake = self._wake[id(queue)]
        while True:
            await wake.wait()
            places = alone if queue and queue[0].alone else shared
            await places.acquire()
            batch = _take(queue)
            if not queue:
                wake.clear()
            self._room.set()
            if batch:
                self._start(self._in_place(places, serve, batch))
            else:
                places.release()

    async def _in_place(
        self, places: asyncio.Semaphore, serve: Callable[[list[_Call]], Any], batch: list[_Call]
    ) -> None:
        try:
            await serve(batch)
        finally:
            places.release()
            for call in batch:
                _fail(call, EndpointsUnavailable("the edge is closed"))

    async def _serve_reads(self, batch: list[_Call]) -> None:
        """Try a batch of reads at one endpoint; what it could not answer goes to another, a few times."""
        refused: set[str] = set()
        waiting = batch
        reason = "no endpoint is configured"
        for _ in range(READ_ATTEMPTS):
            endpoint = await self._free_endpoint(waiting[0].endpoint, refused)
            if endpoint is None:
                break
            try:
                answers = await self._exchange(endpoint, waiting)
            except Fault as fault:
                reason = f"{endpoint.name}: {fault.reason}"
                refused.add(endpoint.name)
                continue
            waiting = _settle_reads(waiting, answers)
            if not waiting:
                return
            reason = f"{endpoint.name}: could not answer"
            refused.add(endpoint.name)
        for call in waiting:
            _fail(call, EndpointsUnavailable(f"{call.method}: {reason}"))

    async def _serve_sends(self, batch: list[_Call]) -> None:
        """One endpoint, once, under the gate. Another endpoint only when nothing has left."""
        refused: set[str] = set()
        reason = "no endpoint is configured"
        for _ in range(len(self._endpoints) + 1):
            endpoint = await self._free_endpoint(None, refused)
            if endpoint is None:
                break
            try:
                async with self._gate.sending():
                    answers = await self._exchange(endpoint, batch)
            except GateClosed as closed:
                for call in batch:
                    _fail(call, closed)
                return
            except Fault as fault:
                if not fault.sent:
                    reason = f"{endpoint.name}: {fault.reason}"
                    refused.add(endpoint.name)
                    continue
                cls = AnswerClass.RATE_LIMITED if fault.limited else AnswerClass.ENDPOINT_FAULT
                lost = Answer(cls=cls, message=fault.reason, retry_after_secs=fault.retry_after_secs)
                for call in batch:
                    _succeed(call, SendOutcome(endpoint.name, None, lost))
                return
            for call, answer in zip(batch, answers, strict=True):
                _succeed(call, self._send_outcome(endpoint, answer))
            return
        for call in batch:
            _fail(call, EndpointsUnavailable(f"{call.method}: {reason}"))

    def _send_outcome(self, endpoint: Endpoint, answer: Any) -> SendOutcome:
        if isinstance(answer, Answer):
            return SendOutcome(endpoint.name, None, answer)
        if answer is MISSING:
            lost = Answer(cls=AnswerClass.MAYBE_SENT, message="the endpoint left this call unanswered")
            return SendOutcome(endpoint.name, None, lost)
        return SendOutcome(endpoint.name, answer)

    def _judge(self, endpoint: Endpoint, answers: Sequence[Any]) -> None:
        """What a batch of answers says of its endpoint, once for the batch."""
        faulty = [answer for answer in answers if isinstance(answer, Answer) and answer.cls in FAULTS]
        missing = sum(answer is MISSING for answer in answers)
        now = asyncio.get_running_loop().time()
        if len(faulty) + missing < len(answers) or all(it.cls is AnswerClass.RATE_LIMITED for it in faulty):
            endpoint.answered()
        else:
            endpoint.failed(now, faulty[0].message)
        limited = [answer for answer in faulty if answer.cls is AnswerClass.RATE_LIMITED]
        if limited:
            endpoint.limited(now, max((it.retry_after_secs for it in limited if it.retry_after_secs), default=None))

    async def _free_endpoint(self, wanted: str | None, refused: set[str]) -> Endpoint | None:
        """The endpoint that is free first, the preferred one among equals; waits a bounded while for it."""
        loop = asyncio.get_running_loop()
        candidates = [self._by_name[wanted]] if wanted in self._by_name else self._endpoints
        untried = [endpoint for endpoint in candidates if endpoint.name not in refused] or candidates
        if not untried:
            return None
        now = loop.time()
        endpoint = min(untried, key=lambda it: it.free_at(now))
        wait = endpoint.free_at(now) - now
        if wait > (LONGEST_WAIT_SECS if wanted is None else LONGEST_WAIT_FOR_ONE_SECS):
            return None
        if wait > 0:
            await asyncio.sleep(wait)
        endpoint.taken(loop.time())
        return endpoint

    async def _exchange(self, endpoint: Endpoint, batch: list[_Call]) -> list[Any]:
        """Answers in the order of the calls: results, `Answer`s, or MISSING. Raises Fault."""
        if len(batch) > 1 and not endpoint.batches:
            return [*await asyncio.gather(*(self._single(endpoint, call) for call in batch))]
        started = asyncio.get_running_loop().time()
        try:
            answers = await self._post(endpoint, batch)
        except Fault as fault:
            now = asyncio.get_running_loop().time()
            if fault.limited:
                endpoint.limited(now, fault.retry_after_secs)
            else:
                endpoint.failed(now, fault.reason)
            raise
        if answers is None:
            endpoint.batches = False
            return [*await asyncio.gather(*(self._single(endpoint, call) for call in batch))]
        self._judge(endpoint, answers)
        if self._on_call is not None:
            secs = asyncio.get_running_loop().time() - started
            for call in batch:
                self._on_call(call.method, secs, "answered")
        return answers

    async def _single(self, endpoint: Endpoint, call: _Call) -> Any:
        try:
            return (await self._exchange(endpoint, [call]))[0]
        except Fault as fault:
            cls = AnswerClass.RATE_LIMITED if fault.limited else AnswerClass.ENDPOINT_FAULT
            return Answer(cls=cls, message=fault.reason, retry_after_secs=fault.retry_after_secs)

    async def _post(self, endpoint: Endpoint, batch: list[_Call]) -> list[Any] | None:
        """One HTTP request. None when the endpoint refuses batches. Raises Fault."""
        first = self._next_id + 1
        self._next_id += len(batch)
        calls = [
            {"jsonrpc": "2.0", "id": first + index, "method": call.method, "params": call.params}
            for index, call in enumerate(batch)
        ]
        body = encode_calls(calls if len(calls) > 1 else calls[0])
        timeout_secs = max(call.timeout_secs for call in batch)
        try:
            response = await self._transport.post(endpoint.url, body, timeout_secs=timeout_secs)
        except TransportFault as fault:
            raise Fault(str(fault), sent=fault.sent) from None
        return read_answers(response, first, len(batch))


def _take(queue: deque[_Call]) -> list[_Call]:
    """The next batch: calls for the same endpoint, cancelled ones left out."""
    batch: list[_Call] = []
    while queue and len(batch) < MAX_BATCH:
        if queue[0].done.done():
            queue.popleft()
            continue
        if batch and (queue[0].endpoint != batch[0].endpoint or queue[0].alone):
            break
        batch.append(queue.popleft())
        if batch[0].alone:
            break
    return batch


def _settle_reads(batch: list[_Call], answers: list[Any]) -> list[_Call]:
    """Hand out what was answered; return the calls that another endpoint has to answer."""
    again: list[_Call] = []
    for call, answer in zip(batch, answers, strict=True):
        if answer is MISSING or (isinstance(answer, Answer) and answer.cls in FAULTS):
            again.append(call)
        elif isinstance(answer, Answer):
            _fail(call, RpcRefused(answer))
        else:
            _succeed(call, answer)
    return again


def _succeed(call: _Call, result: Any) -> None:
    if not call.done.done():
        call.done.set_result(result)


def _fail(call: _Call, problem: Exception) -> None:
    if not call.done.done():
        call.done.set_exception(problem)
