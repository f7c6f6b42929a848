"""Lexical features of an instruction: its words, how it begins and ends, and the words of its answer."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from tasks.pool.instruction import Instruction
from tasks.tagging.embedding import prompt_text
from tasks.tagging.word_sequences import SequenceCounter, WordIds, first_words, last_words

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

EDGE_WORDS = 12
"""Words at either end of the prompt that count by themselves: what is asked for mostly stands there."""

EDGE_ORDER = 3
"""Longest word sequence at the ends."""

ANSWER_WEIGHT = 0.5
"""Of the answer's words against the prompt's; chosen by cross-validation."""

_WORD = re.compile(r"\w+|[^\w\s]")
_LEAST_ROWS = 2
_BEGIN, _END = "<", ">"


class LexicalFeatures:
    """Term frequencies, weighted by rarity in the rows that they were fitted to; three blocks of unit length each.

    Blocks: word sequences of one or two of the prompt; sequences of up to `EDGE_ORDER` among its first and last
    `EDGE_WORDS` words; word sequences of one or two of the answer. A word is a run of letters and digits, or one
    punctuation mark; case is ignored. Terms of one row alone are dropped.

    The same numbers, bit for bit, as those of scikit-learn's TfidfVectorizer on these terms, in half the time: a term
    is never put together as text, but found by the numbers of its words.
    """

    def __init__(self, rows: Sequence[Instruction]) -> None:
        prompts, answers = ([_WORD.findall(text) for text in texts] for texts in _texts(rows))
        vocabularies = [_vocabulary(_pairs, prompts), _vocabulary(_edges, prompts), _vocabulary(_pairs, answers)]
        self._prompt_words, self._answer_words = WordIds(vocabularies[0]), WordIds(vocabularies[2])
        self._pairs = _Block(SequenceCounter(vocabularies[0], self._prompt_words))
        self._edges = _Block(SequenceCounter(vocabularies[1], self._prompt_words, (_BEGIN, _END)))
        self._answers = _Block(SequenceCounter(vocabularies[2], self._answer_words))
        for block, counts in zip((self._pairs, self._edges, self._answers), self._counts(rows), strict=True):
            block.fit(counts)

    def transform(self, rows: Sequence[Instruction]) -> csr_matrix:
        """Sparse features [n, terms]."""
        from scipy.sparse import hstack

        pairs, edges, answers = self._counts(rows)
        return hstack(
            [self._pairs.weigh(pairs), self._edges.weigh(edges), ANSWER_WEIGHT * self._answers.weigh(answers)]
        ).tocsr()

    def _counts(self, rows: Sequence[Instruction]) -> tuple[csr_matrix, csr_matrix, csr_matrix]:
        prompt_texts, answer_texts = _texts(rows)
        prompts = self._prompt_words.read(map(_WORD.findall, prompt_texts))
        answers = self._answer_words.read(map(_WORD.findall, answer_texts))
        ends = {_BEGIN: first_words(prompts, EDGE_WORDS), _END: last_words(prompts, EDGE_WORDS)}
        return (
            self._pairs.counter.count({"": prompts}, 2),
            self._edges.counter.count(ends, EDGE_ORDER),
            self._answers.counter.count({"": answers}, 2),
        )


class _Block:
    """Counts of terms → their logarithms times rarity, each row of unit length."""

    def __init__(self, counter: SequenceCounter) -> None:
        from sklearn.feature_extraction.text import TfidfTransformer

        self.counter = counter
        self._weights = TfidfTransformer(sublinear_tf=True)

    def fit(self, counts: csr_matrix) -> None:
        # Rows that have no term in common leave a block without columns, which scikit-learn refuses.
        if counts.shape[1]:
            self._weights.fit(counts)

    def weigh(self, counts: csr_matrix) -> csr_matrix:
        return self._weights.transform(counts, copy=False) if counts.shape[1] else counts


def _texts(rows: Sequence[Instruction]) -> tuple[list[str], list[str]]:
    return [prompt_text(row).lower() for row in rows], [row.answer.lower() for row in rows]


def _vocabulary(terms: Callable[[list[str]], list[str]], rows: list[list[str]]) -> list[str]:
    """Terms of at least `_LEAST_ROWS` rows, sorted."""
    rows_with: Counter[str] = Counter()
    for words in rows:
        rows_with.update(set(terms(words)))
    return sorted(term for term, count in rows_with.items() if count >= _LEAST_ROWS)


def _pairs(words: list[str]) -> list[str]:
    return words + [f"{first} {second}" for first, second in pairwise(words)]


def _edges(words: list[str]) -> list[str]:
    terms = []
    for mark, part in ((_BEGIN, words[:EDGE_WORDS]), (_END, words[-EDGE_WORDS:])):
        for length in range(1, EDGE_ORDER + 1):
            terms += [mark + " ".join(part[i : i + length]) for i in range(len(part) - length + 1)]
    return terms
