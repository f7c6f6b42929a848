"""A stream in consecutive parts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

T = TypeVar("T")


def batches(rows: Iterable[T], size: int) -> Iterator[tuple[T, ...]]:
    """Consecutive rows, `size` at a time, the last part shorter; reads no further than the part it gives."""
    stream = iter(rows)
    while part := tuple(islice(stream, size)):
        yield part
