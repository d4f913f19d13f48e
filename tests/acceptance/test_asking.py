"""An operator asks a real service, and its log once it is gone: what is wrong, why, how often, and is it mended?"""

import asyncio
import re
from collections import Counter
from pathlib import Path

import pytest

from ghostfleet.chain.reads import PLAIN
from ghostfleet.devnet.client import DevnetClient
from ghostfleet.domain import events as ev
from tests.acceptance.service_process import Fleet, ServiceProcess

BLOCK_SECS = 1
pytestmark = [pytest.mark.anvil, pytest.mark.parametrize("anvil", [BLOCK_SECS], indirect=True)]

NOBODY = "http://127.0.0.1:1"
"""An endpoint that refuses every connection."""
POOR = "wallet-001"
CAST = Path(__file__).parents[2] / "node_modules/.bin/cast"
THOUSAND_WEI = hex(1000)
"""Enough to transfer 1 wei, and not to pay for it."""
QUICK_TO_TRIP: dict[str, object] = {
    "safety.max_consecutive_errors": 1,
    "safety.cooldown_secs": 600,  # it stays tripped until somebody resets it, however slow the machine is
    "plugins.transfer.keep_wei": "0",
}


async def shell(command: str, log_file: Path) -> list[str]:
    """A line of the runbook, with the service's output where it says `docker logs ghost-fleet`."""
    process = await asyncio.create_subprocess_shell(
        command.replace("docker logs ghost-fleet", f"cat {log_file}"), stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    return out.decode().splitlines()


async def cast_verifies(manifest: dict[str, str]) -> bool:
    """As docs/http.md has it, by a program that is not ours; its wrapper loses the exit code, so by its words."""
    process = await asyncio.create_subprocess_exec(
        *(str(CAST), "wallet", "verify", "--address", manifest["signer"], manifest["text"], manifest["signature"]),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await process.communicate()
    assert b"Validation" in out
    return b"Validation succeeded" in out


async def counted_by_metric(service: ServiceProcess, name: str, label: str) -> Counter[str]:
    counts: Counter[str] = Counter()
    for labels, value in re.findall(rf"^{name}{{(.*)}} (\S+)$", await service.get("/metrics"), re.MULTILINE):
        counts[dict(re.findall(r'(\w+)="([^"]*)"', labels))[label]] += int(float(value))
    return +counts


async def test_errors_are_the_same_in_the_log_lines_the_metric_the_command_and_over_http(
    fleet: Fleet, chain: DevnetClient
):
    """The daily review, IR-002 and IR-003 as the runbook was ordered: its greps find what they look for."""
    fleet.settings |= QUICK_TO_TRIP | {"chain.rpc_url": NOBODY, "chain.rpc_urls": f'["{chain.url}"]'}
    async with fleet.service() as service:
        await service.ready()
        await fleet.acted(1)
        await chain.call("anvil_setBalance", str(fleet.wallets[POOR]), THOUSAND_WEI)
        await fleet.see(ev.BreakerTripped, wallet=POOR)
        await fleet.see(ev.EndpointTripped)
        await service.post("/admin/pause", reason="so that the figures stand still")
        told = (await fleet.command("errors", "--since", "10m", "--json")).lines[0]
        by_class = Counter({line["class"]: line["count"] for line in told["by_class"]})
        assert by_class["insufficient_funds"] >= 1
        assert by_class["endpoint_tripped"] >= 1
        assert by_class == await counted_by_metric(service, "ghost_fleet_errors_total", "class")
        assert {line["wallet"] for line in told["by_wallet"]} == {POOR}
        assert {line["endpoint"] for line in told["by_endpoint"]} >= {NOBODY}
        outcomes = await counted_by_metric(service, "ghost_fleet_rpc_calls_total", "outcome")
        assert set(outcomes) >= {"answered", "fault"}
        accepted = len(await fleet.see(ev.BroadcastAccepted))
        assert (await counted_by_metric(service, "ghost_fleet_rpc_calls_total", "method"))[PLAIN] >= accepted
        assert len(await counted_by_metric(service, "ghost_fleet_rpc_request_seconds_count", "endpoint")) == 2
        over_http = await service.get("/audit/errors")
        assert over_http["groups"] == told["groups"]
        trips = await counted_by_metric(service, "ghost_fleet_circuit_breaker_trips", "wallet")
        assert trips == {POOR: 1}

        lines = await shell("docker logs ghost-fleet | grep -i error", service.log_file)
        assert any(POOR in line and "class=insufficient_funds" in line for line in lines)
        lines = await shell("docker logs ghost-fleet | grep ERROR | sort | uniq -c | sort -rn", service.log_file)
        assert any(NOBODY in line and "class=endpoint_tripped" in line for line in lines)
        lines = await shell('docker logs ghost-fleet | grep "circuit breaker" | tail -20', service.log_file)
        assert any(f" {POOR} circuit breaker tripped after 1 errors" in line for line in lines)
        lines = await shell(
            "docker logs ghost-fleet | grep ERROR | grep -o 'class=[a-z_]*' | sort | uniq -c", service.log_file
        )
        assert by_class == Counter({line.split("class=")[1]: int(line.split()[0]) for line in lines})
        await service.terminate()
    down = (await fleet.command("errors", "--since", "10m", "--json")).lines[0]
    assert down["groups"] == told["groups"]
    for_people = await fleet.command("errors")
    assert for_people.code == 0
    assert "insufficient_funds" in for_people.out


async def test_a_wallet_is_explained_mended_and_acts_again_and_its_transactions_are_told(
    fleet: Fleet, chain: DevnetClient
):
    """IR-003: explain, fund, reset --all; then nothing keeps it."""
    fleet.settings |= QUICK_TO_TRIP
    async with fleet.service() as service:
        await service.ready()
        await chain.call("anvil_setBalance", str(fleet.wallets[POOR]), THOUSAND_WEI)
        await fleet.see(ev.BreakerTripped, wallet=POOR)
        url = ("--url", service.url)
        told = (await fleet.command("explain", POOR, "--json", *url)).lines[0]
        reasons = {reason["code"]: reason for reason in told["reasons"]}
        assert told["acts"] is False
        assert "had 0.000000000000001 ETH when last looked at" in reasons["no_funds"]["sentence"]
        assert "insufficient_funds at" in reasons["breaker"]["sentence"]
        assert (await fleet.command("explain", str(fleet.wallets[POOR]), *url)).out.startswith(f"{POOR} does not act:")
        unknown = await fleet.command("explain", "wallet-01", *url)
        assert (unknown.code, "did you mean wallet-001?" in unknown.err) == (5, True)

        # An older transaction of it, paid for by the refill and mined, would be a success, which closes the breaker too.
        await chain.call("evm_setIntervalMining", 0)
        await chain.call("anvil_setBalance", str(fleet.wallets[POOR]), hex(10**18))
        reset = await fleet.command("reset", "--all", "--reason", "refilled", "--json", *url)
        assert reset.lines[0]["wallets"] == [POOR]
        await chain.call("evm_setIntervalMining", BLOCK_SECS)
        await fleet.acted(1, wallets=[POOR])
        assert (await fleet.command("reset", "--all", "--json", *url)).lines[0]["wallets"] == []

        published = await fleet.command("manifest", *url)
        manifest = published.lines[0]
        assert {it.lower() for it in manifest["addresses"]} == {str(it) for it in fleet.wallets.values()}
        (fleet.directory / "manifest.json").write_text(published.out)
        assert (await fleet.command("manifest", "--verify", str(fleet.directory / "manifest.json"))).code == 0
        assert await cast_verifies(manifest)
        assert not await cast_verifies(manifest | {"text": manifest["text"].replace("chain 31337", "chain 1")})

        mined = (await fleet.see(ev.TransactionMined, wallet=POOR))[-1].event
        story = await fleet.command("explain", str(mined.hash))  # type: ignore[attr-defined]
        assert f"mined in block {mined.block.number}" in story.out  # type: ignore[attr-defined]
        assert "decided to transfer on transfer" in story.out
        await service.terminate()
    down = await fleet.command("explain", POOR)
    assert down.code == 0
    assert "1. The service is not running" in down.out
    strange = await fleet.command("explain", "0x" + "ab" * 32)
    assert (strange.code, "the log knows no transaction" in strange.err) == (2, True)


async def test_the_doctor_sees_a_service_run_stop_and_die_and_the_health_check_agrees(fleet: Fleet):
    """IR-001, step by step: what is wrong is red, with what to do, whether anybody answers or not."""

    async def colours() -> dict[str, str]:
        examined = await fleet.command("doctor", "--json")
        found = {check["name"]: check for check in examined.lines[0]["checks"]}
        red = [check for check in found.values() if check["colour"] == "red"]
        assert (examined.code, examined.lines[0]["ok"]) == ((1, False) if red else (0, True)), examined.out
        assert all(check["remedy"] for check in red)
        return {name: check["colour"] for name, check in found.items()}

    async with fleet.service() as service:
        await service.ready()
        await fleet.acted(1)
        fleet.settings["admin.port"] = int(service.url.rpartition(":")[2])
        up = await colours()
        assert up.pop("backups") in ("green", "yellow")
        assert {name: colour for name, colour in up.items() if colour != "green"} == {}
        assert [(await fleet.command("health", *more)).code for more in ((), ("--ready",))] == [0, 0]
        await service.kill()
    assert (await colours())["service"] == "red", "killed"
    assert (await fleet.command("health")).code == 1
    async with fleet.service() as service:
        await service.ready()
        await service.terminate()
    assert (await colours())["service"] == "yellow", "stopped in good order"

    fleet.config.write_text("[[[\n" + fleet.config.read_text())
    with fleet.database.open("r+b") as database:
        database.seek(4096 * 3)
        database.write(b"\xff" * 4096)
    broken = await colours()
    assert (broken["config"], broken["database"]) == ("red", "red")
    assert broken["permissions"] == broken["disk"] == "green", "one that fails stops no other"
