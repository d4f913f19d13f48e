"""From a call to signed bytes: gas, fees and the signature, for first attempts and for replacements."""

from ghostfleet.chain import transactions
from ghostfleet.domain import events as ev
from ghostfleet.domain.values import Call, Signed, Unsigned, WalletId
from ghostfleet.domain.wallet import Wallet
from ghostfleet.engine.world import World
from ghostfleet.errors import ParkWallet
from ghostfleet.keys.keyring import Keyring
from ghostfleet.plugins.api import Action

GIVEAWAY_GAS = 21_000
"""What a transfer to oneself costs where the node cannot estimate it."""


class NoKey(ParkWallet):
    """A wallet's key is not loaded, so nothing new can be signed for it; bytes that are signed can still be sent."""


async def estimate_gas(world: World, wallet: Wallet, action: Action) -> int:
    """The action's gas limit: its own, the configured one, or the node's estimate with a margin. Raises RpcRefused."""
    if action.gas is not None:
        return action.gas
    return await gas_for(world, wallet, action.call)


async def gas_for(world: World, wallet: Wallet, call: Call) -> int:
    """The configured gas limit, or the node's estimate with a margin."""
    rules = world.chain_rules
    if rules.gas_limit_override is not None:
        return rules.gas_limit_override
    estimate = await world.chain.estimate_gas(wallet.address, call)
    return estimate * (100 + rules.gas_margin_percent) // 100


def sign_attempt(
    world: World, name: str, action_id: str, unsigned: Unsigned, *, number: int, purpose: ev.Purpose = "action"
) -> ev.TransactionSigned:
    """Signed bytes as the event that will hold them."""
    signed = world.signer.sign(WalletId(name), unsigned)
    return ev.TransactionSigned(
        action_id=action_id,
        nonce=unsigned.nonce,
        attempt=number,
        purpose=purpose,
        hash=signed.hash,
        raw=signed.raw,
        to=unsigned.call.to,
        value_wei=unsigned.call.value_wei,
        gas=unsigned.gas,
        fees=unsigned.fees,
    )


def giveaway(wallet: Wallet) -> Call:
    """A call that harms nobody: nothing, to itself. What a nonce is given away with."""
    return Call(to=wallet.address)


class KeyringSigner:
    """Signs with the keys of a keyring. What comes out of it has no way back to the key."""

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring

    def sign(self, wallet: WalletId, unsigned: Unsigned) -> Signed:
        """The wallet's signature over an EIP-1559 transaction. Raises NoKey."""
        if wallet not in self._keyring:
            raise NoKey(f"the key of {wallet} is not loaded: name it in the settings until its last slot has ended")
        return transactions.sign(unsigned, self._keyring.key(wallet))
