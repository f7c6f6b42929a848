from __future__ import annotations

import pickle
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix, hstack
from sklearn.feature_extraction.text import TfidfVectorizer

from tasks.pool.config import FilesSource
from tasks.pool.instruction import Instruction
from tasks.pool.reader import read_pool
from tasks.tagging.lexical import LexicalFeatures
from tests.tasks.tagging.rows import instruction, made_up


def words(text: str) -> list[str]:
    return re.findall(r"\w+|[^\w\s]", text.lower())


def sequences(parts: list[str], longest: int) -> list[str]:
    return [" ".join(parts[i : i + n]) for n in range(1, longest + 1) for i in range(len(parts) - n + 1)]


class WithScikitLearn:
    """The features as they are described: terms put together as text and given to TfidfVectorizer."""

    def __init__(self, rows: Sequence[Instruction]) -> None:
        self.blocks = [
            TfidfVectorizer(analyzer=terms, sublinear_tf=True, min_df=2)
            for terms in (
                lambda row: sequences(words(row.messages[0][1]), 2),
                lambda row: [
                    mark + term
                    for mark, part in (("<", words(row.messages[0][1])[:12]), (">", words(row.messages[0][1])[-12:]))
                    for term in sequences(part, 3)
                ],
                lambda row: sequences(words(row.answer), 2),
            )
        ]
        for block in self.blocks:
            block.fit(rows)

    def transform(self, rows: Sequence[Instruction]) -> csr_matrix:
        prompts, edges, answers = (block.transform(rows) for block in self.blocks)
        return hstack([prompts, edges, 0.5 * answers]).tocsr()


def assert_same_bits(found: csr_matrix, expected: csr_matrix) -> None:
    assert found.shape == expected.shape
    np.testing.assert_array_equal(found.indptr, expected.indptr)
    np.testing.assert_array_equal(found.indices, expected.indices)
    assert found.data.tobytes() == expected.data.tobytes()


def test_real_rows_have_the_bits_of_scikit_learn_whatever_the_batch(shared_data: Path) -> None:
    rows = read_pool(FilesSource(paths=(str(shared_data / "realpool" / "train.jsonl.gz"),))).instructions
    features, oracle = LexicalFeatures(rows[:800]), WithScikitLearn(rows[:800])
    for batch in (rows[:300], rows[800:1500], rows[1500:1501]):
        assert_same_bits(features.transform(batch), oracle.transform(batch))


WORD = st.sampled_from(
    ["a", "b", "<", ">", "<a", "a b", "é", "Σ", "ς", "ß", "İ", "́", "日本", "\U0001f600", "x_1", "\n"]
)
TEXT = st.lists(WORD, max_size=30).map(" ".join)
ROWS = st.lists(st.builds(instruction, TEXT, TEXT), min_size=1, max_size=8)
SEEN = [instruction(f"a b <a > é Σ ς {n}", f"ß a b İ 日本 {n}") for n in range(2)]


@settings(max_examples=80, deadline=None)
@given(fitted=ROWS, others=ROWS)
def test_adversarial_texts_have_the_bits_of_scikit_learn(fitted: list[Instruction], others: list[Instruction]) -> None:
    assert_same_bits(
        LexicalFeatures([*fitted, *SEEN]).transform(others), WithScikitLearn([*fitted, *SEEN]).transform(others)
    )


@pytest.mark.parametrize("prompt", ["", " ", "a", "a " * 50_000, "zzz", "a b " * 7, "a\u2028b", "x" * 100_000])
def test_empty_short_repetitive_and_long_texts_have_the_bits_of_scikit_learn(prompt: str) -> None:
    fitted, odd = made_up(20, 0) + SEEN, [instruction(prompt, prompt), *SEEN, instruction("b", prompt)]
    assert_same_bits(LexicalFeatures(fitted).transform(odd), WithScikitLearn(fitted).transform(odd))


def test_rows_without_a_common_term_have_no_features() -> None:
    rows = [instruction("a", "b"), instruction("c", "d")]
    assert LexicalFeatures(rows).transform(rows).shape == (2, 0)


def test_they_pass_to_another_process_unchanged() -> None:
    rows = made_up(20, 0)
    features = LexicalFeatures(rows)
    assert_same_bits(pickle.loads(pickle.dumps(features)).transform(rows), features.transform(rows))
