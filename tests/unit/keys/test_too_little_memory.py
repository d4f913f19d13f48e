"""A keystore that there is no memory to open is not told to be damaged: nobody throws a good key away for that."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from ghostfleet.keys import keystore as module
from ghostfleet.keys.keystore import KeystoreUnusable, TooLittleMemory, open_keystore, read_keystore, write_keystore
from ghostfleet.keys.secret import Secret

KEY, PASSWORD = Secret(b"\1" * 32), Secret(b"open")
SCRYPT_N = 1 << 17
"""128 MiB."""
SHORT_OF_MEMORY = """
import resource, sys
from pathlib import Path
from ghostfleet.keys import keystore
from ghostfleet.keys.secret import Secret

keystore._keyfile()
in_use = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (in_use + 64 * 2**20,) * 2)
try:
    keystore.open_keystore(keystore.read_keystore(Path(sys.argv[1])), Secret(b"open"))
except keystore.KeystoreUnusable as problem:
    print(type(problem).__name__, problem)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs a limit of the address space")
def test_where_the_process_may_have_no_more_memory_that_is_what_is_said(tmp_path: Path) -> None:
    file = tmp_path / "w1.json"
    write_keystore(file, KEY, PASSWORD, scrypt_n=SCRYPT_N)
    told = subprocess.run(
        [sys.executable, "-c", SHORT_OF_MEMORY, str(file)], capture_output=True, text=True, check=True
    ).stdout
    assert told.startswith(f"TooLittleMemory there is not enough memory to open keystore {file}, which takes 128 MiB: ")
    assert "ghost-fleet reload" in told
    assert open_keystore(read_keystore(file), PASSWORD).reveal() == KEY.reveal()


@pytest.mark.parametrize(
    ("failure", "told", "words"),
    [
        (MemoryError(), TooLittleMemory, "not enough memory"),
        (ValueError("Error 2 while running scrypt"), TooLittleMemory, "not enough memory"),
        (ValueError("Error 1 while running scrypt"), KeystoreUnusable, r"is damaged \(ValueError\)"),
        (ValueError("MAC mismatch"), KeystoreUnusable, "the password does not open"),
    ],
)
def test_each_failure_is_told_as_what_it_is(
    failure: Exception,
    told: type[KeystoreUnusable],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fails(*_: object) -> bytes:
        raise failure

    file = tmp_path / "w1.json"
    write_keystore(file, KEY, PASSWORD, scrypt_n=2)
    monkeypatch.setattr(module, "_keyfile", lambda: SimpleNamespace(decode_keyfile_json=fails))
    with pytest.raises(KeystoreUnusable, match=words) as raised:
        open_keystore(read_keystore(file), PASSWORD)
    assert type(raised.value) is told
