"""What happened, who asked, what did it cost? Answers from the log, in pages, with the row hashes that prove them."""

from ghostfleet.http.contract import Operation

OPERATIONS: tuple[Operation, ...] = ()
