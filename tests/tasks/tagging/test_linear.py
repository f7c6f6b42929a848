from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from tasks.tagging.linear import fit_linear

NAMES = ("a", "b", "c")
CENTERS = np.array([[2.0, 0.0], [-1.0, 1.7], [-1.0, -1.7]])


def clouds(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    labels = np.arange(rows) % 3
    return CENTERS[labels] + generator.normal(0, 1.0, (rows, 2)), labels


def best_possible(features: np.ndarray) -> np.ndarray:
    """Bayes' rule for round clouds of equal size: the nearest center."""
    return np.linalg.norm(features[:, None] - CENTERS, axis=2).argmin(axis=1)


def test_predictions_come_close_to_bayes_rule() -> None:
    features, labels = clouds(600, 0)
    model, _ = fit_linear(features, labels, features[:0], NAMES)
    new, truth = clouds(3000, 1)
    ours = (model.chances(new).argmax(axis=1) == truth).mean()
    assert ours > (best_possible(new) == truth).mean() - 0.01


def test_confidence_is_calibrated_on_new_rows() -> None:
    features, labels = clouds(600, 0)
    model, agreement = fit_linear(features, labels, features[:0], NAMES)
    new, truth = clouds(20_000, 1)
    chances = model.chances(new)
    right = chances.argmax(axis=1) == truth
    confidence = chances.max(axis=1)
    for low, high in ((0.4, 0.6), (0.6, 0.8), (0.8, 0.95), (0.95, 1.0)):
        inside = (confidence > low) & (confidence <= high)
        assert right[inside].mean() == pytest.approx(confidence[inside].mean(), abs=0.08)
    assert agreement.share == pytest.approx(right.mean(), abs=4 * agreement.standard_error)


def test_unlabelled_rows_improve_a_model_from_few_labels() -> None:
    gains = []
    for seed in range(8):
        features, labels = clouds(15, seed)
        unlabelled, _ = clouds(900, 100 + seed)
        new, truth = clouds(3000, 1)
        alone, _ = fit_linear(features, labels, features[:0], NAMES)
        taught, _ = fit_linear(features, labels, unlabelled, NAMES)
        gains.append((taught.chances(new).argmax(axis=1) == truth).mean())
        gains[-1] -= (alone.chances(new).argmax(axis=1) == truth).mean()
    assert np.mean(gains) > 0.005


def test_sparse_and_dense_features_give_the_same_model() -> None:
    features, labels = clouds(60, 0)
    dense, _ = fit_linear(features, labels, features[:9], NAMES)
    sparse, _ = fit_linear(csr_matrix(features), labels, csr_matrix(features[:9]), NAMES)
    np.testing.assert_allclose(sparse.chances(csr_matrix(features)), dense.chances(features), atol=1e-4)


def test_two_categories_are_told_apart_as_well_as_by_bayes_rule() -> None:
    features, labels = clouds(600, 0)
    model, _ = fit_linear(features[labels < 2], labels[labels < 2], features[:0], NAMES[:2])
    new, truth = clouds(6000, 1)
    new, truth = new[truth < 2], truth[truth < 2]
    chances = model.chances(new)
    np.testing.assert_allclose(chances.sum(axis=1), 1.0)
    nearest = np.linalg.norm(new[:, None] - CENTERS[:2], axis=2).argmin(axis=1)
    right = (chances.argmax(axis=1) == truth).mean()
    assert right > (nearest == truth).mean() - 0.01
    assert right == pytest.approx(chances.max(axis=1).mean(), abs=0.03)


def test_a_category_with_too_few_rows_is_refused() -> None:
    features, labels = clouds(12, 0)
    with pytest.raises(ValueError, match="category a has 4 rows"):
        fit_linear(features, labels, features[:0], NAMES)
