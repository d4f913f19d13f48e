"""A wallet signs nothing in favour of an address that the settings do not name: not when a plugin wants it, and not by and by."""

from contextlib import AbstractContextManager
from typing import Any
from unittest.mock import patch

import pytest

from ghostfleet.domain import events as ev
from ghostfleet.domain.breaker import Tripped
from ghostfleet.domain.values import Address
from ghostfleet.engine import signing
from tests.incidents.staged_fleet import Stage, broken_by
from tests.simulation.chain import CONTRACT, SINK
from tests.simulation.practice import PracticePlugin


def sign_whatever_is_wanted() -> AbstractContextManager[Any]:
    return patch.object(signing, "require_allowed", lambda *_: None)


def _only(monkeypatch: pytest.MonkeyPatch, *addresses: Address) -> None:
    monkeypatch.setattr(PracticePlugin, "addresses", lambda self: addresses)


@broken_by(sign_whatever_is_wanted)
def test_what_nobody_named_is_rejected_and_takes_no_nonce(monkeypatch: pytest.MonkeyPatch) -> None:
    _only(monkeypatch, CONTRACT)
    stage = Stage(secs=200)
    stage.simulate()
    rejected = [it for it in stage.events(ev.ActionRejected) if it.error_class == "not_allowed"]
    signed = stage.events(ev.TransactionSigned)
    assert rejected
    assert all(it.counts for it in rejected)
    assert all(f"{SINK} is not named in the settings" in it.reason for it in rejected)
    assert signed
    assert {it.to for it in signed} == {CONTRACT}
    assert not {it.action_id for it in rejected} & {it.action_id for it in signed}
    assert [it.nonce for it in signed if it.attempt == 1] == sorted({it.nonce for it in signed})


def test_a_wallet_that_keeps_wanting_it_trips_its_breaker(monkeypatch: pytest.MonkeyPatch) -> None:
    _only(monkeypatch)
    stage = Stage(secs=200)
    stage.simulate()
    assert not stage.events(ev.TransactionSigned)
    assert stage.events(ev.BreakerTripped)
    assert isinstance(stage.wallet().breaker, Tripped)


@broken_by(lambda: patch("ghostfleet.engine.replacements.named_in", lambda _: ()))
def test_a_slot_that_is_open_ends_although_its_address_is_named_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its call was signed before: outbidding it gives nobody anything new, and leaving it would leave the wallet stuck."""
    stage = Stage(secs=100)

    def forbidden_from_now_on(_: ev.TransactionSigned) -> None:
        _only(monkeypatch)
        stage.chain.inclusion = 0.0
        stage.kill()
        stage.at(40, lambda: setattr(stage.chain, "inclusion", 1.0))

    stage.when(ev.TransactionSigned, forbidden_from_now_on)
    stage.simulate()
    first, second = stage.attempts_at(0)[:2]
    assert second.fees.max_fee_wei > first.fees.max_fee_wei
    assert (second.to, second.purpose) == (first.to, "action")
    assert [tx.nonce for tx in stage.mined()] == [0]
    assert "not_allowed" in {it.error_class for it in stage.events(ev.ActionRejected)}
