// What a user of viem would write: a nonce manager, batched HTTP transport, fixed fees, all transfers at once, then every
// receipt. node viem.mjs URL CHAIN_ID TRANSACTIONS KEYS_FILE -> one JSON object {"transactions", "seconds"}
import { readFileSync } from "node:fs";
import { createPublicClient, createWalletClient, defineChain, http, nonceManager } from "viem";
import { privateKeyToAccount } from "viem/accounts";

const [url, chainId, transactions, keysFile] = process.argv.slice(2);
const keys = JSON.parse(readFileSync(keysFile, "utf8"));
const chain = defineChain({
  id: Number(chainId), name: "dev", nativeCurrency: { name: "Ether", symbol: "ETH", decimals: 18 },
  rpcUrls: { default: { http: [url] } },
});
const transport = http(url, { batch: { batchSize: 100, wait: 1 }, timeout: 60_000 });
const reader = createPublicClient({ chain, transport, pollingInterval: 200 });
const fixed = { gas: 21000n, maxFeePerGas: 20_000_000_000n, maxPriorityFeePerGas: 1_000_000_000n };
const wallets = keys.map((key) =>
  createWalletClient({ account: privateKeyToAccount(key, { nonceManager }), chain, transport }));

async function transfer(wallet) {
  const hash = await wallet.sendTransaction({ to: wallet.account.address, value: 1n, ...fixed });
  const receipt = await reader.waitForTransactionReceipt({ hash, timeout: 120_000 });
  return receipt.status === "success" ? 1 : 0;
}

const started = Date.now();
const done = await Promise.all(Array.from({ length: Number(transactions) }, (_, n) => transfer(wallets[n % wallets.length])));
const seconds = (Date.now() - started) / 1000;
console.log(JSON.stringify({ transactions: done.reduce((a, b) => a + b, 0), seconds }));
