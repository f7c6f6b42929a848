"""Run a program that nobody has read, with its tests, where it can harm nothing.

What holds, on Linux (x86-64 or ARM64, kernel ≥ 5.12) where the account may make namespaces, as root or through user
namespaces; anywhere else, and if any part cannot be set up, nothing is run and `SandboxError` says why:

- time: the whole program with everything it started is killed at `seconds` of wall-clock time;
- processes: at most `processes` at once, threads included; none outlives the program;
- memory: `memory_bytes` of address space for each process, so `processes` times that in all;
- files: it sees the Python standard library and the system's libraries, read-only, and an empty folder in memory of at
  most `file_bytes`, which is gone with it; no other file of the machine is there;
- network: none, not even loopback; no other process of the machine can be seen or signaled;
- rights: no root, no new privileges, an empty environment, nothing inherited but one pipe each way.

What does not hold: it is one kernel, so a fault in the kernel is not kept out; it may use a whole core until its time
is up; and a program written to deceive its own test (rather than to be wrong) shares its interpreter.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from tasks.benchmarks.checkers import enclosure
from tasks.errors import InputError

Outcome = Literal["passed", "failed", "overtime"]

_GRACE_SECONDS = 30.0
_FEWEST_BYTES = 64 << 20


class SandboxError(InputError):
    """The enclosure cannot be built on this machine; nothing was run."""


@dataclass(frozen=True)
class Limits:
    """What a program may use.

    Attributes:
        seconds: wall-clock and, per process, processor time (> 0).
        memory_bytes: address space of each process (≥ 64 MiB, or the interpreter does not start).
        processes: processes and threads at once (≥ 1).
        file_bytes: all files together.
    """

    seconds: float = 10.0
    memory_bytes: int = 1 << 30
    processes: int = 8
    file_bytes: int = 64 << 20

    def __post_init__(self) -> None:
        """Raise InputError for a limit that is none."""
        if not (
            self.seconds > 0 and self.memory_bytes >= _FEWEST_BYTES and self.processes >= 1 and self.file_bytes > 0
        ):
            raise InputError(
                f"{self}: expected seconds above 0, memory_bytes of at least {_FEWEST_BYTES}, processes of at least 1 "
                "and file_bytes above 0."
            )


# The program may end the interpreter itself: only what comes after the tests says that they were passed.
_RUN = """
import json, os, sys
order = json.loads(sys.stdin.buffer.read())
names = {"__name__": "__main__"}
exec(compile(order["program"], "answer.py", "exec"), names)
exec(compile(order["tests"], "tests.py", "exec"), names)
os.write(order["pipe"], order["token"].encode())
"""


def run_tests(program: str, tests: str, limits: Limits | None = None) -> Outcome:
    """Run a program, then its tests in the same namespace; passed if the tests end without an exception.

    Only the standard library can be imported, so that the verdict does not depend on what is installed.

    Raises:
        SandboxError: the enclosure cannot be built here.
    """
    limits = limits or Limits()
    token = secrets.token_hex(16)
    reading, writing = os.pipe()
    try:
        order = json.dumps({"program": program, "tests": tests, "token": token, "pipe": writing})
        with tempfile.TemporaryDirectory(prefix="beyond-iid-box-") as root:
            code, said = _start(limits, root, order.encode(), writing)
        os.close(writing)
        writing = -1
        told = _told(reading)
    finally:
        os.close(reading)
        if writing >= 0:
            os.close(writing)
    if code == enclosure.REFUSED:
        raise SandboxError(_refusal(said))
    if code == enclosure.OVERTIME:
        return "overtime"
    return "passed" if code == 0 and told == token.encode() else "failed"


@cache
def unavailable() -> str | None:
    """Why programs cannot be run on this machine; None where they can."""
    try:
        outcome = run_tests("x = 1", "assert x == 1")
    except SandboxError as error:
        return str(error)
    return None if outcome == "passed" else _refusal(f"a trivial program {outcome}")


def _start(limits: Limits, root: str, order: bytes, writing: int) -> tuple[int, str]:
    if sys.platform != "linux":
        return enclosure.REFUSED, f"it needs Linux, this is {sys.platform}"
    interpreter = str(Path(sys.executable).resolve())
    asked = {
        "limits": {
            "seconds": limits.seconds,
            "cpu_seconds": int(limits.seconds) + 1,
            "memory_bytes": limits.memory_bytes,
            "processes": limits.processes,
            "file_bytes": limits.file_bytes,
        },
        "texts": {"root": root, "interpreter": interpreter, "code": _RUN},
        "visible": [str(Path(sys.base_prefix).resolve())],
    }
    try:
        done = subprocess.run(
            [interpreter, "-I", "-S", "-B", enclosure.__file__, json.dumps(asked)],
            input=order,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            pass_fds=(writing,),
            env={},
            timeout=limits.seconds + _GRACE_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        # Killed; the processes inside die with it.
        return enclosure.OVERTIME, ""
    return done.returncode, done.stderr.decode(errors="replace").strip()


def _told(pipe: int) -> bytes:
    os.set_blocking(pipe, False)
    try:
        return os.read(pipe, 4096)
    except BlockingIOError:
        return b""


def _refusal(said: str) -> str:
    return (
        f"programs in answers cannot be run safely on this machine ({said or 'no reason given'}), so none was run. "
        "Use Linux with a kernel of 5.12 or newer where this account may make user namespaces "
        "(kernel.unprivileged_userns_clone, or a container with CAP_SYS_ADMIN), or leave the code checker out."
    )
