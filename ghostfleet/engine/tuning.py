"""Which settings become which rules of the engine?"""

from ghostfleet.chain.fees import FeeRules
from ghostfleet.config.loaded import Loaded
from ghostfleet.domain.breaker import BreakerPolicy
from ghostfleet.domain.decisions import Rules
from ghostfleet.domain.fleet import FleetPolicy
from ghostfleet.domain.limits import Limits
from ghostfleet.domain.slot import SlotPolicy
from ghostfleet.domain.values import SECOND_US
from ghostfleet.engine.registration import ConfiguredWallet
from ghostfleet.engine.world import ChainRules, Pace


def rules_of(loaded: Loaded) -> Rules:
    """The settings that decisions depend on."""
    safety, limits, fees = loaded.safety, loaded.limits, loaded.fees
    return Rules(
        limits=Limits(
            actions_per_hour=safety.max_actions_per_hour,
            transactions_per_minute=limits.transactions_per_minute or 0,
            gas_wei_per_day=limits.gas_wei_per_wallet_per_day or 0,
            tokens_per_day=limits.tokens_per_wallet_per_day or 0,
        ),
        breaker=BreakerPolicy(
            max_consecutive_errors=safety.max_consecutive_errors, cooldown_us=int(safety.cooldown_secs * SECOND_US)
        ),
        fleet=FleetPolicy(
            trip_share=safety.fleet_trip_share, trip_window_us=int(safety.fleet_trip_window_secs * SECOND_US)
        ),
        slot=SlotPolicy(stuck_after_us=int(fees.stuck_after_secs * SECOND_US), max_attempts=fees.max_attempts),
        confirmations=loaded.chain.confirmations,
        finality_blocks=loaded.chain.finality_blocks,
    )


def chain_rules_of(loaded: Loaded) -> ChainRules:
    """What the chain asks of every transaction. MegaETH always sends and waits in one call."""
    return ChainRules(
        chain_id=loaded.chain.chain_id,
        gas_limit_override=loaded.chain.gas_limit_override,
        realtime=loaded.chain.use_realtime,
        max_fee_cap_wei=loaded.fees.max_fee_wei,
        bump_percent=loaded.fees.bump_percent,
    )


def pace_of(loaded: Loaded) -> Pace:
    """How often lanes look, from the block time where it is known."""
    block_secs = loaded.chain.block_time_secs or max(loaded.tick_secs, 1.0)
    return Pace(push_secs=max(5 * block_secs, 1.0), park_secs=max(10 * loaded.tick_secs, 1.0))


def fee_rules_of(loaded: Loaded) -> FeeRules:
    """How fees follow the base fee."""
    return FeeRules(cap_wei=loaded.fees.max_fee_wei, min_priority_fee_wei=loaded.fees.min_priority_fee_wei)


def configured_wallets(loaded: Loaded) -> tuple[ConfiguredWallet, ...]:
    """The enabled wallets of the settings."""
    return tuple(
        ConfiguredWallet(id=wallet.id, address=wallet.address, profile=wallet.profile, plugin=wallet.plugin)
        for wallet in loaded.wallets
        if wallet.enabled
    )
