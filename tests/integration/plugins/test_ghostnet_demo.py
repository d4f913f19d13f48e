"""Twenty wallets of the five temperaments play for 45 seconds of the chain's time, with intervals of two seconds."""

import asyncio
import random
from collections import Counter

import msgspec
from protocol_stage import Stage

from ghostfleet.devnet.prepare import scale_for
from ghostfleet.domain.profile import BUILT_IN_PROFILES
from ghostfleet.plugins.api import Rest

WALLETS = 20
TURN_SECS = 2
DEMO_SECS = 45


async def test_every_kind_occurs_several_times_and_hardly_anything_is_refused(stage):
    staged: Stage = await stage(WALLETS, scale_for(WALLETS))
    profiles = [
        msgspec.structs.replace(profile, activity_level=3_600 / TURN_SECS, action_interval_secs=TURN_SECS)
        for profile in BUILT_IN_PROFILES.values()
    ]
    succeeded: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    rests: Counter[str] = Counter()
    by_profile: dict[str, Counter[str]] = {profile.name: Counter() for profile in profiles}
    random_ = random.Random(7)
    for _ in range(DEMO_SECS // TURN_SECS):
        views = await asyncio.gather(*(staged.observe(wallet) for wallet in staged.wallets))
        sent = []
        for index, (wallet, view) in enumerate(zip(staged.wallets, views, strict=True)):
            profile = profiles[index % len(profiles)]
            choice = staged.plugin.decide(view, staged.facts(wallet), profile, random_)
            if isinstance(choice, Rest):
                rests[choice.reason] += 1
                continue
            sent.append((choice.kind, profile.name, await staged.send(wallet, choice.call)))
        await staged.mine(TURN_SECS)
        for kind, name, tx in sent:
            success, _ = await staged.outcome(tx)
            (succeeded if success else refused)[kind] += 1
            by_profile[name][kind] += success
    print(succeeded, refused, rests, by_profile, sep="\n")
    print(staged.view.requests, staged.view.calls)
    assert all(succeeded[kind] >= 3 for kind in staged.plugin.kinds), succeeded
    assert refused.total() <= succeeded.total() / 10, refused
    assert all(len(kinds) >= 3 for kinds in by_profile.values()), by_profile
