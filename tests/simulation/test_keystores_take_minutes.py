"""A fleet of many keystores is killed and started again: what is open is followed at once, and nobody signs without a key."""

from ghostfleet.domain import events as ev
from ghostfleet.domain.events import Recorded
from ghostfleet.engine.gaps import FILL_GAP
from tests.incidents.staged_fleet import ADDRESS, WALLET, Stage

SECOND_US = 1_000_000
BEFORE_SECS = 1.0
"""Keys are being opened from the very start, which is told once the chain has answered."""
OTHER = "w2"


def _killed_once_sent(stage: Stage, **slow_keys: float | str) -> None:
    """Killed as soon as the first transaction of the wallet is with a node; the keys take their time at the start after that."""

    def kill(_: ev.BroadcastAccepted) -> None:
        stage.slow_keys = dict(slow_keys)
        stage.kill(down_secs=1.0)

    stage.when(ev.BroadcastAccepted, kill, lambda event: event.action_id.startswith(f"{WALLET}/"))


def _after_the_second_start(stage: Stage, kind: type[ev.Event], wallet: str = WALLET) -> list[float]:
    """When such events of the wallet were recorded, seconds since the second start."""
    starts = [each for each in stage.recorded if isinstance(each.event, ev.ServiceStarted)]
    return [
        (each.time_us - starts[1].time_us) / SECOND_US
        for each in stage.recorded
        if each.position > starts[1].position and isinstance(each.event, kind) and each.wallet == wallet
    ]


def _errors(stage: Stage) -> list[Recorded]:
    return [each for each in stage.recorded if isinstance(each.event, ev.ErrorRecorded)]


def test_what_is_open_is_followed_before_any_key_is_there() -> None:
    stage = Stage(wallets=2)
    _killed_once_sent(stage, **{WALLET: 60.0, OTHER: 1.0})
    assert stage.play().runs >= 2
    assert _after_the_second_start(stage, ev.TransactionMined)[0] < 30
    assert _after_the_second_start(stage, ev.ActionDecided)[0] >= 60 - BEFORE_SECS
    # It had its turn long before, and is woken when its key is there.
    assert 60 - BEFORE_SECS <= _after_the_second_start(stage, ev.ActionDecided, OTHER)[0] < 90
    assert not _errors(stage)


def test_the_key_of_a_wallet_with_an_open_nonce_comes_first() -> None:
    stage = Stage(wallets=2, secs=200)
    stage.chain.inclusion = 0.0
    stage.at(20, lambda: setattr(stage.chain, "inclusion", 1.0))
    _killed_once_sent(stage, **{OTHER: 60.0, WALLET: 60.0})
    stage.play()
    opened = {name: _after_the_second_start(stage, ev.ActionDecided, name)[0] for name in (WALLET, OTHER)}
    assert 60 - BEFORE_SECS <= opened[WALLET] < 120 - BEFORE_SECS <= opened[OTHER]


def test_a_stuck_transaction_waits_for_the_key_and_is_replaced_then() -> None:
    stage = Stage(secs=200)
    stage.chain.inclusion = 0.0
    _killed_once_sent(stage, **{WALLET: 90.0})
    stage.at(150, lambda: setattr(stage.chain, "inclusion", 1.0))
    stage.play()
    assert 90 <= _after_the_second_start(stage, ev.TransactionSigned)[0] < 120
    assert [tx.nonce for tx in stage.mined()] == list(range(len(stage.mined())))
    assert not _errors(stage)  # readiness tells of a key that is on its way; an alert would say that a signer is away


def test_a_wallet_whose_keystore_does_not_open_is_named_and_the_others_act() -> None:
    stage = Stage(wallets=2, secs=200)
    _killed_once_sent(stage, **{WALLET: "the password does not open keystore w1.json", OTHER: 1.0})
    ready: list[str] = []

    def look() -> None:
        assert stage.run is not None
        assert stage.run.running is not None
        ready.extend(check.reason for check in stage.run.running.service.checks() if not check.ok)

    def mend() -> None:
        stage.slow_keys = {}
        stage.kill(down_secs=1.0)

    stage.at(100, look)
    stage.at(120, mend)
    stage.play()
    assert ready == ["the key of 1 wallet cannot be used (ghost-fleet errors says why)"]
    assert [(each.wallet, each.event.error_class) for each in _errors(stage)] == [(WALLET, "no_key")]
    third = [each.time_us for each in stage.recorded if isinstance(each.event, ev.ServiceStarted)][2]
    acted = [each for each in stage.recorded if isinstance(each.event, ev.TransactionSigned) and each.time_us < third]
    assert len([each for each in acted if each.wallet == WALLET]) == 1
    assert len([each for each in acted if each.wallet == OTHER]) > 1
    assert len(stage.mined(ADDRESS)) > 1


def test_a_gap_that_nobody_can_sign_for_is_said_and_filled_when_the_keystore_is_mended() -> None:
    stage = Stage(secs=200)

    def strangers(first: int) -> None:
        for nonce in (first, first + 1):
            stage.from_outside(nonce, max_fee_wei=1, tip_wei=1)
        stage.when(ev.TransactionSigned, lambda _: stage.drop(first, first + 1))
        stage.when(ev.BroadcastAccepted, damaged)

    def damaged(_: ev.BroadcastAccepted) -> None:
        stage.slow_keys = {WALLET: "keystore w1.json is damaged"}
        stage.kill(down_secs=1.0)

    def mend() -> None:
        stage.slow_keys = {}
        stage.kill(down_secs=1.0)

    stage.when(ev.ActionSucceeded, lambda _: strangers(stage.chain.head.nonce(ADDRESS)))
    stage.at(150, mend)
    stage.play()
    said = [each.event for each in _errors(stage)]
    assert {error.error_class for error in said} == {"no_key"}, said
    assert any("is missing, but the key of w1 cannot be used" in error.message for error in said), said
    assert [it for it in stage.events(ev.ActionDecided) if it.kind == FILL_GAP]
    assert [tx.nonce for tx in stage.mined()] == list(range(len(stage.mined())))
