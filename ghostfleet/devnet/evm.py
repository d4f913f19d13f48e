"""The embedded chain itself: py-evm, set up by eth-tester, with a pool, blocks by the clock, and indexes for what is asked.

eth-tester's own node interface looks every transaction up by walking the chain and rebuilds the pending block with each
of them; here only its genesis and its py-evm chain are used, and a block is built once, from the pool.

Measured over HTTP in batches (2 cores, Python 3.11; anvil in the same run): transfers accepted 460-530/s and mined 280-300/s
(2,760 and 930); eth_call on the stand-ins 190-570/s the first time in a block and 20,000/s afterwards (7,000-13,000);
eth_estimateGas 200-260/s (3,600). A call is bound by py-evm's 3.4 us an opcode. eth-tester's own interface: 131-282
transactions/s, without a pool.
"""

from collections.abc import Callable, Iterator
from typing import Any

from eth.abc import ReceiptAPI, SignedTransactionAPI, StateAPI, TransactionBuilderAPI, VirtualMachineAPI
from eth.exceptions import PyEVMError, VMError
from eth_keys.exceptions import BadSignature
from eth_tester import PyEVMBackend
from eth_utils.exceptions import ValidationError
from rlp.exceptions import RLPException

from ghostfleet.devnet import execution
from ghostfleet.devnet.accounts import DEV_BALANCE_WEI, DEV_CHAIN_ID, dev_accounts
from ghostfleet.devnet.execution import CallRequest
from ghostfleet.devnet.pool import Pool, Pooled
from ghostfleet.devnet.rpc_errors import refused
from ghostfleet.devnet.wire import Applied, JsonObject, MinedBlock, receipts_as_json, type_of

BLOCK_GAS_LIMIT = 30_000_000
MAX_TRANSACTIONS_PER_BLOCK = 400
"""About a second of py-evm: a longer block would only make every reader wait longer."""
MAX_STATES = 16
"""States of older blocks that are kept open for reading."""
MAX_ANSWERS = 4_096
"""Answers to eth_call that are remembered a block: a fleet's wallets ask much the same, at 2 to 5 ms of py-evm each."""


class EmbeddedChain:
    """One chain in one thread. `clock` gives seconds since the epoch, as a real node's clock would."""

    def __init__(self, clock: Callable[[], float], chain_id: int = DEV_CHAIN_ID) -> None:
        self._clock = clock
        self._clock_offset_secs = 0
        self._next_timestamp: int | None = None
        self.chain_id = chain_id
        backend = PyEVMBackend(
            genesis_parameters=PyEVMBackend.generate_genesis_params(
                {"timestamp": int(clock()), "gas_limit": BLOCK_GAS_LIMIT}
            ),
            genesis_state=_genesis_state(),
            mnemonic=None,
        )
        self._chain: Any = backend.chain
        self._chain.chain_id = chain_id
        genesis = self._chain.get_canonical_block_header_by_number(0)
        self.blocks: list[MinedBlock] = []
        self._numbers: dict[bytes, int] = {}
        self._places: dict[bytes, tuple[int, int]] = {}
        self._states: dict[int, StateAPI] = {}
        self._answers: dict[int, dict[CallRequest, bytes]] = {}
        self.pool = Pool()
        self._append(MinedBlock(header=genesis, hash=bytes(genesis.hash), transactions=(), receipts=()))

    # --- time

    def now_secs(self) -> int:
        """The wall clock, plus what was asked for by increase_time."""
        return int(self._clock()) + self._clock_offset_secs

    def increase_time(self, secs: int) -> int:
        """Move the clock on; returns how far it is ahead by now."""
        self._clock_offset_secs += secs
        return self._clock_offset_secs

    def set_next_timestamp(self, timestamp: int) -> None:
        """The next block has this timestamp, and the clock goes on from there."""
        if timestamp < self.head.header.timestamp:
            raise refused(f"timestamp {timestamp} is lower than the head's {self.head.header.timestamp}")
        self._next_timestamp = timestamp
        self._clock_offset_secs = timestamp - int(self._clock())

    def next_timestamp(self) -> int:
        """The timestamp of a block built now; never before its parent's."""
        wanted = self._next_timestamp if self._next_timestamp is not None else self.now_secs()
        return max(int(self.head.header.timestamp), wanted)

    # --- what is there

    @property
    def head(self) -> MinedBlock:
        return self.blocks[-1]

    def block_by_hash(self, block_hash: bytes) -> MinedBlock | None:
        """The block of this hash, or None."""
        number = self._numbers.get(block_hash)
        return None if number is None else self.blocks[number]

    def place_of(self, tx_hash: bytes) -> tuple[MinedBlock, int] | None:
        """The block a transaction is in, and its index there."""
        place = self._places.get(tx_hash)
        return None if place is None else (self.blocks[place[0]], place[1])

    def receipt(self, tx_hash: bytes) -> JsonObject | None:
        """None while it waits, or was never heard of."""
        place = self.place_of(tx_hash)
        return None if place is None else place[0].receipts[place[1]]

    def state_at(self, number: int) -> StateAPI:
        """The state after a block, for reading. Its block context is that block's, with a base fee of 0 for free calls."""
        state = self._states.get(number)
        if state is None:
            header = self.blocks[number].header
            state = self._build_state(self._chain.get_vm(header), header)
            while len(self._states) >= MAX_STATES:
                oldest = next(iter(self._states))
                del self._states[oldest]
                self._answers.pop(oldest, None)
            self._states[number] = state
        return state

    def pending_state(self) -> StateAPI:
        """The head's state in the context of the block that would follow now. What waits in the pool is not applied."""
        header = self._next_header()
        return self._build_state(self._chain.get_vm(header), header)

    def pending_header(self) -> Any:
        """The header of the block that would follow now."""
        return self._next_header()

    def next_base_fee_wei(self) -> int:
        """The base fee of the block after the head."""
        return int(self._chain.create_header_from_parent(self.head.header).base_fee_per_gas)

    def pending_nonce(self, account: bytes) -> int:
        """The nonce after everything that waits."""
        return self.pool.next_nonce(account, self.state_at(self.head.number).get_nonce(account))  # type: ignore[arg-type]

    # --- what can be done

    def submit(self, raw: bytes) -> bytes:
        """Take a signed transaction into the pool; returns its hash. Raises RpcError in geth's words."""
        transaction = self._decoded(raw)
        if transaction.hash in self._places:
            raise refused("already known")
        self._check_form(transaction)
        state = self.state_at(self.head.number)
        sender = transaction.sender
        return self.pool.admit(transaction, state.get_nonce(sender), state.get_balance(sender)).hash

    def call(self, request: CallRequest, number: int | None) -> bytes:
        """eth_call after a block, or in the pending one (None). The state is put back."""
        if number is None:
            return execution.call(self.pending_state(), self._builder, request, self.chain_id)
        answers = self._answers.setdefault(number, {})
        output = answers.get(request)
        if output is None:
            output = execution.call(self.state_at(number), self._builder, request, self.chain_id)
            if len(answers) < MAX_ANSWERS:
                answers[request] = output
        return output

    def estimate_gas(self, request: CallRequest, state: StateAPI) -> int:
        """eth_estimateGas on a state; the state is put back."""
        return execution.estimate_gas(state, self._builder, request, self.chain_id)

    def mine(self) -> MinedBlock:
        """Build the next block from the pool and make it the head."""
        base_header = self._next_header()
        self._next_timestamp = None
        vm = self._chain.get_vm(base_header)
        header, receipts, applied = self._apply_pool(vm, base_header)
        transactions = tuple(one.transaction for one in applied)
        filled = vm.set_block_transactions_and_withdrawals(vm.get_block(), header, transactions, tuple(receipts))
        # Built here and by the EVM's own rules: validating it again would only cost time.
        block = vm.finalize_block(filled).block
        self._chain.chaindb.persist_block(block)
        mined = MinedBlock(
            header=block.header,
            hash=bytes(block.hash),
            transactions=transactions,
            receipts=receipts_as_json(block.header, bytes(block.hash), applied),
        )
        self._append(mined)
        return mined

    # --- inside

    @property
    def _builder(self) -> TransactionBuilderAPI:
        return self._chain.get_vm_class(self.head.header).get_transaction_builder()  # type: ignore[no-any-return]

    def _next_header(self) -> Any:
        return self._chain.create_header_from_parent(self.head.header).copy(timestamp=self.next_timestamp())

    def _build_state(self, vm: Any, header: Any) -> StateAPI:
        free = header.copy(base_fee_per_gas=0)
        return vm.build_state(self._chain.chaindb.db, free, vm.chain_context, vm.previous_hashes)  # type: ignore[no-any-return]

    def _append(self, block: MinedBlock) -> None:
        self._numbers[block.hash] = len(self.blocks)
        for index, transaction in enumerate(block.transactions):
            self._places[bytes(transaction.hash)] = (len(self.blocks), index)
        self.blocks.append(block)

    def _apply_pool(self, vm: VirtualMachineAPI, header: Any) -> tuple[Any, list[ReceiptAPI], list[Applied]]:
        receipts: list[ReceiptAPI] = []
        applied: list[Applied] = []
        for pooled in self._candidates(vm, header):
            room = header.gas_limit - header.gas_used
            if len(applied) >= MAX_TRANSACTIONS_PER_BLOCK or room < execution.TRANSFER_GAS:
                break
            if pooled.transaction.gas > room:
                continue
            try:
                receipt, computation = vm.apply_transaction(header, pooled.transaction)
            except (ValidationError, VMError):
                # It was good when it came and is not any more, for example because the funds went elsewhere.
                self.pool.remove(pooled)
                continue
            before = header.gas_used
            header = vm.increment_blob_gas_used(vm.add_receipt_to_header(header, receipt), pooled.transaction)
            receipts.append(receipt)
            applied.append(
                Applied(
                    transaction=pooled.transaction,
                    success=computation.is_success,
                    gas_used=header.gas_used - before,
                    cumulative_gas_used=header.gas_used,
                    bloom=receipt.bloom,
                    logs=tuple(receipt.logs),
                    contract=None if pooled.transaction.to else computation.msg.storage_address,
                )
            )
            self.pool.remove(pooled)
        for one in applied:
            self.pool.drop_stale(one.transaction.sender, one.transaction.nonce + 1)
        return header, receipts, applied

    def _candidates(self, vm: VirtualMachineAPI, header: Any) -> Iterator[Pooled]:
        return self.pool.in_order(int(header.base_fee_per_gas), vm.state.get_nonce)  # type: ignore[arg-type]

    def _decoded(self, raw: bytes) -> SignedTransactionAPI:
        try:
            transaction = self._builder.decode(raw)
            transaction.check_signature_validity()
            sender = transaction.sender
        except (ValidationError, BadSignature):
            raise refused("invalid sender") from None
        except (RLPException, PyEVMError, LookupError, TypeError, ValueError, NotImplementedError) as error:
            raise refused(f"invalid RLP data: the transaction cannot be decoded ({type(error).__name__})") from None
        if len(sender) != 20:
            raise refused("invalid sender")
        return transaction

    def _check_form(self, transaction: SignedTransactionAPI) -> None:
        fields: Any = transaction
        kind = type_of(transaction)
        if kind not in (0, 1, 2):
            raise refused(f"transaction type not supported: {kind}")
        if kind == 0 and fields.v in (27, 28):
            raise refused("only replay-protected (EIP-155) transactions allowed over RPC")
        if (chain_id := fields.chain_id) != self.chain_id:
            raise refused(f"invalid chain id for signer: have {chain_id} want {self.chain_id}")
        if fields.gas > BLOCK_GAS_LIMIT:
            raise refused(f"exceeds block gas limit: tx gas {fields.gas}, limit {BLOCK_GAS_LIMIT}")
        if fields.max_priority_fee_per_gas > fields.max_fee_per_gas:
            raise refused(
                "max priority fee per gas higher than max fee per gas: "
                f"maxPriorityFeePerGas: {fields.max_priority_fee_per_gas}, maxFeePerGas: {fields.max_fee_per_gas}"
            )
        access_gas = sum(2_400 + 1_900 * len(slots) for _, slots in fields.access_list) if kind else 0
        least = execution.intrinsic_gas(fields.data, not fields.to, access_gas)
        if fields.gas < least:
            raise refused(f"intrinsic gas too low: have {fields.gas}, want {least}")


def _genesis_state() -> dict[bytes, dict[str, Any]]:
    return {
        bytes(account.address): {"balance": DEV_BALANCE_WEI, "nonce": 0, "code": b"", "storage": {}}
        for account in dev_accounts()
    }
