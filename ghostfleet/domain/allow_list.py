"""Which addresses may a wallet sign something to? Those that the settings name, and for each of them the reason.

Looked at are the address a transaction goes to and, where its data is one of the well-known token calls, the address that
would receive the tokens or the right to move them. Source: ERC-20, ERC-721, ERC-1155, ERC-1363, ERC-777.
"""

from collections.abc import Callable, Iterable, Mapping

import msgspec

from ghostfleet.domain.values import Address, Call

SELECTOR_BYTES = 4
WORD_BYTES = 32
ADDRESS_BYTES = 20


class TokenCall(msgspec.Struct, frozen=True):
    """A call that hands tokens, or the right to move them, to `receiver`, its n-th argument."""

    signature: str
    receiver: int


TOKEN_CALLS: Mapping[bytes, TokenCall] = {
    bytes.fromhex("a9059cbb"): TokenCall("transfer(address,uint256)", 0),
    bytes.fromhex("23b872dd"): TokenCall("transferFrom(address,address,uint256)", 1),
    bytes.fromhex("095ea7b3"): TokenCall("approve(address,uint256)", 0),
    bytes.fromhex("39509351"): TokenCall("increaseAllowance(address,uint256)", 0),
    bytes.fromhex("a22cb465"): TokenCall("setApprovalForAll(address,bool)", 0),
    bytes.fromhex("42842e0e"): TokenCall("safeTransferFrom(address,address,uint256)", 1),
    bytes.fromhex("b88d4fde"): TokenCall("safeTransferFrom(address,address,uint256,bytes)", 1),
    bytes.fromhex("f242432a"): TokenCall("safeTransferFrom(address,address,uint256,uint256,bytes)", 1),
    bytes.fromhex("2eb2c2d6"): TokenCall("safeBatchTransferFrom(address,address,uint256[],uint256[],bytes)", 1),
    bytes.fromhex("1296ee62"): TokenCall("transferAndCall(address,uint256)", 0),
    bytes.fromhex("4000aea0"): TokenCall("transferAndCall(address,uint256,bytes)", 0),
    bytes.fromhex("3177029f"): TokenCall("approveAndCall(address,uint256)", 0),
    bytes.fromhex("cae9ca51"): TokenCall("approveAndCall(address,uint256,bytes)", 0),
    bytes.fromhex("9bd9bbc6"): TokenCall("send(address,uint256,bytes)", 0),
    bytes.fromhex("959b8c3f"): TokenCall("authorizeOperator(address)", 0),
}
"""By selector; a test derives each one from its signature."""


class AllowList(msgspec.Struct, frozen=True):
    """Addresses, and why each may be signed to. Grows only by making another one."""

    why: dict[Address, str] = {}

    def allow(self, addresses: Iterable[Address], why: str) -> "AllowList":
        """One that allows these too."""
        return AllowList(dict.fromkeys(addresses, why) | self.why)

    def __contains__(self, address: object) -> bool:
        return address in self.why

    def refusal(self, call: Call, others: Callable[[Address], bool]) -> str | None:
        """Why this must not be signed, in a sentence, or None when it may be. `others` is asked about the rest."""
        if call.to not in self.why and not others(call.to):
            return f"{call.to} is not named in the settings"
        token_call = TOKEN_CALLS.get(bytes(call.data[:SELECTOR_BYTES]))
        if token_call is None:
            return None
        receiver = _argument(call.data, token_call.receiver)
        if receiver is None:
            return f"its data looks like {token_call.signature} and holds no address where the receiver belongs"
        if receiver not in self.why and not others(receiver):
            return f"{token_call.signature} of {call.to} is in favour of {receiver}, which is not named in the settings"
        return None


def named_in(call: Call) -> tuple[Address, ...]:
    """The addresses that a call hands something to."""
    token_call = TOKEN_CALLS.get(bytes(call.data[:SELECTOR_BYTES]))
    receiver = _argument(call.data, token_call.receiver) if token_call is not None else None
    return (call.to,) if receiver is None else (call.to, receiver)


def _argument(data: bytes, index: int) -> Address | None:
    """The n-th argument as an address: a word of 12 zero bytes and 20 others."""
    start = SELECTOR_BYTES + index * WORD_BYTES
    word = data[start : start + WORD_BYTES]
    padding = WORD_BYTES - ADDRESS_BYTES
    if len(word) != WORD_BYTES or any(word[:padding]):
        return None
    return Address(word[padding:])
