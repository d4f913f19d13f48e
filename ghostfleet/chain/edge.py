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

from ghostfleet.chain.answers import Answer, sort_error
from ghostfleet.chain.endpoints import Endpoint, EndpointConfig, OnChange
from ghostfleet.chain.transport import Response, Transport, TransportFault
from ghostfleet.domain.values import AnswerClass
from ghostfleet.errors import GhostFleetError, OtherEndpoint, TryAgain

MAX_BATCH = 100
MAX_IN_FLIGHT = 4
"""Batches under way at once, for each kind of call."""
MAX_WAITING = 20_000
"""Calls that may wait; more wait to be let in."""
READ_ATTEMPTS = 3
"""Endpoints (or times) a read is tried at before its caller hears of it."""
LONGEST_WAIT_SECS = 30.0
"""A call waits at most so long for an endpoint to be free."""


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
    __slots__ = ("done", "endpoint", "method", "params", "timeout_secs")

    def __init__(self, method: str, params: Sequence[Any], endpoint: str | None, timeout_secs: float) -> None:
        self.method, self.params, self.endpoint, self.timeout_secs = method, params, endpoint, timeout_secs
        self.done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()


class _Fault(Exception):
    """The endpoint's fault; `sent` is whether bytes may have arrived."""

    def __init__(
        self, reason: str, *, sent: bool, retry_after_secs: float | None = None, limited: bool = False
    ) -> None:
        super().__init__(reason)
        self.reason, self.sent, self.retry_after_secs, self.limited = reason, sent, retry_after_secs, limited


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


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
        return await self._ask(self._reads, _Call(method, params, endpoint, timeout_secs or self._timeout_secs))

    async def send(self, method: str, params: Sequence[Any], *, timeout_secs: float | None = None) -> SendOutcome:
        """The outcome of a send. Raises GateClosed (nothing left) or EndpointsUnavailable (nothing left)."""
        outcome = await self._ask(self._sends, _Call(method, params, None, timeout_secs or self._timeout_secs))
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
        places = asyncio.Semaphore(MAX_IN_FLIGHT)
        wake = self._wake[id(queue)]
        while True:
            await wake.wait()
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
            except _Fault as fault:
                reason = f"{endpoint.name}: {fault.reason}"
                refused.add(endpoint.name)
                continue
            waiting = self._settle_reads(endpoint, waiting, answers)
            if not waiting:
                return
            reason = f"{endpoint.name}: could not answer"
            refused.add(endpoint.name)
        for call in waiting:
            _fail(call, EndpointsUnavailable(f"{call.method}: {reason}"))

    def _settle_reads(self, endpoint: Endpoint, batch: list[_Call], answers: list[Any]) -> list[_Call]:
        """Hand out what was answered; return the calls that another endpoint has to answer."""
        again: list[_Call] = []
        for call, answer in zip(batch, answers, strict=True):
            if isinstance(answer, Answer):
                if answer.cls in (AnswerClass.ENDPOINT_FAULT, AnswerClass.RATE_LIMITED):
                    self._note(endpoint, answer)
                    again.append(call)
                else:
                    _fail(call, RpcRefused(answer))
            elif answer is _MISSING:
                again.append(call)
            else:
                _succeed(call, answer)
        return again

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
            except _Fault as fault:
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
            if answer.cls is AnswerClass.RATE_LIMITED:
                self._note(endpoint, answer)
            return SendOutcome(endpoint.name, None, answer)
        if answer is _MISSING:
            lost = Answer(cls=AnswerClass.MAYBE_SENT, message="the endpoint left this call unanswered")
            return SendOutcome(endpoint.name, None, lost)
        return SendOutcome(endpoint.name, answer)

    def _note(self, endpoint: Endpoint, answer: Answer) -> None:
        now = asyncio.get_running_loop().time()
        if answer.cls is AnswerClass.RATE_LIMITED:
            endpoint.limited(now, answer.retry_after_secs)
        else:
            endpoint.failed(now, answer.message)

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
        if wait > LONGEST_WAIT_SECS:
            return None
        if wait > 0:
            await asyncio.sleep(wait)
        endpoint.taken(loop.time())
        return endpoint

    async def _exchange(self, endpoint: Endpoint, batch: list[_Call]) -> list[Any]:
        """Answers in the order of the calls: results, `Answer`s, or _MISSING. Raises _Fault."""
        if len(batch) > 1 and not endpoint.batches:
            return [*await asyncio.gather(*(self._single(endpoint, call) for call in batch))]
        started = asyncio.get_running_loop().time()
        try:
            answers = await self._post(endpoint, batch)
        except _Fault as fault:
            now = asyncio.get_running_loop().time()
            if fault.limited:
                endpoint.limited(now, fault.retry_after_secs)
            else:
                endpoint.failed(now, fault.reason)
            raise
        if answers is None:
            endpoint.batches = False
            return [*await asyncio.gather(*(self._single(endpoint, call) for call in batch))]
        endpoint.answered()
        if self._on_call is not None:
            secs = asyncio.get_running_loop().time() - started
            for call in batch:
                self._on_call(call.method, secs, "answered")
        return answers

    async def _single(self, endpoint: Endpoint, call: _Call) -> Any:
        try:
            return (await self._exchange(endpoint, [call]))[0]
        except _Fault as fault:
            cls = AnswerClass.RATE_LIMITED if fault.limited else AnswerClass.ENDPOINT_FAULT
            return Answer(cls=cls, message=fault.reason, retry_after_secs=fault.retry_after_secs)

    async def _post(self, endpoint: Endpoint, batch: list[_Call]) -> list[Any] | None:
        """One HTTP request. None when the endpoint refuses batches. Raises _Fault."""
        first = self._next_id + 1
        self._next_id += len(batch)
        calls = [
            {"jsonrpc": "2.0", "id": first + index, "method": call.method, "params": call.params}
            for index, call in enumerate(batch)
        ]
        body = _encode(calls if len(calls) > 1 else calls[0])
        timeout_secs = max(call.timeout_secs for call in batch)
        try:
            response = await self._transport.post(endpoint.url, body, timeout_secs=timeout_secs)
        except TransportFault as fault:
            raise _Fault(str(fault), sent=fault.sent) from None
        return _read(response, first, len(batch))


class _Missing:
    """Stands for an answer that did not come."""


_MISSING = _Missing()


def _read(response: Response, first: int, count: int) -> list[Any] | None:
    """Match answers to calls by id. None when the endpoint refuses batches. Raises _Fault for anything unreadable."""
    try:
        document = _decode(response.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        document = None
    if isinstance(document, dict) and count > 1:
        error = document.get("error")
        if isinstance(error, dict):
            answer = _error(error, response)
            if answer.cls is AnswerClass.RATE_LIMITED:
                raise _Fault(answer.message, sent=True, limited=True, retry_after_secs=answer.retry_after_secs)
            if error.get("code") in (-32600, -32601, -32700) or "batch" in answer.message.lower():
                return None
        raise _Fault("one answer to a batch of calls", sent=True)
    if isinstance(document, dict):
        document = [document]
    if not isinstance(document, list):
        raise _http_fault(response)
    answers: list[Any] = [_MISSING] * count
    for entry in document:
        number = entry.get("id") if isinstance(entry, dict) else None
        if count == 1 and number is None and isinstance(entry, dict) and "error" in entry:
            number = first
        if type(number) is not int or not first <= number < first + count or answers[number - first] is not _MISSING:
            continue
        if isinstance(entry.get("error"), dict):
            answers[number - first] = _error(entry["error"], response)
        elif "result" in entry:
            answers[number - first] = entry["result"]
    if all(answer is _MISSING for answer in answers):
        raise _http_fault(response)
    return answers


def _error(error: dict[str, Any], response: Response) -> Answer:
    code, message = error.get("code"), error.get("message")
    answer = sort_error(
        code if type(code) is int else None,
        message if isinstance(message, str) else "error without a message",
        error.get("data"),
        response.status,
    )
    retry = answer.retry_after_secs if answer.retry_after_secs is not None else _retry_after(response)
    return msgspec.structs.replace(answer, retry_after_secs=retry)


def _http_fault(response: Response) -> _Fault:
    limited = response.status == 429
    return _Fault(
        f"HTTP {response.status} without a JSON-RPC answer",
        sent=True,
        limited=limited,
        retry_after_secs=_retry_after(response),
    )


def _retry_after(response: Response) -> float | None:
    try:
        return max(float(response.headers.get("retry-after", "")), 0.0)
    except ValueError:
        return None


def _take(queue: deque[_Call]) -> list[_Call]:
    """The next batch: calls for the same endpoint, cancelled ones left out."""
    batch: list[_Call] = []
    while queue and len(batch) < MAX_BATCH:
        if queue[0].done.done():
            queue.popleft()
            continue
        if batch and queue[0].endpoint != batch[0].endpoint:
            break
        batch.append(queue.popleft())
    return batch


def _succeed(call: _Call, result: Any) -> None:
    if not call.done.done():
        call.done.set_result(result)


def _fail(call: _Call, problem: Exception) -> None:
    if not call.done.done():
        call.done.set_exception(problem)
