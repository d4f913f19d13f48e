"""How does the embedded node sign for a development account? eth_sendTransaction, as anvil has it."""

from typing import Any

from eth_account import Account

from ghostfleet.devnet.accounts import dev_accounts
from ghostfleet.devnet.evm import EmbeddedChain
from ghostfleet.devnet.execution import CallRequest
from ghostfleet.devnet.hexadecimal import parse_quantity
from ghostfleet.devnet.rpc_errors import refused

TIP_WEI = 10**9


def signed_by_dev_account(
    chain: EmbeddedChain, request: CallRequest, fields: dict[str, Any], *, nonce: int, gas: int
) -> bytes:
    """The raw transaction. Raises RpcError when the sender is none of ours."""
    for account in dev_accounts():
        if account.address == request.sender:
            break
    else:
        raise refused("unknown account")
    tip = parse_quantity(fields.get("maxPriorityFeePerGas", hex(TIP_WEI)), "maxPriorityFeePerGas")
    cap = fields.get("maxFeePerGas", fields.get("gasPrice"))
    most = parse_quantity(cap, "maxFeePerGas") if cap is not None else 2 * chain.next_base_fee_wei() + tip
    transaction = {
        "type": 2,
        "chainId": chain.chain_id,
        "nonce": nonce,
        "gas": gas,
        "maxFeePerGas": most,
        "maxPriorityFeePerGas": min(tip, most),
        "value": request.value,
        "data": request.data,
    }
    if request.to:
        transaction["to"] = bytes(request.to)
    return bytes(Account.sign_transaction(transaction, bytes(account.private_key)).raw_transaction)
