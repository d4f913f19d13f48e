"""A real file system without a byte left: nothing is sent, it says why, and goes on by itself once there is room."""

import contextlib
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from ghostfleet.devnet.client import DevnetClient
from ghostfleet.domain import events as ev
from tests.acceptance.agreement import assert_agreement
from tests.acceptance.service_process import Fleet, ServiceProcess, prepared_fleet, until

pytestmark = [pytest.mark.anvil, pytest.mark.parametrize("anvil", [0.5], indirect=True)]
DISK_BYTES = 8 * 2**20
UNREADY_SECS = 120.0
WATCH_SECS = 4.0
"""Several turns of every wallet."""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own in memory. Who may not mount one skips this on a developer's machine and fails in CI."""
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(place)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        why = f"a tmpfs cannot be mounted, which needs root: {mounted.stderr.strip()}"
        if os.environ.get("CI") == "true":
            pytest.fail(f"{why} (a test that needs it never skips in CI)")
        pytest.skip(why)
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


@pytest.fixture
async def fleet(chain: DevnetClient, small_disk: Path) -> Fleet:
    """Everything that the service writes is on the small disk: its log, and the lines that it prints."""
    return await prepared_fleet(
        chain,
        small_disk / "fleet",
        wallets=4,
        fees__stuck_after_secs=3,
        chain__finality_blocks=4,
        chain__block_time_secs=0.5,
        chain__request_timeout_secs=5,
    )


@contextlib.contextmanager
def filled(disk: Path) -> Iterator[None]:
    """Not a byte is left on it within the block."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"\0" * 4096)
    assert os.statvfs(disk).f_bavail == 0
    try:
        yield
    finally:
        ballast.unlink()


async def readiness(service: ServiceProcess) -> tuple[int, dict[str, str]]:
    """The status of /health/ready, and what is wrong by check."""
    async with aiohttp.ClientSession() as session, session.get(service.url + "/health/ready") as answer:
        checks = json.loads(await answer.read())["checks"]
        return answer.status, {it["name"]: it["reason"] for it in checks if not it["ok"]}


async def test_on_a_full_disk_nothing_is_sent_and_with_room_it_goes_on_by_itself(fleet: Fleet, small_disk: Path):
    async def unready() -> dict[str, str]:
        status, wrong = await readiness(service)
        return wrong if status == 503 else {}

    async def sent() -> list[int]:
        """The next nonce of each wallet, what waits in the pool included."""
        return [await fleet.nonce(wallet, "pending") for wallet in fleet.wallets]

    async def more_than(before: list[int]) -> bool:
        return await sent() != before

    async with fleet.service() as service:
        await service.ready()
        await fleet.acted(1)
        with filled(small_disk):
            wrong = await until(unready, "unready on a full disk", UNREADY_SECS)
            assert set(wrong) == {"log"}
            assert "the disk is full" in wrong["log"]
            before, head = await sent(), await fleet.head()
            with pytest.raises(AssertionError, match="not within"):
                await until(lambda: more_than(before), "something left", WATCH_SECS)
            assert await fleet.head() == head, "nothing was decided either"
            assert (await service.get("/health"))["status"] == "healthy"
            assert (await service.get("/admin/status"))["paused"] is False
            assert 'ghost_fleet_ready{check="log"} 0.0' in await service.get("/metrics")
            await assert_commands_say_what_holds(fleet, service)
        await service.ready()
        (paused,) = await fleet.see(ev.FleetPaused)
        assert paused.event.actor == "local"  # type: ignore[attr-defined]
        assert (await service.get("/admin/status"))["pause_unwritten"] is False
        await service.post("/admin/resume")
        (recovered,) = await fleet.see(ev.StoreRecovered)
        assert "the disk is full" in recovered.event.reason  # type: ignore[attr-defined]
        await fleet.acted(1)
        await service.settled()
        assert await service.terminate() == 0
    assert (await fleet.command("audit", "verify")).code == 0
    await assert_agreement(fleet)


async def assert_commands_say_what_holds(fleet: Fleet, service: ServiceProcess) -> None:
    """EP-001 on a full disk: neither is recorded; the pause is in force all the same, and the stop is not."""
    for command in ("pause", "stop"):
        refused = await fleet.command(command, "--url", service.url)
        assert (refused.code, "503" in refused.err) == (5, True), refused
    assert "paused: true (not written yet)" in (await fleet.command("status", "--url", service.url)).out
    told = await service.get("/admin/status")
    assert (told["paused"], told["pause_unwritten"]) == (True, True)
    assert (await service.get("/health"))["status"] == "healthy"


@pytest.mark.long
async def test_killed_and_started_on_a_full_disk_it_waits_for_room(fleet: Fleet, small_disk: Path):
    async with fleet.service() as service:
        await service.ready()
        await fleet.acted(1)
        with filled(small_disk):
            await until(lambda: says_full(service), "unready on a full disk", UNREADY_SECS)
            await service.kill()
            head = await fleet.head()
            another = await fleet.start()
            await until(lambda: says_full(another), "unready from the start", UNREADY_SECS)
    try:
        await another.ready()
        await fleet.acted(1)
        await another.settled()
        assert await another.terminate() == 0
    finally:
        await another.kill()
    assert await fleet.head() > head
    await assert_agreement(fleet)


@pytest.mark.long
async def test_started_on_a_full_disk_after_a_stop_it_says_why_it_cannot(fleet: Fleet, small_disk: Path):
    """A stop has tidied the write-ahead file away, and there is no room for a new one: the log cannot even be opened."""
    async with fleet.service() as service:
        await service.ready()
        await fleet.acted(1)
        await service.settled()
        assert await service.terminate() == 0
    with filled(small_disk):
        finished = await fleet.command()
    assert finished.code != 0
    assert "Traceback" not in finished.err
    assert finished.err.splitlines()[-1].startswith("ghost-fleet: error: the log at ")
    async with fleet.service() as service:
        await service.ready()
        await service.post("/admin/resume")
        await fleet.acted(1)
        await service.settled()
        assert await service.terminate() == 0
    await assert_agreement(fleet)


async def says_full(service: ServiceProcess) -> bool:
    """Whether it is unready because of the disk. It may not listen yet."""
    assert service.process.returncode is None, service.output[-2000:]
    with contextlib.suppress(aiohttp.ClientError):
        status, wrong = await readiness(service)
        return status == 503 and "the disk is full" in wrong.get("log", "")
    return False
