"""Words of many rows at once as 64-bit hashes, and their n-grams."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks.hygiene.conversations import Conversations

Hashes = NDArray[np.uint64]

_LONGEST = 4096
_FACTOR = np.uint64(0x9E3779B97F4A7C15)
# Chinese and Japanese characters and Hangul syllables, which no spaces separate, begin with these bytes.
_IDEOGRAPHS = (0xE3, 0xED)


def _letters() -> NDArray[np.uint8]:
    """What stands for each byte: 0 for what separates words, the lower-case letter for an ASCII capital."""
    table = np.zeros(256, dtype=np.uint8)
    for code in range(128):
        if chr(code).isalnum():
            table[code] = ord(chr(code).lower())
    table[128:] = np.arange(128, 256)
    return table


_LETTER = _letters()
_VALUE = np.random.default_rng(20).integers(1, 2**64, 256, dtype=np.uint64)


def _powers() -> Hashes:
    with np.errstate(over="ignore"):
        return np.cumprod(np.full(_LONGEST, _FACTOR, dtype=np.uint64), dtype=np.uint64)


_POWERS = _powers()


@dataclass(frozen=True)
class Words:
    """The words of n rows, w in all.

    Attributes:
        hashes: one per word, in order, (w,).
        bounds: which words are a row's, (n + 1,).
        prompt: how many words of each row come before its last message, (n,).
    """

    hashes: Hashes
    bounds: NDArray[np.int64]
    prompt: NDArray[np.int64]


@dataclass(frozen=True)
class Grams:
    """n-grams of rows, g in all, in order.

    Attributes:
        hashes: (g,).
        bounds: which n-grams are a row's, (n + 1,).
        ends: for each n-gram, the place in its row of the word after it, (g,).
    """

    hashes: Hashes
    bounds: NDArray[np.int64]
    ends: NDArray[np.int64]

    @property
    def rows(self) -> NDArray[np.int64]:
        """Each n-gram's row, (g,)."""
        return np.repeat(np.arange(len(self.bounds) - 1), np.diff(self.bounds))


def words_of(rows: Conversations) -> Words:
    """Cut texts into words and hash them.

    A word is a run of ASCII letters and digits (case does not count) and of characters outside ASCII; each Chinese or
    Japanese character and Hangul syllable is a word of its own; all else separates. No word crosses a message's end.
    """
    text = _LETTER[rows.text]
    inside = text > 0
    begins = inside.copy()
    begins[1:] &= ~inside[:-1]
    heads = rows.message_bounds[:-1]
    heads = heads[heads < len(text)]
    begins[heads] |= inside[heads]
    wide = (text >= _IDEOGRAPHS[0]) & (text <= _IDEOGRAPHS[1])
    if wide.any():
        begins |= wide
        begins[3:] |= wide[:-3] & inside[3:]
    starts = np.flatnonzero(begins)
    bounds = np.searchsorted(starts, rows.byte_bounds).astype(np.int64)
    prompt = np.searchsorted(starts, rows.answer_starts).astype(np.int64) - bounds[:-1]
    if not len(starts):
        return Words(np.zeros(0, dtype=np.uint64), bounds, prompt)
    # Separators after a word are not part of it.
    letters = np.flatnonzero(inside)
    firsts = np.searchsorted(letters, starts)
    place = np.arange(len(letters)) - np.repeat(firsts, np.diff(np.append(firsts, len(letters))))
    values = _VALUE[text[letters]] * _POWERS[place % _LONGEST]
    return Words(_mixed(np.add.reduceat(values, firsts)), bounds, prompt)


def grams(words: Words, size: int) -> Grams:
    """All runs of `size` words within a row; a row with fewer words, but at least one, gives one run of them all.

    Args:
        words: of n rows.
        size: words in a run (≥ 1).
    """
    counts = np.diff(words.bounds)
    number = np.where(counts >= size, counts - size + 1, np.minimum(counts, 1))
    bounds = np.concatenate([[0], np.cumsum(number)]).astype(np.int64)
    place = np.arange(bounds[-1]) - np.repeat(bounds[:-1], number)
    first = np.repeat(words.bounds[:-1], number) + place
    lengths = np.repeat(np.minimum(counts, size), number)
    hashes = np.zeros(len(first), dtype=np.uint64)
    for step in range(size):
        within = lengths > step
        if within.all():
            hashes = hashes * _FACTOR + words.hashes[first + step]
        else:
            hashes[within] = hashes[within] * _FACTOR + words.hashes[first[within] + step]
    return Grams(_mixed(hashes), bounds, place + lengths)


def _mixed(values: Hashes) -> Hashes:
    """Spread each value over all 64 bits (the finalizer of splitmix64), in place."""
    values ^= values >> np.uint64(30)
    values *= np.uint64(0xBF58476D1CE4E5B9)
    values ^= values >> np.uint64(27)
    values *= np.uint64(0x94D049BB133111EB)
    values ^= values >> np.uint64(31)
    return values
