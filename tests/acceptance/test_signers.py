"""A fleet whose keys are in four places: each wallet acts, and whoever holds a key may be away at no cost but time."""

import asyncio
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from ghostfleet.devnet.client import DevnetClient
from ghostfleet.domain import events as ev
from tests.acceptance.agreement import assert_agreement
from tests.acceptance.service_process import Fleet, listening_port, prepared_fleet
from tests.signers.processes import AWS_ENVIRONMENT, kms, web3signer

pytestmark = [pytest.mark.anvil, pytest.mark.parametrize("anvil", [0.5], indirect=True)]
HERE, IN_ENVIRONMENT, REMOTE, AT_AWS = (f"wallet-{number:03d}" for number in range(1, 5))


@pytest.fixture
async def fleet(chain: DevnetClient, tmp_path: Path) -> Fleet:
    """Wallets with their keys in a keystore, in the environment, at a remote signer and at AWS KMS."""
    return await prepared_fleet(
        chain,
        tmp_path / "fleet",
        wallets=4,
        fees__stuck_after_secs=3,
        chain__finality_blocks=4,
        chain__block_time_secs=0.2,
    )


def spread_keys(fleet: Fleet, monkeypatch: pytest.MonkeyPatch, signer_port: int, kms_url: str) -> None:
    """Move three of the keys to where they are to be."""
    for name, value in AWS_ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("KEY_OF_WALLET_2", "0x" + fleet.key(IN_ENVIRONMENT).secret.hex())
    places = {
        IN_ENVIRONMENT: 'key_env = "KEY_OF_WALLET_2"',
        REMOTE: "remote_signer = true",
        AT_AWS: 'kms_key_id = "alias/0"',
    }
    fleet.edit_config(*((f'keyfile = "keystores/{wallet}.json"', line) for wallet, line in places.items()))
    fleet.config.write_text(
        f'{fleet.config.read_text()}\n[keys.remote]\nurl = "http://127.0.0.1:{signer_port}"\ntimeout_secs = 1.0\n'
        f'\n[keys.kms]\nendpoint_url = "{kms_url}"\n'
    )


@pytest.fixture
def core_files() -> Iterator[None]:
    """Whoever starts the service would let it write core files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_CORE, (soft, hard))


def core_file_limit(pid: int) -> str:
    limits = Path(f"/proc/{pid}/limits").read_text().splitlines()
    return next(line for line in limits if line.startswith("Max core file size")).split()[4]


@pytest.mark.long
@pytest.mark.usefixtures("core_files")
async def test_a_remote_signer_that_is_away_costs_nothing_but_time(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Away at the start, there, away, there: one line for each time, no nonce, no error that counts, nobody else held up."""
    port, key = listening_port(), fleet.key(REMOTE).secret
    others = [HERE, IN_ENVIRONMENT, AT_AWS]
    async with kms([fleet.key(AT_AWS).secret]) as aws:
        spread_keys(fleet, monkeypatch, port, aws.url)
        assert "wallet-003: http://127.0.0.1" in (await fleet.command("validate", "--deep")).err
        async with fleet.service() as service:
            await service.ready()
            assert core_file_limit(service.pid) == "0"
            await fleet.acted(2, wallets=others)
            async with web3signer({key: key}, "--port", str(port)):
                assert (await fleet.command("validate", "--deep")).code == 0
                await fleet.acted(2, wallets=[REMOTE])
            await fleet.see(ev.ErrorRecorded, wallet=REMOTE, count=2)
            await fleet.acted(2, wallets=others)
            async with web3signer({key: key}, "--port", str(port)):
                await fleet.acted(1, wallets=[REMOTE])
                await service.settled()
            assert await service.terminate() == 0
    silences = [it.event for it in await fleet.recorded(ev.ErrorRecorded, wallet=REMOTE)]
    assert [(it.error_class, it.counts) for it in silences] == [("signer_unavailable", False)] * 2
    assert not await fleet.recorded(ev.BreakerTripped, ev.ActionFailed, ev.WalletParked)
    await assert_agreement(fleet)
    first = {each.action_id.partition("/")[0]: each.nonce for each in reversed(await fleet.attempts())}
    assert first == dict.fromkeys([*others, REMOTE], 0)


async def test_a_signer_with_another_key_gets_nothing_recorded_and_trips_the_breaker(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    port, key, strangers = listening_port(), fleet.key(REMOTE).secret, fleet.key(HERE).secret
    async with kms([fleet.key(AT_AWS).secret]) as aws, web3signer({key: strangers}, "--port", str(port)):
        spread_keys(fleet, monkeypatch, port, aws.url)
        async with fleet.service(settings={"safety.max_consecutive_errors": 3}) as service:
            await service.ready()
            await fleet.see(ev.BreakerTripped, wallet=REMOTE)
            await asyncio.sleep(0.5)
            assert await service.terminate() == 0
    rejected = [it.event for it in await fleet.recorded(ev.ActionRejected, wallet=REMOTE)]
    assert [(it.error_class, it.counts) for it in rejected] == [("wrong_signature", True)] * 3
    assert str(fleet.wallets[REMOTE]).lower() in rejected[0].reason.lower()
    assert not await fleet.recorded(ev.TransactionSigned, wallet=REMOTE)
    assert await fleet.nonce(REMOTE, "pending") == 0
