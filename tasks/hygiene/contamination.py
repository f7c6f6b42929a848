"""Benchmark items found again in a pool: by shared word n-grams, and by nearly equal prompts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tasks.errors import InputError
from tasks.hygiene.conversations import Conversations
from tasks.hygiene.lines import pool_files, raw_blocks
from tasks.hygiene.shingles import Grams, Hashes, Words, grams, words_of
from tasks.pool.config import FilesSource
from tasks.pool.formats import RowError, to_instruction
from tasks.pool.rows import expand_paths

FEWEST_WORDS = 4
"""Items with fewer words are found by chance, and are not looked for."""

_TEXT_FIELDS = ("question", "prompt", "text")


@dataclass(frozen=True)
class BenchmarkItem:
    """One item of a benchmark.

    Attributes:
        file: where it was read.
        line: 1-based line or row in it.
        text: what a model is asked.
    """

    file: str
    line: int
    text: str


@dataclass(frozen=True)
class Contact:
    """A pool's row that holds a benchmark item.

    Attributes:
        row: the row's place among the rows looked at.
        item: the item's place among the items.
        measure: "overlap": share of the item's n-grams that the row holds; "jaccard": Jaccard index of the n-grams of
            the row's prompt and the item.
        value: of that measure, 0…1.
    """

    row: int
    item: int
    measure: Literal["overlap", "jaccard"]
    value: float


def read_items(patterns: tuple[str, ...]) -> tuple[BenchmarkItem, ...]:
    """Read benchmark items: rows of any pool format (all but the answer counts), or with a text field question, prompt
    or text.

    Raises:
        InputError: a file cannot be read, or a row is no item; names file and line.
    """
    items = []
    for path in expand_paths(patterns):
        (_,), kind = pool_files((str(path),)) if path.suffix == ".parquet" else ((path,), "jsonl")
        for block in raw_blocks(path, kind):
            rows: Sequence[Any] = block.batch.to_pylist() if block.batch is not None else block.lines
            for line, row in zip(block.numbers.tolist(), rows, strict=True):
                try:
                    items.append(BenchmarkItem(str(path), line, _text(json.loads(row) if block.lines else row)))
                except (ValueError, RecursionError) as error:
                    raise InputError(
                        f"{path}, line {line}: no benchmark item ({error}); expected chat, Alpaca or ShareGPT rows, or "
                        "a text field question, prompt or text."
                    ) from error
    if not items:
        raise InputError(f"{', '.join(patterns)}: no benchmark items. Check that the file was written completely.")
    return tuple(items)


def _text(row: Any) -> str:
    if not isinstance(row, dict):
        raise RowError("not an object")
    for field in _TEXT_FIELDS:
        if isinstance(row.get(field), str) and row[field].strip():
            return str(row[field])
    source = FilesSource(paths=("-",), category_field="-", id_field="-")
    messages = to_instruction({**row, "-": "-"}, source).messages
    return "\n".join(content for role, content in messages[:-1] if role != "system")


class Finder:
    """Looks for a fixed set of items in any number of rows."""

    def __init__(
        self, items: Sequence[BenchmarkItem], overlap: float, words: int, near: float, near_words: int
    ) -> None:
        """Set the two rules: share of an item's n-grams (of `words` words) held by a row; Jaccard index of the n-grams
        (of `near_words` words) of item and the row's prompt.

        An item with fewer words than an n-gram is one n-gram by itself.
        """
        self._overlap, self._near, self._near_words = overlap, near, near_words
        words_in = words_of(_as_rows(items))
        lengths = np.diff(words_in.bounds)
        self.unchecked = tuple(np.flatnonzero(lengths < FEWEST_WORDS).tolist())
        long = lengths >= FEWEST_WORDS
        self._tables = [
            _Table.of(grams(words_in, size), long & (lengths == size if size < words else lengths >= size))
            for size in range(FEWEST_WORDS, words + 1)
        ]
        self._sizes = range(FEWEST_WORDS, words + 1)
        self._close = _Table.of(grams(words_in, near_words), long)

    def find(self, words: Words) -> list[Contact]:
        """Every pair of a row and an item that one of the rules holds for; of two rules the overlap is named."""
        contacts: dict[tuple[int, int], Contact] = {}
        for size, table in zip(self._sizes, self._tables, strict=True):
            if not len(table.hashes):
                continue
            for row, item, count in table.shared(grams(words, size), None):
                share = count / table.sizes[item]
                if share >= self._overlap:
                    contacts[row, item] = Contact(row, item, "overlap", share)
        if len(self._close.hashes):
            self._find_near(words, contacts)
        return sorted(contacts.values(), key=lambda contact: (contact.row, contact.item))

    def _find_near(self, words: Words, contacts: dict[tuple[int, int], Contact]) -> None:
        found = grams(words, self._near_words)
        prompt = found.ends <= words.prompt[found.rows]
        sizes = _distinct(found, prompt)
        for row, item, count in self._close.shared(found, prompt):
            jaccard = count / (sizes[row] + self._close.sizes[item] - count)
            if jaccard >= self._near:
                contacts.setdefault((row, item), Contact(row, item, "jaccard", jaccard))


@dataclass(frozen=True)
class _Table:
    """n-grams of items, sorted: each with an item that holds it.

    Attributes:
        hashes: (g,), sorted; an n-gram of several items is there several times.
        items: each one's item, (g,).
        sizes: distinct n-grams of each item, (items,).
    """

    hashes: Hashes
    items: NDArray[np.int64]
    sizes: NDArray[np.int64]

    @staticmethod
    def of(found: Grams, wanted: NDArray[np.bool_]) -> _Table:
        items = found.rows
        pairs = np.unique(np.stack([found.hashes, items.astype(np.uint64)])[:, wanted[items]], axis=1)
        owners = pairs[1].astype(np.int64)
        return _Table(pairs[0], owners, np.bincount(owners, minlength=len(wanted)))

    def shared(self, found: Grams, which: NDArray[np.bool_] | None) -> Iterable[tuple[int, int, int]]:
        """(row, item, distinct n-grams of both) for each pair that shares at least one."""
        low = np.searchsorted(self.hashes, found.hashes)
        hit = self.hashes[np.minimum(low, len(self.hashes) - 1)] == found.hashes
        places = np.flatnonzero(hit if which is None else hit & which)
        if not len(places):
            return []
        high = np.searchsorted(self.hashes, found.hashes[places], side="right")
        number = high - low[places]
        rows = np.repeat(found.rows[places], number)
        entry = np.arange(number.sum()) - np.repeat(np.cumsum(number) - number, number) + np.repeat(low[places], number)
        # An n-gram that a row repeats counts once.
        row_entry = np.unique(np.stack([rows, entry]), axis=1)
        pairs, counts = np.unique(np.stack([row_entry[0], self.items[row_entry[1]]]), axis=1, return_counts=True)
        return zip(pairs[0].tolist(), pairs[1].tolist(), counts.tolist(), strict=True)


def _distinct(found: Grams, which: NDArray[np.bool_]) -> NDArray[np.int64]:
    rows = found.rows[which]
    pairs = np.unique(np.stack([rows.astype(np.uint64), found.hashes[which]]), axis=1)
    return np.bincount(pairs[0].astype(np.int64), minlength=len(found.bounds) - 1)


def _as_rows(items: Sequence[BenchmarkItem]) -> Conversations:
    texts = [item.text.encode() for item in items]
    bounds = np.concatenate([[0], np.cumsum([len(text) for text in texts])]).astype(np.int64)
    number = np.arange(len(texts) + 1)
    category = np.zeros(len(texts), dtype=np.int32)
    text = np.frombuffer(b"".join(texts), dtype=np.uint8)
    return Conversations(
        text, bounds, number, np.ones(len(texts), dtype=np.int8), category, ("",), {}, [""] * len(texts)
    )


def item_name(item: BenchmarkItem) -> str:
    """How reports name an item."""
    return f"{Path(item.file).name}, line {item.line}"
