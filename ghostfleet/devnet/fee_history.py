"""What did gas cost lately? eth_feeHistory: N blocks, N + 1 base fees, and the tips at percentiles of the gas used."""

from typing import Any

from ghostfleet.devnet.evm import EmbeddedChain
from ghostfleet.devnet.hexadecimal import quantity
from ghostfleet.devnet.rpc_errors import invalid_params
from ghostfleet.devnet.wire import JsonObject, MinedBlock, effective_price_wei

MAX_BLOCKS = 1_024
MAX_PERCENTILES = 100


def fee_history(chain: EmbeddedChain, count: int, newest: int, percentiles: Any) -> JsonObject:
    """Up to `count` blocks that end with number `newest`."""
    wanted = _checked(percentiles)
    blocks = chain.blocks[max(0, newest + 1 - min(count, MAX_BLOCKS)) : newest + 1] if count else []
    following = chain.next_base_fee_wei() if newest == chain.head.number else chain.blocks[newest + 1].base_fee_wei
    answer: JsonObject = {
        "oldestBlock": quantity(blocks[0].number if blocks else 0),
        "baseFeePerGas": [quantity(block.base_fee_wei) for block in blocks],
        "gasUsedRatio": [block.header.gas_used / block.header.gas_limit for block in blocks],
    }
    if blocks:
        answer["baseFeePerGas"].append(quantity(following))
    if wanted:
        answer["reward"] = [[quantity(tip) for tip in _tips(block, wanted)] for block in blocks]
    return answer


def _checked(percentiles: Any) -> list[float]:
    if percentiles is None:
        return []
    if not isinstance(percentiles, list) or len(percentiles) > MAX_PERCENTILES:
        raise invalid_params("invalid reward percentiles: expected a list")
    for earlier, later in zip([0, *percentiles], percentiles, strict=False):
        if isinstance(later, bool) or not isinstance(later, int | float) or not earlier <= later <= 100:
            raise invalid_params("invalid reward percentile: they go from 0 to 100 in rising order")
    return percentiles


def _tips(block: MinedBlock, percentiles: list[float]) -> list[int]:
    base_fee = block.base_fee_wei
    paid = sorted(
        (effective_price_wei(transaction, base_fee) - base_fee, int(receipt["gasUsed"], 16))
        for transaction, receipt in zip(block.transactions, block.receipts, strict=True)
    )
    tips = []
    for percentile in percentiles:
        threshold, used, tip = block.header.gas_used * percentile / 100, 0, 0
        for tip, gas in paid:  # noqa: B007 - the last one looked at is the answer
            used += gas
            if used >= threshold:
                break
        tips.append(tip)
    return tips
