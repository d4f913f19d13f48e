"""What is one call, and what does an answer mean for it and for the endpoint that gave it?"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from ghostfleet.chain.answers import Answer, not_served
from ghostfleet.chain.endpoints import Endpoint, Kind
from ghostfleet.chain.wire import MISSING, Fault, encode_params
from ghostfleet.domain.values import AnswerClass, Head
from ghostfleet.errors import GhostFleetError, OtherEndpoint

FAULTS = frozenset({AnswerClass.ENDPOINT_FAULT, AnswerClass.RATE_LIMITED})
"""Error objects that speak of the endpoint, not of the call."""


class RpcRefused(GhostFleetError):
    """The node answered the call with an error of the call's own (a revert, a bad argument)."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(f"{answer.cls}: {answer.message}")
        self.answer = answer


class EndpointsUnavailable(OtherEndpoint):
    """No endpoint could answer: the message says which, and why."""


class NotServed(EndpointsUnavailable):
    """Every endpoint said that it does not serve this call (a method or history it does not have): asking again is no use."""


class Unfit(Exception):
    """A result is not of the shape that its call answers. What parsers given to `request` raise."""


class SendOutcome(msgspec.Struct, frozen=True):
    """What became of a send: the node's result, or its refusal sorted. `endpoint` took it, or was to."""

    endpoint: str
    result: Any = None
    answer: Answer | None = None


def as_it_is(result: Any) -> Any:
    return result


class Call:
    """One call on its way: what it asks, where it may go, and what has been tried."""

    __slots__ = (
        "attempts",
        "avoid",
        "done",
        "kind",
        "leaving",
        "methods",
        "params",
        "parse",
        "sender",
        "timeout_secs",
        "wanted",
    )

    def __init__(self, kind: Kind, methods: Sequence[str], params: bytes, timeout_secs: float) -> None:
        self.kind, self.methods, self.params, self.timeout_secs = kind, methods, params, timeout_secs
        self.wanted: str | None = None
        self.sender = ""
        self.parse: Callable[[Any], Any] = as_it_is
        self.avoid: frozenset[str] = frozenset()
        self.attempts = 0
        self.leaving = False
        self.done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def method_at(self, endpoint: Endpoint) -> str:
        """The first of its methods that the endpoint may know."""
        return next((method for method in self.methods if method not in endpoint.unserved), self.methods[-1])

    def rides_with(self, other: "Call") -> bool:
        return self.timeout_secs == other.timeout_secs

    def succeed(self, result: Any) -> None:
        if not self.done.done():
            self.done.set_result(result)

    def fail(self, problem: Exception) -> None:
        if not self.done.done():
            self.done.set_exception(problem)


def probing(timeout_secs: float, answered: Callable[[Any], Any]) -> Call:
    """A question that any node answers, and nobody waits for: what it says of its endpoint is all that counts."""
    call = Call(Kind.READ, ("eth_chainId",), encode_params("eth_chainId", []), timeout_secs)
    call.parse = answered
    call.done.cancel()
    return call


class NotServedHere(Fault):
    """The endpoint answers well, only not this call."""


def outcome_of(endpoint: Endpoint, call: Call, answer: Any) -> Any:
    """A result, an Answer that speaks of the call, or a Fault that speaks of the endpoint."""
    if answer is MISSING:
        return Fault("the call was left unanswered")
    if isinstance(answer, Answer):
        answer = msgspec.structs.replace(answer, message=endpoint.scrub(answer.message))
        if call.kind is not Kind.READ:
            return answer
        if not_served(answer):
            return NotServedHere(answer.message)
        if answer.cls in FAULTS:
            limited = answer.cls is AnswerClass.RATE_LIMITED
            return Fault(answer.message, limited=limited, retry_after_secs=answer.retry_after_secs)
        return answer
    try:
        result = call.parse(answer)
    except Unfit as unfit:
        return Fault(str(unfit))
    if isinstance(result, Head):
        endpoint.height = max(endpoint.height or 0, result.number)
    return result


def judge(endpoint: Endpoint, outcomes: Sequence[Any], now: float, *, probe: bool) -> None:
    """What a batch of answers says of its endpoint, once for the batch."""
    faults = [it for it in outcomes if _speaks_of_endpoint(it)]
    limited = [it for it in faults if _is_limit(it)]
    if len(faults) < len(outcomes) or limited:
        endpoint.answered()
    else:
        endpoint.failed(now, _words(faults[0]), probe=probe)
    if limited:
        secs = [it.retry_after_secs for it in limited if it.retry_after_secs is not None]
        endpoint.limited(now, max(secs, default=None))
    else:
        endpoint.unlimited()


def _speaks_of_endpoint(outcome: Any) -> bool:
    if isinstance(outcome, Answer):
        return outcome.cls in FAULTS and not not_served(outcome)
    return isinstance(outcome, Fault) and not isinstance(outcome, NotServedHere)


def _is_limit(outcome: Answer | Fault) -> bool:
    return outcome.limited if isinstance(outcome, Fault) else outcome.cls is AnswerClass.RATE_LIMITED


def _words(outcome: Answer | Fault) -> str:
    return outcome.reason if isinstance(outcome, Fault) else outcome.message


def finish_read(call: Call, outcome: Any) -> None:
    if isinstance(outcome, Answer):
        call.fail(RpcRefused(outcome))
    else:
        call.succeed(outcome)


def send_outcome(endpoint: Endpoint, outcome: Any) -> SendOutcome:
    """What the caller of a send hears. After a fault nobody knows whether the node has it."""
    if isinstance(outcome, Fault):
        cls = AnswerClass.RATE_LIMITED if outcome.limited else AnswerClass.ENDPOINT_FAULT
        message = endpoint.scrub(outcome.reason)
        return SendOutcome(
            endpoint.name, None, Answer(cls=cls, message=message, retry_after_secs=outcome.retry_after_secs)
        )
    if isinstance(outcome, Answer):
        return SendOutcome(endpoint.name, None, outcome)
    return SendOutcome(endpoint.name, outcome)


def cut_off(endpoint: Endpoint, call: Call) -> None:
    """The edge gives a call up while it is under way. Of a send nobody knows now whether it arrived."""
    if call.leaving:
        lost = Answer(cls=AnswerClass.MAYBE_SENT, message="the edge gave it up before the answer came")
        call.succeed(SendOutcome(endpoint.name, None, lost))
    else:
        call.fail(EndpointsUnavailable(f"{call.methods[0]}: the edge gave it up under way"))
