"""Revert data in words, whatever its bytes."""

from eth_abi.abi import encode
from hypothesis import given, settings
from hypothesis import strategies as st

from ghostfleet.chain.reverts import ERROR, PANIC, decode_revert

BALANCE = bytes.fromhex("e450d38c")
ERRORS = {BALANCE: ("ERC20InsufficientBalance", ("address", "uint256", "uint256")), b"\1\2\3\4": ("Paused", ())}


def test_strings_panics_and_custom_errors_are_read() -> None:
    sender = "0x" + "ab" * 20
    assert decode_revert(ERROR + encode(["string"], ["not yours"]), {}) == "not yours"
    assert decode_revert(ERROR + encode(["string"], ["a\x1b[31m\nb\u202e" + "x" * 5000]), {}).startswith("a [31m b x")
    assert decode_revert(PANIC + encode(["uint256"], [0x11]), {}) == "Panic: arithmetic overflow"
    assert decode_revert(PANIC + encode(["uint256"], [0x99]), {}) == "Panic: 0x99"
    data = BALANCE + encode(["address", "uint256", "uint256"], [sender, 1, 2])
    assert decode_revert(data, ERRORS) == f"ERC20InsufficientBalance({sender}, 1, 2)"
    assert decode_revert(b"\1\2\3\4", ERRORS) == "Paused"
    assert decode_revert(b"\xff\xff\xff\xff", ERRORS) == "error 0xffffffff"
    assert decode_revert(b"", ERRORS) == ""


@settings(derandomize=True, deadline=None, max_examples=300)
@given(st.sampled_from([ERROR, PANIC, BALANCE, b"\1\2\3\4", b""]), st.binary(max_size=200))
def test_any_bytes_give_a_bounded_printable_line(selector: bytes, body: bytes) -> None:
    reason = decode_revert(selector + body, ERRORS)
    assert len(reason) <= 1000
    assert reason.isprintable()
