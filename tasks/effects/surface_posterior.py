"""One target's fitted surface: mean, covariance and draws at any mixtures, and how well the runs predict one another.

The posterior is that of the model made linear around the fitted parameters (a Laplace approximation).
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from tasks.effects.matrix import Matrix
from tasks.effects.surface_fit import Fitted, fit_model
from tasks.effects.surface_kernel import Places
from tasks.effects.surface_law import Law
from tasks.effects.surface_model import Data, Hyper, Local, Model

_FLOOR = 0.05
"""Predictions go no further down than this equivalent amount, relative to the reference, or the runs' smallest."""


class TargetFit:
    """The fitted surface of one target: `mean_and_covariance` or `draw` at any mixtures.

    Attributes:
        parameters: the law's, or the level alone without a law.
        hyper: logs of standard deviations and lengths by name, in standard units.
        scale: factor on all standard errors: root mean square of the standardized leave-one-out residuals, at least 1.
        tail: further factor for predictions: their 95% quantile over the normal one, at least 1.
        df: runs minus the effective number of parameters, at least 3.
        leave_one_out: [R] residuals of predicting each run from the others.
        log_density: mean log predictive density of the runs, each from the others: what chooses between surfaces.
    """

    parameters: Matrix
    hyper: Hyper
    scale: float
    tail: float
    df: float
    leave_one_out: Matrix
    log_density: float

    def __init__(self, model: Model, fitted: Fitted) -> None:
        """Condition a model on its runs, at given parameters and hyperparameters."""
        self._model, self._norm = model, fitted.norm
        self.parameters, self.hyper = fitted.parameters, fitted.hyper
        self._condition()
        self._judge()

    def mean_and_covariance(self, relative: Matrix, places: Places) -> tuple[Matrix, Matrix]:
        """Posterior of the surface (without seed and noise) at M mixtures: [M] mean, [M, M] covariance.

        Args:
            relative: [M, S] amounts over the reference mixture's.
            places: the same mixtures as the process sees them.
        """
        mean, covariance, _, _ = self._posterior(relative, places)
        return mean, covariance

    def draw(self, relative: Matrix, places: Places, normal: Matrix) -> Matrix:
        """[B, M] draws of the surface at M mixtures.

        Unlike mean and covariance they bend with the law: where a mixture lies outside the runs the posterior is
        skewed.

        Args:
            relative: [M, S].
            places: the same mixtures as the process sees them.
            normal: [B, M + parameters] standard normal numbers.
        """
        mean, covariance, local, cross = self._posterior(relative, places)
        law = self._model.law
        if law is None:
            return mean + normal[:, : len(mean)] @ symmetric_root(covariance)
        prior_cross = self._prior @ self._jacobian.T
        own = (self._prior - prior_cross @ cho_solve(self._factor, prior_cross.T)) * self.scale**2
        shared = (local.jacobian @ self._prior - cross @ cho_solve(self._factor, prior_cross.T)) * self.scale**2
        joint = normal @ symmetric_root(np.block([[covariance, shared], [shared.T, own]]))
        flat, away = mean + joint[:, : len(mean)], joint[:, len(mean) :]
        bent = law.values(self.parameters + away, relative, self._floor)
        return flat + bent - local.value - away @ local.jacobian.T

    @property
    def size(self) -> int:
        """Number of the law's parameters (1 without a law)."""
        return len(self.parameters)

    def noise_variance(self, relative: Matrix) -> Matrix:
        """[M] variance of a new run around the surface, its seed included."""
        sensitivity = self._elsewhere(relative).sensitivity
        noise = self._model.noise(self.hyper, sensitivity, np.ones(len(relative)))
        return noise * self.scale**2 + self.seed_variance

    @property
    def seed_variance(self) -> float:
        """Variance between seeds; 0 where the runs cannot tell."""
        return float(np.exp(2 * self.hyper["seed"])) * self.scale**2 if "seed" in self.hyper else 0.0

    def _elsewhere(self, relative: Matrix) -> Local:
        return self._model.elsewhere(self.parameters, self._norm, relative, self._floor)

    def _condition(self) -> None:
        """What every prediction needs of the runs."""
        model, local = self._model, self._model.local(self.parameters, self._norm)
        self._floor, self._sensitivity = min(_FLOOR, local.smallest), local.sensitivity
        self._prior, self._jacobian = model.prior_covariance(self.hyper), local.jacobian
        residual = model.residual_covariance(self.hyper, self._sensitivity)
        self._factor = cho_factor(self._jacobian @ self._prior @ self._jacobian.T + residual, lower=True)
        gap = model.observed - local.value + self._jacobian @ (self.parameters - model.prior_mean)
        self._weights = cho_solve(self._factor, gap)

    def _judge(self) -> None:
        """How the runs predict one another (Rasmussen and Williams, section 5.4.2)."""
        runs = len(self._model.data.score)
        variance = 1 / np.diag(cho_solve(self._factor, np.eye(len(self._weights))))[:runs]
        self.leave_one_out = self._weights[:runs] * variance
        standardized = self.leave_one_out / np.sqrt(variance)
        self.scale = max(1.0, float(np.sqrt(np.mean(standardized**2))))
        self.tail = max(1.0, float(np.quantile(np.abs(standardized), 0.95)) / (1.96 * self.scale))
        self.log_density = float(np.mean(-0.5 * standardized**2 - 0.5 * np.log(variance)))
        noise = self._model.noise(self.hyper, self._sensitivity, self._model.is_run)[:runs]
        self.df = max(3.0, float(np.sum(noise / variance)))

    def _posterior(self, relative: Matrix, places: Places) -> tuple[Matrix, Matrix, Local, Matrix]:
        """Mean, covariance, the local model and the covariance with the observations, at M mixtures."""
        model, local = self._model, self._elsewhere(relative)
        cross = local.jacobian @ self._prior @ self._jacobian.T
        prior = local.jacobian @ self._prior @ local.jacobian.T
        if model.process:
            here, there = local.sensitivity, self._sensitivity[: len(model.data.score)]
            between = model.process_covariance(self.hyper, places, model.data.places)
            cross[:, : len(there)] += np.outer(here, there) * between
            prior += np.outer(here, here) * model.process_covariance(self.hyper, places, places)
        shift = local.jacobian @ (model.prior_mean - self.parameters)
        mean = local.value + shift + cross @ self._weights
        return mean, (prior - cross @ cho_solve(self._factor, cross.T)) * self.scale**2, local, cross


def fit_target(data: Data, own: int | None, law: bool, process: bool) -> TargetFit:
    """Fit one target.

    Args:
        data: the runs.
        own: position of the target's own source, None where the training set has none.
        law: whether the law is the mean (otherwise a constant).
        process: whether a Gaussian process models the residual.
    """
    model = Model(data, own, Law(data.relative.shape[1], own) if law else None, process)
    return TargetFit(model, fit_model(model))


def symmetric_root(covariance: Matrix) -> Matrix:
    """The symmetric square root of a covariance (rounding may leave tiny negative eigenvalues)."""
    values, vectors = np.linalg.eigh(covariance)
    root: Matrix = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    return root
