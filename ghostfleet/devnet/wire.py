"""How do a block, a transaction, a receipt look in JSON-RPC?"""

from typing import Any

import msgspec
import rlp
from eth.abc import LogAPI, SignedTransactionAPI
from eth.vm.forks.berlin.transactions import TypedTransaction

from ghostfleet.devnet.hexadecimal import octets, quantity

JsonObject = dict[str, Any]


class MinedBlock(msgspec.Struct, frozen=True, kw_only=True):
    """A block of ours with everything that is asked about it."""

    header: Any
    """py-evm's header, of the fork that the chain runs."""
    hash: bytes
    transactions: tuple[SignedTransactionAPI, ...]
    receipts: tuple[JsonObject, ...]

    @property
    def number(self) -> int:
        return int(self.header.block_number)

    @property
    def base_fee_wei(self) -> int:
        return int(self.header.base_fee_per_gas)


def type_of(transaction: SignedTransactionAPI) -> int:
    """0 legacy, 1 access list, 2 dynamic fee ..."""
    return int(transaction.type_id or 0) if isinstance(transaction, TypedTransaction) else 0


def effective_price_wei(transaction: SignedTransactionAPI, base_fee_wei: int) -> int:
    """What a unit of gas costs at this base fee."""
    return min(int(transaction.max_fee_per_gas), int(transaction.max_priority_fee_per_gas) + base_fee_wei)


def block_as_json(block: MinedBlock, *, full: bool) -> JsonObject:
    """With whole transactions, or only their hashes."""
    answer = header_as_json(block.header)
    answer["hash"] = octets(block.hash)
    answer["size"] = quantity(len(rlp.encode(block.header)) + sum(len(tx.encode()) for tx in block.transactions))
    answer["transactions"] = [
        transaction_as_json(tx, block, index) if full else octets(tx.hash)
        for index, tx in enumerate(block.transactions)
    ]
    return answer


def header_as_json(header: Any) -> JsonObject:
    """The header's own fields; hash, size and transactions are the caller's."""
    return {
        "number": quantity(header.block_number),
        "parentHash": octets(header.parent_hash),
        "nonce": octets(header.nonce),
        "mixHash": octets(header.mix_hash),
        "sha3Uncles": octets(header.uncles_hash),
        "logsBloom": octets(header.bloom.to_bytes(256, "big")),
        "transactionsRoot": octets(header.transaction_root),
        "stateRoot": octets(header.state_root),
        "receiptsRoot": octets(header.receipt_root),
        "miner": octets(header.coinbase),
        "difficulty": quantity(header.difficulty),
        "totalDifficulty": quantity(0),
        "extraData": octets(header.extra_data),
        "gasLimit": quantity(header.gas_limit),
        "gasUsed": quantity(header.gas_used),
        "timestamp": quantity(header.timestamp),
        "baseFeePerGas": quantity(header.base_fee_per_gas),
        "withdrawalsRoot": octets(header.withdrawals_root),
        "blobGasUsed": quantity(header.blob_gas_used),
        "excessBlobGas": quantity(header.excess_blob_gas),
        "parentBeaconBlockRoot": octets(header.parent_beacon_block_root),
        "requestsHash": octets(header.requests_hash),
        "uncles": [],
        "withdrawals": [],
    }


def transaction_as_json(transaction: SignedTransactionAPI, block: MinedBlock | None, index: int = 0) -> JsonObject:
    """`block` None: it waits in the pool."""
    fields: Any = transaction
    kind = type_of(transaction)
    price = fields.max_fee_per_gas
    if block is not None:
        price = effective_price_wei(transaction, block.base_fee_wei)
    answer: JsonObject = {
        "type": quantity(kind),
        "hash": octets(fields.hash),
        "nonce": quantity(fields.nonce),
        "blockHash": octets(block.hash) if block else None,
        "blockNumber": quantity(block.number) if block else None,
        "transactionIndex": quantity(index) if block else None,
        "from": octets(fields.sender),
        "to": octets(fields.to) if fields.to else None,
        "value": quantity(fields.value),
        "gas": quantity(fields.gas),
        "gasPrice": quantity(price),
        "input": octets(fields.data),
        "r": quantity(fields.r),
        "s": quantity(fields.s),
        "v": quantity(fields.y_parity if kind else fields.v),
    }
    if kind:
        answer["yParity"] = answer["v"]
        answer["chainId"] = quantity(fields.chain_id)
        answer["accessList"] = [
            {"address": octets(account), "storageKeys": [octets(slot.to_bytes(32, "big")) for slot in slots]}
            for account, slots in fields.access_list
        ]
    if kind >= 2:
        answer["maxFeePerGas"] = quantity(fields.max_fee_per_gas)
        answer["maxPriorityFeePerGas"] = quantity(fields.max_priority_fee_per_gas)
    return answer


class Applied(msgspec.Struct, frozen=True, kw_only=True):
    """What applying one transaction gave, before its block has a hash."""

    transaction: SignedTransactionAPI
    success: bool
    gas_used: int
    cumulative_gas_used: int
    bloom: int
    logs: tuple[LogAPI, ...]
    contract: bytes | None


def receipts_as_json(header: Any, block_hash: bytes, applied: list[Applied]) -> tuple[JsonObject, ...]:
    """Of a whole block, in order; log indexes count through the block."""
    base_fee, number, timestamp = (
        int(header.base_fee_per_gas),
        quantity(header.block_number),
        quantity(header.timestamp),
    )
    receipts: list[JsonObject] = []
    log_index = 0
    for index, one in enumerate(applied):
        fields: Any = one.transaction
        place = {
            "transactionHash": octets(fields.hash),
            "transactionIndex": quantity(index),
            "blockHash": octets(block_hash),
            "blockNumber": number,
            "blockTimestamp": timestamp,
        }
        logs = []
        for log in one.logs:
            logs.append(
                {
                    "address": octets(log.address),
                    "topics": [octets(topic.to_bytes(32, "big")) for topic in log.topics],
                    "data": octets(log.data),
                    "logIndex": quantity(log_index),
                    "removed": False,
                    **place,
                }
            )
            log_index += 1
        receipts.append(
            {
                "type": quantity(type_of(one.transaction)),
                "status": quantity(int(one.success)),
                "from": octets(fields.sender),
                "to": octets(fields.to) if fields.to else None,
                "contractAddress": octets(one.contract) if one.contract else None,
                "gasUsed": quantity(one.gas_used),
                "cumulativeGasUsed": quantity(one.cumulative_gas_used),
                "effectiveGasPrice": quantity(effective_price_wei(one.transaction, base_fee)),
                "logs": logs,
                "logsBloom": octets(one.bloom.to_bytes(256, "big")),
                **place,
            }
        )
    return tuple(receipts)
