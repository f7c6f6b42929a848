"""Writing lines of text all at once or not at all."""

from __future__ import annotations

import csv
import gzip
import io
import os
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self, cast


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
        self.path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=f".{self.path.name}.", suffix=".tmp", dir=self.path.parent)
        self._temporary = Path(name)
        raw = os.fdopen(descriptor, "wb")
        # No name and time in the header: the same lines give the same bytes.
        packed = gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) if self.path.suffix == ".gz" else None
        self._raw, self._stream = raw, cast("IO[bytes]", packed or raw)
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

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._stream is not self._raw:
                self._stream.close()
            self._raw.flush()
            os.fsync(self._raw.fileno())
            self._raw.close()
            if kind is None and (self.count or self._keep_empty):
                # mkstemp makes the file private; workers may run as another user.
                self._temporary.chmod(0o644)
                self._temporary.replace(self.path)
                _sync_folder(self.path.parent)
            elif kind is None:
                self.path.unlink(missing_ok=True)
        finally:
            self._temporary.unlink(missing_ok=True)


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
