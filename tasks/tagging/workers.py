"""Processes of our own that start once and work on parts of a stream, with something large that all of them need."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import lru_cache
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from tasks.errors import RunError

S = TypeVar("S")
T = TypeVar("T")
R = TypeVar("R")

_WAITING_PARTS = 2
"""Parts under way per process: enough to keep it busy."""


class Workers:
    """As many processes as `count`; one is this process itself, and none is started.

    They start with the first work and end with the context; at once if it is left by an exception.
    """

    def __init__(self, count: int = 1) -> None:
        self._count = count
        self._pool: ProcessPoolExecutor | None = None
        self._numbers = 0

    def __enter__(self) -> Self:
        if self._count > 1:
            self._folder = tempfile.TemporaryDirectory()
            context = multiprocessing.get_context("spawn")
            end, self._alive = context.Pipe(duplex=False)
            self._pool = ProcessPoolExecutor(self._count, context, _begin, (end,))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is not None:
            if kind is not None:
                self._alive.close()
            self._pool.shutdown(cancel_futures=True)
            self._alive.close()
            self._folder.cleanup()
            self._pool = None

    def each(self, work: Callable[[S, T], R], shared: S, parts: Iterable[T]) -> Iterator[tuple[T, R]]:
        """Every part with `work(shared, part)`, in the order of the parts; reads a few parts per process ahead.

        Args:
            work: a function of a module; its result does not depend on the process.
            shared: what all parts need; a process reads it once, and forgets what it had before.
            parts: what is different.

        Raises:
            RunError: a process died.
        """
        if self._pool is None:
            for part in parts:
                yield part, work(shared, part)
            return
        # Through a file: handed over in a pipe, it would block for ever if the new process died at its start.
        self._numbers += 1
        file = Path(self._folder.name) / f"{self._numbers}.pickle"
        with file.open("wb") as stream:
            pickle.dump(shared, stream, protocol=pickle.HIGHEST_PROTOCOL)
        waiting: deque[tuple[T, Future[R]]] = deque()
        try:
            for part in parts:
                waiting.append((part, self._pool.submit(_work, work, file, part)))
                if len(waiting) >= self._count * _WAITING_PARTS:
                    done, future = waiting.popleft()
                    yield done, future.result()
            while waiting:
                done, future = waiting.popleft()
                yield done, future.result()
        except BrokenProcessPool as error:
            raise RunError(
                "A tagging process died, perhaps for lack of memory. Run again with fewer --processes."
            ) from error
        finally:
            for _, future in waiting:
                future.cancel()


def _begin(end: Connection) -> None:
    """Ctrl-C is the parent's to answer: it closes its side of the pipe, as does its death."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, args=(end,), daemon=True).start()


def _end_with_parent(end: Connection) -> None:
    end.poll(None)
    os._exit(1)


def _work(work: Callable[[Any, T], R], file: Path, part: T) -> R:
    return work(_read(file), part)


@lru_cache(maxsize=1)
def _read(file: Path) -> Any:
    return pickle.loads(file.read_bytes())  # noqa: S301 - written by our parent in a folder of its own
