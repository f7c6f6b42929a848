"""Writing lines of text all at once or not at all."""

from __future__ import annotations

import csv
import errno
import gzip
import io
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Self, cast

from tasks.errors import InputError


class HiddenFile:
    """A file written under a temporary name beside its place, which it takes when it is whole.

    Missing parent folders are made.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
        self._temporary = Path(name)
        self.stream: IO[bytes] = os.fdopen(descriptor, "wb")

    def close(self) -> None:
        """End writing; the bytes are on the disk then."""
        self.stream.flush()
        os.fsync(self.stream.fileno())
        self.stream.close()

    def appear(self) -> None:
        """Take the place of what had the name before."""
        # mkstemp makes the file private; workers may run as another user.
        self._temporary.chmod(0o644)
        self._temporary.replace(self.path)
        _sync_folder(self.path.parent)

    def discard(self) -> None:
        """Be gone, unless it has appeared."""
        with suppress(OSError):
            self.stream.close()
        self._temporary.unlink(missing_ok=True)


class LinesFile:
    """A text file (UTF-8, line feeds) that is written line by line and appears only when everything is in it.

    Missing parent folders are made. A name that ends in .gz gives a packed file. Leaving the context by an exception
    leaves what was there before. A file without lines does not appear, and an older one of that name goes, unless
    `keep_empty`. The file is on the disk when the context ends.
    """

    def __init__(self, path: Path, keep_empty: bool = False) -> None:
        self.path = path
        self.count = 0
        self._keep_empty = keep_empty

    def __enter__(self) -> Self:
        self._file = HiddenFile(self.path)
        # No name and time in the header: the same lines give the same bytes.
        packed = (
            gzip.GzipFile(filename="", mode="wb", fileobj=self._file.stream, mtime=0)
            if self.path.suffix == ".gz"
            else None
        )
        self._stream = cast("IO[bytes]", packed or self._file.stream)
        return self

    def write(self, line: str) -> None:
        """Add one line."""
        self._stream.write(line.encode() + b"\n")
        self.count += 1

    def write_encoded(self, lines: Sequence[bytes]) -> None:
        """Add lines that are UTF-8 already."""
        if lines:
            self._stream.write(b"\n".join(lines) + b"\n")
            self.count += len(lines)

    def close(self) -> None:
        """End writing; see `HiddenFile`."""
        if self._stream is not self._file.stream:
            self._stream.close()
        self._file.close()

    def appear(self) -> None:
        """Take the place of what had the name before."""
        if self.count or self._keep_empty:
            self._file.appear()
        else:
            self.path.unlink(missing_ok=True)

    def discard(self) -> None:
        """Be gone, unless it has appeared."""
        with suppress(OSError):
            self._stream.close()
        self._file.discard()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self.close()
                self.appear()
        finally:
            self.discard()


class ResultFiles:
    """Files that appear together when all of them are written, in the order in which they were added.

    Leaving the context by an exception leaves what was there before, and takes away folders that were made for nothing.
    """

    def __init__(self) -> None:
        self._files: list[HiddenFile | LinesFile] = []
        self._unwanted: list[Path] = []
        self._made: list[Path] = []

    def __enter__(self) -> Self:
        return self

    def lines(self, path: Path, keep_empty: bool = False) -> LinesFile:
        """Begin a text file; see `LinesFile`.

        Raises:
            OSError: the folder cannot be written to.
        """
        self._note_folders(path)
        file = LinesFile(path, keep_empty).__enter__()
        self._files.append(file)
        return file

    def binary(self, path: Path) -> HiddenFile:
        """Begin a file of bytes.

        Raises:
            OSError: the folder cannot be written to.
        """
        self._note_folders(path)
        file = HiddenFile(path)
        self._files.append(file)
        return file

    def write(self, path: Path, lines: Iterable[str]) -> None:
        """Add a text file with these lines, which may be none.

        Raises:
            OSError: the folder cannot be written to, or the disk is full.
        """
        file = self.lines(path, keep_empty=True)
        for line in lines:
            file.write(line)

    def without(self, paths: Iterable[Path]) -> None:
        """Older files that go when the new ones appear."""
        self._unwanted += paths

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        done = False
        try:
            if kind is None:
                for file in self._files:
                    file.close()
                for path in (*(file.path for file in self._files), *self._unwanted):
                    if path.is_dir():
                        raise IsADirectoryError(errno.EISDIR, "is a folder where a file belongs", str(path))
                for path in self._unwanted:
                    path.unlink(missing_ok=True)
                for file in self._files:
                    file.appear()
                done = True
        finally:
            for file in self._files:
                file.discard()
            for folder in [] if done else reversed(self._made):
                with suppress(OSError):
                    folder.rmdir()

    def _note_folders(self, path: Path) -> None:
        self._made += [folder for folder in reversed(path.parents) if not folder.exists()]


@contextmanager
def written_to(out: Path) -> Iterator[None]:
    """Say of trouble with the disk that `out` cannot be written.

    Raises:
        InputError: an OSError came up inside.
    """
    try:
        yield
    except OSError as error:
        raise InputError(f"{out}: cannot be written ({error}). Choose another --out or make room.") from error


def write_lines(path: Path, lines: Iterable[str]) -> None:
    """Write lines so that `path` holds either all of them or what it held before; see `LinesFile`.

    Raises:
        OSError: the folder cannot be written to, or the disk is full; the temporary file is gone then.
    """
    with LinesFile(path, keep_empty=True) as file:
        for line in lines:
            file.write(line)


def csv_lines(table: Iterable[Sequence[str]]) -> list[str]:
    """Rows of cells as lines of CSV; no cell holds a line break."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(table)
    return text.getvalue().splitlines()


def _sync_folder(folder: Path) -> None:
    """Make a rename in the folder survive a power cut, where the system can."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    except OSError:
        pass
    finally:
        os.close(descriptor)
