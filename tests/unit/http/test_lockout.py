"""Lock-outs: after how many, for how long, for whom not, and in how much memory."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ghostfleet.domain.values import MINUTE_US, SECOND_US
from ghostfleet.http import lockout
from ghostfleet.http.lockout import (
    FIRST_LOCKOUT_US,
    LONGEST_LOCKOUT_US,
    MAX_FAILURES,
    MAX_REMEMBERED,
    WINDOW_US,
    Lockouts,
    place_of,
)

START_US = 1_767_225_600_000_000
REMOTES = [
    "10.0.0.1",
    "10.0.0.2",
    "::ffff:10.0.0.1",
    "2001:db8::1",
    "2001:db8::2",
    "2001:db8:0:1::1",
    "unix:0",
    "unix:1000",
    "::1",
]


def fail(lockouts: Lockouts, remote: str, times: int, at_us: int, name: str = "") -> list[bool]:
    return [lockouts.failed(remote, name, at_us) is not None for _ in range(times)]


def test_the_last_failure_that_is_allowed_locks_out() -> None:
    lockouts = Lockouts()
    assert fail(lockouts, "10.0.0.1", MAX_FAILURES, START_US) == [False] * (MAX_FAILURES - 1) + [True]
    assert lockouts.locked_secs("10.0.0.1", "", START_US) == FIRST_LOCKOUT_US // SECOND_US
    assert lockouts.locked_secs("10.0.0.1", "", START_US + FIRST_LOCKOUT_US - 1) == 1
    assert lockouts.locked_secs("10.0.0.1", "", START_US + FIRST_LOCKOUT_US) == 0


def test_failures_that_are_far_apart_lock_nobody_out() -> None:
    lockouts = Lockouts()
    for n in range(5 * MAX_FAILURES):
        assert lockouts.failed("10.0.0.1", "", START_US + n * WINDOW_US // (MAX_FAILURES - 1)) is None


def test_each_lock_out_is_longer_than_the_one_before_up_to_a_bound_and_peace_is_forgotten() -> None:
    lockouts, now_us, lengths = Lockouts(), START_US, []
    for _ in range(10):
        fail(lockouts, "10.0.0.1", MAX_FAILURES, now_us)
        secs = lockouts.locked_secs("10.0.0.1", "", now_us)
        lengths.append(secs)
        now_us += secs * SECOND_US
    assert lengths == [min(60 * 2**n, LONGEST_LOCKOUT_US // SECOND_US) for n in range(10)]
    now_us += LONGEST_LOCKOUT_US + 1
    fail(lockouts, "10.0.0.1", MAX_FAILURES, now_us)
    assert lockouts.locked_secs("10.0.0.1", "", now_us) == 60


def test_a_clock_that_was_put_back_locks_out_no_longer_than_the_longest() -> None:
    lockouts = Lockouts()
    fail(lockouts, "10.0.0.1", MAX_FAILURES, START_US)
    assert lockouts.locked_secs("10.0.0.1", "", START_US - 10**12) <= LONGEST_LOCKOUT_US // SECOND_US


@pytest.mark.parametrize(
    ("remote", "place"),
    [
        ("10.0.0.1", "10.0.0.1"), ("::ffff:10.0.0.1", "10.0.0.1"), ("2001:db8::1", "2001:db8::/64"), ("::1", "::1"),
        ("unix:1000", "unix:1000"), ("", ""), ("fe80::1%eth0", "fe80::/64"),
    ],
)  # fmt: skip
def test_what_is_counted_as_one_place(remote: str, place: str) -> None:
    assert place_of(remote) == place


@given(
    st.lists(
        st.tuples(st.sampled_from(REMOTES), st.sampled_from(["", "old"]), st.integers(0, 20 * SECOND_US)), max_size=120
    )
)
def test_nobody_is_locked_out_for_what_others_did(failures: list[tuple[str, str, int]]) -> None:
    lockouts, now_us = Lockouts(), START_US
    seen: dict[tuple[str, str], list[int]] = {}
    for remote, name, wait_us in failures:
        now_us += wait_us
        place = place_of(remote), name
        if lockouts.locked_secs(remote, name, now_us):
            own = seen[place]
            assert sum(at > now_us - LONGEST_LOCKOUT_US - WINDOW_US for at in own) >= MAX_FAILURES
        else:
            lockouts.failed(remote, name, now_us)
            seen.setdefault(place, []).append(now_us)
            recent = [at for at in seen[place] if at > now_us - WINDOW_US]
            assert len(recent) < MAX_FAILURES or lockouts.locked_secs(remote, name, now_us) > 0


def test_a_flood_from_everywhere_takes_a_bounded_amount_of_memory() -> None:
    lockouts = Lockouts()
    for n in range(3 * MAX_REMEMBERED):
        lockouts.failed(f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}", "", START_US + n)
    assert len(lockouts._by_place) == MAX_REMEMBERED
    assert all(len(each.times_us) <= MAX_FAILURES for each in lockouts._by_place.values())


def test_the_numbers_fit_together() -> None:
    assert lockout.WINDOW_US >= MINUTE_US
    assert FIRST_LOCKOUT_US <= LONGEST_LOCKOUT_US
