"""The filter against a loop that takes one row at a time."""

import numpy as np
import pytest

from tasks.selection.diversity import Choice, exact_cosine, greedy_diverse

DIMENSIONS = 24


def planted(rng: np.random.Generator, originals: int, copies: int) -> np.ndarray:
    """Originals far from each other, and copies around the threshold: cosine 0.8 to 1."""
    base = rng.normal(size=(originals, DIMENSIONS))
    noise = rng.normal(size=(copies, DIMENSIONS)) * rng.uniform(0, 0.8, size=(copies, 1))
    vectors = np.concatenate([base, base[rng.integers(originals, size=copies)] + noise])
    return rng.permutation(vectors).astype(np.float32)


def one_by_one(vectors: np.ndarray, threshold: float, size: int) -> list[int]:
    taken: list[int] = []
    for k, vector in enumerate(vectors):
        unit = vector / np.linalg.norm(vector)
        if all(unit @ (vectors[t] / np.linalg.norm(vectors[t])) < threshold for t in taken):
            taken.append(k)
        if len(taken) == size:
            break
    return taken


def filtered(vectors: np.ndarray, batch: int, size: int = 10**6, threshold: float = 0.9) -> Choice:
    rows = np.arange(len(vectors))
    batches = ((rows[s : s + batch], vectors[s : s + batch]) for s in range(0, len(rows), batch))
    return greedy_diverse(batches, threshold, lambda row: True, size)


def test_greedy_equals_one_row_at_a_time() -> None:
    vectors = planted(np.random.default_rng(0), 40, 260)
    choice = filtered(vectors, 32)
    assert list(choice.taken) == one_by_one(vectors.astype(np.float64), 0.9, 10**6)
    assert 40 < len(choice.taken) < 290
    assert len(choice.taken) + len(choice.similar) == len(vectors)


@pytest.mark.parametrize("batch", [1, 2, 7, 64, 300])
def test_batch_size_does_not_change_the_result(batch: int) -> None:
    vectors = planted(np.random.default_rng(1), 30, 270)
    assert filtered(vectors, batch) == filtered(vectors, 13)
    assert filtered(vectors, batch, size=20) == filtered(vectors, 13, size=20)


@pytest.mark.parametrize("batch", [1, 3, 50])
def test_batch_size_does_not_change_ties_at_the_threshold(batch: int) -> None:
    rng = np.random.default_rng(2)
    vectors = rng.normal(size=(50, DIMENSIONS)).astype(np.float32)
    vectors = np.concatenate([vectors, vectors * np.float32(3)])
    # The threshold is a cosine that occurs, to the last bit.
    threshold = exact_cosine(*(vectors[:2] / np.linalg.norm(vectors[:2], axis=1, keepdims=True)).astype(np.float32))
    assert filtered(vectors, batch, threshold=threshold) == filtered(vectors, 17, threshold=threshold)


def test_planted_near_duplicates_are_dropped_with_their_twin() -> None:
    rng = np.random.default_rng(3)
    base = np.linalg.qr(rng.normal(size=(DIMENSIONS, DIMENSIONS)))[0].astype(np.float32)
    copies = base + rng.normal(size=base.shape).astype(np.float32) * np.float32(0.01)
    choice = filtered(np.concatenate([base, copies]), 10)
    assert choice.taken == tuple(range(DIMENSIONS))
    assert choice.similar == tuple((DIMENSIONS + k, k) for k in range(DIMENSIONS))


def test_full_categories_pass_rows_over() -> None:
    vectors = np.eye(6, dtype=np.float32)
    choice = greedy_diverse([(np.arange(6), vectors)], 0.9, lambda row: row % 2 == 0, 3)
    assert (choice.taken, choice.full) == ((0, 2, 4), (1, 3))


def test_zero_vector_is_refused() -> None:
    with pytest.raises(ValueError, match="zero or not finite"):
        filtered(np.zeros((2, 3), dtype=np.float32), 2)
