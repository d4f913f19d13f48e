"""The balances of a whole fleet: exact, in a few requests, by the command as operators type it."""

import asyncio
import csv
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from ledger_node import LedgerNode, ledger_node
from typer.testing import CliRunner

from ghostfleet.chain.passage import GateClosed
from ghostfleet.cli.main import app
from ghostfleet.config.loading import load
from ghostfleet.domain.values import Hash, Octets
from ghostfleet.operations.onlooker import looking

WALLETS = 1_000
DATA, OTHER = "0x" + "dd" * 20, "0x" + "ee" * 20
MAX_REQUESTS = 22
"""A thousand wallets with two balances each are two thousand calls, a hundred a request; and the head of the chain."""


def address(number: int) -> str:
    return f"0x{number:040x}"


@pytest.fixture
async def node() -> AsyncIterator[LedgerNode]:
    """Wallet n has n wei more than 0.004 of the native coin, and n DATA."""
    async with ledger_node(LedgerNode()) as node:
        node.native = {address(n): 4 * 10**15 + n for n in range(1, WALLETS + 1)}
        node.tokens = {DATA: {address(n): n * 10**18 for n in range(1, WALLETS + 1)}, OTHER: {address(1): 1_500_000}}
        node.decimals, node.symbols = {OTHER: 6}, {OTHER: "USDX"}
        yield node


def settings_file(folder: Path, node: LedgerNode, wallets: int) -> Path:
    """Keystores that do not exist: nobody who only looks needs them."""
    entries = "".join(
        f'[[wallets]]\nid = "wallet-{n:04d}"\naddress = "{address(n)}"\nprofile = "casual"\nkeyfile = "nowhere/{n}.json"\n'
        f"enabled = {'false' if n == 2 else 'true'}\n"
        for n in range(1, wallets + 1)
    )
    path = folder / "config.toml"
    path.write_text(
        f'[chain]\nchain_id = 31337\nrpc_url = "{node.url}"\n[plugins]\nenabled = ["ghostnet"]\n'
        f'[plugins.ghostnet]\nghost_core = "0x{"cc" * 20}"\ndata_token = "{DATA}"\n{entries}'
    )
    return path


async def balances(path: Path, *arguments: str) -> Any:
    return await asyncio.to_thread(CliRunner().invoke, app, ["--config", str(path), "wallets", "balances", *arguments])


async def test_a_thousand_wallets_are_a_handful_of_requests(node: LedgerNode, tmp_path: Path) -> None:
    result = await balances(settings_file(tmp_path, node, WALLETS), "--json")
    assert result.exit_code == 0, result.output
    answer = json.loads(result.stdout)
    assert len(answer["wallets"]) == WALLETS
    assert answer["wallets"][6] == {
        "wallet": "wallet-0007", "address": answer["wallets"][6]["address"], "enabled": True,
        "native": "0.004000000000000007", "tokens": {"DATA": "7"},
    }  # fmt: skip
    assert answer["total"] == {"native": "4.0000000000005005", "tokens": {"DATA": "500500"}}
    assert (node.calls, node.requests <= MAX_REQUESTS) == (2 * WALLETS + 1, True), node.requests


async def test_below_lists_only_those_with_less_of_the_native_coin(node: LedgerNode, tmp_path: Path) -> None:
    path = settings_file(tmp_path, node, 5)
    result = await balances(path, "--below", "0.004000000000000003", "--csv")
    assert result.exit_code == 0
    rows = list(csv.DictReader(result.stdout.splitlines()))
    assert [(row["wallet"], row["enabled"], row["native"], row["DATA"]) for row in rows] == [
        ("wallet-0001", "yes", "0.004000000000000001", "1"),
        ("wallet-0002", "no", "0.004000000000000002", "2"),
    ]
    nobody = await balances(path, "--below", "0.001")
    assert (nobody.exit_code, "0 wallets at block 42" in nobody.stdout) == (0, True)


async def test_a_token_is_named_or_given_by_its_address_and_describes_itself(node: LedgerNode, tmp_path: Path) -> None:
    path = settings_file(tmp_path, node, 1)
    result = await balances(path, "--token", OTHER, "--token", "data", "--json")
    answer = json.loads(result.stdout)
    assert answer["wallets"][0]["tokens"] == {"USDX": "1.5", "DATA": "1"}
    assert [token["decimals"] for token in answer["tokens"]] == [6, 18]
    table = await balances(path)
    assert "1 wallets at block 42: 0.004000000000000001 native, 1 DATA" in table.stdout


async def test_a_symbol_that_is_no_word_does_not_reach_the_terminal(node: LedgerNode, tmp_path: Path) -> None:
    node.symbols[OTHER] = "\x1b[2J,=cmd()"
    result = await balances(settings_file(tmp_path, node, 1), "--token", OTHER, "--csv")
    assert result.stdout.splitlines()[0] == "wallet,address,enabled,native,0xEeeeeEee…"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--token", "GOLD"), "known are DATA"),
        (("--token", "0x" + "ab" * 20), "there is no token at"),
        (("--below", "much"), "is no amount"),
        (("--csv", "--json"), "not both"),
    ],
)
async def test_what_cannot_be_asked_is_said(
    node: LedgerNode, tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    result = await balances(settings_file(tmp_path, node, 1), *arguments)
    assert result.exit_code == 2
    assert words in result.stderr


async def test_a_balance_that_cannot_be_read_is_no_zero(node: LedgerNode, tmp_path: Path) -> None:
    path = settings_file(tmp_path, node, 3)
    del node.tokens[DATA]
    result = await balances(path, "--json")
    assert result.exit_code == 1
    assert "some balances could not be read: DATA:" in result.stderr
    answer = json.loads(result.stdout)
    assert {wallet["tokens"]["DATA"] for wallet in answer["wallets"]} == {None}
    assert answer["wallets"][0]["native"] == "0.004000000000000001"


async def test_nothing_can_be_sent_by_whoever_only_looks(node: LedgerNode, tmp_path: Path) -> None:
    settings = load(settings_file(tmp_path, node, 1), {}, keys=False)
    async with looking(settings.chain) as chain:
        with pytest.raises(GateClosed):
            await chain.broadcast(Octets(b"\x02"), Hash(bytes(32)))
    assert node.requests == 0
