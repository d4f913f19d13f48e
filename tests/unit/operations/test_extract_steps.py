"""Which step of an extraction comes next? What the way out brings is swept however often it has brought something before."""

from types import SimpleNamespace

import msgspec
import pytest

from ghostfleet.domain.operation import MAX_TRIES, Operation, Step
from ghostfleet.domain.values import Address
from ghostfleet.operations.extract import MAX_SWEEPS, ExtractDuty, moves_nothing, next_step
from ghostfleet.operations.holdings import Holdings
from ghostfleet.plugins.api import Token

BASE = "wallet-001/sweep_token DATA"


def after(*steps: tuple[str, str, int]) -> Operation:
    """An extraction with these steps: name, state, tries."""
    known = {
        name: Step(wallet="wallet-001", kind="sweep_token", state=state, action_id=f"wallet-001/{number}", tries=tries)  # type: ignore[arg-type]
        for number, (name, state, tries) in enumerate(steps, start=1)
    }
    wallets = ("wallet-001",)
    return Operation(id="extract-1", kind="extract", wallets=wallets, params={}, actor="test", since_us=1, steps=known)


def done(times: int) -> Operation:
    return after(*((BASE if number == 1 else f"{BASE} #{number}", "done", 1) for number in range(1, times + 1)))


def test_what_is_done_comes_again_under_another_name():
    assert next_step(after(), BASE) == BASE
    assert next_step(done(1), BASE) == f"{BASE} #2"


def test_a_failed_step_is_tried_again_and_then_left_alone():
    assert next_step(after((BASE, "failed", MAX_TRIES - 1)), BASE) == BASE
    assert next_step(after((BASE, "failed", MAX_TRIES)), BASE, most=MAX_SWEEPS) is None


@pytest.mark.parametrize("times", [MAX_TRIES, 2 * MAX_TRIES])
def test_rewards_that_came_in_while_a_lock_was_waited_out_do_not_use_up_the_sweep_of_the_stake(times: int):
    """Each claim brought something that was swept; then the lock opens, and the stake itself is swept too."""
    assert next_step(done(times), BASE) is None
    assert next_step(done(times), BASE, most=MAX_SWEEPS) == f"{BASE} #{times + 1}"


def test_there_is_an_end_all_the_same():
    assert next_step(done(MAX_SWEEPS), BASE, most=MAX_SWEEPS) is None


def test_the_duty_sweeps_what_an_extracted_position_brought_after_three_sweeps_of_rewards():
    token = Token(symbol="DATA", address=Address(b"\x0d" * 20))
    plugin = SimpleNamespace(tokens=lambda: (token,), contracts=dict)
    duty = ExtractDuty("extract-1", Address(b"\x5a" * 20), SimpleNamespace(plugins={"p": plugin}))  # type: ignore[arg-type]
    held = Holdings(native_wei=1, tokens={"DATA": 10**19})
    (errand,) = duty._token_sweeps(done(MAX_TRIES), SimpleNamespace(id="wallet-001"), held)  # type: ignore[arg-type]
    assert (errand.step, errand.action.params["amount"]) == (f"{BASE} #{MAX_TRIES + 1}", 10**19)


@pytest.mark.parametrize(
    ("amount", "received", "held", "given_up"),
    [
        pytest.param(5, 0, 5, True, id="it said false, and has all of it still"),
        pytest.param(5, 0, 7, True, id="and some more has come in"),
        pytest.param(5, 0, 3, False, id="it tells of no transfers, but moved it"),
        pytest.param(5, 4, 5, False, id="it arrived, but for the tax, and as much has come in again"),
    ],
)
def test_a_token_whose_transfers_move_nothing_is_swept_once(amount: int, received: int, held: int, given_up: bool):
    """It was sent fifty times, each at the wallet's cost."""
    (name, step), *_ = done(1).steps.items()
    operation = msgspec.structs.replace(
        done(1), steps={name: msgspec.structs.replace(step, asset="DATA", amount=amount, received=received)}
    )
    assert moves_nothing(operation, "wallet-001", "DATA", held) is given_up
    token = Token(symbol="DATA", address=Address(b"\x0d" * 20))
    plugin = SimpleNamespace(tokens=lambda: (token,), contracts=dict)
    duty = ExtractDuty("extract-1", Address(b"\x5a" * 20), SimpleNamespace(plugins={"p": plugin}))  # type: ignore[arg-type]
    sweeps = duty._token_sweeps(
        operation, SimpleNamespace(id="wallet-001"), Holdings(native_wei=1, tokens={"DATA": held})
    )  # type: ignore[arg-type]
    assert (list(sweeps) == []) is given_up
