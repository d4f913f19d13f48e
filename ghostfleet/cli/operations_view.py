"""How does a command look at operations without touching anything? It asks the running service; or, where none answers, it reads
the log and the chain: no lock, no event, no key."""

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

import msgspec
import typer

from ghostfleet.cli.client import NoInterface, ServiceUnreachable, Way
from ghostfleet.cli.operations_door import ServiceDoor
from ghostfleet.cli.options import options_of
from ghostfleet.cli.output import print_notice
from ghostfleet.cli.reading import opened
from ghostfleet.config.loaded import Loaded
from ghostfleet.errors import TryAgain

if TYPE_CHECKING:
    from ghostfleet.domain.state import State
    from ghostfleet.operations.wishes import Wish

LOOK_SECS = 5.0
"""A service that does not answer a question within this time is not waited for: the log says it as well."""
CHAIN_SECS = 120.0
"""What a plan may take to read of the chain."""


class OperationsView(Protocol):
    """What can be asked without a change. Bodies and answers are those of the HTTP interface (docs/http.md)."""

    def plan(self, body: Mapping[str, Any]) -> dict[str, Any]: ...
    def open(self) -> list[dict[str, Any]]: ...
    def one(self, operation: str) -> dict[str, Any]: ...


class LogView:
    """The log, read beside whoever writes it, and the chain."""

    def __init__(self, loaded: Loaded) -> None:
        self._loaded = loaded

    def plan(self, body: Mapping[str, Any]) -> dict[str, Any]:
        return asyncio.run(self._plan(body))

    def open(self) -> list[dict[str, Any]]:
        from ghostfleet.operations.standing import progress

        state = asyncio.run(self._state())
        return [progress(it, {}) for it in state.fleet.operations]

    def one(self, operation: str) -> dict[str, Any]:
        return asyncio.run(self._one(operation))

    async def _one(self, operation: str) -> dict[str, Any]:
        from ghostfleet.engine.recovery import recover
        from ghostfleet.operations.standing import one

        async with opened(self._loaded) as log:
            return await one(log, (await recover(log)).fleet, operation, {})

    async def _state(self) -> "State":
        from ghostfleet.engine.recovery import recover

        async with opened(self._loaded) as log:
            return await recover(log)

    async def _plan(self, body: Mapping[str, Any]) -> dict[str, Any]:
        from ghostfleet.engine.tuning import fee_rules_of
        from ghostfleet.operations.holdings import look
        from ghostfleet.operations.onlooker import looking, onlooker
        from ghostfleet.operations.runner import planned
        from ghostfleet.plugins.loading import load_plugins

        loaded = self._loaded
        tables = {it.name: it.table for it in loaded.plugins}
        plugins = load_plugins(tables, list(tables), loaded.chain.chain_id)
        state = await self._would_be()
        wish = _wish(state, plugins, body)
        try:
            async with asyncio.timeout(CHAIN_SECS), looking(loaded.chain) as chain:
                eyes = onlooker(chain, plugins, fee_rules_of(loaded))

                async def plan_of(name: str) -> dict[str, Any]:
                    return (await look(eyes, state.wallets[name])).document()

                plans = await planned(wish.wallets, plan_of)
        except TimeoutError:
            raise TryAgain(f"no answer of the chain within {CHAIN_SECS:.0f} s") from None
        return {"kind": wish.kind, "wallets": list(wish.wallets), "plans": plans}

    async def _would_be(self) -> "State":
        """The state in which it would be asked for: paused, with the wallets of the settings."""
        from ghostfleet.domain.fleet import Pause
        from ghostfleet.domain.operators import LOCAL_ACTOR
        from ghostfleet.domain.state import State
        from ghostfleet.domain.wallet import Wallet
        from ghostfleet.engine.tuning import configured_wallets
        from ghostfleet.store.errors import LogMissing

        try:
            state = await self._state()
        except LogMissing:
            state = State()
        for it in configured_wallets(self._loaded):
            new = Wallet(id=it.id, address=it.address, profile=it.profile, plugin=it.plugin)
            state.wallets.setdefault(it.id, new)
        paused = state.fleet.paused or Pause(actor=LOCAL_ACTOR, reason="", since_us=0)
        state.fleet = msgspec.structs.replace(state.fleet, paused=paused)
        return state


def _wish(state: "State", plugins: Mapping[str, Any], body: Mapping[str, Any]) -> "Wish":
    """Only an extraction is planned by what the chain has."""
    from ghostfleet.operations.wishes import Extraction, extraction

    return extraction(state, plugins, msgspec.convert(body["extract"], Extraction))


def looker(context: typer.Context, way: Way) -> OperationsView:
    """The running service where one answers; else the log, unless a --url was given."""
    service = ServiceDoor(context, way)
    try:
        service.status(answer_secs=LOOK_SECS)
    except (ServiceUnreachable, NoInterface) as nobody:
        if way.url is not None:
            raise
        print_notice(f"{nobody} Reading the log itself")
        return LogView(options_of(context).load(keys=False))
    return service
