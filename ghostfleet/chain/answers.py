"""What does a node's answer mean for what to do next? One table, tested row by row against ../shared facts.

Match on the message, case-insensitively, prefixes stripped: codes are mostly -32000 and say little. Order matters.
"""

import re

import msgspec

from ghostfleet.domain.values import AnswerClass, Octets

MAX_MESSAGE = 300
MAX_DATA_CHARS = 64 * 1024
"""Of an error's data; what contracts revert with is a fraction of it."""
_PREFIX = re.compile(r"^(?:err|error|rpc error|invalid transaction|internal error)\s*:\s*", re.IGNORECASE)
_RETRY_IN = re.compile(r"retry in (\d+(?:\.\d+)?)\s*s", re.IGNORECASE)
_NONCE = re.compile(
    r"(?:current nonce|expected nonce|next nonce|account nonce|state)[^\d]{0,4}(\d{1,20})\b", re.IGNORECASE
)


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """A refusal, sorted."""

    cls: AnswerClass
    message: str
    code: int | None = None
    data: Octets | None = None
    retry_after_secs: float | None = None
    nonce: int | None = None


ENDPOINTS_OWN_STATUS = frozenset({401, 402, 403, 408})
"""A credential that is refused or not paid for, or no time: whatever the words, nobody is answered there."""
RATE_LIMIT_CODES = frozenset({-32005, -32021, -32022, -32007, -32029, -32097})

TABLE: tuple[tuple[AnswerClass, tuple[str, ...]], ...] = (
    (AnswerClass.MAYBE_SENT, ("realtime transaction expired", "unknown transaction")),
    (
        AnswerClass.RATE_LIMITED,
        (
            "rate limit",
            "too many requests",
            "compute unit",
            "network traffic limit",
            "rabbit hole is full",
            "capacity exceeded",
        ),
    ),
    (
        AnswerClass.REPLACEMENT_UNDERPRICED,
        ("replacement transaction underpriced", "another transaction with same nonce", "replacement underpriced"),
    ),
    (
        AnswerClass.ALREADY_KNOWN,
        (
            "already known",
            "alreadyknown",
            "known transaction",
            "ownnoncealreadyused",
            "same hash was already imported",
            "alreadyimported",
            "already imported",
        ),
    ),
    (
        AnswerClass.NONCE_GAP,
        (
            "nonce too high",
            "noncegap",
            "future nonce",
            "nonce too far in the future",
            "exceeds next nonce",
            "nonce out of range",
        ),
    ),
    (
        AnswerClass.NONCE_TOO_LOW,
        (
            "nonce too low",
            "oldnonce",
            "invalid transaction nonce",
            "pool(stale)",
            "transaction is outdated",
            "nonce has already been used",
        ),
    ),
    (AnswerClass.NODE_FEE_CAP, ("exceeds the configured cap", "transaction fee cap exceeded")),
    (
        AnswerClass.MALFORMED,
        (
            "max priority fee per gas higher than max fee per gas",
            "tip above fee cap",
            "intrinsic gas too low",
            "intrinsic gas exceeds gas limit",
            "exceeds block gas limit",
            "gas limit exceeds block",
            "gaslimitexceeded",
            "sendercontract",
            "senderiscontract",
            "invalid sender",
            "forbidden sender",
            "oversized data",
            "negative value",
            "gas uint64 overflow",
            "invalid chain id",
            "invalid signature",
            "invalid rlp",
            "rlp:",
        ),
    ),
    (
        AnswerClass.UNDERPRICED,
        (
            "transaction underpriced",
            "less than block base fee",
            "gas price below",
            "below minimum",
            "feetoolow",
            "maxfeepergas too low",
            "max fee per gas too low",
            "gas price too low",
            "gas price minimum floor",
            "fee too low",
        ),
    ),
    (
        AnswerClass.INSUFFICIENT_FUNDS,
        (
            "insufficient funds",
            "insufficientfunds",
            "upfront cost exceeds account balance",
            "would cause overdraft",
            "not enough funds",
        ),
    ),
    (
        AnswerClass.POOL_FULL,
        ("txpool is full", "pool is full", "queue full", "pool full", "too many transactions in the queue"),
    ),
    (AnswerClass.REVERTED, ("execution reverted", "vm exception", "revert")),
    (
        AnswerClass.ENDPOINT_FAULT,
        (
            "header not found",
            "missing trie node",
            "context deadline exceeded",
            "i/o timeout",
            "network is unreachable",
            "connection refused",
            "not whitelisted",
            "state is not available",
            "backend response too large",
            "block is out of range",
            "bad gateway",
        ),
    ),
)
"""Class by words in the message, first match wins."""

REVERT_CODE = 3
REVERTED_WITH = ("execution reverted", "vm exception")
EXACT = {"invalid": AnswerClass.MALFORMED}
UNKNOWN_METHOD_CODES = frozenset({-32601, -32604})
UNKNOWN_METHOD = ("method not found", "does not exist/is not available", "unsupported method", "not whitelisted")
NO_HISTORY = ("missing trie node", "header not found", "block is out of range", "state is not available")
"""An endpoint without old blocks or states says so; another may have them."""


def one_line(text: str) -> str:
    """Somebody else's words, safe to record and to print: no control or other invisible characters, bounded."""
    shown = "".join(char if char.isprintable() else " " for char in text[: 2 * MAX_MESSAGE])
    return " ".join(shown.split())[:MAX_MESSAGE]


def clean(message: str) -> str:
    """A node's words on one line, without the prefixes that some put before them."""
    text = one_line(message)
    while True:
        stripped = _PREFIX.sub("", text)
        if stripped == text:
            return text
        text = stripped


def sort_error(code: int | None, message: str, data: object = None, http_status: int = 200) -> Answer:
    """Sort a JSON-RPC error object, or an HTTP failure (then `code` is None)."""
    words = clean(message)
    retry = _RETRY_IN.search(words)
    nonce = _NONCE.search(words)
    return Answer(
        cls=_class(code, words.lower(), http_status),
        message=words,
        code=code,
        data=revert_data(data),
        retry_after_secs=float(retry.group(1)) if retry else None,
        nonce=int(nonce.group(1)) if nonce else None,
    )


def _class(code: int | None, words: str, http_status: int) -> AnswerClass:
    if http_status == 429 or code in RATE_LIMIT_CODES:
        return AnswerClass.RATE_LIMITED
    if code == REVERT_CODE or words.startswith(REVERTED_WITH):
        return AnswerClass.REVERTED  # what follows is the contract's to say, whatever it sounds like
    for cls, phrases in TABLE:
        if any(phrase in words for phrase in phrases):
            return cls
    if words in EXACT:
        return EXACT[words]
    if http_status in ENDPOINTS_OWN_STATUS or http_status >= 500 or code == -32601:
        return AnswerClass.ENDPOINT_FAULT
    return AnswerClass.MAYBE_SENT


def unknown_method(answer: Answer) -> bool:
    """Whether the endpoint does not know the method, so that nothing of the call was carried out."""
    words = answer.message.lower()
    return answer.code in UNKNOWN_METHOD_CODES or any(phrase in words for phrase in UNKNOWN_METHOD)


def not_served(answer: Answer) -> bool:
    """Whether the endpoint answers well, but does not have what this call asks for."""
    words = answer.message.lower()
    return unknown_method(answer) or any(phrase in words for phrase in NO_HISTORY)


def revert_data(data: object) -> Octets | None:
    """The revert bytes out of an error's `data`, in the shapes that nodes use."""
    if isinstance(data, dict):
        data = data.get("data") or data.get("result")
    if isinstance(data, str):
        found = re.search(r"0x[0-9a-fA-F]*", data[:MAX_DATA_CHARS])
        if found and len(found.group()) % 2 == 0:
            return Octets.from_hex(found.group())
    return None
