"""A pool read once, judged row by row, and copied without what its limits exclude."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tasks.hygiene.config import Hygiene
from tasks.hygiene.contamination import BenchmarkItem, Contact, Finder, item_name
from tasks.hygiene.conversations import Conversations, conversations
from tasks.hygiene.copying import copy_rows
from tasks.hygiene.draw import reserve
from tasks.hygiene.index import IndexBuilder, PoolIndex, exact_duplicates
from tasks.hygiene.language import check_languages, language_of
from tasks.hygiene.lines import Kind, ahead, pool_files, raw_blocks
from tasks.hygiene.near_duplicates import Signatures
from tasks.hygiene.shingles import grams, words_of
from tasks.hygiene.usable import check_categories, check_usable
from tasks.pool.config import FilesSource
from tasks.pool.lines_file import ResultFiles, written_to

Steps = Callable[[str, int, int], None]
"""Progress: (what is being done, done, of how many)."""

REJECTS = "rejected.jsonl"
CONTAMINATION = "contamination.jsonl"
SUMMARY = "summary.json"
OUTPUTS = ("pool.jsonl", "pool.parquet", "reserve.jsonl", "reserve.parquet", REJECTS, CONTAMINATION, SUMMARY)
"""Every name that a result may have."""


@dataclass(frozen=True)
class Cleaned:
    """A pool whose rows have been judged.

    Attributes:
        index: all rows; those that stay have reason −1.
        duplicate_of: the earlier row that a dropped row repeats or nearly repeats, else −1, (rows,).
        contacts: rows that hold a benchmark item; `row` is a place in the index.
        items: the benchmark items looked for.
        unchecked: places of items too short to be looked for.
        reserved: rows that stay but are set apart, (rows,).
    """

    index: PoolIndex
    duplicate_of: NDArray[np.int64]
    contacts: tuple[Contact, ...]
    items: tuple[BenchmarkItem, ...]
    unchecked: tuple[int, ...]
    reserved: NDArray[np.bool_]

    @property
    def kept(self) -> NDArray[np.bool_]:
        """Rows that stay, the reserve included, (rows,)."""
        return self.index.reason < 0

    def dropped(self) -> dict[str, int]:
        """Dropped rows per kind of reason, most frequent first."""
        number = np.bincount(self.index.reason[~self.kept], minlength=len(self.index.reasons))
        kinds: Counter[str] = Counter()
        for text, rows in zip(self.index.reasons, number.tolist(), strict=True):
            kinds[text.partition(":")[0]] += rows
        return {kind: n for kind, n in kinds.most_common() if n}


def judge(
    paths: tuple[str, ...],
    limits: Hygiene,
    items: tuple[BenchmarkItem, ...] = (),
    steps: Steps | None = None,
    need_categories: bool = False,
) -> Cleaned:
    """Read a pool once and say of every row whether it stays.

    A row is dropped for the first of these that applies: it cannot be used (the reasons of the pool's reader), its
    length, its language, a benchmark item in it, an earlier row with the same conversation, an earlier row that stays
    and nearly equals it. Rows are judged in reading order. Memory grows by about 50 bytes a row; n-grams and
    signatures lie in a temporary folder (TMPDIR).

    Args:
        paths: files, all JSON lines or all Parquet.
        limits: what to drop and set apart.
        items: benchmark items that no row may hold.
        steps: progress.
        need_categories: whether some row must have a category, as with a reserve.

    Raises:
        InputError: files cannot be read, no row can be used, a language is unknown, no row has a category that is
            needed, or a reserve leaves a category empty.
    """
    if limits.languages is not None:
        check_languages(limits.languages)
    files, kind = pool_files(paths)
    with ExitStack() as stack:
        signatures = None
        if limits.near_duplicates is not None:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="beyond-iid-clean-"))
            signatures = Signatures(Path(folder), limits.near_duplicates, limits.seed)
        finder = _finder(items, limits) if items else None
        scan = _Scan(files, kind, limits, finder, signatures)
        index, contacts = scan.run(steps)
        check_usable(index)
        if need_categories or limits.reserve:
            check_categories(index, limits.category_field)
        duplicate_of = exact_duplicates(index, index.reason < 0)
        index = _mark(index, duplicate_of >= 0, "duplicate content")
        if signatures is not None:
            watch = None if steps is None else lambda done, total: steps("Near duplicates", done, total)
            near = signatures.find(index.reason < 0, watch)
            index = _mark(index, near >= 0, "near duplicate")
            duplicate_of = np.maximum(duplicate_of, near)
    apart = reserve(index, index.reason < 0, limits.reserve, limits.seed)
    unchecked = finder.unchecked if finder else ()
    return Cleaned(index, duplicate_of, tuple(contacts), items, unchecked, apart)


def write_cleaned(
    cleaned: Cleaned, out: Path, steps: Steps | None = None, parts: Mapping[str, NDArray[np.bool_]] | None = None
) -> None:
    """Write a folder: pool and reserve (as the pool's files: JSON lines or Parquet), rejected rows, report, summary.

    - pool.jsonl or pool.parquet: the rows that stay, as they were, without the reserve. With `parts` (name → rows,
      (rows,)) instead a file for each part.
    - reserve.jsonl or reserve.parquet: the rows set apart; only if there are any.
    - rejected.jsonl: file, line, reason of every dropped row.
    - contamination.jsonl: file, line, item, measure, value for each row and benchmark item; only if
      items were looked for.
    - summary.json: counts; written last.

    All appear together or not at all. Other files in the folder whose names are among `OUTPUTS` are of an earlier run
    and go.

    Raises:
        InputError: the folder cannot be written to.
    """
    index, total = cleaned.index, sum(path.stat().st_size for path in cleaned.index.files)
    stay = cleaned.kept & ~cleaned.reserved
    wanted = {out / f"{name}.{index.kind}": stay & rows for name, rows in (parts or {"pool": stay}).items()}
    if cleaned.reserved.any():
        wanted[out / f"reserve.{index.kind}"] = cleaned.reserved
    written = {*wanted, out / REJECTS, out / SUMMARY, *([out / CONTAMINATION] if cleaned.items else [])}
    with written_to(out), ResultFiles() as files:
        copy_rows(index, wanted, None if steps is None else lambda done: steps("Writing", done, total), files)
        files.write(out / REJECTS, _rejects(cleaned))
        if cleaned.items:
            files.write(out / CONTAMINATION, _report(cleaned))
        files.write(out / SUMMARY, [json.dumps(summary(cleaned), ensure_ascii=False, indent=1)])
        files.without(out / name for name in OUTPUTS if out / name not in written)


def summary(cleaned: Cleaned) -> dict[str, object]:
    """Counts for people and programs."""
    index = cleaned.index
    found: dict[str, object] = {
        "rows": len(index),
        "kept": index.counts(cleaned.kept & ~cleaned.reserved),
        "reserve": index.counts(cleaned.reserved),
        "dropped": cleaned.dropped(),
        "repeated_ids": index.repeated_ids(cleaned.kept),
    }
    if cleaned.items:
        found["benchmark"] = {
            "items": len(cleaned.items),
            "items_found": len({contact.item for contact in cleaned.contacts}),
            "items_too_short_to_look_for": [item_name(cleaned.items[k]) for k in cleaned.unchecked],
        }
    return found


def _finder(items: tuple[BenchmarkItem, ...], limits: Hygiene) -> Finder:
    # A Jaccard index never reaches 2: the check is off.
    near = 2.0 if limits.near_duplicates is None else limits.near_duplicates
    return Finder(items, limits.overlap, limits.overlap_words, near, limits.near_words)


class _Scan:
    """One pass over the files."""

    def __init__(
        self, files: tuple[Path, ...], kind: Kind, limits: Hygiene, finder: Finder | None, signatures: Signatures | None
    ) -> None:
        self._files, self._kind, self._limits = files, kind, limits
        self._finder, self._signatures = finder, signatures
        self._builder = IndexBuilder(files, kind)
        self._contacts: list[Contact] = []
        self._rows = 0

    def run(self, steps: Steps | None) -> tuple[PoolIndex, list[Contact]]:
        limits = self._limits
        source = FilesSource(
            paths=("-",),
            format=limits.format,
            category_field=limits.category_field,
            source_field=limits.source_field,
        )
        total, read = sum(path.stat().st_size for path in self._files), 0
        for path in self._files:
            parsed = ((block, conversations(block, source)) for block in raw_blocks(path, self._kind))
            for block, rows in ahead(parsed):
                self._take(block.numbers, rows)
                if steps:
                    steps("Reading", read + block.position, total)
            read += path.stat().st_size
            self._builder.end_file()
        return self._builder.index(), self._contacts

    def _take(self, numbers: NDArray[np.int64], rows: Conversations) -> None:
        characters = self._builder.add(numbers, rows)
        self._by_length(characters)
        if self._limits.languages is not None:
            self._by_language(rows)
        if self._finder is not None or self._signatures is not None:
            words = words_of(rows)
            if self._finder is not None:
                self._by_items(self._finder.find(words), len(numbers))
            if self._signatures is not None:
                self._signatures.add(grams(words, self._limits.near_words))
        self._rows += len(numbers)

    def _by_length(self, characters: NDArray[np.int64]) -> None:
        low, high = self._limits.min_characters, self._limits.max_characters
        for row in np.flatnonzero(characters < (low or 0)).tolist():
            self._builder.drop(row - len(characters), f"too short: fewer than {low} characters")
        if high:
            for row in np.flatnonzero(characters > high).tolist():
                self._builder.drop(row - len(characters), f"too long: more than {high} characters")

    def _by_language(self, rows: Conversations) -> None:
        bounds = rows.byte_bounds.tolist()
        count = len(bounds) - 1
        for row in range(count):
            if row in rows.reasons:
                continue
            found = language_of(rows.text[bounds[row] : bounds[row + 1]].tobytes()[:4000].decode(errors="ignore"))
            if found.code not in (self._limits.languages or ()):
                self._builder.drop(row - count, f"language: {found.code}")
            elif found.confidence < self._limits.language_confidence:
                self._builder.drop(row - count, f"language: not sure to be {found.code}")

    def _by_items(self, contacts: list[Contact], count: int) -> None:
        for contact in contacts:
            self._builder.drop(contact.row - count, "benchmark item")
            self._contacts.append(replace(contact, row=contact.row + self._rows))


def _mark(index: PoolIndex, rows: NDArray[np.bool_], reason: str) -> PoolIndex:
    index.reason[rows] = len(index.reasons)
    return replace(index, reasons=(*index.reasons, reason))


def _rejects(cleaned: Cleaned) -> Iterator[str]:
    index = cleaned.index
    first_contact: dict[int, Contact] = {}
    for contact in cleaned.contacts:
        first_contact.setdefault(contact.row, contact)
    for row in np.flatnonzero(~cleaned.kept).tolist():
        reason = index.reasons[index.reason[row]]
        if cleaned.duplicate_of[row] >= 0:
            other, number = index.place(cleaned.duplicate_of[row])
            reason = f"{reason}: of {other}, line {number}"
        elif reason == "benchmark item":
            found = first_contact[row]
            reason = f"{reason}: {item_name(cleaned.items[found.item])}, {found.measure} {found.value:.2f}"
        file, number = index.place(row)
        yield json.dumps({"file": str(file), "line": number, "reason": reason}, ensure_ascii=False)


def _report(cleaned: Cleaned) -> Iterator[str]:
    for contact in cleaned.contacts:
        file, number = cleaned.index.place(contact.row)
        item = cleaned.items[contact.item]
        yield json.dumps(
            {
                "file": str(file),
                "line": number,
                "item_file": item.file,
                "item_line": item.line,
                "item": item.text,
                "measure": contact.measure,
                "value": round(contact.value, 6),
            },
            ensure_ascii=False,
        )
