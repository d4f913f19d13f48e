"""A development chain comes up where it is asked for, and is gone afterwards, whatever happened in between."""

import asyncio
import contextlib
import sys
from pathlib import Path

import aiohttp
import pytest

from ghostfleet.devnet.anvil import find_anvil
from ghostfleet.devnet.errors import DevnetFailed, EngineMissing
from ghostfleet.devnet.launch import Engine, running_anvil, running_devnet, running_embedded
from ghostfleet.devnet.process import free_port


async def head(url: str) -> int:
    async with aiohttp.ClientSession() as session:
        request = {"jsonrpc": "2.0", "id": 1, "method": "eth_blockNumber", "params": []}
        async with session.post(url, json=request) as response:
            return int((await response.json(content_type=None))["result"], 16)


@pytest.mark.parametrize("engine", [pytest.param("anvil", marks=pytest.mark.anvil), "embedded"])
async def test_a_chain_is_gone_after_an_error_inside(engine: Engine) -> None:
    with contextlib.suppress(ZeroDivisionError):
        async with running_devnet(engine, block_time_secs=0) as devnet:
            assert devnet.engine == engine
            assert await head(devnet.url) == 0
            raise ZeroDivisionError
    assert devnet.process is not None
    assert devnet.process.returncode is not None
    with pytest.raises(aiohttp.ClientError):
        await head(devnet.url)


@pytest.mark.anvil
async def test_anvil_has_threads_enough_and_the_last_word_is_the_environments(monkeypatch: pytest.MonkeyPatch) -> None:
    """With one a processor, on two, a flood of sends locks it up for good while it mines at once (docs/benchmarks.md)."""

    async def threads() -> str:
        async with running_anvil() as devnet:
            assert devnet.process is not None
            environ = Path(f"/proc/{devnet.process.pid}/environ").read_bytes().decode().split("\0")
            return dict(line.split("=", 1) for line in environ if line)["TOKIO_WORKER_THREADS"]

    monkeypatch.delenv("TOKIO_WORKER_THREADS", raising=False)
    assert await threads() == "8"
    monkeypatch.setenv("TOKIO_WORKER_THREADS", "3")
    assert await threads() == "3"


@pytest.mark.anvil
async def test_a_given_port_is_kept_and_a_taken_one_is_an_error() -> None:
    port = free_port()
    async with running_anvil(port=port) as devnet:
        assert devnet.url == f"http://127.0.0.1:{port}"
        with pytest.raises(DevnetFailed, match=str(port)):
            async with running_embedded(port=port):
                pass


async def test_the_embedded_chain_does_not_outlive_who_started_it(tmp_path: Path) -> None:
    program = (
        "import asyncio, os\n"
        "from ghostfleet.devnet.launch import running_embedded\n"
        "async def main():\n"
        "    async with running_embedded() as devnet:\n"
        "        print(devnet.url, flush=True)\n"
        "        await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE)
    assert parent.stdout is not None
    url = (await parent.stdout.readline()).decode().strip()
    parent.kill()
    await parent.wait()
    async with asyncio.timeout(90):
        while True:
            try:
                await head(url)
            except aiohttp.ClientError:
                break
            await asyncio.sleep(0.05)


async def test_anvil_from_node_modules_is_the_binary_and_not_its_wrapper(tmp_path: Path) -> None:
    binary = tmp_path / "node_modules" / "@foundry-rs" / "anvil-linux-amd64" / "bin" / "anvil"
    wrapper = tmp_path / "node_modules" / ".bin" / "anvil"
    for path in (binary, wrapper):
        path.parent.mkdir(parents=True)
        path.write_text("#!/bin/sh\n")
        path.chmod(0o755)
    assert find_anvil({"PATH": ""}, [tmp_path]) == binary
    assert find_anvil({"PATH": str(wrapper.parent)}, [tmp_path]) == binary
    binary.unlink()
    assert find_anvil({"PATH": ""}, [tmp_path]) == wrapper
    own = tmp_path / "bin" / "anvil"
    own.parent.mkdir()
    own.symlink_to(wrapper)
    own.unlink()
    own.write_text("#!/bin/sh\n")
    own.chmod(0o755)
    assert find_anvil({"PATH": str(own.parent)}, [tmp_path]) == own
    assert find_anvil({"PATH": ""}, [tmp_path / "nowhere"]) is None


async def test_without_anvil_the_message_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ghostfleet.devnet.anvil.find_anvil", lambda: None)
    with pytest.raises(EngineMissing, match="npm install"):
        async with running_anvil():
            pass
