"""What a user of web3.py would write: a task a wallet, local signing, fixed fees, nonces counted, then every receipt.

python -m benchmarks.competitors.web3_tasks URL CHAIN_ID TRANSACTIONS KEYS_FILE -> one JSON object {"transactions", "seconds"}
"""

import asyncio
import json
import sys
import time
from pathlib import Path

from eth_account import Account
from web3 import AsyncHTTPProvider, AsyncWeb3


async def _wallet(web3: AsyncWeb3, chain_id: int, key: str, count: int) -> int:
    account = Account.from_key(key)
    first = await web3.eth.get_transaction_count(account.address)
    sent = []
    for nonce in range(first, first + count):
        signed = account.sign_transaction(
            {
                "to": account.address,
                "value": 1,
                "gas": 21_000,
                "maxFeePerGas": 20_000_000_000,
                "maxPriorityFeePerGas": 1_000_000_000,
                "nonce": nonce,
                "chainId": chain_id,
                "type": 2,
            }
        )
        sent.append(await web3.eth.send_raw_transaction(signed.raw_transaction))
    receipts = [await web3.eth.wait_for_transaction_receipt(tx, timeout=120, poll_latency=0.2) for tx in sent]
    return sum(receipt["status"] for receipt in receipts)


async def main(url: str, chain_id: int, transactions: int, keys: list[str]) -> None:
    web3 = AsyncWeb3(AsyncHTTPProvider(url))
    started = time.monotonic()
    share = -(-transactions // len(keys))
    counts = await asyncio.gather(*(_wallet(web3, chain_id, key, share) for key in keys))
    print(json.dumps({"transactions": sum(counts), "seconds": time.monotonic() - started}))
    await web3.provider.disconnect()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), json.loads(Path(sys.argv[4]).read_text())))
