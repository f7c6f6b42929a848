from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tasks.errors import InputError
from tasks.tagging.categories import Categories
from tasks.tagging.embedding import EmbeddingTagger, SentenceModel, load_embedder
from tasks.tagging.outcome import Tag
from tests.tasks.tagging.rows import instruction


@pytest.fixture(scope="module")
def embedder() -> SentenceModel:
    return load_embedder(None)


def test_vectors_are_unit_length_and_independent_of_their_neighbors(embedder: SentenceModel) -> None:
    texts = ["a short text", "another one that is a good deal longer than the first", "a third"]
    together = embedder.encode(texts)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(together, np.concatenate([embedder.encode([text]) for text in texts]), atol=1e-5)


def test_a_row_takes_the_category_nearest_in_meaning(embedder: SentenceModel) -> None:
    categories = Categories(
        ("A", "B", "C"), ("Cooking recipes and food", "Ships and sailing at sea", "Money, banks and interest rates")
    )
    rows = [
        instruction("How long do I boil an egg?"),
        instruction("How do I hoist the mainsail in strong wind?"),
        instruction("Explain the difference between a savings account and a mortgage."),
    ]
    tags = [outcome for _, outcome in EmbeddingTagger(categories, embedder).tag(rows)]
    assert [tag.category for tag in tags if isinstance(tag, Tag)] == ["A", "B", "C"]
    assert all(1 / 3 < tag.confidence <= 1 for tag in tags if isinstance(tag, Tag))


def test_a_folder_without_a_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        load_embedder(tmp_path / "absent")
    with pytest.raises(InputError, match="no sentence-transformers model"):
        load_embedder(tmp_path)
