"""One request at one endpoint: a batch of calls is written, its answers read, and the endpoint judged by them.

A call ends with its answer, or with the last endpoint that could not give one; the others are handed back to their queue.
"""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from ghostfleet.chain.answers import Answer, unknown_method
from ghostfleet.chain.calls import (
    Call,
    EndpointsUnavailable,
    NotServed,
    NotServedHere,
    Unfit,
    finish_read,
    judge,
    outcome_of,
    probing,
    send_outcome,
)
from ghostfleet.chain.endpoint_set import EndpointSet
from ghostfleet.chain.endpoints import Endpoint, Kind
from ghostfleet.chain.passage import Passage
from ghostfleet.chain.shapes import quantity
from ghostfleet.chain.transport import Transport, TransportFault
from ghostfleet.chain.wire import BatchRefused, Fault, encode_calls, read_answers
from ghostfleet.domain.values import AnswerClass

MAX_ATTEMPTS = 3
"""Endpoints (or times) a call is tried at before its caller hears of it."""
GRACE_SECS = 1.0
"""A transport that does not keep to its own time limit is cut off after so much more."""
PROOF_SECS = 600.0
"""An endpoint is asked again which chain it serves after so long, and once it has tripped: its address can lead elsewhere now."""
OF_THE_CALL = frozenset({AnswerClass.REVERTED, AnswerClass.INSUFFICIENT_FUNDS, AnswerClass.MALFORMED})
"""Refusals of a read that every endpoint would give."""
OnExchange = Callable[[str, Sequence[tuple[str, str]], float], None]
"""Told of each request: the endpoint, (method, outcome) of each call in it, seconds. Outcomes are CALL_OUTCOMES."""
CALL_OUTCOMES = ("answered", "refused", "fault")
"""A result, a no from the node, nothing that could be used."""


class Exchanges:
    """Every request of one edge."""

    def __init__(self, endpoints: EndpointSet, transport: Transport, on_exchange: OnExchange) -> None:
        self._endpoints = endpoints
        self._transport = transport
        self._on_exchange = on_exchange
        self._next_id = 0
        self._chain_id: int | None = None

    def keep_to(self, chain_id: int) -> None:
        """Nothing is asked of an endpoint, or sent to it, before it has said that it serves this chain."""
        self._chain_id = chain_id

    async def run(
        self, endpoint: Endpoint, batch: list[Call], *, probe: bool, passage: Passage | None = None
    ) -> list[Call]:
        """One batch, at an endpoint that serves the chain. Ends each call that can end, and returns the others."""
        loop = asyncio.get_running_loop()
        if self._chain_id is not None and loop.time() >= endpoint.proven_until:
            if not await self.prove(endpoint, batch[0].timeout_secs, probe=probe):
                unproven = Fault(endpoint.last_fault or "it did not say which chain it serves", sent=False)
                for call in batch:
                    call.attempts += 1
                return [call for call in batch if not self._settle(endpoint, call, unproven)]
            probe = False
            endpoint.also(loop.time())
        return await self._exchange(endpoint, batch, probe=probe, passage=passage)

    async def prove(self, endpoint: Endpoint, timeout_secs: float, *, probe: bool) -> bool:
        """Ask an endpoint which chain it serves, and judge it by that. Whether it is ours, as far as that counts."""
        await self._exchange(endpoint, [probing(timeout_secs, partial(self._ours, endpoint))], probe=probe)
        return asyncio.get_running_loop().time() < endpoint.proven_until

    def _ours(self, endpoint: Endpoint, answer: Any) -> Any:
        if self._chain_id is not None:
            chain_id = quantity(answer)
            if chain_id != self._chain_id:
                raise Unfit(f"it serves chain {chain_id}, not {self._chain_id}")
            endpoint.proven_until = asyncio.get_running_loop().time() + PROOF_SECS
        return answer

    async def _exchange(
        self, endpoint: Endpoint, batch: list[Call], *, probe: bool, passage: Passage | None = None
    ) -> list[Call]:
        """Write the batch, read the answers, judge the endpoint by them, end each call that can end. Returns the others."""
        loop = asyncio.get_running_loop()
        started, timeout_secs = loop.time(), batch[0].timeout_secs
        methods = [call.method_at(endpoint) for call in batch]
        try:
            async with asyncio.timeout(timeout_secs + GRACE_SECS):
                answers = await self._post(endpoint, batch, methods, timeout_secs, passage)
        except BatchRefused as refused:
            endpoint.batch_refused(loop.time(), len(batch), too_large=refused.too_large)
            self._report(endpoint, methods, [Fault(str(refused))] * len(batch), loop.time() - started)
            return batch
        except TimeoutError:
            fault = Fault(f"no answer within {timeout_secs:g} s")
        except Fault as raised:
            fault = raised
        else:
            outcomes = [outcome_of(endpoint, call, answer) for call, answer in zip(batch, answers, strict=True)]
            judge(endpoint, outcomes, loop.time(), probe=probe)
            endpoint.took(loop.time() - started)
            self._report(endpoint, methods, outcomes, loop.time() - started)
            return [call for call, it in zip(batch, outcomes, strict=True) if not self._settle(endpoint, call, it)]
        waited_out = batch[0].kind is Kind.ALONE and loop.time() - started >= timeout_secs
        if fault.limited:
            endpoint.limited(loop.time(), fault.retry_after_secs)
        elif not waited_out:  # a chain that makes no blocks is not its endpoint's fault
            endpoint.failed(loop.time(), fault.reason, probe=probe)
        self._report(endpoint, methods, [fault] * len(batch), loop.time() - started)
        return [call for call in batch if not self._settle(endpoint, call, fault)]

    async def _post(
        self, endpoint: Endpoint, batch: list[Call], methods: list[str], timeout_secs: float, passage: Passage | None
    ) -> list[Any]:
        first = self._next_id + 1
        self._next_id += len(batch)
        body = encode_calls(first, [(method, call.params) for method, call in zip(methods, batch, strict=True)])
        for call in batch:
            call.attempts += 1
        try:
            response = await self._transport.post(endpoint.url, body, timeout_secs=timeout_secs, passage=passage)
        except TransportFault as fault:
            raise Fault(str(fault), sent=fault.sent) from None
        return read_answers(response, first, len(batch))

    def _settle(self, endpoint: Endpoint, call: Call, outcome: Any) -> bool:
        """End the call with this outcome. False when it has to go on: to another endpoint, or by another method."""
        if call.kind is Kind.READ:
            if isinstance(outcome, Fault):
                return self._again_elsewhere(endpoint, call, outcome)
            if isinstance(outcome, Answer) and self._may_be_its_own(endpoint, call, outcome):
                return False
            finish_read(call, outcome)
            return True
        call.leaving = False
        if isinstance(outcome, Answer) and unknown_method(outcome) and call.method_at(endpoint) != call.methods[-1]:
            endpoint.unserved |= {call.method_at(endpoint)}
            call.attempts -= 1
            return False
        if isinstance(outcome, Fault) and not outcome.sent:
            return self._again_elsewhere(endpoint, call, outcome)
        call.succeed(send_outcome(endpoint, outcome))
        return True

    def _again_elsewhere(self, endpoint: Endpoint, call: Call, fault: Fault) -> bool:
        """Whether that was the last try: the caller then hears why."""
        call.avoid |= {endpoint.name}
        others = any(it.name not in call.avoid for it in self._endpoints.candidates(call.wanted))
        reason = f"{call.methods[0]}: {endpoint.name}: {endpoint.scrub(fault.reason)}"
        if isinstance(fault, NotServedHere) and not others:
            call.fail(NotServed(reason))
        elif call.attempts >= MAX_ATTEMPTS or call.done.done():
            call.fail(EndpointsUnavailable(reason))
        else:
            return False
        return True

    def _may_be_its_own(self, endpoint: Endpoint, call: Call, answer: Answer) -> bool:
        """Whether a refusal that says nothing of the call (`Internal error`) may be this endpoint's own, and there is another one
        that is well to ask. Where all of them refuse, it is the call's."""
        if answer.cls in OF_THE_CALL or call.done.done() or call.attempts >= MAX_ATTEMPTS:
            return False
        call.avoid |= {endpoint.name}
        now = asyncio.get_running_loop().time()
        return any(it.name not in call.avoid and it.well(now) for it in self._endpoints.candidates(call.wanted))

    def _report(self, endpoint: Endpoint, methods: list[str], outcomes: Sequence[Any], secs: float) -> None:
        answered, refused, fault = CALL_OUTCOMES
        calls = [
            (method, fault if isinstance(outcome, Fault) else refused if isinstance(outcome, Answer) else answered)
            for method, outcome in zip(methods, outcomes, strict=True)
        ]
        self._on_exchange(endpoint.name, calls, secs)
