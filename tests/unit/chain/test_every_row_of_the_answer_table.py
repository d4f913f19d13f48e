"""Every message of facts/rpc-errors.md and facts/megaeth.md, in every column, sorted into the class that its row names."""

import pytest

from ghostfleet.chain.answers import MAX_MESSAGE, sort_error
from ghostfleet.domain.values import AnswerClass as A

ROWS: dict[A, tuple[str, ...]] = {
    A.ALREADY_KNOWN: (
        "already known",
        "known transaction: 0xabc",
        "AlreadyKnown",
        "OwnNonceAlreadyUsed",
        "Known transaction",
        "Transaction with the same hash was already imported.",
        "Pool(AlreadyImported)",
    ),
    A.NONCE_TOO_LOW: (
        "nonce too low",
        "nonce too low: address 0xabc, tx: 5 state: 7",
        "nonce too low: address 0xabc current nonce (9) > tx nonce (7)",
        "OldNonce, Current nonce: 9, nonce of rejected tx: 7",
        "Nonce too low",
        "invalid transaction nonce",
        "Pool(Stale)",
    ),
    A.NONCE_GAP: (
        "nonce too high",
        "NonceGap, Future nonce. Expected nonce: 4",
        "nonce too far in the future",
        "tx nonce exceeds next nonce",
        "nonce out of range",
    ),
    A.REPLACEMENT_UNDERPRICED: (
        "replacement transaction underpriced",
        "Replacement transaction underpriced",
        "There is another transaction with same nonce in the queue",
    ),
    A.UNDERPRICED: (
        "transaction underpriced",
        "transaction underpriced: tip needed 1, tip permitted 0",
        "max fee per gas less than block base fee: address 0xabc, maxFeePerGas: 1, baseFee: 7",
        "transaction gas price below minimum: gas tip cap 0, minimum needed 1",
        "FeeTooLow, MaxFeePerGas too low. MaxFeePerGas: 1, BaseFee: 7",
        "FeeTooLowToCompete",
        "Gas price below configured minimum gas price",
        "gas price too low",
        "gasprice is less than gas price minimum floor",
    ),
    A.INSUFFICIENT_FUNDS: (
        "insufficient funds for gas * price + value: balance 1, tx cost 2",
        "insufficient funds for transfer",
        "InsufficientFunds, Account balance: 1, cumulative cost: 2",
        "Upfront cost exceeds account balance",
        "transaction would cause overdraft",
        "not enough funds for gas",
    ),
    A.NODE_FEE_CAP: (
        "tx fee (1.1 ether) exceeds the configured cap (1.0 ether)",
        "Transaction fee cap exceeded",
    ),
    A.POOL_FULL: (
        "txpool is full",
        "queue full",
        "sequencer pending tx pool full, please try again",
        "There are too many transactions in the queue",
    ),
    A.MALFORMED: (
        "intrinsic gas too low",
        "exceeds block gas limit",
        "invalid sender",
        "oversized data",
        "negative value",
        "gas uint64 overflow",
        "invalid chain id for signer: have 1 want 2",
        "tip above fee cap",
        "max priority fee per gas higher than max fee per gas",
        "Invalid",
        "GasLimitExceeded",
        "SenderIsContract",
        "Intrinsic gas exceeds gas limit",
        "Transaction gas limit exceeds block gas limit",
        "Invalid signature",
        "forbidden sender address",
        "Invalid RLP data",
    ),
    A.REVERTED: ("execution reverted", "execution reverted: not yours"),
    A.RATE_LIMITED: (
        "rate limit exceeded",
        "too many requests",
        "over compute unit limit, retry in 3 seconds",
        "over network traffic limit, retry in 5 seconds",
        "rabbit hole is full. Please try again later",
    ),
    A.ENDPOINT_FAULT: (
        "header not found",
        "missing trie node abc",
        "context deadline exceeded",
        "permanent error forwarding request context deadline exceeded",
        "i/o timeout",
        "network is unreachable",
        "rpc method is not whitelisted",
        "block is out of range",
        "backend response too large",
    ),
    A.MAYBE_SENT: ("realtime transaction expired", "unknown transaction", "something nobody has seen before", ""),
}


@pytest.mark.parametrize(
    ("message", "expected"),
    [(message, cls) for cls, messages in ROWS.items() for message in messages],
)
@pytest.mark.parametrize("prefix", ["", "err: ", "RPC error: ", "err: RPC error: "])
def test_a_message_is_sorted_whatever_its_case_and_prefix(message: str, expected: A, prefix: str) -> None:
    for words in (message, message.upper(), message.lower()):
        assert sort_error(-32000, prefix + words).cls is expected


def test_every_class_that_an_error_can_have_has_a_row() -> None:
    assert set(ROWS) == set(A) - {A.ACCEPTED}


@pytest.mark.parametrize("code", [-32005, -32021, -32022, -32007, -32029, -32097])
def test_rate_limits_are_known_by_their_codes(code: int) -> None:
    assert sort_error(code, "whatever the provider says").cls is A.RATE_LIMITED


@pytest.mark.parametrize(
    ("status", "expected"),
    [(429, A.RATE_LIMITED), (408, A.ENDPOINT_FAULT), (500, A.ENDPOINT_FAULT), (502, A.ENDPOINT_FAULT)],
)
def test_an_http_failure_is_sorted_by_its_status(status: int, expected: A) -> None:
    assert sort_error(None, "Bad Gateway" if status == 502 else "", http_status=status).cls is expected


def test_code_3_is_a_revert_and_its_data_is_kept() -> None:
    answer = sort_error(3, "execution reverted", "0x08c379a0")
    assert (answer.cls, answer.data) == (A.REVERTED, bytes.fromhex("08c379a0"))
    assert sort_error(-32603, "execution reverted", {"data": "0x08c379a0"}).data == bytes.fromhex("08c379a0")


@pytest.mark.parametrize("words", [message for cls, all_ in ROWS.items() if cls is not A.REVERTED for message in all_])
def test_what_a_contract_says_is_not_what_the_node_says(words: str) -> None:
    """Its own `rate limit exceeded` would rest the endpoint for the whole fleet, its `insufficient funds` would count nowhere."""
    assert sort_error(3, f"execution reverted: {words}").cls is A.REVERTED
    assert sort_error(3, words).cls is A.REVERTED
    assert sort_error(-32000, f"execution reverted: {words}").cls is A.REVERTED
    assert sort_error(-32603, f"VM Exception while processing transaction: {words}").cls is A.REVERTED


def test_retry_in_x_seconds_is_honoured() -> None:
    assert sort_error(-32022, "over compute unit limit, retry in 7 seconds").retry_after_secs == 7.0
    assert sort_error(-32022, "over compute unit limit, retry in 0.5 s").retry_after_secs == 0.5
    assert sort_error(-32022, "over compute unit limit").retry_after_secs is None


def test_the_nonce_that_a_node_names_is_read() -> None:
    assert sort_error(-32000, "nonce too low: address 0xa current nonce (9) > tx nonce (7)").nonce == 9
    assert sort_error(-32000, "NonceGap, Future nonce. Expected nonce: 4").nonce == 4


def test_a_message_is_bounded_and_holds_no_control_characters() -> None:
    message = sort_error(-32000, "nonce too low\x1b[31m\n" + "x" * 10_000).message
    assert len(message) <= MAX_MESSAGE
    assert message.isprintable()
