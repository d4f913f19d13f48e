"""Which logs match a filter? eth_getLogs over the receipts that the chain keeps."""

from collections.abc import Callable
from typing import Any

from ghostfleet.devnet.evm import EmbeddedChain
from ghostfleet.devnet.hexadecimal import octets, parse_octets
from ghostfleet.devnet.rpc_errors import invalid_params, refused
from ghostfleet.devnet.wire import JsonObject, MinedBlock

MAX_LOGS = 20_000
"""More than this in one answer is refused, as public endpoints do."""
MAX_ALTERNATIVES = 1_000


def logs_matching(chain: EmbeddedChain, query: Any, number_of: Callable[[object], int | None]) -> list[JsonObject]:
    """By blockHash, or fromBlock and toBlock (latest where left out), addresses and topics."""
    if not isinstance(query, dict):
        raise invalid_params("invalid argument 0: expected a filter object")
    addresses = _alternatives(query.get("address"), "address", 20)
    topics = query.get("topics") or []
    if not isinstance(topics, list) or len(topics) > 4:
        raise invalid_params("invalid topics: expected a list of at most four")
    wanted = [_alternatives(topic, "topic", 32) for topic in topics]
    found: list[JsonObject] = []
    for block in _range(chain, query, number_of):
        for receipt in block.receipts:
            found.extend(log for log in receipt["logs"] if _matches(log, addresses, wanted))
        if len(found) > MAX_LOGS:
            raise refused(f"query returned more than {MAX_LOGS} results")
    return found


def _range(chain: EmbeddedChain, query: JsonObject, number_of: Callable[[object], int | None]) -> list[MinedBlock]:
    if query.get("blockHash") is not None:
        if query.get("fromBlock") is not None or query.get("toBlock") is not None:
            raise invalid_params("cannot specify both BlockHash and FromBlock/ToBlock, choose one or the other")
        block = chain.block_by_hash(parse_octets(query["blockHash"], "block hash", 32))
        if block is None:
            raise refused("unknown block")
        return [block]
    first, last = number_of(query.get("fromBlock")), number_of(query.get("toBlock"))
    if first is None:
        return []
    last = chain.head.number if last is None else last
    if first > last:
        raise invalid_params("invalid block range params")
    return chain.blocks[first : last + 1]


def _alternatives(value: Any, what: str, length: int) -> frozenset[str] | None:
    if value is None:
        return None
    values = value if isinstance(value, list) else [value]
    if len(values) > MAX_ALTERNATIVES:
        raise invalid_params(f"invalid {what}: more than {MAX_ALTERNATIVES} alternatives")
    # An empty list means any, as in geth.
    return frozenset(octets(parse_octets(one, what, length)) for one in values) or None


def _matches(log: JsonObject, addresses: frozenset[str] | None, topics: list[frozenset[str] | None]) -> bool:
    if addresses is not None and log["address"] not in addresses:
        return False
    has = log["topics"]
    return len(topics) <= len(has) and all(
        wanted is None or topic in wanted for wanted, topic in zip(topics, has, strict=False)
    )
