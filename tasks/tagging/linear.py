"""A linear classifier from few labelled and many unlabelled rows, with calibrated confidence; arrays in, arrays out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar

from tasks.tagging.embedding import softmax
from tasks.tagging.workers import Workers

FOLDS = 5
"""Parts of the cross-validation."""

ROUNDS = 2
"""How often the model learns from its own answers on unlabelled rows."""

TAKEN_SHARE = 0.8
"""Share of the unlabelled rows of each predicted category that it learns from: those that it is surest of."""

PSEUDO_WEIGHT = 0.3
"""Weight of such a row against a labelled one."""

_REGULARIZATION = 1.0
_SMALLEST, _LARGEST = -4.0, 4.0
"""Range of the logarithm of the calibration's slope."""


@dataclass(frozen=True)
class LinearModel:
    """Margins times `slope` through a softmax.

    Attributes:
        categories: names [K].
        weights: [features, K].
        offsets: [K].
        slope: makes the softmax's values right on average on rows that the model has not seen.
    """

    categories: tuple[str, ...]
    weights: np.ndarray
    offsets: np.ndarray
    slope: float

    def chances(self, features: Any) -> np.ndarray:
        """Chance of every category [n, K] for features [n, terms] (dense or sparse)."""
        return softmax(self.slope * (np.asarray(features @ self.weights) + self.offsets))


@dataclass(frozen=True)
class Agreement:
    """Cross-validated agreement with the labels of the labelled rows.

    Attributes:
        predicted: index of the predicted category of each labelled row [n], by a model that had not seen its label.
        actual: index of the label [n].
        confidence: calibrated chance of the prediction [n].
    """

    predicted: np.ndarray
    actual: np.ndarray
    confidence: np.ndarray

    @property
    def share(self) -> float:
        """Share of rows whose prediction is their label."""
        return float((self.predicted == self.actual).mean())

    @property
    def standard_error(self) -> float:
        """Binomial standard error of the share."""
        return float(np.sqrt(self.share * (1 - self.share) / len(self.actual)))


def fit_linear(
    features: Any,
    labels: np.ndarray,
    unlabelled: Any,
    categories: tuple[str, ...],
    seed: int = 0,
    workers: Workers | None = None,
) -> tuple[LinearModel, Agreement]:
    """Fit one-against-rest linear support vectors with self-training, and calibrate them.

    Self-training (Yarowsky 1995): the model labels the unlabelled rows, the surest of each category join the labelled
    ones with a lower weight, and it is fitted again; `ROUNDS` times. The calibration is one slope (Guo et al., arXiv
    1706.04599) that maximizes the likelihood of the labels under cross-validated margins, each from a whole fit,
    self-training included.

    Args:
        features: labelled rows [n, terms], dense or sparse.
        labels: index of each one's category [n]; every category at least `FOLDS` times.
        unlabelled: unlabelled rows [m, terms]; m may be 0.
        categories: names [K].
        seed: of the folds.
        workers: do the fits, which do not need each other; None: one after another in this process.

    Raises:
        ValueError: a category has fewer than `FOLDS` rows.
        RunError: a process died.
    """
    from sklearn.model_selection import StratifiedKFold

    counts = np.bincount(labels, minlength=len(categories))
    if counts.min() < FOLDS:
        raise ValueError(f"category {categories[int(counts.argmin())]} has {counts.min()} rows; at least {FOLDS}")
    folds = list(StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(np.zeros(len(labels)), labels))
    material = _Material(features, labels, unlabelled, len(categories))
    wanted = [np.arange(len(labels)), *(rest for rest, _ in folds)]
    (weights, offsets), *others = [fit for _, fit in (workers or Workers()).each(_self_trained, material, wanted)]
    margins = np.empty((len(labels), len(categories)))
    for (_, part), fold in zip(folds, others, strict=True):
        margins[part] = features[part] @ fold[0] + fold[1]
    slope = _calibrate(margins, labels)
    chances = softmax(slope * margins)
    agreement = Agreement(chances.argmax(axis=1), labels, chances.max(axis=1))
    return LinearModel(categories, weights, offsets, slope), agreement


@dataclass(frozen=True)
class _Material:
    """What every fit needs: all labelled rows, their labels, all unlabelled rows, the number of categories."""

    features: Any
    labels: np.ndarray
    unlabelled: Any
    count: int


def _self_trained(material: _Material, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weights and offsets from some of the labelled rows, and all unlabelled ones."""
    features, labels = material.features[rows], material.labels[rows]
    unlabelled, count = material.unlabelled, material.count
    weights, offsets = _fit(features, labels, np.ones(len(labels)), count)
    if not unlabelled.shape[0]:
        return weights, offsets
    for _ in range(ROUNDS):
        margins = unlabelled @ weights + offsets
        taken = _surest(margins)
        weights, offsets = _fit(
            _stack(features, unlabelled[taken]),
            np.concatenate([labels, margins[taken].argmax(axis=1)]),
            np.concatenate([np.ones(len(labels)), np.full(len(taken), PSEUDO_WEIGHT)]),
            count,
        )
    return weights, offsets


def _surest(margins: np.ndarray) -> np.ndarray:
    """Rows whose lead over the second category is among the largest of their category."""
    ordered = np.sort(margins, axis=1)
    lead, best = ordered[:, -1] - ordered[:, -2], margins.argmax(axis=1)
    taken = []
    for category in np.unique(best):
        rows = np.flatnonzero(best == category)
        taken.append(rows[np.argsort(-lead[rows], kind="stable")[: int(np.ceil(TAKEN_SHARE * len(rows)))]])
    return np.sort(np.concatenate(taken))


def _fit(features: Any, labels: np.ndarray, weights: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    from sklearn.svm import LinearSVC

    model = LinearSVC(C=_REGULARIZATION, random_state=0).fit(features, labels, sample_weight=weights)
    if count == 2:
        # Two categories have one margin; half of it each way keeps the difference.
        return np.vstack([-model.coef_, model.coef_]).T / 2, np.concatenate([-model.intercept_, model.intercept_]) / 2
    return model.coef_.T, model.intercept_


def _stack(first: Any, second: Any) -> Any:
    if isinstance(first, np.ndarray):
        return np.vstack([first, second])
    from scipy.sparse import vstack

    return vstack([first, second]).tocsr()


def _calibrate(margins: np.ndarray, labels: np.ndarray) -> float:
    """The slope with the highest likelihood of the labels."""

    def loss(log_slope: float) -> float:
        scaled = np.exp(log_slope) * margins
        top = scaled.max(axis=1)
        total = top + np.log(np.exp(scaled - top[:, None]).sum(axis=1))
        return float((total - scaled[np.arange(len(labels)), labels]).mean())

    return float(np.exp(minimize_scalar(loss, bounds=(_SMALLEST, _LARGEST), method="bounded").x))
