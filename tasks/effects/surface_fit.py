"""Fit one target's surface: the law's parameters by Gauss–Newton, everything else by marginal likelihood.

Around the current parameters the model is jointly Gaussian (`surface_model`), which gives the marginal likelihood of
the standard deviations and length scales (empirical Bayes, gradients in closed form). Alternating the two converges in
a few rounds. Rasmussen and Williams, Gaussian Processes for Machine Learning (2006), chapters 2 and 5.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import minimize

from tasks.effects.matrix import Matrix
from tasks.effects.surface_evidence import Evidence
from tasks.effects.surface_model import Hyper, Model

_ROUNDS, _CONVERGED = 6, 0.03
_STEPS, _STEP_MAX, _STEP_MIN, _GAIN_MIN = 30, 0.5, 1e-3, 1e-6
_BELOW, _ABOVE = 3.3, 2.7
"""How many prior standard deviations a hyperparameter may lie below and above its prior mean."""


@dataclass(frozen=True)
class Fitted:
    """What a fit found.

    Attributes:
        parameters: the law's, or the level alone without a law.
        hyper: hyperparameters.
        norm: what sensitivities are divided by.
    """

    parameters: Matrix
    hyper: Hyper
    norm: float


def fit_model(model: Model) -> Fitted:
    """Parameters and hyperparameters of a model, in turns until the hyperparameters stay where they are."""
    parameters, point = model.prior_mean, model.center
    for _ in range(_ROUNDS):
        parameters = _gauss_newton(model, _named(model, point), parameters, model.norm(parameters))
        before, point = point, _most_likely(model, point, parameters)
        if np.abs(point - before).max() < _CONVERGED:
            break
    hyper, norm = _named(model, point), model.norm(parameters)
    return Fitted(_gauss_newton(model, hyper, parameters, norm), hyper, norm)


def _named(model: Model, point: Matrix) -> Hyper:
    return dict(zip(model.names, point.tolist(), strict=True))


def _gauss_newton(model: Model, hyper: Hyper, start: Matrix, norm: float) -> Matrix:
    """Most probable parameters; the residual's covariance is that at the start."""
    residual = model.residual_covariance(hyper, model.local(start, norm).sensitivity)
    prior, mean = model.prior_covariance(hyper), model.prior_mean
    factor, precision = cho_factor(residual, lower=True), np.linalg.inv(prior)

    def penalty(parameters: Matrix) -> float:
        error, away = model.observed - model.local(parameters, norm).value, parameters - mean
        return float(error @ cho_solve(factor, error) + away @ precision @ away) / 2

    parameters, current = start, penalty(start)
    for _ in range(_STEPS):
        local = model.local(parameters, norm)
        total = local.jacobian @ prior @ local.jacobian.T + residual
        gap = model.observed - local.value + local.jacobian @ (parameters - mean)
        step = mean + prior @ local.jacobian.T @ np.linalg.solve(total, gap) - parameters
        size = min(1.0, _STEP_MAX / max(1e-9, float(np.abs(step[-3:]).max()))) if model.law else 1.0
        while size > _STEP_MIN and not penalty(parameters + size * step) < current:
            size /= 2
        if size <= _STEP_MIN:
            break
        parameters = parameters + size * step
        improved, current = current, penalty(parameters)
        if improved - current < _GAIN_MIN * (1 + abs(improved)):
            break
    return parameters


def _most_likely(model: Model, start: Matrix, parameters: Matrix) -> Matrix:
    """Hyperparameters of the largest penalized marginal likelihood, in the order of the names."""
    linearized = model.linearized(parameters, model.norm(parameters))
    found = minimize(
        Evidence(linearized, model.names, model.center, model.spread),
        start,
        jac=True,
        method="L-BFGS-B",
        bounds=[(a - _BELOW * s, a + _ABOVE * s) for a, s in zip(model.center, model.spread, strict=True)],
        options={"maxiter": 30},
    )
    return np.asarray(found.x, dtype=np.float64)
