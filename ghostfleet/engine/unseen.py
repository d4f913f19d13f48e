"""Which transactions are in no block yet, as far as headers tell? So that nobody looks for a receipt that cannot be there.

A header names the transactions of its block, and headers are read anyway. A hash is held here only while every block since its
bytes first left is known and does not name it; whatever is uncertain (a reorganisation, blocks that were skipped, a header
that names none) ends that, and the receipt is looked for as ever.
"""

from collections.abc import Iterable

from ghostfleet.domain.values import Hash, Head


class Unseen:
    """Hashes of transactions. It is pace and no truth: what a node leaves out of a header costs time, and nothing else."""

    def __init__(self) -> None:
        self._hashes: set[str] = set()

    def __contains__(self, tx: Hash) -> bool:
        return str(tx) in self._hashes

    def leaves(self, tx: Hash) -> None:
        """Its bytes are about to leave for the first time ever: no block that is known can hold it."""
        self._hashes.add(str(tx))

    def forget(self, tx: Hash) -> None:
        """Nobody waits for it any more."""
        self._hashes.discard(str(tx))

    def came(self, blocks: Iterable[Head]) -> None:
        """The next blocks of the chain, none left out."""
        for block in blocks:
            if block.transactions is None:
                self._hashes.clear()
            else:
                self._hashes.difference_update(block.transactions)

    def lost_track(self) -> None:
        """Blocks were replaced or skipped: any transaction may be in one of them."""
        self._hashes.clear()
