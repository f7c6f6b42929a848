"""One target's model of runs: the law as mean, a Gaussian process on what it leaves over, seeds and noise.

Around given parameters the law is linear, so runs, parameters and residual process are jointly Gaussian. The law comes
with one observation that is no run: what all sources together explain of the equivalent amount (`surface_law`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tasks.effects.matrix import Matrix
from tasks.effects.surface_evidence import Linearized
from tasks.effects.surface_kernel import Places, covariance, linear, squared_distances
from tasks.effects.surface_law import EXPLAINED, EXPLAINED_SD, Law

Hyper = dict[str, float]
"""Logs of standard deviations and length scales by name, in standard units of the target."""

LEVEL_SD, OWN_SD, SHAPE_SD = 10.0, 3.0, np.array([1.0, 0.7, 1.0])
"""Prior standard deviations: level, slope of the target's own source, and the logits of the law's h, c and ρ."""
_START = {
    "slope": 0.1,
    "slope by amount": 0.1,
    "common slope": 0.05,
    "noise": 0.1,
    "sensitive noise": 0.1,
    "seed": 0.1,
    "process": 0.1,
    "trend": 0.05,
}
_LENGTH, _LENGTH_SD, _LOG_SD = 0.7, 0.7, 1.5


@dataclass(frozen=True)
class Data:
    """What is fitted, in standard units of the target.

    Attributes:
        relative: [R, S] amounts over the reference mixture's.
        weight: [S] reference amounts over their mean: slopes may grow with how much there is of a source.
        places: the runs as the residual process sees them.
        same_seed: [R, R] 1 where two runs share a seed; None where seeds say nothing.
        score: [R] performance, mean 0, standard deviation 1.
    """

    relative: Matrix
    weight: Matrix
    places: Places
    same_seed: Matrix | None
    score: Matrix

    @cached_property
    def distances(self) -> Matrix:
        """[D, R, R] squared distances between the runs per dimension."""
        return squared_distances(self.places, self.places)

    @cached_property
    def inner(self) -> Matrix:
        """[R, R] inner products of the runs' centered places."""
        return linear(self.places, self.places)


@dataclass(frozen=True)
class Local:
    """The model around given parameters.

    Attributes:
        value: [N] its mean; at the runs, the last row is what the sources explain (law only).
        jacobian: [N, parameters].
        sensitivity: [N] factor on the residual process and the sensitive noise.
        smallest: the least equivalent amount among the runs.
    """

    value: Matrix
    jacobian: Matrix
    sensitivity: Matrix
    smallest: float


@dataclass(frozen=True)
class Model:
    """Prior and likelihood of one target's runs, given hyperparameters.

    Legend: R runs, N observations: the runs, and with a law one row for its prior; S sources.

    Attributes:
        data: the runs.
        own: position of the target's own source, None where the training set has none.
        law: the mean; None = a constant.
        process: whether a Gaussian process models the residual.
    """

    data: Data
    own: int | None
    law: Law | None
    process: bool

    @cached_property
    def names(self) -> list[str]:
        """The hyperparameters' names; the length scales come last."""
        names = ["noise"]
        if self.law:
            names = ["slope", "slope by amount", "common slope", "noise", "sensitive noise"]
        if self.data.same_seed is not None:
            names.append("seed")
        if self.process:
            names += ["process", "trend", *(f"length {k}" for k in range(len(self.data.distances)))]
        return names

    @cached_property
    def center(self) -> Matrix:
        """Prior means of the hyperparameters, in the order of the names; where fitting starts."""
        return np.array([np.log(_START.get(name, _LENGTH)) for name in self.names])

    @cached_property
    def spread(self) -> Matrix:
        """Their prior standard deviations."""
        return np.array([_LENGTH_SD if name.startswith("length") else _LOG_SD for name in self.names])

    @cached_property
    def prior_mean(self) -> Matrix:
        """[parameters] of the law, or the level alone without one."""
        return self.law.prior_mean(0.0) if self.law else np.zeros(1)

    @cached_property
    def observed(self) -> Matrix:
        """[N] scores, and with a law what the sources are expected to explain."""
        return np.append(self.data.score, EXPLAINED) if self.law else self.data.score

    @cached_property
    def is_run(self) -> Matrix:
        """[N] 1 for runs, 0 for the row of the prior."""
        runs = np.ones(len(self.data.score))
        return np.append(runs, 0.0) if self.law else runs

    def norm(self, parameters: Matrix) -> float:
        """Root mean square of the sensitivity at the runs: over it, standard deviations keep their meaning."""
        raw = self.local(parameters, 1.0).sensitivity
        return float(np.sqrt(np.mean(raw[: len(self.data.score)] ** 2)))

    def local(self, parameters: Matrix, norm: float) -> Local:
        """The model at the observations."""
        if self.law is None:
            return self.elsewhere(parameters, norm, self.data.relative, 0.0)
        found = self.law.evaluate(parameters, self.data.relative)
        part, row = self.law.explained(parameters)
        return Local(
            np.append(found.value, part),
            np.vstack([found.jacobian, row]),
            np.append(found.sensitivity / norm, 1.0),
            float(found.amount.min()),
        )

    def elsewhere(self, parameters: Matrix, norm: float, relative: Matrix, floor: float) -> Local:
        """The model at M mixtures, [M, S] relative amounts; equivalent amounts below the floor count as it."""
        if self.law is None:
            size = len(relative)
            return Local(np.full(size, parameters[0]), np.ones((size, 1)), np.ones(size), 0.0)
        found = self.law.evaluate(parameters, relative, floor)
        return Local(found.value, found.jacobian, found.sensitivity / norm, 0.0)

    def prior_covariance(self, hyper: Hyper) -> Matrix:
        """[parameters, parameters] of the law's parameters."""
        if self.law is None:
            return np.array([[LEVEL_SD**2]])
        variance = np.exp(2 * hyper["slope"]) + np.exp(2 * hyper["slope by amount"]) * self.data.weight**2
        together = self.data.weight.copy()
        if self.own is not None:
            variance[self.own], together[self.own] = OWN_SD**2, 0.0
        prior = np.diag(np.concatenate([[LEVEL_SD**2], variance, SHAPE_SD**2]))
        prior[1:-3, 1:-3] += np.exp(2 * hyper["common slope"]) * np.outer(together, together)
        return prior

    def noise(self, hyper: Hyper, sensitivity: Matrix, is_run: Matrix) -> Matrix:
        """[N] variances of what differs from run to run, and of the prior's row."""
        variance = np.exp(2 * hyper["noise"]) * is_run
        if self.law:
            variance = variance + np.exp(2 * hyper["sensitive noise"]) * sensitivity**2 * is_run
        return variance + (1 - is_run) * EXPLAINED_SD**2

    def residual_covariance(self, hyper: Hyper, sensitivity: Matrix) -> Matrix:
        """[N, N] covariance of the observations around the law: process, seeds and noise."""
        runs = len(self.data.score)
        total = np.diag(self.noise(hyper, sensitivity, self.is_run))
        if self.data.same_seed is not None:
            total[:runs, :runs] += np.exp(2 * hyper["seed"]) * self.data.same_seed
        if self.process:
            scale = np.outer(sensitivity[:runs], sensitivity[:runs])
            total[:runs, :runs] += scale * covariance(hyper, self.data.distances, self.data.inner)
        return total

    def process_covariance(self, hyper: Hyper, a: Places, b: Places) -> Matrix:
        """[M, N] covariance of the residual process between mixtures, before it is scaled by the sensitivity."""
        return covariance(hyper, squared_distances(a, b), linear(a, b))

    def linearized(self, parameters: Matrix, norm: float) -> Linearized:
        """The Gaussian model around given parameters, as a sum of parts that the hyperparameters scale."""
        local, runs, data = self.local(parameters, norm), len(self.data.score), self.data
        sensitivity = local.sensitivity
        target = self.observed - local.value + local.jacobian @ (parameters - self.prior_mean)
        fixed = np.diag((1 - self.is_run) * EXPLAINED_SD**2 + 1e-10)
        fixed += LEVEL_SD**2 * np.outer(local.jacobian[:, 0], local.jacobian[:, 0])
        parts: dict[str, Matrix] = {"noise": np.diag(self.is_run)}
        if self.law:
            shape = local.jacobian[:, -3:]
            fixed += (shape * SHAPE_SD**2) @ shape.T
            slopes = local.jacobian[:, 1:-3].copy()
            if self.own is not None:
                fixed += OWN_SD**2 * np.outer(slopes[:, self.own], slopes[:, self.own])
                slopes[:, self.own] = 0.0
            together = slopes @ data.weight
            parts["slope"] = slopes @ slopes.T
            parts["slope by amount"] = (slopes * data.weight**2) @ slopes.T
            parts["common slope"] = together[:, None] * together
            parts["sensitive noise"] = np.diag(self.is_run * sensitivity**2)
        extra = len(target) - runs
        if data.same_seed is not None:
            parts["seed"] = np.pad(data.same_seed, ((0, extra), (0, extra)))
        scale = sensitivity[:runs, None] * sensitivity[:runs]
        if self.process:
            parts["trend"] = np.pad(scale * data.inner, ((0, extra), (0, extra)))
        return Linearized(target, fixed, parts, data.distances if self.process else None, scale)
