"""A handful of the steps at which what moves money is killed; `make crashtest-money` goes through all of them."""

from pathlib import Path

import pytest

from ghostfleet.devnet.client import DevnetClient
from tests.crashtest.money import BLOCK_SECS, Round, play
from tests.findings import nothing

ROUNDS = (
    Round(command="fund", way="alone", aim="after:append:TransactionSigned:1"),
    Round(command="extract-all", way="alone", aim="after:request:eth_sendRawTransaction:1"),
    Round(command="fund", way="service", aim="before:append:TransactionMined:1"),
    Round(command="extract-all", way="service", aim="during:append:OperationWalletDone:1"),
    Round(command="cancel-open", way="service", aim="after:append:TransactionSigned:1"),
)
pytestmark = [
    pytest.mark.anvil,
    pytest.mark.timeout(900),
    pytest.mark.parametrize("anvil", [BLOCK_SECS], indirect=True),
]


async def test_killed_and_asked_again_nothing_is_paid_twice_and_nothing_is_left(chain: DevnetClient, tmp_path: Path):
    """Counted on chain, block by block; and log and chain say the same of every transaction."""
    summary = await play(ROUNDS, chain, tmp_path)
    nothing(summary.wrong)
    assert summary.killed == len(ROUNDS), summary.beyond
