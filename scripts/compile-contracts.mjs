// Compiles contracts/*.sol with npm's solc into ghostfleet/devnet/artifacts/<Name>.json, or into the folder given as argument.
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const solc = createRequire(join(root, "package.json"))("solc");
const DEPLOYED = ["ArcadeCore", "DATA", "Faucet", "GhostCore", "HashCrash"];

const folder = join(root, "contracts");
const sources = Object.fromEntries(
  readdirSync(folder)
    .filter((file) => file.endsWith(".sol"))
    .sort()
    .map((file) => [file, { content: readFileSync(join(folder, file), "utf8") }]),
);
const input = {
  language: "Solidity",
  sources,
  settings: {
    evmVersion: "prague",
    optimizer: { enabled: true, runs: 200 },
    metadata: { appendCBOR: false, bytecodeHash: "none" },
    outputSelection: { "*": { "*": ["abi", "evm.bytecode.object"] } },
  },
};

const output = JSON.parse(
  solc.compile(JSON.stringify(input), {
    import: (path) =>
      sources[path] ? { contents: sources[path].content } : { error: `contracts/${path} does not exist` },
  }),
);
const problems = output.errors ?? [];
for (const problem of problems) console.error(problem.formattedMessage);
if (problems.length > 0) process.exit(1); // warnings are errors

const sorted = (value) => {
  if (Array.isArray(value)) return value.map(sorted);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.keys(value).sort().map((key) => [key, sorted(value[key])]));
};

const target = process.argv[2] ?? join(root, "ghostfleet", "devnet", "artifacts");
mkdirSync(target, { recursive: true });
for (const name of DEPLOYED) {
  const contract = output.contracts[`${name}.sol`][name];
  const artifact = { abi: contract.abi, bytecode: `0x${contract.evm.bytecode.object}`, compiler: solc.version() };
  writeFileSync(join(target, `${name}.json`), `${JSON.stringify(sorted(artifact), null, 1)}\n`);
}
console.log(`${DEPLOYED.length} contracts compiled by solc ${solc.version()} into ${target}`);
