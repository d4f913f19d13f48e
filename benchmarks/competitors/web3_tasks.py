"""What a user of web3.py would write: one asyncio task a wallet, local signing, fixed fees, receipts awaited.

python -m benchmarks.competitors.web3_tasks URL CHAIN_ID SECONDS KEYS_FILE -> one JSON object {"transactions", "seconds"}
"""

import asyncio
import json
import sys
import time
from pathlib import Path

from eth_account import Account
from web3 import AsyncHTTPProvider, AsyncWeb3


async def _wallet(web3: AsyncWeb3, chain_id: int, key: str, until: float) -> int:
    account = Account.from_key(key)
    nonce = await web3.eth.get_transaction_count(account.address)
    done = 0
    while time.monotonic() < until:
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
        tx = await web3.eth.send_raw_transaction(signed.raw_transaction)
        await web3.eth.wait_for_transaction_receipt(tx, timeout=60, poll_latency=0.2)
        nonce += 1
        done += 1
    return done


async def main(url: str, chain_id: int, seconds: float, keys: list[str]) -> None:
    web3 = AsyncWeb3(AsyncHTTPProvider(url))
    started = time.monotonic()
    counts = await asyncio.gather(*(_wallet(web3, chain_id, key, started + seconds) for key in keys))
    print(json.dumps({"transactions": sum(counts), "seconds": time.monotonic() - started}))
    await web3.provider.disconnect()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), json.loads(Path(sys.argv[4]).read_text())))
