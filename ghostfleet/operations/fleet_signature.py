"""Who signs a text for the whole fleet? The first active wallet whose key can be had (docs/decisions/0021)."""

import msgspec

from ghostfleet.domain.state import State
from ghostfleet.domain.values import Address, Octets, WalletId
from ghostfleet.engine.ports import Signer
from ghostfleet.errors import GhostFleetError, TryAgain

MAX_SIGNERS_TRIED = 3


class NoSigner(TryAgain):
    """No wallet of the fleet can sign a text for it now: none is active, or whoever holds the keys does not answer."""


class FleetSignature(msgspec.Struct, frozen=True):
    """A signature (EIP-191) for the fleet, and the address of the wallet whose it is."""

    signer: Address
    signature: Octets


async def signed_for_the_fleet(state: State, signer: Signer, text: str) -> FleetSignature:
    """Raises NoSigner. Wallets whose key is still being opened, or cannot be used, are passed over."""
    active = [WalletId(name) for name, wallet in sorted(state.wallets.items()) if not wallet.retired]
    why = next((f"the key of {name}: {signer.withheld(name)}" for name in active), "no wallet is active")
    for name in [name for name in active if not signer.withheld(name)][:MAX_SIGNERS_TRIED]:
        try:
            signature = await signer.sign_message(name, text.encode())
        except GhostFleetError as problem:
            why = str(problem)
            continue
        return FleetSignature(state.wallets[name].address, signature)
    raise NoSigner(why)
