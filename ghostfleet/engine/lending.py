"""Keys that are lent for an operation: held beside those of the settings, and only until the operation is over."""

from collections.abc import Collection

from ghostfleet.chain import transactions
from ghostfleet.domain.values import Octets, Signed, Unsigned, WalletId
from ghostfleet.engine.ports import Signer
from ghostfleet.keys.keyring import SigningKey


class LendingSigner:
    """Signs with a lent key where there is one, else as the signer of the settings does."""

    def __init__(self, usual: Signer, keeps: Collection[str] = ()) -> None:
        """`keeps` are wallets whose keys are not let go of when nothing is left to sign: a treasury pays again."""
        self._usual = usual
        self._keeps = frozenset(keeps)
        self._lent: dict[WalletId, SigningKey] = {}

    async def sign(self, wallet: WalletId, unsigned: Unsigned) -> Signed:
        key = self._lent.get(wallet)
        if key is not None:
            return transactions.sign(unsigned, key)
        return await self._usual.sign(wallet, unsigned)

    async def sign_message(self, wallet: WalletId, text: bytes) -> Octets:
        """By the key of the settings: a lent one is for its operation's transactions only."""
        return await self._usual.sign_message(wallet, text)

    def withheld(self, wallet: WalletId) -> str:
        return "" if wallet in self._lent else self._usual.withheld(wallet)

    def awaits(self, wallet: WalletId) -> bool:
        return wallet not in self._lent and self._usual.awaits(wallet)

    def forget(self, wallet: WalletId) -> None:
        """Let go of a key of the settings that is needed no longer."""
        if wallet not in self._keeps:
            self._usual.forget(wallet)

    def lend(self, wallet: WalletId, key: SigningKey) -> None:
        """Sign for this wallet with this key until it is taken back."""
        self._lent[wallet] = key

    def take_back(self, wallet: WalletId) -> None:
        """Forget the key."""
        self._lent.pop(wallet, None)

    def __repr__(self) -> str:
        return f"LendingSigner({sorted(self._lent)})"
