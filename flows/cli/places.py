"""Where a command writes: found wanting before anything is computed, not after."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tasks.errors import InputError


def check_file(path: Path, option: str = "--out") -> None:
    """Raise InputError where a file of this name could not be written; nothing is left behind.

    Its folder need not be there: commands make it.

    Args:
        path: the file.
        option: the option that names it.
    """
    if path.is_dir():
        raise InputError(f"{option} {path}: is a folder; expected the name of a file to write, e.g. {path / 'out.csv'}")
    if path.exists() and not path.is_file():
        return  # a device or a pipe
    _try(path.parent, path, option)
    if path.exists():
        with _as_input_error(path, option), path.open("ab"):
            pass


def check_folder(path: Path, option: str = "--out") -> None:
    """Raise InputError where files could not be written into this folder, which need not be there; as `check_file`."""
    if path.exists() and not path.is_dir():
        raise InputError(f"{option} {path}: is a file; expected the name of a folder, new or not.")
    _try(path, path, option)


def _try(folder: Path, named: Path, option: str) -> None:
    """Write a file in the folder and take it away again, with the folders that were made for it."""
    made: list[Path] = []
    try:
        with _as_input_error(named, option):
            missing = [parent for parent in (folder, *folder.parents) if not parent.exists()]
            for parent in reversed(missing):
                parent.mkdir()
                made.append(parent)
            with tempfile.TemporaryFile(dir=folder):
                pass
    finally:
        for parent in reversed(made):
            parent.rmdir()


@contextmanager
def _as_input_error(path: Path, option: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(f"{option} {path}: cannot be written ({reason}); choose another place.") from error
