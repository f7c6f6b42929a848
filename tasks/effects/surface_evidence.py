"""Marginal likelihood of a surface that is linear around its current parameters, with its gradient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from tasks.effects.matrix import Matrix
from tasks.effects.surface_kernel import matern


@dataclass(frozen=True)
class Linearized:
    """A Gaussian model of N observations: R runs, and with a law one row for its prior.

    Attributes:
        target: [N] observations minus what is known.
        fixed: [N, N] covariance without hyperparameters.
        parts: name → [N, N] covariance per squared standard deviation exp(2p).
        distances: [D, R, R] squared distances of the residual process, None without one.
        scale: [R, R] products of the runs' sensitivities, by which the process acts.
    """

    target: Matrix
    fixed: Matrix
    parts: dict[str, Matrix]
    distances: Matrix | None
    scale: Matrix


class Evidence:
    """Negative log marginal likelihood plus the penalty on hyperparameters, with its gradient; for a minimizer.

    The last hyperparameters are the process' log length scales, if there is a process.
    """

    def __init__(self, model: Linearized, names: list[str], center: Matrix, spread: Matrix) -> None:
        self._model, self._names, self._center, self._spread = model, names, center, spread

    def __call__(self, point: Matrix) -> tuple[float, Matrix]:
        """Value and gradient at a point of log hyperparameters, in the order of the names."""
        model, runs = self._model, len(self._model.scale)
        value = dict(zip(self._names, point, strict=True))
        total = model.fixed.copy()
        scaled = {name: np.exp(2 * value[name]) * part for name, part in model.parts.items()}
        for part in scaled.values():
            total += part
        process: Any = None
        if model.distances is not None:
            lengths = point[-len(model.distances) :]
            smooth, slope = matern(model.distances, lengths)
            factor = np.exp(2 * value["process"]) * model.scale
            process = factor * smooth, factor * slope, np.exp(-2 * lengths)
            total[:runs, :runs] += process[0]
        try:
            factored = cho_factor(total, lower=True, check_finite=False)
        except np.linalg.LinAlgError:
            return 1e12, np.zeros(len(point))
        weights = cho_solve(factored, model.target, check_finite=False)
        away = (point - self._center) / self._spread
        result = float(model.target @ weights) / 2 + float(np.log(np.diag(factored[0])).sum()) + float(away @ away) / 2
        push = cho_solve(factored, np.eye(len(weights)), check_finite=False) - np.outer(weights, weights)
        gradient = np.array([float((push * scaled[name]).sum()) if name in scaled else 0.0 for name in self._names])
        if process is not None and model.distances is not None:
            inner = push[:runs, :runs]
            gradient[self._names.index("process")] = float((inner * process[0]).sum())
            gradient[-len(model.distances) :] = np.tensordot(model.distances, inner * process[1], 2) * process[2] / 2
        return result, gradient + away / self._spread
