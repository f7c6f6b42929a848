"""Raw rows of a pool's files in blocks, as they stand, so that what is kept can be copied with all its fields."""

from __future__ import annotations

import gzip
import zlib
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from tasks.errors import InputError
from tasks.pool.config import FilesSource
from tasks.pool.rows import expand_paths, iter_rows, json_rows

if TYPE_CHECKING:
    import pyarrow as pa

Kind = Literal["jsonl", "parquet"]
Value = TypeVar("Value")

BLOCK_BYTES = 4 << 20
"""Bytes of JSON lines held at a time (more where one line is longer)."""
BATCH_ROWS = 4096
"""Rows of a Parquet file held at a time."""

_LINE_FEED = ord("\n")
_SPACES = tuple(b" \t\r\n\v\f")


@dataclass(frozen=True)
class RawBlock:
    """Some consecutive rows of one file.

    Attributes:
        numbers: 1-based line (JSON lines) or row (Parquet) of each row, (rows,).
        data: the rows' lines, with a line feed between two; empty for Parquet.
        batch: the rows with all their columns; None for JSON lines.
        position: how far the file has been read, in bytes on the disk.
    """

    numbers: NDArray[np.int64]
    data: bytes
    batch: pa.RecordBatch | None
    position: int

    @cached_property
    def lines(self) -> list[bytes]:
        """Each row's line without its line feed; none for Parquet."""
        return self.data.split(b"\n") if self.data else []


def pool_files(patterns: tuple[str, ...]) -> tuple[tuple[Path, ...], Kind]:
    """The files that patterns name, all of one kind.

    Raises:
        InputError: a pattern matches nothing, a file is no JSON lines or Parquet file, or both kinds are named.
    """
    files = expand_paths(patterns)
    kinds: set[Kind] = {"parquet" if path.suffix == ".parquet" else "jsonl" for path in files}
    if len(kinds) > 1:
        raise InputError(
            f"{', '.join(map(str, files))}: JSON lines and Parquet together; expected one kind, which the result "
            "then has too. Run once for each kind."
        )
    kind = kinds.pop()
    for path in files:
        _check_readable(path, kind)
    return files, kind


def raw_blocks(path: Path, kind: Kind) -> Iterator[RawBlock]:
    """Stream a file; empty lines of JSON lines are no rows.

    Raises:
        InputError: the file cannot be read to its end.
    """
    return _parquet_blocks(path) if kind == "parquet" else _json_blocks(path)


def ahead(values: Iterator[Value]) -> Iterator[Value]:
    """The same values, each next one made in a thread while the one before is used."""
    nothing = object()
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, values, nothing)
        while (value := coming.result()) is not nothing:
            coming = pool.submit(next, values, nothing)
            yield cast(Value, value)


def _check_readable(path: Path, kind: Kind) -> None:
    if kind == "jsonl":
        for _ in iter_rows(FilesSource(paths=(str(path),))):
            return
        return
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        pq.read_schema(path)
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path}: cannot be read as Parquet ({error}). Write or download the file again.") from error


def _json_blocks(path: Path) -> Iterator[RawBlock]:
    number = 1
    try:
        with path.open("rb") as disk:
            stream = cast(BinaryIO, gzip.GzipFile(fileobj=disk)) if path.suffix == ".gz" else disk
            while data := stream.read(BLOCK_BYTES):
                if not data.endswith(b"\n"):
                    data += stream.readline()
                data = data.removesuffix(b"\n")
                letters = np.frombuffer(data, dtype=np.uint8)
                feeds = np.flatnonzero(letters == _LINE_FEED)
                numbers = np.arange(number, number + len(feeds) + 1)
                number += len(numbers)
                # The letter after each line feed; after one at the very end, the feed itself.
                after = letters[np.minimum(feeds + 1, len(letters) - 1)]
                if not data or data[:1].isspace() or np.isin(after, _SPACES).any():
                    numbers, data = _without_empty_lines(numbers, data)
                if len(numbers):
                    yield RawBlock(numbers, data, None, disk.tell())
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        # A block is read whole or not at all; line by line the same error names the line.
        deque(json_rows(path), maxlen=0)
        raise InputError(
            f"{path}: cannot be unpacked after line {number - 1} ({error}); expected a whole gzip file. "
            "Copy or download it again."
        ) from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read after line {number - 1} ({error.strerror or error})") from error


def _without_empty_lines(numbers: NDArray[np.int64], data: bytes) -> tuple[NDArray[np.int64], bytes]:
    rows = [(number, line) for number, line in zip(numbers.tolist(), data.split(b"\n"), strict=True) if line.strip()]
    return np.array([number for number, _ in rows], dtype=np.int64), b"\n".join(line for _, line in rows)


def _parquet_blocks(path: Path) -> Iterator[RawBlock]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    number, size = 0, path.stat().st_size
    try:
        with pq.ParquetFile(path) as file:
            total = max(1, file.metadata.num_rows)
            for batch in file.iter_batches(batch_size=BATCH_ROWS):
                numbers = np.arange(number + 1, number + 1 + batch.num_rows)
                number += batch.num_rows
                yield RawBlock(numbers, b"", batch, size * number // total)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path}: cannot be read as Parquet after row {number} ({error}). Write or download the file again."
        ) from error
