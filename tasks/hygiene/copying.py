"""Copy chosen rows of a pool's files as they stand, with all their fields, all at once or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import compress
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from tasks.errors import InputError
from tasks.hygiene.index import PoolIndex
from tasks.hygiene.lines import raw_blocks
from tasks.pool.lines_file import ResultFiles

Progress = Callable[[int], None]
"""Called with the bytes of the pool's files that have been read so far."""


def copy_rows(
    index: PoolIndex,
    wanted: dict[Path, NDArray[np.bool_]],
    progress: Progress | None = None,
    files: ResultFiles | None = None,
) -> None:
    """Write marked rows, in reading order, to the file that each mark belongs to.

    JSON lines are copied byte for byte; Parquet rows keep their columns and types.

    Args:
        index: the pool.
        wanted: for each file to write, which rows go there, (rows,).
        progress: see `Progress`.
        files: what the files appear together with; None: with each other.

    Raises:
        InputError: the pool's files have changed, or Parquet files differ in their columns.
        OSError: a file cannot be written; none of them is there then.
    """
    with ExitStack() as stack:
        together = files or stack.enter_context(ResultFiles())
        writers = [(stack.enter_context(_writer(together, path, index.kind)), mask) for path, mask in wanted.items()]
        row = read = 0
        for number, file in enumerate(index.files):
            for block in raw_blocks(file, index.kind):
                end = row + len(block.numbers)
                if not np.array_equal(index.numbers[row:end], block.numbers) or end > index.file_starts[number + 1]:
                    raise InputError(f"{file}: has changed while it was read. Leave it alone and run again.")
                for writer, mask in writers:
                    chosen = mask[row:end]
                    # A Parquet file needs its columns even where it gets no rows.
                    if chosen.any() or block.batch is not None:
                        writer(block.lines if block.batch is None else block.batch, chosen)
                row = end
                if progress:
                    progress(read + block.position)
            read += file.stat().st_size


@contextmanager
def _writer(files: ResultFiles, path: Path, kind: str) -> Iterator[Callable[[Any, NDArray[np.bool_]], None]]:
    if kind == "jsonl":
        lines = files.lines(path, keep_empty=True)
        yield lambda found, chosen: lines.write_encoded(list(compress(found, chosen.tolist())))
        return
    sink = _Parquet(files.binary(path).stream, path)
    try:
        yield sink.write
    finally:
        sink.close()


class _Parquet:
    def __init__(self, stream: IO[bytes], path: Path) -> None:
        self._stream, self._path = stream, path
        self._writer: Any = None

    def write(self, batch: Any, chosen: NDArray[np.bool_]) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        if self._writer is None:
            self._writer = pq.ParquetWriter(self._stream, batch.schema)
        if not batch.schema.equals(self._writer.schema):
            raise InputError(f"{self._path}: the Parquet files differ in their columns. Run once for each kind.")
        self._writer.write_batch(batch.filter(pa.array(chosen)))

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
