"""CPU seconds of this process' descendants, those that have ended and those reparented included."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

_SAMPLE_SECONDS = 0.3


class ProcessorTime(threading.Thread):
    """Adds up what the processes used that were ever seen below this one; what ends unseen counts until its last look.

    Attributes:
        seconds: user and system time so far, all cores together.
    """

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._used: dict[psutil.Process, float] = {}
        self._first: dict[psutil.Process, float] = {}
        self._end = threading.Event()
        for process in psutil.Process().children(recursive=True):
            self._first[process] = _seconds(process) or 0.0

    @property
    def seconds(self) -> float:
        return sum(used - self._first.get(process, 0.0) for process, used in self._used.items())

    def run(self) -> None:
        while not self._end.wait(_SAMPLE_SECONDS):
            for process in {*psutil.Process().children(recursive=True), *self._used}:
                used = _seconds(process)
                if used is not None:
                    self._used[process] = used

    def stop(self) -> None:
        self._end.set()
        self.join()


@contextmanager
def processor_time() -> Iterator[ProcessorTime]:
    """Measure while the block runs."""
    meter = ProcessorTime()
    meter.start()
    try:
        yield meter
    finally:
        meter.stop()


def _seconds(process: psutil.Process) -> float | None:
    try:
        times = process.cpu_times()
    except psutil.Error:
        return None
    return float(times.user + times.system)
