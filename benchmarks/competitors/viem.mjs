// What a user of viem would write: a nonce manager, batched HTTP transport, all transfers at once, receipts read back.
// node viem.mjs URL CHAIN_ID SECONDS KEYS_FILE -> one JSON object {"transactions", "seconds"}
import { readFileSync } from "node:fs";
import { createPublicClient, createWalletClient, defineChain, http, nonceManager } from "viem";
import { privateKeyToAccount } from "viem/accounts";

const [url, chainId, seconds, keysFile] = process.argv.slice(2);
const keys = JSON.parse(readFileSync(keysFile, "utf8"));
const chain = defineChain({
  id: Number(chainId), name: "dev", nativeCurrency: { name: "Ether", symbol: "ETH", decimals: 18 },
  rpcUrls: { default: { http: [url] } },
});
const transport = http(url, { batch: { batchSize: 100, wait: 1 } });
const reader = createPublicClient({ chain, transport, pollingInterval: 200 });
const fixed = { gas: 21000n, maxFeePerGas: 20_000_000_000n, maxPriorityFeePerGas: 1_000_000_000n };
const started = Date.now();
const until = started + Number(seconds) * 1000;
let done = 0;

async function wallet(key) {
  const account = privateKeyToAccount(key, { nonceManager });
  const client = createWalletClient({ account, chain, transport });
  while (Date.now() < until) {
    const hash = await client.sendTransaction({ to: account.address, value: 1n, ...fixed });
    await reader.waitForTransactionReceipt({ hash, pollingInterval: 200 });
    done += 1;
  }
}

await Promise.all(keys.map(wallet));
console.log(JSON.stringify({ transactions: done, seconds: (Date.now() - started) / 1000 }));
