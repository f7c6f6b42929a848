"""The marginal likelihood against scipy's normal density, its gradient against finite differences."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import multivariate_normal, norm

from tasks.effects.surface_evidence import Evidence
from tasks.effects.surface_fit import fit_model
from tasks.effects.surface_kernel import Places
from tasks.effects.surface_law import Law
from tasks.effects.surface_model import Data, Model

R, S = 14, 3

KINDS = pytest.mark.parametrize(
    ("law", "process", "seeds", "own"),
    [
        (True, True, True, 1),
        (True, True, False, None),
        (True, False, True, None),
        (True, False, False, 0),
        (False, True, True, None),
        (False, True, False, None),
    ],
)


def drawn(law: bool, process: bool, seeds: bool, own: int | None) -> Model:
    rng = np.random.default_rng(3)
    amounts = rng.uniform(0, 300, (R, S))
    groups = np.arange(R) % 4
    score = np.sqrt(amounts @ [1.0, 0.3, 0.1]) / 5 + rng.normal(0, 0.2, R) + 0.1 * groups
    reference = amounts.mean(axis=0)
    data = Data(
        relative=amounts / reference,
        weight=reference / reference.mean(),
        places=Places.of_runs(amounts),
        same_seed=(groups[:, None] == groups).astype(float) if seeds else None,
        score=(score - score.mean()) / score.std(),
    )
    return Model(data, own, Law(S, own) if law else None, process)


def somewhere(model: Model) -> tuple[np.ndarray, np.ndarray]:
    """Hyperparameters and parameters that are not the model's starting point."""
    rng = np.random.default_rng(4)
    point = model.center + rng.normal(0, 0.4, len(model.names))
    return point, model.prior_mean + rng.normal(0, 0.1, len(model.prior_mean))


def evidence(model: Model, parameters: np.ndarray) -> Evidence:
    linearized = model.linearized(parameters, model.norm(parameters))
    return Evidence(linearized, model.names, model.center, model.spread)


@KINDS
def test_value_is_the_normal_density_of_the_observations_and_the_hyperparameters(
    law: bool, process: bool, seeds: bool, own: int | None
) -> None:
    model = drawn(law, process, seeds, own)
    point, parameters = somewhere(model)
    hyper = dict(zip(model.names, point.tolist(), strict=True))
    local = model.local(parameters, model.norm(parameters))
    mean = local.value + local.jacobian @ (model.prior_mean - parameters)
    total = local.jacobian @ model.prior_covariance(hyper) @ local.jacobian.T
    total += model.residual_covariance(hyper, local.sensitivity)
    density = multivariate_normal.logpdf(model.observed, mean, total)
    prior = (norm.logpdf(point, model.center, model.spread) - norm.logpdf(0, 0, model.spread)).sum()
    constant = len(model.observed) / 2 * np.log(2 * np.pi)
    assert evidence(model, parameters)(point)[0] == pytest.approx(-density - prior - constant, rel=1e-6)


@KINDS
def test_gradient_is_the_derivative_of_the_value(law: bool, process: bool, seeds: bool, own: int | None) -> None:
    model = drawn(law, process, seeds, own)
    point, parameters = somewhere(model)
    function, step = evidence(model, parameters), 1e-3

    def difference(move: np.ndarray) -> float:
        return function(point + move)[0] - function(point - move)[0]

    moves = step * np.eye(len(point))
    expected = [(8 * difference(move) - difference(2 * move)) / (12 * step) for move in moves]
    assert function(point)[1] == pytest.approx(np.array(expected), rel=1e-6, abs=1e-6)


def test_names_end_with_one_length_per_source_and_hold_only_what_the_model_has() -> None:
    assert drawn(True, True, True, 1).names == [
        *("slope", "slope by amount", "common slope", "noise", "sensitive noise", "seed", "process", "trend"),
        *("length 0", "length 1", "length 2"),
    ]
    assert drawn(False, True, False, None).names[0] == "noise"
    assert drawn(True, False, False, 0).names[-1] == "sensitive noise"


@KINDS
def test_fit_ends_where_neither_parameters_nor_hyperparameters_can_be_improved_much(
    law: bool, process: bool, seeds: bool, own: int | None
) -> None:
    model = drawn(law, process, seeds, own)
    fitted = fit_model(model)
    point = np.array([fitted.hyper[name] for name in model.names])
    found = evidence(model, fitted.parameters)
    best, rng = found(point)[0], np.random.default_rng(5)
    nearby = [found(point + rng.normal(0, 0.3, len(point)))[0] for _ in range(100)]
    assert min(nearby) > best - 0.02
    prior = model.prior_covariance(fitted.hyper)
    residual = model.residual_covariance(fitted.hyper, model.local(fitted.parameters, fitted.norm).sensitivity)

    def log_posterior(parameters: np.ndarray) -> float:
        error = model.observed - model.local(parameters, fitted.norm).value
        fit = multivariate_normal.logpdf(error, np.zeros(len(error)), residual)
        return float(fit + multivariate_normal.logpdf(parameters, model.prior_mean, prior))

    highest = log_posterior(fitted.parameters)
    width = np.sqrt(np.diag(prior))
    moves = 0.05 * rng.normal(size=(100, 1)) * rng.normal(size=(100, len(width))) * width
    assert max(log_posterior(fitted.parameters + move) for move in moves) < highest + 0.02


def test_a_covariance_that_is_none_is_refused_with_a_large_value_and_no_direction() -> None:
    model = drawn(True, False, False, 0)
    linearized = model.linearized(model.prior_mean, 1.0)
    broken = replace(linearized, fixed=linearized.fixed - 1e6 * np.eye(R + 1))
    value, gradient = Evidence(broken, model.names, model.center, model.spread)(model.center)
    assert value > 1e9
    assert not gradient.any()
