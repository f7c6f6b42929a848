"""The system account of the embedded PostgreSQL."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Iterator

import pytest

_ACCOUNT = "beyondiidtest"
_FIRST_START = f"""
import sys
import infra.postgres_programs as programs
programs._SERVER_USER = "{_ACCOUNT}"
print("ready", flush=True)
sys.stdin.readline()
print(programs.server_account().pw_uid)
"""


@pytest.fixture
def no_account() -> Iterator[None]:
    if os.geteuid() != 0 or not shutil.which("userdel"):
        pytest.skip("creating a system account needs root and useradd")
    yield
    subprocess.run(["userdel", _ACCOUNT], check=False, capture_output=True)


def test_server_account_of_first_starts_at_once_is_one(no_account: None) -> None:
    # Without a lock about every second such round ended with another account than some of them had been told.
    for _ in range(8):
        command = [sys.executable, "-c", _FIRST_START]
        starts = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(4)]
        for start in starts:
            assert start.stdout is not None
            assert start.stdout.readline() == "ready\n"
        for start in starts:
            assert start.stdin is not None
            start.stdin.write("\n")
            start.stdin.flush()
        told = {start.communicate(timeout=60)[0].strip() for start in starts}
        assert told == {str(pwd.getpwnam(_ACCOUNT).pw_uid)}
        subprocess.run(["userdel", _ACCOUNT], check=True)
