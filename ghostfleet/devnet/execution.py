"""What would a call do, and how much gas does it take? Runs on a state that is put back afterwards."""

import re

import msgspec
from eth.abc import ComputationAPI, StateAPI, TransactionBuilderAPI
from eth.exceptions import InvalidInstruction, InvalidJumpDestination, OutOfGas, Revert
from eth.vm.spoof import SpoofTransaction
from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError

from ghostfleet.devnet.rpc_errors import EXECUTION_REVERTED, RpcError, refused

CALL_GAS = 30_000_000
"""Gas of an eth_call that names none, and the most any call gets."""
TRANSFER_GAS = 21_000
MAX_ESTIMATE_STEPS = 24
ERROR_STRING = bytes.fromhex("08c379a0")
PANIC = bytes.fromhex("4e487b71")


class CallRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The first parameter of eth_call and eth_estimateGas, parsed. `to` b"" makes a contract."""

    sender: bytes
    to: bytes
    gas: int | None
    value: int
    data: bytes


def call(state: StateAPI, builder: TransactionBuilderAPI, request: CallRequest, chain_id: int) -> bytes:
    """The output, or RpcError."""
    gas = min(request.gas or CALL_GAS, CALL_GAS)
    return _succeeded(_run(state, builder, request, chain_id, gas))


def estimate_gas(state: StateAPI, builder: TransactionBuilderAPI, request: CallRequest, chain_id: int) -> int:
    """A gas limit with which it succeeds, near the least. Raises RpcError when it fails with all the gas there is."""
    cap = min(request.gas or CALL_GAS, CALL_GAS)
    if not request.data and request.to and not state.get_code(request.to):  # type: ignore[arg-type]
        _check_value(state, request)
        return TRANSFER_GAS
    computation = _run(state, builder, request, chain_id, cap)
    if isinstance(computation.is_error and computation.error, OutOfGas):
        raise refused(f"gas required exceeds allowance ({cap})")
    _succeeded(computation)
    # What was consumed before refunds is nearly always enough; calls that hand on 63/64 of their gas need more.
    low = max(cap - computation.get_gas_remaining(), floor_gas(request.data)) - 1
    if _enough(state, builder, request, chain_id, low + 1):
        return low + 1
    high = cap
    for guess in (low + 2_400, low * 64 // 63 + 2_400):
        if guess < high and _enough(state, builder, request, chain_id, guess):
            high = guess
            break
        low = max(low, guess)
    for _ in range(MAX_ESTIMATE_STEPS):
        if high - low <= max(1, high // 100):
            break
        middle = (low + high) // 2
        low, high = (low, middle) if _enough(state, builder, request, chain_id, middle) else (middle, high)
    return high


def intrinsic_gas(data: bytes, creates: bool, access_gas: int = 0) -> int:
    """What a transaction costs before its first instruction (EIP-2028, 2930, 3860, and the floor of 7623)."""
    zeros = data.count(0)
    create = 32_000 + 2 * ((len(data) + 31) // 32) if creates else 0
    return max(TRANSFER_GAS + create + 4 * zeros + 16 * (len(data) - zeros) + access_gas, floor_gas(data))


def floor_gas(data: bytes) -> int:
    """EIP-7623: the least a transaction with this much data pays."""
    zeros = data.count(0)
    return TRANSFER_GAS + 10 * (zeros + 4 * (len(data) - zeros))


def reverted(output: bytes) -> RpcError:
    """geth's answer to a revert: the reason in words where it is Error(string), the data in any case."""
    message = "execution reverted"
    try:
        if output[:4] == ERROR_STRING:
            message += f": {decode(['string'], output[4:])[0]}"
        elif output[:4] == PANIC:
            message += f": panic code {decode(['uint256'], output[4:])[0]:#04x}"
    except (DecodingError, OverflowError, UnicodeDecodeError):
        pass
    return RpcError(EXECUTION_REVERTED, message, "0x" + output.hex())


def _run(
    state: StateAPI, builder: TransactionBuilderAPI, request: CallRequest, chain_id: int, gas: int
) -> ComputationAPI:
    if gas < (least := intrinsic_gas(request.data, not request.to)):
        raise refused(f"intrinsic gas too low: have {gas}, want {least}")
    _check_value(state, request)
    unsigned = builder.new_unsigned_dynamic_fee_transaction(  # type: ignore[attr-defined]
        chain_id=chain_id,
        nonce=state.get_nonce(request.sender),  # type: ignore[arg-type]
        max_priority_fee_per_gas=0,
        max_fee_per_gas=0,
        gas=gas,
        to=request.to,
        value=request.value,
        data=request.data,
        access_list=(),
    )
    before = state.snapshot()
    try:
        return state.apply_transaction(SpoofTransaction(unsigned, from_=request.sender))  # type: ignore[arg-type]
    finally:
        state.revert(before)


def _enough(state: StateAPI, builder: TransactionBuilderAPI, request: CallRequest, chain_id: int, gas: int) -> bool:
    return not _run(state, builder, request, chain_id, gas).is_error


def _check_value(state: StateAPI, request: CallRequest) -> None:
    balance = state.get_balance(request.sender)  # type: ignore[arg-type]
    if request.value > balance:
        raise refused(
            f"insufficient funds for gas * price + value: address 0x{request.sender.hex()} "
            f"have {balance} want {request.value}"
        )


def _succeeded(computation: ComputationAPI) -> bytes:
    if not computation.is_error:
        return bytes(computation.output)
    error = computation.error
    if isinstance(error, Revert):
        raise reverted(bytes(computation.output))
    if isinstance(error, OutOfGas):
        raise refused("out of gas")
    if isinstance(error, InvalidInstruction):
        raise refused("invalid opcode")
    if isinstance(error, InvalidJumpDestination):
        raise refused("invalid jump destination")
    raise refused(re.sub(r"(?<!^)(?=[A-Z])", " ", type(error).__name__).lower())
