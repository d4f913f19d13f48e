"""`ghost-fleet devnet`: a chain of one's own to develop on, until Ctrl-C."""

import asyncio
import signal
from pathlib import Path
from typing import Annotated, Literal

import typer

from ghostfleet.cli.output import print_json, print_line
from ghostfleet.devnet.errors import DevnetFailed
from ghostfleet.errors import BadInput

ENGINES = ("auto", "anvil", "embedded")
DEFAULT_PORT = 8545

app = typer.Typer(help="A development chain: a JSON-RPC endpoint over HTTP, with funded accounts.")


@app.callback(invoke_without_command=True)
def devnet(
    context: typer.Context,
    engine: Annotated[
        str, typer.Option("--engine", help="auto (anvil if it is installed), anvil or embedded.")
    ] = "auto",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0 takes a free one.")] = DEFAULT_PORT,
    block_time: Annotated[
        float, typer.Option("--block-time", min=0.01, max=3600.0, help="Seconds between blocks.")
    ] = 1.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the address as one JSON object.")] = False,
) -> None:
    """Run a development chain until Ctrl-C."""
    if context.invoked_subcommand is not None:
        return
    if engine not in ENGINES:
        raise BadInput(f"--engine {engine}: there is {', '.join(ENGINES)}")
    asyncio.run(_serve(engine, port, block_time, as_json))


@app.command("prepare")
def prepare_fleet(
    rpc_url: Annotated[str, typer.Option("--rpc-url", help="A running development chain.")],
    wallets: Annotated[int, typer.Option("--wallets", min=1, help="How many, of all five profiles in turn.")],
    out: Annotated[Path, typer.Option("--out", help="Directory for keystores and config.toml.")],
    profile_intervals: Annotated[
        float | None, typer.Option("--profile-intervals", help="Seconds between a wallet's actions, around the clock.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Deploy the stand-in contracts, generate and fund wallets, write a config.toml that is ready to run."""
    from ghostfleet.devnet.prepare import prepare

    prepared = asyncio.run(prepare(rpc_url, wallets, out, profile_intervals))
    if as_json:
        print_json({"config": str(prepared.config), "wallets": len(prepared.wallets)})
    else:
        print_line(f"{len(prepared.wallets)} wallets are funded: ghost-fleet --config {prepared.config}")


async def _serve(engine: str, port: int, block_time_secs: float, as_json: bool) -> None:
    from ghostfleet.devnet.launch import Engine, running_devnet  # py-evm and its kind load slowly, and only here

    chosen: Engine = "anvil" if engine == "anvil" else "embedded" if engine == "embedded" else "auto"
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with running_devnet(chosen, port=port, block_time_secs=block_time_secs) as chain:
        if as_json:
            print_json({"url": chain.url, "engine": chain.engine})
        else:
            print_line(f"{chain.engine} answers at {chain.url}; Ctrl-C ends it")
        asked = asyncio.create_task(stop.wait())
        waiting = {asked}
        if chain.process is not None:
            waiting.add(asyncio.create_task(_ended(chain.process)))
        _, left = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for task in left:
            task.cancel()
        if not stop.is_set():
            raise DevnetFailed(f"{chain.engine} at {chain.url} ended by itself")


async def _ended(process: asyncio.subprocess.Process) -> Literal[True]:
    await process.wait()
    return True
