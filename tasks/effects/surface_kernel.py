"""Covariance of what the law leaves over: a Gaussian process on square-rooted shares."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tasks.effects.matrix import Matrix

RELEVANCE_MAX = 40
"""Up to so many sources each has a length scale of its own; above, they share one."""


@dataclass(frozen=True)
class Places:
    """Mixtures as the process sees them: square roots of amounts over the mean total (Hellinger geometry of shares).

    Attributes:
        points: [M, S] square-rooted.
        center: [S] mean of the training runs' points: where the linear part is 0.
    """

    points: Matrix
    center: Matrix

    @classmethod
    def of_runs(cls, amounts: Matrix) -> Places:
        """The training runs' places."""
        points = np.sqrt(amounts / amounts.sum(axis=1).mean())
        return cls(points, points.mean(axis=0))

    def others(self, amounts: Matrix, total: float) -> Places:
        """New mixtures in the same coordinates; `total` is the training runs' mean total."""
        return Places(np.sqrt(amounts / total), self.center)


def squared_distances(a: Places, b: Places) -> Matrix:
    """[D, M, N] squared distances per dimension, D = S, or 1 (summed) above `RELEVANCE_MAX` sources."""
    if a.points.shape[1] > RELEVANCE_MAX:
        total = (a.points**2).sum(1)[:, None] + (b.points**2).sum(1)[None, :] - 2 * a.points @ b.points.T
        return np.maximum(total, 0.0)[None]
    return np.moveaxis((a.points[:, None, :] - b.points[None, :, :]) ** 2, 2, 0)


def linear(a: Places, b: Places) -> Matrix:
    """[M, N] inner products of centered points: differences that go on growing outside the runs."""
    return (a.points - a.center) @ (b.points - b.center).T


def matern(distances: Matrix, log_lengths: Matrix) -> tuple[Matrix, Matrix]:
    """Matérn-5/2 correlation, [M, N], and −2 × its derivative by the squared scaled distance.

    Args:
        distances: [D, M, N] squared distances per dimension.
        log_lengths: [D] logs of the length scales.
    """
    root = np.sqrt(5 * np.tensordot(np.exp(-2 * log_lengths), distances, 1))
    decay = np.exp(-root)
    return (1 + root + root**2 / 3) * decay, 5 / 3 * (1 + root) * decay


def covariance(parameters: Mapping[str, float], distances: Matrix, inner: Matrix) -> Matrix:
    """[M, N] covariance of the residual process, before it is scaled by the law's sensitivity.

    Args:
        parameters: logs of "process" and "trend" (standard deviations) and "length 0" … (length scales).
        distances: [D, M, N].
        inner: [M, N] from `linear`.
    """
    lengths = np.array([parameters[f"length {k}"] for k in range(len(distances))])
    smooth = np.exp(2 * parameters["process"]) * matern(distances, lengths)[0]
    return smooth + np.exp(2 * parameters["trend"]) * inner
