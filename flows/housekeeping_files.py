"""Looking at and removing files of the artifact store: never through a link, never outside, never what is in use."""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tasks.benchmarks.run import LOCK_NAME

TRASH = ".trash"
"""Folder of the artifact store that things to be removed are moved into first: they go at once or not at all."""


def children(folder: Path) -> list[Path]:
    """Entries of a folder, sorted; none where it is a link or missing. Links among them are left out."""
    if folder.is_symlink() or not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if not path.is_symlink())


def size_and_age(path: Path) -> tuple[int, float]:
    """Bytes on disk below a path, and seconds since anything there last changed; links are not followed."""
    facts = path.lstat()
    size, newest = facts.st_blocks * 512, facts.st_mtime
    if stat.S_ISDIR(facts.st_mode):
        for entry in os.scandir(path):
            # What vanishes while one looks was being worked on.
            try:
                below, age = size_and_age(Path(entry.path))
            except FileNotFoundError:
                below, age = 0, 0.0
            size, newest = size + below, max(newest, time.time() - age)
    return size, max(0.0, time.time() - newest)


@contextmanager
def unlocked(run: Path) -> Iterator[bool]:
    """Hold a run's lock; False where a process is at work on the run, or there is no such folder."""
    path = run / LOCK_NAME
    if path.is_symlink() or not run.is_dir():
        yield False
        return
    if not path.exists():  # never worked on
        yield True
        return
    with path.open("r+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True


def remove(path: Path, store: Path) -> None:
    """Remove a file or folder of the store: moved aside in one step, then deleted.

    Raises:
        ValueError: the path is no real path inside the store.
        OSError: it cannot be moved or deleted.
    """
    require_inside(path, store)
    trash = store / TRASH
    if path.parent != trash:
        trash.mkdir(exist_ok=True)
        require_inside(trash, store)
        aside = trash / f"{path.name.lstrip('.')[:80]}-{secrets.token_hex(6)}"
        path.rename(aside)
        path = aside
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


def require_inside(path: Path, store: Path) -> None:
    """Refuse a path that leads out of the store, or over a link.

    Raises:
        ValueError: it does.
    """
    if path == store or path.resolve() != path or not path.is_relative_to(store):
        raise ValueError(f"{path} is no real path inside {store}")
