"""Which settings become which rules of the engine?"""

from collections.abc import Mapping
from typing import Any

from ghostfleet.chain.endpoints import EndpointConfig
from ghostfleet.chain.fees import FeeRules
from ghostfleet.config.loaded import Loaded
from ghostfleet.domain.allow_list import AllowList
from ghostfleet.domain.breaker import BreakerPolicy
from ghostfleet.domain.decisions import Rules
from ghostfleet.domain.fleet import FleetPolicy
from ghostfleet.domain.limits import Limits
from ghostfleet.domain.slot import SlotPolicy
from ghostfleet.domain.values import SECOND_US
from ghostfleet.engine.in_force import MEGAETH_TRANSFER_GAS, TRANSFER_GAS, ChainRules, Pace, Tuning
from ghostfleet.engine.registration import ConfiguredWallet
from ghostfleet.plugins.api import Plugin


def tuning_of(loaded: Loaded, plugins: Mapping[str, Plugin[Any]]) -> Tuning:
    """All that lanes take from these settings; `plugins` are the enabled ones, alive."""
    return Tuning(
        config_digest=loaded.digest,
        rules=rules_of(loaded),
        chain_rules=chain_rules_of(loaded),
        pace=pace_of(loaded),
        fee_rules=fee_rules_of(loaded),
        profiles=loaded.profiles,
        plugins=plugins,
        allowed=allow_list_of(loaded, plugins),
        enabled=frozenset(it.id for it in configured_wallets(loaded)),
        checkpoint_secs=loaded.checkpoint_secs,
    )


def rules_of(loaded: Loaded) -> Rules:
    """The settings that decisions depend on."""
    safety, limits, fees = loaded.safety, loaded.limits, loaded.fees
    return Rules(
        limits=Limits(
            actions_per_hour=safety.max_actions_per_hour,
            transactions_per_minute=limits.transactions_per_minute or 0,
            gas_wei_per_day=limits.gas_wei_per_wallet_per_day or 0,
            value_wei_per_day=limits.value_wei_per_wallet_per_day or 0,
            tokens_per_day=limits.tokens_per_wallet_per_day or 0,
            fleet_gas_wei_per_day=limits.fleet_gas_wei_per_day or 0,
            fleet_value_wei_per_day=limits.fleet_value_wei_per_day or 0,
            fleet_tokens_per_day=limits.fleet_tokens_per_day or 0,
            gas_wei_per_action=limits.gas_wei_per_action or 0,
            value_wei_per_action=limits.value_wei_per_action or 0,
            tokens_per_action=limits.tokens_per_action or 0,
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
    """What the chain asks of every transaction. Only on MegaETH does a send wait for its receipt, if wanted."""
    chain = loaded.chain
    return ChainRules(
        chain_id=chain.chain_id,
        gas_limit_override=chain.gas_limit_override,
        transfer_gas=MEGAETH_TRANSFER_GAS if chain.megaeth else TRANSFER_GAS,
        realtime=chain.megaeth and chain.use_realtime,
        max_fee_cap_wei=loaded.fees.max_fee_wei,
        bump_percent=loaded.fees.bump_percent,
    )


def pace_of(loaded: Loaded) -> Pace:
    """How often lanes look, from the block time where it is known."""
    block_secs = loaded.chain.block_time_secs or max(loaded.tick_secs, 1.0)
    return Pace(push_secs=max(5 * block_secs, 1.0), park_secs=max(10 * loaded.tick_secs, 1.0))


def poll_secs(loaded: Loaded) -> float:
    """How often the head is asked for."""
    return min(loaded.tick_secs, 1.0)


def heads_depth(loaded: Loaded) -> int:
    """How far back a reorganisation is followed, blocks."""
    return 2 * loaded.chain.finality_blocks


def endpoint_configs(loaded: Loaded) -> list[EndpointConfig]:
    """The endpoints as the edge takes them."""
    chain = loaded.chain
    return [
        EndpointConfig(name=it.name, url=it.url, max_requests_per_second=chain.max_requests_per_second)
        for it in chain.endpoints
    ]


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


def allow_list_of(loaded: Loaded, plugins: Mapping[str, Plugin[Any]]) -> AllowList:
    """What the settings name: the fleet's own wallets, disabled ones too, the plugins' addresses, and those of [safety]."""
    allowed = AllowList().allow((wallet.address for wallet in loaded.wallets), "a wallet of the fleet")
    for name, plugin in plugins.items():
        allowed = allowed.allow(plugin.addresses(), f"[plugins.{name}]")
    return allowed.allow(loaded.safety.allowed_contracts, "[safety] allowed_contracts")
