"""A fitted target against brute-force Gaussian conditioning on a model written down a second time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from scipy.special import expit, gamma, kv

from tasks.effects.surface_fit import Fitted
from tasks.effects.surface_kernel import Places
from tasks.effects.surface_law import Law
from tasks.effects.surface_model import Data, Model
from tasks.effects.surface_posterior import TargetFit, fit_target, symmetric_root

R, S, M = 16, 3, 6
HYPER = {
    **{"slope": 0.2, "slope by amount": 0.15, "common slope": 0.1, "noise": 0.15, "sensitive noise": 0.1},
    **{"seed": 0.2, "process": 0.3, "trend": 0.4, "length 0": 0.5, "length 1": 0.9, "length 2": 1.4},
}
"""Standard deviations and lengths."""
OWN = 1
PARAMETERS = np.array([0.2, 0.3, 0.7, -0.1, 0.4, -0.5, 0.6])
NORM = 1.3

KINDS = pytest.mark.parametrize(
    ("law", "process", "seeds", "own"),
    [
        (True, True, True, OWN),
        (True, True, False, None),
        (True, False, True, None),
        (True, False, False, OWN),
        (False, True, True, None),
    ],
)


@dataclass(frozen=True)
class Case:
    """A fit at given parameters, and where it is asked."""

    fit: TargetFit
    amounts: np.ndarray
    new: np.ndarray
    data: Data

    @property
    def asked(self) -> tuple[np.ndarray, Places]:
        return self.new / reference(self.amounts), self.data.places.others(self.new, total(self.amounts))


def total(amounts: np.ndarray) -> float:
    return float(amounts.sum(axis=1).mean())


def reference(amounts: np.ndarray) -> np.ndarray:
    return amounts.mean(axis=0)


def case(law: bool, process: bool, seeds: bool, own: int | None, score: np.ndarray | None = None) -> Case:
    rng = np.random.default_rng(11)
    amounts, new = rng.uniform(20, 300, (R, S)), rng.uniform(0, 330, (M, S))
    new[0, 2] = 0
    groups = np.arange(R) % 4
    if score is None:
        score = np.log(30 + amounts @ [0.2, 1.0, 0.1]) + rng.normal(0, 0.1, R)
        score = (score - score.mean()) / score.std()
    weight = reference(amounts) / reference(amounts).mean()
    same = (groups[:, None] == groups).astype(float) if seeds else None
    data = Data(amounts / reference(amounts), weight, Places.of_runs(amounts), same, score)
    model = Model(data, own, Law(S, own) if law else None, process)
    hyper = {name: float(np.log(HYPER[name])) for name in model.names}
    parameters = PARAMETERS if law else PARAMETERS[:1]
    return Case(TargetFit(model, Fitted(parameters, hyper, NORM if law else 1.0)), amounts, new, data)


def law_again(parameters: np.ndarray, relative: np.ndarray, own: int | None) -> tuple[np.ndarray, np.ndarray]:
    """[N] performance and sensitivity, from the module's formulae; no floor."""
    level, slopes, (h, c, rho) = parameters[0], parameters[1:-3], expit(parameters[-3:])
    h, c, rho = 0.9995 * h, 1.5 * c, 0.2 + 0.8 * rho
    size = np.linalg.norm(slopes) if own is None else abs(slopes[own])
    beta = np.hypot(size, 0.05) / (rho * h)
    amount = 1 + (relative**rho - 1) / rho @ slopes / beta
    return level + beta * (1 - amount**-c) / c, amount**-c


def explained_again(parameters: np.ndarray, own: int | None) -> np.ndarray:
    slopes = parameters[1:-3]
    size = np.linalg.norm(slopes) if own is None else abs(slopes[own])
    return np.array([slopes.sum() * 0.9995 * expit(parameters[-3]) / np.hypot(size, 0.05)])


def jacobian_again(function: Any, at: np.ndarray) -> np.ndarray:
    moves = 1e-5 * np.eye(len(at))
    return np.stack([(function(at + move) - function(at - move)) / 2e-5 for move in moves], axis=1)


def process_again(amounts: np.ndarray, runs: int) -> np.ndarray:
    """Covariance of the residual process at all mixtures, the first `runs` of which are the runs."""
    points = np.sqrt(amounts / amounts[:runs].sum(axis=1).mean())
    lengths = np.array([HYPER[f"length {k}"] for k in range(S)])
    scaled = np.sqrt(5) * np.linalg.norm((points[:, None] - points[None]) / lengths, axis=2)
    scaled = np.maximum(scaled, 1e-9)
    smooth = 2**-1.5 / gamma(2.5) * scaled**2.5 * kv(2.5, scaled)
    centered = points - points[:runs].mean(axis=0)
    return HYPER["process"] ** 2 * smooth + HYPER["trend"] ** 2 * centered @ centered.T


@dataclass(frozen=True)
class Joint:
    """Mean and covariance of the surface at runs and new mixtures, of the prior's row, and of the observations' error.

    Order: runs, new mixtures, the row (with a law).
    """

    mean: np.ndarray
    covariance: np.ndarray
    error: np.ndarray
    noise: np.ndarray


def joint(asked: Case, law: bool, process: bool, seeds: bool, own: int | None) -> Joint:
    amounts = np.concatenate([asked.amounts, asked.new])
    count = len(amounts)
    relative = amounts / reference(asked.amounts)
    sensitivity, mean = np.ones(count), np.zeros(count)
    covariance = np.full((count, count), 100.0)
    error = np.full(R, HYPER["noise"] ** 2)
    if law:

        def both(parameters: np.ndarray) -> np.ndarray:
            return np.append(law_again(parameters, relative, own)[0], explained_again(parameters, own))

        weight = reference(asked.amounts) / reference(asked.amounts).mean()
        variance = HYPER["slope"] ** 2 + (HYPER["slope by amount"] * weight) ** 2
        common = weight.copy()
        if own is not None:
            variance[own], common[own] = 9.0, 0.0
        prior = np.diag([100.0, *variance, 1.0, 0.49, 1.0])
        prior[1:-3, 1:-3] += HYPER["common slope"] ** 2 * np.outer(common, common)
        jacobian, start = jacobian_again(both, PARAMETERS), np.array([0, *np.zeros(S), 0.5, -0.7, 0.8])
        mean = both(PARAMETERS) + jacobian @ (start - PARAMETERS)
        covariance = jacobian @ prior @ jacobian.T
        sensitivity = np.append(law_again(PARAMETERS, relative, own)[1] / NORM, 1.0)
        error = error + (HYPER["sensitive noise"] * sensitivity[:R]) ** 2
    if process:
        scale = np.outer(sensitivity[:count], sensitivity[:count])
        covariance[:count, :count] += scale * process_again(amounts, R)
    noise = np.full(M, HYPER["noise"] ** 2)
    if law:
        noise = noise + (HYPER["sensitive noise"] * sensitivity[R:count]) ** 2
    error = np.diag(np.append(error, 0.25**2) if law else error)
    if seeds:
        groups = np.arange(R) % 4
        error[:R, :R] += HYPER["seed"] ** 2 * (groups[:, None] == groups)
    return Joint(mean, covariance, error, noise)


def conditioned(
    model: Joint, seen: np.ndarray, wanted: np.ndarray, values: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance at the wanted rows, given noisy values of the seen ones."""
    position = {row: k for k, row in enumerate([*range(R), *range(R + M, len(model.mean))])}
    places = [position[row] for row in seen.tolist()]
    inverse = np.linalg.inv(model.covariance[np.ix_(seen, seen)] + model.error[np.ix_(places, places)])
    cross = model.covariance[np.ix_(wanted, seen)]
    mean = model.mean[wanted] + cross @ inverse @ (values - model.mean[seen])
    return mean, model.covariance[np.ix_(wanted, wanted)] - cross @ inverse @ cross.T


def left_out(asked: Case, model: Joint, law: bool) -> tuple[np.ndarray, np.ndarray]:
    """[R] each run's residual and variance, predicted from all others."""
    seen = np.array([*range(R), *range(R + M, len(model.mean))])
    values = np.append(asked.data.score, 0.75) if law else asked.data.score
    residual, variance = np.empty(R), np.empty(R)
    total_covariance = model.covariance[np.ix_(seen, seen)] + model.error
    for r in range(R):
        rest = np.arange(len(seen)) != r
        gain = total_covariance[r, rest] @ np.linalg.inv(total_covariance[np.ix_(rest, rest)])
        residual[r] = values[r] - model.mean[r] - gain @ (values - model.mean[seen])[rest]
        variance[r] = total_covariance[r, r] - gain @ total_covariance[rest, r]
    return residual, variance


@KINDS
def test_mean_and_covariance_at_new_mixtures_are_those_of_gaussian_conditioning(
    law: bool, process: bool, seeds: bool, own: int | None
) -> None:
    asked = case(law, process, seeds, own)
    model = joint(asked, law, process, seeds, own)
    seen = np.array([*range(R), *range(R + M, len(model.mean))])
    values = np.append(asked.data.score, 0.75) if law else asked.data.score
    mean, covariance = conditioned(model, seen, np.arange(R, R + M), values)
    found = asked.fit.mean_and_covariance(*asked.asked)
    assert found[0] == pytest.approx(mean, abs=1e-6)
    assert found[1] / asked.fit.scale**2 == pytest.approx(covariance, abs=1e-6)


@KINDS
def test_leave_one_out_residuals_are_those_of_conditioning_on_all_other_runs(
    law: bool, process: bool, seeds: bool, own: int | None
) -> None:
    asked = case(law, process, seeds, own)
    residual, variance = left_out(asked, joint(asked, law, process, seeds, own), law)
    standardized = residual / np.sqrt(variance)
    assert asked.fit.leave_one_out == pytest.approx(residual, abs=1e-6)
    assert asked.fit.scale == pytest.approx(max(1, np.sqrt(np.mean(standardized**2))), abs=1e-6)
    assert asked.fit.log_density == pytest.approx(np.mean(-(standardized**2) / 2 - np.log(variance) / 2), abs=1e-6)
    tail = np.quantile(np.abs(standardized), 0.95) / 1.96 / asked.fit.scale
    assert asked.fit.tail == pytest.approx(max(1, tail), abs=1e-6)


@KINDS
def test_noise_of_a_new_run_adds_run_and_seed(law: bool, process: bool, seeds: bool, own: int | None) -> None:
    asked = case(law, process, seeds, own)
    model = joint(asked, law, process, seeds, own)
    seed = HYPER["seed"] ** 2 * seeds
    assert asked.fit.seed_variance == pytest.approx(asked.fit.scale**2 * seed)
    found = asked.fit.noise_variance(asked.asked[0])
    assert found == pytest.approx(asked.fit.scale**2 * (model.noise + seed), rel=1e-6)


@KINDS
def test_draws_have_the_posteriors_mean_and_covariance_where_the_law_hardly_bends(
    law: bool, process: bool, seeds: bool, own: int | None
) -> None:
    asked = case(law, process, seeds, own)
    tiny = 1e-4
    normal = np.random.default_rng(0).normal(size=(60_000, M + asked.fit.size)) * tiny
    drawn = asked.fit.draw(*asked.asked, normal)
    mean, covariance = asked.fit.mean_and_covariance(*asked.asked)
    spread = np.sqrt(np.diag(covariance))
    assert (drawn.mean(axis=0) - mean) / spread / tiny == pytest.approx(np.zeros(M), abs=0.02)
    correlation = np.cov(drawn.T) / np.outer(spread, spread) / tiny**2
    assert correlation == pytest.approx(covariance / np.outer(spread, spread), abs=0.02)


def test_draws_bend_with_the_law_and_those_of_a_process_alone_do_not() -> None:
    """Outside the runs, the curvature that a straight line leaves out is the law's own, parameters moved alike."""
    asked = case(True, False, False, OWN)
    far = np.array([[600.0, 25.0, 300.0]])
    relative, places = far / reference(asked.amounts), asked.data.places.others(far, total(asked.amounts))
    normal = np.random.default_rng(1).normal(size=(300, 1 + asked.fit.size))
    drawn = asked.fit.draw(relative, places, normal)[:, 0]
    mean, covariance = asked.fit.mean_and_covariance(relative, places)
    mirrored = asked.fit.draw(relative, places, -normal)[:, 0]
    bend = (drawn + mirrored) / 2 - mean[0]
    assert (bend < 0).mean() > 0.9
    assert np.abs(bend).max() > 0.1 * np.sqrt(covariance[0, 0])
    straight = case(False, True, False, None)
    relative, places = straight.asked
    normal = np.random.default_rng(1).normal(size=(5, M + 1))
    middle = (straight.fit.draw(relative, places, normal) + straight.fit.draw(relative, places, -normal)) / 2
    assert middle == pytest.approx(np.tile(straight.fit.mean_and_covariance(relative, places)[0], (5, 1)))


def test_degrees_of_freedom_are_runs_without_the_parameters_that_were_free() -> None:
    """With next to no noise in prior slopes a law of 3 sources costs up to 7 of 16 runs; the process costs more."""
    free = case(True, False, False, OWN).fit.df
    assert R - 7 < free < R - 2
    assert 3 <= case(True, True, False, OWN).fit.df < free


def test_process_alone_interpolates_runs_without_noise() -> None:
    rng = np.random.default_rng(2)
    amounts = rng.uniform(20, 300, (40, S))

    def truth(at: np.ndarray) -> np.ndarray:
        return np.sin(at[:, 0] / 90) + np.sqrt(at[:, 1]) / 6 - at[:, 0] * at[:, 2] / 4e4

    level, spread = truth(amounts).mean(), truth(amounts).std()
    score = (truth(amounts) - level) / spread
    data = Data(amounts / reference(amounts), np.ones(S), Places.of_runs(amounts), None, score)
    fit = fit_target(data, None, law=False, process=True)
    found, covariance = fit.mean_and_covariance(data.relative, data.places)
    assert found == pytest.approx(score, abs=0.005)
    assert np.sqrt(np.diag(covariance)).max() < 0.01
    new = rng.uniform(60, 260, (50, S))
    found, covariance = fit.mean_and_covariance(new / reference(amounts), data.places.others(new, total(amounts)))
    expected = (truth(new) - level) / spread
    assert np.sqrt(np.mean((found - expected) ** 2)) < 0.05
    inside = np.abs(found - expected) <= 3 * np.sqrt(np.diag(covariance))
    assert inside.mean() > 0.9


def test_symmetric_root_squares_to_the_covariance_even_where_that_is_singular() -> None:
    factor = np.random.default_rng(3).normal(size=(6, 3))
    root = symmetric_root(factor @ factor.T)
    assert root == pytest.approx(root.T)
    assert root @ root == pytest.approx(factor @ factor.T, abs=1e-12)
