"""Which accounts does a development chain start with? The ten that anvil and hardhat have, with their well-known keys."""

from functools import cache

import coincurve
import msgspec
from eth_account.hdaccount import key_from_seed, seed_from_mnemonic

from ghostfleet.domain.values import Address, Octets
from ghostfleet.keys.addresses import address_of

MNEMONIC = "test test test test test test test test test test test junk"
DEV_ACCOUNTS = 10
DEV_BALANCE_WEI = 10_000 * 10**18
DEV_CHAIN_ID = 31_337


class DevAccount(msgspec.Struct, frozen=True):
    """An account whose key the whole world knows: never on a real chain."""

    address: Address
    private_key: Octets


@cache
def dev_accounts() -> tuple[DevAccount, ...]:
    """The first DEV_ACCOUNTS of m/44'/60'/0'/0/n, in order."""
    seed = seed_from_mnemonic(MNEMONIC, "")
    keys = [Octets(key_from_seed(seed, f"m/44'/60'/0'/0/{index}")) for index in range(DEV_ACCOUNTS)]
    return tuple(DevAccount(address_of(coincurve.PrivateKey(key)), key) for key in keys)
