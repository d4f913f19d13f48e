"""A node that says anything: an endpoint's fault, never a crash, never a wrong fact in the log."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

import pytest
from aiohttp import web

from ghostfleet.devnet.client import connected
from ghostfleet.devnet.process import Devnet
from ghostfleet.domain import events as ev
from tests.acceptance.agreement import assert_agreement
from tests.acceptance.service_process import Fleet, ServiceProcess, prepared_fleet, until
from tests.hostile.hostile_node import HostileNode, hostile_node
from tests.hostile.strange_answers import ERRORS, STRANGE, strange_body, strange_entry, written

pytestmark = [pytest.mark.anvil, pytest.mark.parametrize("anvil", [0.3], indirect=True)]
STRANGE_SHARE = 0.5
"""Of requests that are answered strangely; of these most in one place, the others as a whole."""
WHOLE_SHARE = 0.15
SEEDS = (2,)
FUZZ_SECS = 10.0
MOST_BYTES = 400 * 2**20
"""Resident; the largest answers are 5 MB, and several are under way at once."""


class Fuzzing:
    """The mood of a node that answers what it likes."""

    def __init__(self, node: HostileNode, seed: int) -> None:
        self._node = node
        self._random = Random(seed)
        self.strange = 0

    async def __call__(self, request: web.Request, body: bytes) -> web.Response:
        truth = await self._node.truth(body)
        random = self._random
        if random.random() >= STRANGE_SHARE:
            return web.Response(body=truth, content_type="application/json")
        self.strange += 1
        document = json.loads(truth)
        entries = document if isinstance(document, list) else [document]
        if random.random() < WHOLE_SHARE:
            return web.Response(
                status=random.choice((200, 200, 500)), body=strange_body(entries, random), content_type="text/html"
            )
        at = random.randrange(len(entries))
        entries[at] = strange_entry(entries[at], random)
        return web.Response(body=written(entries if isinstance(document, list) else entries[0]))


@pytest.fixture
async def node(anvil: Devnet) -> AsyncIterator[HostileNode]:
    async with hostile_node(anvil.url) as node:
        yield node


@pytest.fixture
async def fleet(anvil: Devnet, node: HostileNode, tmp_path: Path) -> AsyncIterator[Fleet]:
    async with connected(anvil.url) as chain:
        yield await prepared_fleet(
            chain,
            tmp_path / "fleet",
            wallets=3,
            chain__rpc_url=f"http://127.0.0.1:{node.port}",
            chain__block_time_secs=0.3,
            chain__request_timeout_secs=3,
            chain__finality_blocks=6,
            fees__stuck_after_secs=3,
        )


def resident_bytes(service: ServiceProcess) -> int:
    status = Path(f"/proc/{service.pid}/status").read_text()
    return 1024 * int(status.partition("VmHWM:")[2].split()[0])


@pytest.mark.long
@pytest.mark.parametrize("seed", SEEDS)
async def test_whatever_a_node_says_it_is_the_endpoints_fault_and_no_fact(fleet: Fleet, node: HostileNode, seed: int):
    async with fleet.service("--log-level", "debug") as service:
        await service.ready()
        await fleet.acted(1)
        node.mood = mood = Fuzzing(node, seed)
        await asyncio.sleep(FUZZ_SECS)
        assert service.process.returncode is None, f"ended with {service.process.returncode}:\n{service.output[-3000:]}"
        assert mood.strange > 20
        assert (await service.get("/health"))["status"] == "healthy"
        assert resident_bytes(service) < MOST_BYTES
        node.mood = None
        await until(lambda: well(service), "ready again")
        await fleet.acted(1)
        await service.settled()
        assert "Traceback" not in service.output, service.output[-3000:]
        assert await service.terminate() == 0
    await assert_agreement(fleet)
    wrong = await fleet.recorded(ev.NonceResynced, ev.OutsideTransactionSeen, ev.TransactionSuperseded)
    assert [each.event for each in wrong] == []
    errors = [each.event for each in await fleet.recorded(ev.ErrorRecorded)]
    assert [it for it in errors if it.error_class == "defect" or it.counts] == []  # type: ignore[attr-defined]


async def well(service: ServiceProcess) -> bool:
    assert service.process.returncode is None, service.output[-3000:]
    try:
        return bool(await service.get("/health/ready"))
    except AssertionError:
        return False


async def test_the_strange_answers_are_as_strange_as_they_say(anvil: Devnet):
    """Each can be written; most are no JSON of a right shape."""
    random, entry = Random(3), {"jsonrpc": "2.0", "id": 7, "result": {"number": "0x1", "hash": "0x2"}}
    for value in (*STRANGE, *ERRORS):
        assert written({"it": value}).startswith(b'{"it": ')
    assert b"NaN" in written(STRANGE)
    assert len({written(strange_entry(entry, random)) for _ in range(500)}) > 100
    assert len({strange_body([entry], random)[:200] for _ in range(200)}) > 10
