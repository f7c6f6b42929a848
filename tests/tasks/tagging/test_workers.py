from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tasks.tagging.workers import Workers


def scaled(factor: int, part: int) -> tuple[int, int]:
    return factor * part, os.getpid()


def fails_at_three(_: None, part: int) -> int:
    if part == 3:
        raise ValueError("three")
    return part


def test_parts_keep_their_order_and_each_call_its_shared_value() -> None:
    with Workers(2) as workers:
        first = list(workers.each(scaled, 10, range(9)))
        second = list(workers.each(scaled, 100, range(9)))
    assert [(part, value) for part, (value, _) in first] == [(n, 10 * n) for n in range(9)]
    assert [(part, value) for part, (value, _) in second] == [(n, 100 * n) for n in range(9)]
    assert os.getpid() not in {process for _, (_, process) in [*first, *second]}


def test_one_worker_is_this_process() -> None:
    with Workers(1) as workers:
        assert list(workers.each(scaled, 2, [4])) == [(4, (8, os.getpid()))]


def test_an_error_in_a_process_arrives_after_the_parts_before_it() -> None:
    given = []
    with Workers(2) as workers, pytest.raises(ValueError, match="three"):
        for part, _ in workers.each(fails_at_three, None, range(9)):
            given.append(part)
    assert given == [0, 1, 2]


def sleeps(seconds: float, part: int) -> int:
    time.sleep(seconds)
    return part


def test_an_interruption_does_not_wait_for_the_parts_under_way() -> None:
    def interrupted():
        yield from range(2)
        raise KeyboardInterrupt

    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt), Workers(2) as workers:
        list(workers.each(scaled, 1, range(2)))
        list(workers.each(sleeps, 300.0, interrupted()))
    assert time.monotonic() - start < 150


PARENT = """
import time
from tasks.tagging.workers import Workers
from tests.tasks.tagging.test_workers import scaled

if __name__ == "__main__":
    with Workers(2) as workers:
        print(*{process for _, (_, process) in workers.each(scaled, 1, range(4))}, flush=True)
        time.sleep(600)
"""


def test_processes_end_with_a_parent_that_was_killed(tmp_path: Path) -> None:
    (tmp_path / "parent.py").write_text(PARENT)
    parent = subprocess.Popen(
        [sys.executable, str(tmp_path / "parent.py")],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3]), "TMPDIR": str(tmp_path)},
    )
    assert parent.stdout is not None
    workers = [int(number) for number in parent.stdout.readline().split()]
    assert workers and all(psutil.pid_exists(number) for number in workers)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    deadline = time.monotonic() + 60
    while any(psutil.pid_exists(number) for number in workers) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(psutil.pid_exists(number) for number in workers)
