"""Counting known word sequences in many texts at once: words become numbers, and sequences grow word by word."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix


@dataclass(frozen=True)
class Words:
    """Texts one after another, as numbers of words; after the last word of each stands the number of no word.

    Attributes:
        ids: number of each word [N].
        row: index of its text [N].
        place: 0-based place in its text [N].
        left: words of its text from there on, itself included; 0 at the number of no word [N].
        rows: number of texts.
    """

    ids: np.ndarray
    row: np.ndarray
    place: np.ndarray
    left: np.ndarray
    rows: int

    def where(self, kept: np.ndarray) -> Words:
        """Only the places where `kept` [N]."""
        return Words(self.ids[kept], self.row[kept], self.place[kept], self.left[kept], self.rows)


class WordIds:
    """Numbers the single words of a vocabulary; all others share the number of no word, `unknown`."""

    def __init__(self, vocabulary: Iterable[str]) -> None:
        self._ids = {word: number for number, word in enumerate(term for term in vocabulary if " " not in term)}
        self.unknown = len(self._ids)

    def __getitem__(self, word: str) -> int:
        return self._ids[word]

    def read(self, texts: Iterable[Sequence[str]]) -> Words:
        """Numbers of the words of each text."""
        known, unknown = self._ids.get, self.unknown
        ids: list[int] = []
        lengths = []
        for words in texts:
            ids.extend(map(known, words, repeat(unknown)))
            ids.append(unknown)
            lengths.append(len(words))
        count = np.array(lengths, dtype=np.int64)
        row = np.repeat(np.arange(len(count)), count + 1)
        place = np.arange(len(ids)) - (np.cumsum(count + 1) - count - 1)[row]
        return Words(np.array(ids, dtype=np.int64), row, place, count[row] - place, len(count))


def first_words(words: Words, count: int) -> Words:
    """At most `count` words from the beginning of each text."""
    return words.where((words.place < count) | (words.left == 0))


def last_words(words: Words, count: int) -> Words:
    """At most `count` words from the end of each text."""
    return words.where(words.left <= count)


class SequenceCounter:
    """Counts the terms of a vocabulary: a mark and then words with single spaces.

    A term is found from the column of the term without its last word, and that word: one number, looked up in a sorted
    array. So all beginnings of a term have to be terms too, which they are where every term of enough rows is one.
    """

    def __init__(self, vocabulary: Sequence[str], words: WordIds, marks: tuple[str, ...] = ("",)) -> None:
        """Build the table.

        Args:
            vocabulary: the terms; column i counts term i.
            words: knows every word of the terms.
            marks: what terms begin with, one of them each.
        """
        column = {term: number for number, term in enumerate(vocabulary)}
        self._starts = {mark: start for start, mark in enumerate(marks)}
        self._size = words.unknown + 1
        keys = np.empty(len(vocabulary), dtype=np.int64)
        for number, term in enumerate(vocabulary):
            beginning, space, last = term.rpartition(" ")
            mark = "" if space or "" in self._starts else term[0]
            before = len(marks) + column[beginning] if space else self._starts[mark]
            keys[number] = before * self._size + words[last.removeprefix(mark)]
        self._columns = np.argsort(keys)
        self._keys = keys[self._columns]

    def count(self, parts: Mapping[str, Words], longest: int) -> csr_matrix:
        """How often each term stands in each text [rows, terms], as float64.

        Args:
            parts: by mark, the words to look through; the same number of texts each.
            longest: words of the longest term.
        """
        from scipy.sparse import csr_matrix

        shape = (next(iter(parts.values())).rows, len(self._keys))
        if not len(self._keys):
            return csr_matrix(shape)
        found = [hit for mark, words in parts.items() for hit in self._hits(words, self._starts[mark], longest)]
        rows, columns = (np.concatenate(side) for side in zip(*found, strict=True))
        return csr_matrix((np.ones(len(rows)), (rows, columns)), shape=shape)

    def _hits(self, words: Words, start: int, longest: int) -> list[tuple[np.ndarray, np.ndarray]]:
        """Rows and columns of the terms of one word, of two, and so on; each only where the shorter one was found."""
        hits = []
        begins, before = np.arange(len(words.ids)), np.full(len(words.ids), start)
        for length in range(longest):
            # A known word is never the last number, as each text ends with the number of no word.
            wanted = before * self._size + words.ids[begins + length]
            place = np.searchsorted(self._keys, wanted)
            place[place == len(self._keys)] = 0
            hit = self._keys[place] == wanted
            begins, columns = begins[hit], self._columns[place[hit]]
            hits.append((words.row[begins], columns))
            before = len(self._starts) + columns
        return hits
