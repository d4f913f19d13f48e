"""How a wallet behaves: how often, how much, how patiently, and at which hours of the day (UTC)."""

import msgspec


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """One temperament, shared by any number of wallets.

    `risk_tolerance` and `patience` go from 0 to 1 and are read by plugins in their own terms. `activity_level` is actions
    per hour. `action_interval_secs` is the pause between two actions, spread by `action_interval_jitter_pct` per cent
    either way. The active hours are UTC, their end exclusive (24 = end of day); a start after the end wraps past
    midnight, equal bounds mean the whole day. Outside them the wallet acts with `off_hours_factor` of its activity
    (0 = never). After an action it goes away with `afk_probability`, for `afk_min_hours` to `afk_max_hours`.
    """

    name: str
    risk_tolerance: float
    activity_level: float
    patience: float
    action_interval_secs: float
    action_interval_jitter_pct: float
    active_hours_start: int
    active_hours_end: int
    off_hours_factor: float
    afk_probability: float
    afk_min_hours: float
    afk_max_hours: float


WHALE = Profile(
    name="whale",
    risk_tolerance=0.2,
    activity_level=2.0,
    patience=0.9,
    action_interval_secs=1800.0,
    action_interval_jitter_pct=30.0,
    active_hours_start=8,
    active_hours_end=22,
    off_hours_factor=0.2,
    afk_probability=0.05,
    afk_min_hours=2.0,
    afk_max_hours=8.0,
)
GRINDER = Profile(
    name="grinder",
    risk_tolerance=0.4,
    activity_level=12.0,
    patience=0.5,
    action_interval_secs=300.0,
    action_interval_jitter_pct=20.0,
    active_hours_start=0,
    active_hours_end=24,
    off_hours_factor=1.0,
    afk_probability=0.01,
    afk_min_hours=0.5,
    afk_max_hours=2.0,
)
DEGEN = Profile(
    name="degen",
    risk_tolerance=0.9,
    activity_level=15.0,
    patience=0.1,
    action_interval_secs=240.0,
    action_interval_jitter_pct=50.0,
    active_hours_start=18,
    active_hours_end=6,
    off_hours_factor=0.4,
    afk_probability=0.05,
    afk_min_hours=1.0,
    afk_max_hours=6.0,
)
CASUAL = Profile(
    name="casual",
    risk_tolerance=0.5,
    activity_level=4.0,
    patience=0.5,
    action_interval_secs=900.0,
    action_interval_jitter_pct=40.0,
    active_hours_start=8,
    active_hours_end=23,
    off_hours_factor=0.1,
    afk_probability=0.1,
    afk_min_hours=2.0,
    afk_max_hours=12.0,
)
SNIPER = Profile(
    name="sniper",
    risk_tolerance=0.7,
    activity_level=6.0,
    patience=0.95,
    action_interval_secs=600.0,
    action_interval_jitter_pct=15.0,
    active_hours_start=0,
    active_hours_end=24,
    off_hours_factor=0.8,
    afk_probability=0.02,
    afk_min_hours=0.5,
    afk_max_hours=3.0,
)

BUILT_IN_PROFILES: dict[str, Profile] = {profile.name: profile for profile in (WHALE, GRINDER, DEGEN, CASUAL, SNIPER)}
"""What `[profiles.NAME]` starts from; a profile with a name of its own starts from `casual`."""
