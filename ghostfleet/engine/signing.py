"""From a call to signed bytes: gas, the allow-list and the signature, for first attempts and for replacements.

`sign_attempt` is the one way to a signature: what it refuses nobody signs.
"""

from collections.abc import Iterable, Mapping

from ghostfleet.chain import transactions
from ghostfleet.chain.edge import NotServed, RpcRefused
from ghostfleet.chain.keccak import keccak
from ghostfleet.domain import events as ev
from ghostfleet.domain.values import Address, Call, Octets, Signed, Unsigned, WalletId
from ghostfleet.domain.wallet import Wallet
from ghostfleet.engine.world import World
from ghostfleet.errors import GhostFleetError, ParkWallet
from ghostfleet.keys.far import FarKey, SignerUnavailable, WrongSignature
from ghostfleet.keys.keyring import Keyring, SigningKey
from ghostfleet.keys.messages import personal_message
from ghostfleet.plugins.api import Action


class NoKey(ParkWallet):
    """A wallet's key is not loaded, so nothing new can be signed for it; bytes that are signed can still be sent."""


class NotAllowed(GhostFleetError):
    """A transaction in favour of an address that the settings do not name; it was not signed. Name the address where it belongs
    (a plugin's table, [safety] allowed_contracts), or find out who wanted this transaction."""


ERROR_CLASSES: Mapping[type[GhostFleetError], str] = {
    NoKey: "no_key",
    SignerUnavailable: "signer_unavailable",
    WrongSignature: "wrong_signature",
    NotAllowed: "not_allowed",
}
"""What the log calls each reason for which there is no signature."""


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
    return await _estimate_with_margin(world, wallet, call)


async def gas_to_give_away(world: World, wallet: Wallet, call: Call) -> int:
    """The gas limit of a transaction that gives a nonce away. It has to land, or the slot never ends: not less than a transfer
    takes, not more than a block holds, and the configured limit only where no node estimates it, as that may be what is wrong."""
    rules, head = world.chain_rules, await world.heads.first()
    try:
        gas = await _estimate_with_margin(world, wallet, call)
    except (RpcRefused, NotServed):
        gas = rules.gas_limit_override or rules.transfer_gas
    return max(min(gas, head.gas_limit), rules.transfer_gas)


async def _estimate_with_margin(world: World, wallet: Wallet, call: Call) -> int:
    estimate = await world.chain.estimate_gas(wallet.address, call)
    return estimate * (100 + world.chain_rules.gas_margin_percent) // 100


async def sign_attempt(
    world: World,
    name: str,
    action_id: str,
    unsigned: Unsigned,
    *,
    number: int,
    purpose: ev.Purpose = "action",
    also: Iterable[Address] = (),
) -> ev.TransactionSigned:
    """Signed bytes as the event that will hold them. `also` are addresses that an operation may sign to beside those of the
    settings. Raises NotAllowed, and what Signer.sign does."""
    require_allowed(world, name, unsigned.call, also)
    signed = await world.signer.sign(WalletId(name), unsigned)
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


def require_allowed(world: World, name: str, call: Call, also: Iterable[Address]) -> None:
    """A wallet signs in favour of itself, of wallets that are not retired, and of what the settings name. Raises NotAllowed."""
    own, more = world.wallet(name).address, frozenset(also)

    def one_of_us(address: Address) -> bool:
        if address == own or address in more:
            return True
        return any(wallet.address == address for wallet in world.state.wallets.values() if not wallet.retired)

    refusal = world.allowed.refusal(call, one_of_us)
    if refusal is not None:
        raise NotAllowed(refusal)


def giveaway(wallet: Wallet) -> Call:
    """A call that harms nobody: nothing, to itself. What a nonce is given away with."""
    return Call(to=wallet.address)


class KeyringSigner:
    """Signs with the keys of a keyring, wherever they are. What comes out of it has no way back to the key."""

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring

    async def sign(self, wallet: WalletId, unsigned: Unsigned) -> Signed:
        """The wallet's signature over an EIP-1559 transaction. Raises NoKey, SignerUnavailable, WrongSignature."""
        key = self._key(wallet)
        if isinstance(key, FarKey):
            return transactions.with_signature(unsigned, await key.sign(transactions.encode_unsigned(unsigned)))
        return transactions.sign(unsigned, key)

    async def sign_message(self, wallet: WalletId, text: bytes) -> Octets:
        """The wallet's signature over a text (EIP-191): r, s, v (27 or 28). What is signed begins with a byte that no transaction
        begins with, so it moves nothing. Raises NoKey, SignerUnavailable, WrongSignature."""
        key, message = self._key(wallet), personal_message(text)
        if isinstance(key, FarKey):
            signature = await key.sign(message)
        else:
            signature = key.sign_recoverable(keccak(message))
        return Octets(signature[:64] + bytes((27 + signature[64],)))

    def _key(self, wallet: WalletId) -> SigningKey | FarKey:
        if wallet in self._keyring:
            return self._keyring.key(wallet)
        if self._keyring.awaits(wallet):
            raise SignerUnavailable(f"the key of {wallet} is still being opened")
        if withheld := self._keyring.withheld(wallet):
            raise NoKey(f"the key of {wallet} cannot be used: {withheld}")
        raise NoKey(f"the key of {wallet} is not loaded: name it in the settings until its last slot has ended")

    def withheld(self, wallet: WalletId) -> str:
        """Why a key of the settings is not here (yet); empty where it is."""
        return self._keyring.withheld(wallet)

    def awaits(self, wallet: WalletId) -> bool:
        """Whether its key is still being opened."""
        return self._keyring.awaits(wallet)

    def forget(self, wallet: WalletId) -> None:
        """The wallet has retired and its last slot has ended: its key is let go of."""
        self._keyring.forget(wallet)
