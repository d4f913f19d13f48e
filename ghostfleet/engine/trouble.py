"""What a lane says of errors: in words that hold no secret, with the events that follow."""

from collections.abc import Mapping
from functools import partial

from ghostfleet.chain.edge import RpcRefused
from ghostfleet.chain.reverts import decode_revert
from ghostfleet.config.foreign_code import words_of
from ghostfleet.domain import decisions
from ghostfleet.domain import events as ev
from ghostfleet.engine.world import World

MAX_MESSAGE = 300
"""Characters of an error message that go into the log."""


def describe(problem: BaseException) -> str:
    """An exception in one bounded line."""
    return words_of(problem)[:MAX_MESSAGE]


def revert_reason(refused: RpcRefused, errors: Mapping[bytes, tuple[str, tuple[str, ...]]]) -> str:
    """Why the contract refused, by the plugin's own custom errors where they fit."""
    data = refused.answer.data
    decoded = decode_revert(data, errors) if data else ""
    return (decoded or refused.answer.message)[:MAX_MESSAGE]


async def park(world: World, name: str, need_wei: int, balance_wei: int) -> None:
    """The wallet cannot pay: recorded once, counted once, and waited out."""
    error = ev.ErrorRecorded(
        error_class="insufficient_funds",
        message=f"balance {balance_wei} wei, needs {need_wei} wei",
        counts=True,
    )
    parked = ev.WalletParked(need_wei=need_wei, balance_wei=balance_wei)
    await world.live.commit(
        partial(decisions.record_error, name=name, error=error, rules=world.rules, others=(parked,))
    )
