"""100 kB of brackets from a node killed the service: eth-keyfile imports py_ecc, which lifts the recursion limit to 100,000."""

import subprocess
import sys
from pathlib import Path

import pytest

READ = """
import sys
from ghostfleet.chain.transport import Response
from ghostfleet.chain.wire import Fault, read_answers
sys.setrecursionlimit(100_000)
try:
    read_answers(Response(200, {}, {body}), 1, 1)
except Fault as fault:
    print(fault, sys.getrecursionlimit())
"""
OPEN = """
import sys
from pathlib import Path
from ghostfleet.keys.keystore import open_keystore, read_keystore, write_keystore
from ghostfleet.keys.secret import Secret
path = Path({path!r})
write_keystore(path, Secret(b"\\x11" * 32), Secret(b"word"), scrypt_n=2)
open_keystore(read_keystore(path), Secret(b"word"))
print("py_ecc" in sys.modules, sys.getrecursionlimit())
"""


def said(program: str) -> str:
    """What a process of its own prints, which this one's imports and limits have nothing to do with."""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, f"ended with {ended.returncode}: {ended.stderr[-500:]}"
    return ended.stdout.strip()


@pytest.mark.parametrize("body", ["b'[' * 100_000", "b'{\"id\":' * 100_000"])
def test_brackets_without_end_are_the_endpoints_fault_whatever_the_recursion_limit_is(body: str) -> None:
    assert said(READ.replace("{body}", body)) == "HTTP 200 without a JSON-RPC answer 100000"


def test_opening_keystores_leaves_the_recursion_limit_alone(tmp_path: Path) -> None:
    assert said(OPEN.format(path=str(tmp_path / "key.json"))) == "True 1000"
