"""Lexical features of an instruction: its words, how it begins and ends, and the words of its answer."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from tasks.pool.instruction import Instruction
from tasks.tagging.embedding import prompt_text

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

EDGE_WORDS = 12
"""Words at either end of the prompt that count by themselves: what is asked for mostly stands there."""

EDGE_ORDER = 3
"""Longest word sequence at the ends."""

ANSWER_WEIGHT = 0.5
"""Of the answer's words against the prompt's; chosen by cross-validation."""

_WORD = re.compile(r"\w+|[^\w\s]")


class LexicalFeatures:
    """Term frequencies, weighted by rarity in the rows that they were fitted to; three blocks of unit length each.

    Blocks: word sequences of one or two of the prompt; sequences of up to `EDGE_ORDER` among its first and last
    `EDGE_WORDS` words; word sequences of one or two of the answer. A word is a run of letters and digits, or one
    punctuation mark; case is ignored. Terms of one row alone are dropped.
    """

    def __init__(self, rows: Sequence[Instruction]) -> None:
        from sklearn.feature_extraction.text import TfidfVectorizer

        self._pairs, self._edges, self._answers = (
            TfidfVectorizer(analyzer=terms, sublinear_tf=True, min_df=2) for terms in (_pairs, _edges, _pairs)
        )
        prompts, answers = _prompt_words(rows), _answer_words(rows)
        self._pairs.fit(prompts)
        self._edges.fit(prompts)
        self._answers.fit(answers)
        for vectorizer in (self._pairs, self._edges, self._answers):
            vectorizer.analyzer = _Known(vectorizer.analyzer, vectorizer.vocabulary_)

    def transform(self, rows: Sequence[Instruction]) -> csr_matrix:
        """Sparse features [n, terms]."""
        from scipy.sparse import hstack

        prompts = _prompt_words(rows)
        answers = ANSWER_WEIGHT * self._answers.transform(_answer_words(rows))
        return hstack([self._pairs.transform(prompts), self._edges.transform(prompts), answers]).tocsr()


class _Known:
    """Only the terms of the vocabulary: the vectorizer raises and catches an exception for each of the others."""

    def __init__(self, terms: Callable[[list[str]], list[str]], vocabulary: Mapping[str, int]) -> None:
        self._terms, self._vocabulary = terms, vocabulary

    def __call__(self, words: list[str]) -> list[str]:
        vocabulary = self._vocabulary
        return [term for term in self._terms(words) if term in vocabulary]


def _prompt_words(rows: Sequence[Instruction]) -> list[list[str]]:
    return [_WORD.findall(prompt_text(row).lower()) for row in rows]


def _answer_words(rows: Sequence[Instruction]) -> list[list[str]]:
    return [_WORD.findall(row.answer.lower()) for row in rows]


def _pairs(words: list[str]) -> list[str]:
    return words + [f"{first} {second}" for first, second in pairwise(words)]


def _edges(words: list[str]) -> list[str]:
    terms = []
    for mark, part in (("<", words[:EDGE_WORDS]), (">", words[-EDGE_WORDS:])):
        for length in range(1, EDGE_ORDER + 1):
            terms += [mark + " ".join(part[i : i + length]) for i in range(len(part) - length + 1)]
    return terms
