"""Whatever JSON an endpoint answers, a read gives a fact of the right shape, or an endpoint's fault; never anything else."""

import inspect
import json
from typing import Any

import pytest
import virtual_time
from hypothesis import given, settings
from hypothesis import strategies as st

from ghostfleet.chain.edge import EndpointsUnavailable, RpcEdge
from ghostfleet.chain.endpoints import EndpointConfig
from ghostfleet.chain.passage import Passage
from ghostfleet.chain.reads import Chain
from ghostfleet.chain.transport import Response
from ghostfleet.domain.values import Address, AnswerClass, Call, Hash, Head, Octets, Receipt
from ghostfleet.engine.gate import Gate

TX, ADDRESS = Hash(b"\x11" * 32), Address(b"\x22" * 20)
BLOCK: dict[str, Any] = {
    "number": "0x5",
    "hash": "0x" + "33" * 32,
    "parentHash": "0x" + "44" * 32,
    "timestamp": "0x6",
    "baseFeePerGas": "0x7",
    "gasLimit": "0x8",
    "transactions": [{"hash": str(TX), "from": str(ADDRESS), "nonce": "0x1"}],
}
RECEIPT: dict[str, Any] = {
    "transactionHash": str(TX),
    "blockHash": "0x" + "33" * 32,
    "blockNumber": "0x5",
    "status": "0x1",
    "gasUsed": "0x5208",
    "effectiveGasPrice": "0x1",
    "logs": [{"address": str(ADDRESS), "topics": ["0x" + "55" * 32], "data": "0x01"}],
}


class Answering:
    """A transport whose every call has this result, in a well-formed answer."""

    def __init__(self, result: Any) -> None:
        self.result = result

    async def post(self, url: str, body: bytes, *, timeout_secs: float, passage: Passage | None = None) -> Response:
        call = json.loads(body)
        answer = {"jsonrpc": "2.0", "id": call["id"], "result": self.result}
        return Response(200, {}, json.dumps(answer).encode())

    async def close(self) -> None: ...


READS: dict[str, Any] = {
    "head": lambda chain: chain.head(),
    "head_at": lambda chain: chain.head_at(5),
    "nonce": lambda chain: chain.nonce(ADDRESS),
    "balance": lambda chain: chain.balance(ADDRESS),
    "receipt": lambda chain: chain.receipt(TX),
    "known": lambda chain: chain.known(TX, "node"),
    "transactions_in": lambda chain: chain.transactions_in(5),
    "call": lambda chain: chain.call(ADDRESS, b""),
    "estimate_gas": lambda chain: chain.estimate_gas(ADDRESS, Call(to=ADDRESS)),
    "code": lambda chain: chain.code(ADDRESS),
    "chain_id": lambda chain: chain.chain_id(),
    "genesis_hash": lambda chain: chain.genesis_hash(),
    "fee_history": lambda chain: chain.fee_history(5),
    "broadcast": lambda chain: chain.broadcast(Octets(b"\x02"), TX),
    "broadcast sync": lambda chain: chain.broadcast(Octets(b"\x02"), TX, sync=True),
}

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=70)
    | st.from_regex(r"0x[0-9a-f]{0,70}\Z")
)
anything = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
)
almost = st.sampled_from([BLOCK, RECEIPT]).flatmap(
    lambda document: st.tuples(st.sampled_from(sorted(document)), anything).map(
        lambda change: {**document, change[0]: change[1]}
    )
)


def run(read: str, answer: Any) -> Any:
    return virtual_time.run(_run(read, answer))


async def _run(read: str, answer: Any) -> Any:
    async with RpcEdge([EndpointConfig(name="node", url="http://node")], Answering(answer), gate=Gate()) as edge:
        return await READS[read](Chain(edge))


def test_every_public_read_is_fuzzed() -> None:
    public = {name for name, _ in inspect.getmembers(Chain, inspect.iscoroutinefunction) if not name.startswith("_")}
    assert public == {name.split()[0] for name in READS}


@pytest.mark.parametrize("read", sorted(READS))
@settings(max_examples=80, deadline=None, derandomize=True)
@given(answer=anything | almost)
def test_any_answer_is_a_fact_or_an_endpoints_fault(read: str, answer: Any) -> None:
    try:
        result = run(read, answer)
    except EndpointsUnavailable:
        return
    if isinstance(result, bool) or result is None:
        return
    if isinstance(result, int):
        assert 0 <= result < 2**256
    elif isinstance(result, Head):
        assert len(result.hash) == len(result.parent) == 32
        assert result.number >= 0
    elif isinstance(result, Receipt):
        assert result.tx == TX


def test_good_answers_are_read() -> None:
    head = run("head", BLOCK)
    assert (head.number, head.time_secs, head.base_fee_wei) == (5, 6, 7)
    assert run("head", BLOCK | {"transactions": [str(TX)]}).transactions == (str(TX),)
    receipt = run("receipt", RECEIPT)
    assert (receipt.success, receipt.block.number, receipt.gas_used) == (True, 5, 21_000)
    assert receipt.logs[0].address == ADDRESS
    assert run("transactions_in", BLOCK) == ((TX, ADDRESS, 1),)
    assert run("known", RECEIPT | {"hash": str(TX)}) is True
    assert run("known", None) is False


@pytest.mark.parametrize("said", [None, {}, [None], [{"hash": str(TX)}], [str(TX), "0x77"], [str(TX), str(TX)[2:]]])
def test_a_header_that_names_its_transactions_otherwise_tells_nothing_of_them(said: Any) -> None:
    assert run("head", BLOCK | {"transactions": said}).transactions is None


@pytest.mark.parametrize(
    ("read", "answer"),
    [
        ("receipt", RECEIPT | {"transactionHash": "0x" + "99" * 32}),
        ("head_at", BLOCK | {"number": "0x6"}),
        ("nonce", hex(2**63)),
        ("balance", "-0x1"),
        ("balance", "0x"),
        ("balance", "0x1_0"),
        ("receipt", RECEIPT | {"status": "0x2"}),
    ],
)
def test_a_wrong_fact_is_refused(read: str, answer: Any) -> None:
    with pytest.raises(EndpointsUnavailable):
        run(read, answer)


def test_a_receipt_of_a_transaction_that_is_only_pooled_is_none() -> None:
    assert run("receipt", RECEIPT | {"blockHash": None, "blockNumber": None}) is None


def test_an_answer_that_names_another_transaction_is_not_an_acceptance() -> None:
    assert run("broadcast", str(TX)).cls is AnswerClass.ACCEPTED
    assert run("broadcast", "0x" + "99" * 32).cls is AnswerClass.MAYBE_SENT
    accepted = run("broadcast sync", RECEIPT)
    assert (accepted.cls, accepted.receipt.tx) == (AnswerClass.ACCEPTED, TX)
    other = RECEIPT | {"transactionHash": "0x" + "99" * 32}
    assert run("broadcast sync", other).cls is AnswerClass.MAYBE_SENT
