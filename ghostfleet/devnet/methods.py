"""What can the embedded node be asked? Each JSON-RPC method: its parameters, and what the chain says."""

from collections.abc import Awaitable, Callable
from typing import Any

from eth.abc import StateAPI

from ghostfleet import __version__
from ghostfleet.devnet.accounts import dev_accounts
from ghostfleet.devnet.evm import EmbeddedChain
from ghostfleet.devnet.execution import CallRequest
from ghostfleet.devnet.fee_history import fee_history
from ghostfleet.devnet.hexadecimal import octets, parse_octets, parse_quantity, quantity
from ghostfleet.devnet.jsonrpc import Method
from ghostfleet.devnet.logs import logs_matching
from ghostfleet.devnet.rpc_errors import invalid_params, refused
from ghostfleet.devnet.signing import signed_by_dev_account
from ghostfleet.devnet.wire import JsonObject, MinedBlock, block_as_json, header_as_json, transaction_as_json

GWEI = 10**9
TAGS_OF_HEAD = ("latest", "safe", "finalized")
SubmitAndWait = Callable[[bytes, float | None], Awaitable[JsonObject]]


class Methods:
    """The method table over one chain. `submit` takes a raw transaction in and, without interval mining, mines it."""

    def __init__(
        self,
        chain: EmbeddedChain,
        submit: Callable[[bytes], bytes],
        submit_and_wait: SubmitAndWait,
        mine: Callable[[], MinedBlock],
    ) -> None:
        self._chain = chain
        self._submit = submit
        self._submit_and_wait = submit_and_wait
        self._mine = mine

    def table(self) -> dict[str, Method]:
        """Method name to function of the positional parameters."""
        chain = self._chain
        return {
            "web3_clientVersion": lambda _: f"ghost-fleet-devnet/{__version__}/py-evm",
            "net_version": lambda _: str(chain.chain_id),
            "net_listening": lambda _: True,
            "eth_chainId": lambda _: quantity(chain.chain_id),
            "eth_syncing": lambda _: False,
            "eth_accounts": lambda _: [octets(account.address) for account in dev_accounts()],
            "eth_blockNumber": lambda _: quantity(chain.head.number),
            "eth_gasPrice": lambda _: quantity(chain.next_base_fee_wei() + GWEI),
            "eth_maxPriorityFeePerGas": lambda _: quantity(GWEI),
            "eth_feeHistory": self._fee_history,
            "eth_getBlockByNumber": self._block_by_number,
            "eth_getBlockByHash": self._block_by_hash,
            "eth_getBlockReceipts": self._block_receipts,
            "eth_getBlockTransactionCountByNumber": self._transaction_count_of_block,
            "eth_getBalance": lambda params: quantity(self._state(params, 1).get_balance(_account(params))),
            "eth_getCode": lambda params: octets(self._state(params, 1).get_code(_account(params))),
            "eth_getStorageAt": self._storage_at,
            "eth_getTransactionCount": self._nonce,
            "eth_call": lambda params: octets(chain.call(_call_request(params), self._block_number(params, 1))),
            "eth_estimateGas": lambda params: quantity(
                chain.estimate_gas(_call_request(params), self._state(params, 1))
            ),
            "eth_sendRawTransaction": lambda params: octets(self._submit(parse_octets(_at(params, 0), "transaction"))),
            "eth_sendRawTransactionSync": self._send_sync,
            "eth_sendTransaction": self._send_unsigned,
            "eth_getTransactionByHash": self._transaction,
            "eth_getTransactionReceipt": lambda params: chain.receipt(_hash(params)),
            "eth_getLogs": lambda params: logs_matching(chain, _at(params, 0), self._number_of),
            "evm_mine": self._mine_now,
            "evm_increaseTime": lambda params: quantity(chain.increase_time(_lenient(params))),
            "evm_setNextBlockTimestamp": lambda params: chain.set_next_timestamp(_lenient(params)),
            "anvil_setNextBlockTimestamp": lambda params: chain.set_next_timestamp(_lenient(params)),
        }

    # --- blocks

    def _number_of(self, tag: object) -> int | None:
        """The number a block parameter means; None for a block that is not there yet."""
        if tag is None or tag in TAGS_OF_HEAD or tag == "pending":
            return self._chain.head.number
        if tag == "earliest":
            return 0
        if isinstance(tag, dict):
            block = self._chain.block_by_hash(parse_octets(tag.get("blockHash"), "block hash", 32))
            if block is None:
                raise refused("header for hash not found")
            return block.number
        number = parse_quantity(tag, "block number or tag")
        return number if number <= self._chain.head.number else None

    def _block_number(self, params: list[Any], index: int) -> int | None:
        """The number of a block that is there; None for the pending one."""
        tag = params[index] if len(params) > index else "latest"
        if tag == "pending":
            return None
        number = self._number_of(tag)
        if number is None:
            raise refused("header not found")
        return number

    def _state(self, params: list[Any], index: int) -> StateAPI:
        number = self._block_number(params, index)
        return self._chain.pending_state() if number is None else self._chain.state_at(number)

    def _block_by_number(self, params: list[Any]) -> JsonObject | None:
        tag, full = _at(params, 0), _full(params)
        if tag == "pending":
            header = self._chain.pending_header()
            return {**header_as_json(header), "hash": None, "nonce": None, "size": quantity(0), "transactions": []}
        number = self._number_of(tag)
        return None if number is None else block_as_json(self._chain.blocks[number], full=full)

    def _block_by_hash(self, params: list[Any]) -> JsonObject | None:
        block = self._chain.block_by_hash(_hash(params))
        return None if block is None else block_as_json(block, full=_full(params))

    def _block_receipts(self, params: list[Any]) -> list[JsonObject] | None:
        tag = _at(params, 0)
        if isinstance(tag, str) and len(tag) == 66:
            block = self._chain.block_by_hash(parse_octets(tag, "block hash", 32))
            return None if block is None else list(block.receipts)
        number = self._number_of(tag)
        return None if number is None else list(self._chain.blocks[number].receipts)

    def _transaction_count_of_block(self, params: list[Any]) -> str | None:
        number = self._number_of(_at(params, 0))
        return None if number is None else quantity(len(self._chain.blocks[number].transactions))

    def _fee_history(self, params: list[Any]) -> JsonObject:
        newest = self._number_of(_at(params, 1))
        if newest is None:
            raise refused("request beyond head block")
        percentiles = params[2] if len(params) > 2 else None
        return fee_history(self._chain, _lenient(params), newest, percentiles)

    # --- accounts

    def _nonce(self, params: list[Any]) -> str:
        if len(params) > 1 and params[1] == "pending":
            return quantity(self._chain.pending_nonce(_account(params)))
        return quantity(self._state(params, 1).get_nonce(_account(params)))

    def _storage_at(self, params: list[Any]) -> str:
        slot = int.from_bytes(_padded(_at(params, 1)), "big")
        return octets(self._state(params, 2).get_storage(_account(params), slot).to_bytes(32, "big"))

    # --- transactions

    def _transaction(self, params: list[Any]) -> JsonObject | None:
        wanted = _hash(params)
        place = self._chain.place_of(wanted)
        if place is not None:
            return transaction_as_json(place[0].transactions[place[1]], *place)
        pooled = self._chain.pool.get(wanted)
        return None if pooled is None else transaction_as_json(pooled.transaction, None)

    def _send_sync(self, params: list[Any]) -> Awaitable[JsonObject]:
        timeout = params[1] if len(params) > 1 else None
        secs = None if timeout is None else _lenient(params, 1) / 1000
        return self._submit_and_wait(parse_octets(_at(params, 0), "transaction"), secs)

    def _send_unsigned(self, params: list[Any]) -> str:
        fields = _at(params, 0)
        if not isinstance(fields, dict):
            raise invalid_params("invalid transaction: expected an object")
        request = _call_request(params)
        nonce = (
            parse_quantity(fields["nonce"], "nonce") if "nonce" in fields else self._chain.pending_nonce(request.sender)
        )
        gas = request.gas or self._chain.estimate_gas(request, self._state([], 0))
        return octets(self._submit(signed_by_dev_account(self._chain, request, fields, nonce=nonce, gas=gas)))

    def _mine_now(self, params: list[Any]) -> str:
        if params:
            self._chain.set_next_timestamp(_lenient(params))
        self._mine()
        return "0x0"


def _at(params: list[Any], index: int) -> Any:
    if len(params) <= index:
        raise invalid_params(f"missing value for required argument {index}")
    return params[index]


def _account(params: list[Any]) -> Any:
    return parse_octets(_at(params, 0), "address", 20)


def _hash(params: list[Any]) -> bytes:
    return parse_octets(_at(params, 0), "hash", 32)


def _full(params: list[Any]) -> bool:
    full = params[1] if len(params) > 1 else False
    if not isinstance(full, bool):
        raise invalid_params("invalid argument 1: expected true (whole transactions) or false (hashes)")
    return full


def _lenient(params: list[Any], index: int = 0) -> int:
    """A quantity, or a plain number: tools send both to the development methods and to eth_feeHistory."""
    value = _at(params, index)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63:
        return value
    return parse_quantity(value, f"argument {index}")


def _padded(value: Any) -> bytes:
    if not isinstance(value, str) or not value.startswith("0x"):
        raise invalid_params("invalid storage slot: expected 0x-prefixed hex")
    return parse_octets("0x" + value[2:].zfill(64), "storage slot", 32)


def _call_request(params: list[Any]) -> CallRequest:
    fields = _at(params, 0)
    if not isinstance(fields, dict):
        raise invalid_params("invalid argument 0: expected a transaction object")
    data, recipient = fields.get("input", fields.get("data")), fields.get("to")
    return CallRequest(
        sender=parse_octets(fields.get("from") or "0x" + "00" * 20, "from", 20),
        to=b"" if recipient is None else parse_octets(recipient, "to", 20),
        gas=None if fields.get("gas") is None else parse_quantity(fields["gas"], "gas"),
        value=0 if fields.get("value") is None else parse_quantity(fields["value"], "value"),
        data=b"" if data is None else parse_octets(data, "input"),
    )
