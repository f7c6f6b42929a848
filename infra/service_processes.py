"""Starting a service's processes so that they can be found and ended again, whatever happens to the supervisor."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import psutil

MARK = "BEYOND_IID_SERVICES"
"""Variable in the environment of everything the supervisor starts: the folder of its records."""

_LOG_BYTES = 10_000_000
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_LINUX = sys.platform == "linux"


def adopt_orphans() -> None:
    """Become the parent of processes below this one whose own parent dies, so that their end is learnt (Linux)."""
    if _LINUX:
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def end_with_parent() -> Callable[[], None]:
    """What a Popen's preexec_fn has to do so that the child is told to end when its parent dies, however (Linux).

    Only for parents of one thread: the signal comes when the thread that started the child ends.
    """
    library = ctypes.CDLL(None) if _LINUX else None  # loaded here: a forked child must not import

    def before_execution() -> None:
        if library is not None:
            library.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)

    return before_execution


def spawn(command: Sequence[str], environment: Mapping[str, str], log: Path) -> int:
    """Start a process in a session of its own; it is told to end when this process dies, however (Linux).

    Returns:
        Its process id, which is its session's id as well. The caller reaps it.
    """
    if log.exists() and log.stat().st_size > _LOG_BYTES:
        log.replace(log.with_suffix(".log.1"))
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            env={**environment, MARK: str(log.parent)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd="/",
            start_new_session=True,
            preexec_fn=end_with_parent(),  # noqa: PLW1509 - the supervisor has one thread
        )
    process.returncode = 0  # whoever reaps all children reaps this one: keep Popen from waiting too
    return process.pid


def is_alive(pid: int, created: float | None) -> bool:
    """Whether this very process lives; zombies do not."""
    try:
        process = psutil.Process(pid)
        same = created is None or abs(process.create_time() - created) < 1
        return same and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def members(sessions: Iterable[int], mark: Path | None = None) -> list[psutil.Process]:
    """Living processes of these sessions.

    Args:
        sessions: ids of sessions that the present process has started, or that were recorded by another one.
        mark: for recorded ones: a session counts only if one of its processes carries this mark, because an id may
            have come to belong to somebody else.
    """
    wanted = set(sessions)
    found: dict[int, list[psutil.Process]] = {}
    for process in psutil.process_iter(["status"]):
        with contextlib.suppress(OSError, psutil.Error):
            session = os.getsid(process.pid)
            if session in wanted and process.info["status"] != psutil.STATUS_ZOMBIE:
                found.setdefault(session, []).append(process)
    groups = found.values() if mark is None else [group for group in found.values() if _carries(group, mark)]
    return [process for group in groups for process in group]


def _carries(processes: Sequence[psutil.Process], mark: Path) -> bool:
    for process in processes:
        with contextlib.suppress(psutil.Error):
            if process.environ().get(MARK) == str(mark):
                return True
    return False


class Children:
    """The endings of this process's children, and the way to end them; its only place that reaps."""

    def __init__(self) -> None:
        """Nothing has ended yet."""
        self.endings: dict[int, str] = {}
        """Exit code or signal of each ended process, by its id."""

    def reap(self) -> None:
        """Take in the children that have ended."""
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return
                self.endings[pid] = _ending(os.waitstatus_to_exitcode(status))

    def ending(self, pid: int, patience: float = 5.0) -> str:
        """How a child that is alive no more has ended; asked once.

        A process of several threads counts as ended some time before the system gives its ending away.
        """
        deadline = time.monotonic() + patience
        self.reap()
        while pid not in self.endings and time.monotonic() < deadline:
            time.sleep(0.02)
            self.reap()
        return self.endings.pop(pid, "exit code unknown")

    def end(self, sessions: Iterable[int], patience: float, mark: Path | None = None) -> int:
        """Ask the sessions' processes to end, make them after `patience` seconds; returns how many there were."""
        wanted = tuple(sessions)
        living = members(wanted, mark)
        count = len(living)
        for order, seconds in ((signal.SIGTERM, patience), (signal.SIGKILL, 5.0)):
            for process in living:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.send_signal(order)
            deadline = time.monotonic() + seconds
            while living and time.monotonic() < deadline:
                time.sleep(0.05)
                self.reap()
                living = members(wanted, mark)
        return count


def _ending(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"signal {signal.Signals(-code).name}"
    except ValueError:
        return f"signal {-code}"
