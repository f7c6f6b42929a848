"""What is remembered of every row of a pool while it streams by: compact arrays, about 50 bytes a row."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from tasks.hygiene.conversations import Conversations
from tasks.hygiene.lines import Kind
from tasks.pool.repeated_ids import NO_ID, id_hash, repeated

Scalar = TypeVar("Scalar", bound=np.generic)


class Growing(Generic[Scalar]):
    """An array that grows at its end."""

    def __init__(self, dtype: type[Scalar], width: int = 0) -> None:
        """Start empty; `width` > 0 makes rows of that many columns."""
        self._values: NDArray[Scalar] = np.empty((1024, width) if width else 1024, dtype=dtype)
        self._used = 0

    def extend(self, values: NDArray[Any]) -> None:
        """Append values."""
        end = self._used + len(values)
        if end > len(self._values):
            grown = np.empty((max(end, len(self._values) * 3 // 2), *self._values.shape[1:]), dtype=self._values.dtype)
            grown[: self._used] = self._values[: self._used]
            self._values = grown
        self._values[self._used : end] = values
        self._used = end

    @property
    def values(self) -> NDArray[Scalar]:
        """What was appended, as a view."""
        return self._values[: self._used]


@dataclass(frozen=True)
class PoolIndex:
    """All rows of a pool, in reading order.

    Attributes:
        files: the files, in reading order.
        kind: what all of them are.
        file_starts: place of each file's first row, and the number of rows, (files + 1,).
        numbers: line or row number of each row in its file, (rows,).
        digests: 128 bits of each conversation, as two numbers, (rows, 2); equal conversations have equal digests.
        category: place in `categories`, (rows,).
        categories: names; the empty name stands for rows without a category.
        characters: length of each conversation, all messages together, (rows,).
        reason: place in `reasons` of why a row is dropped, −1 while it is not, (rows,).
        reasons: texts.
        ids: 64-bit hash of each row's id, (rows,); see `tasks.pool.repeated_ids`.
    """

    files: tuple[Path, ...]
    kind: Kind
    file_starts: NDArray[np.int64]
    numbers: NDArray[np.int64]
    digests: NDArray[np.uint64]
    category: NDArray[np.int32]
    categories: tuple[str, ...]
    characters: NDArray[np.int32]
    reason: NDArray[np.int32]
    reasons: tuple[str, ...]
    ids: NDArray[np.uint64]

    def __len__(self) -> int:
        """Rows."""
        return len(self.numbers)

    def place(self, row: int) -> tuple[Path, int]:
        """File of a row and its number there."""
        file = int(np.searchsorted(self.file_starts, row, side="right")) - 1
        return self.files[file], int(self.numbers[row])

    def repeated_ids(self, rows: NDArray[np.bool_]) -> int:
        """Marked rows with the id of an earlier one, which a pool's reader rejects."""
        return repeated(self.ids[rows])

    def counts(self, rows: NDArray[np.bool_]) -> dict[str, int]:
        """Marked rows per category, sorted by name; categories without any are left out."""
        found = np.bincount(self.category[rows], minlength=len(self.categories))
        return {name: int(found[k]) for k, name in sorted(enumerate(self.categories), key=lambda p: p[1]) if found[k]}


class IndexBuilder:
    """Collects a `PoolIndex` block by block."""

    def __init__(self, files: tuple[Path, ...], kind: Kind) -> None:
        """Start without rows."""
        self._files, self._kind = files, kind
        self._starts = [0]
        self._numbers = Growing(np.int64)
        self._digests = Growing(np.uint64, 2)
        self._category = Growing(np.int32)
        self._characters = Growing(np.int32)
        self._reason = Growing(np.int32)
        self._categories: dict[str, int] = {}
        self._reasons: dict[str, int] = {}
        self._ids = Growing(np.uint64)

    def add(self, numbers: NDArray[np.int64], rows: Conversations) -> NDArray[np.int64]:
        """Take the next rows of the current file.

        Returns:
            Their lengths in characters, (rows,).
        """
        self._numbers.extend(numbers)
        self._digests.extend(digests(rows))
        self._ids.extend(np.array([id_hash(name) if name else NO_ID for name in rows.ids], dtype=np.uint64))
        used = np.bincount(rows.category, minlength=len(rows.names)) > 0
        place = np.full(len(rows.names), -1, dtype=np.int32)
        for k in np.flatnonzero(used).tolist():
            place[k] = self._categories.setdefault(rows.names[k], len(self._categories))
        self._category.extend(place[rows.category])
        characters = _characters(rows)
        self._characters.extend(characters)
        self._reason.extend(np.full(len(numbers), -1))
        for row, reason in rows.reasons.items():
            self.drop(row - len(numbers), reason)
        return characters

    def drop(self, row: int, reason: str) -> None:
        """Say why a row is dropped, unless it is already; `row` counts from the last row added (−1)."""
        place = self._reason.values
        if place[row] < 0:
            place[row] = self._reasons.setdefault(reason, len(self._reasons))

    def end_file(self) -> None:
        """The rows that follow are of the next file."""
        self._starts.append(len(self._numbers.values))

    def index(self) -> PoolIndex:
        """What was collected."""
        return PoolIndex(
            self._files,
            self._kind,
            np.array(self._starts, dtype=np.int64),
            self._numbers.values,
            self._digests.values,
            self._category.values,
            tuple(self._categories),
            self._characters.values,
            self._reason.values,
            tuple(self._reasons),
            self._ids.values,
        )


def digests(rows: Conversations) -> NDArray[np.uint64]:
    """128-bit hash (XXH3) of each row's roles, message lengths and text, (rows, 2)."""
    from xxhash import xxh3_128_digest

    shape = (np.diff(rows.message_bounds) << 2 | rows.roles).astype("<u8").tobytes()
    text = rows.text.tobytes()
    texts, turns = rows.byte_bounds.tolist(), (rows.row_bounds * 8).tolist()
    found = b"".join(
        [
            xxh3_128_digest(text[a:b] + shape[c:d])
            for a, b, c, d in zip(texts, texts[1:], turns, turns[1:], strict=False)
        ]
    )
    return np.frombuffer(found, dtype=np.uint64).reshape(-1, 2)


def exact_duplicates(index: PoolIndex, usable: NDArray[np.bool_]) -> NDArray[np.int64]:
    """For each usable row the first usable one with the same conversation, or −1 if it is the first, (rows,)."""
    places = np.flatnonzero(usable)
    first = np.full(len(index), -1, dtype=np.int64)
    values = index.digests[places]
    order = np.lexsort((values[:, 1], values[:, 0]))
    ordered = values[order]
    begins = np.ones(len(order), dtype=bool)
    begins[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    # lexsort is stable: a group's first entry is its first row.
    heads = order[np.flatnonzero(begins)][np.cumsum(begins) - 1] if len(order) else order
    repeated = ~begins
    first[places[order[repeated]]] = places[heads[repeated]]
    return first


def _characters(rows: Conversations) -> NDArray[np.int64]:
    return characters_before(rows, rows.byte_bounds[1:]) - characters_before(rows, rows.byte_bounds[:-1])


def characters_before(rows: Conversations, places: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many characters of the text begin before each of these bytes."""
    if rows.text.tobytes().isascii():
        return places
    beginning = (rows.text & 0xC0) != 0x80
    total = np.concatenate([[0], np.cumsum(beginning, dtype=np.int64)])
    return total[places]
