"""The effective-data law against finite differences, and against the plain power law that it is with ρ = 1."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.optimize import brentq

from tasks.effects.surface_law import CURVATURE_MAX, SMALLEST_AMOUNT, Law

S = 5


def derivative(function: Callable[[np.ndarray], np.ndarray], at: np.ndarray, step: float = 1e-5) -> np.ndarray:
    """[..., len(at)] central differences of fourth order."""
    columns = []
    for k in range(len(at)):
        move = step * np.eye(len(at))[k]
        near = function(at + move) - function(at - move)
        far = function(at + 2 * move) - function(at - 2 * move)
        columns.append((8 * near - far) / (12 * step))
    return np.stack(columns, axis=-1)


def drawn(own: int | None, seed: int) -> tuple[Law, np.ndarray, np.ndarray]:
    """A law, parameters, and mixtures around the reference, some without a source, one without any."""
    rng = np.random.default_rng(seed)
    slopes = rng.normal(0.05, 0.1, S)
    if own is not None:
        slopes[own] = 1.0
    parameters = np.concatenate([[rng.normal()], slopes, rng.normal([0.5, -0.7, 0.8], 0.5)])
    relative = rng.uniform(0.2, 2, (12, S)) * (rng.random((12, S)) > 0.2)
    relative[0], relative[1] = 1.0, 0.0
    return Law(S, own), parameters, relative


@pytest.mark.parametrize("own", [None, 0, 3])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_jacobian_is_the_derivative_of_the_value(own: int | None, seed: int) -> None:
    law, parameters, relative = drawn(own, seed)
    found = law.evaluate(parameters, relative)
    assert found.amount.min() > SMALLEST_AMOUNT
    expected = derivative(lambda p: law.evaluate(p, relative).value, parameters)
    assert found.jacobian == pytest.approx(expected, rel=1e-6, abs=1e-8)


@pytest.mark.parametrize("own", [None, 2])
def test_jacobian_holds_where_the_law_goes_on_as_a_straight_line_below_the_smallest_amount(own: int | None) -> None:
    law, parameters, relative = drawn(own, 4)
    relative[3:6, 1], parameters[2] = 60.0, -0.4
    found = law.evaluate(parameters, relative)
    below = found.amount == SMALLEST_AMOUNT
    assert below.sum() == 3
    expected = derivative(lambda p: law.evaluate(p, relative).value, parameters, 1e-6)
    assert found.jacobian[below] == pytest.approx(expected[below], rel=1e-5, abs=1e-4)


def test_value_is_straight_and_without_a_jump_below_the_smallest_amount() -> None:
    law, parameters, _ = drawn(2, 4)
    parameters[2], parameters[-1] = -0.4, 40.0
    more = np.ones((401, S))
    more[:, 1] = np.linspace(1, 9, 401)
    found = law.evaluate(parameters, more)
    below = found.amount == SMALLEST_AMOUNT
    assert 50 < below.sum() < 350
    change = np.diff(found.value)
    first = int(np.argmax(below))
    assert change[first:] == pytest.approx(np.full(400 - first, change[-1]))
    assert (change < 0).all()
    assert change[first - 1] >= change[-1]


@pytest.mark.parametrize("own", [None, 1])
def test_value_below_a_given_floor_is_that_at_the_floor(own: int | None) -> None:
    law, parameters, relative = drawn(own, 5)
    free = law.evaluate(parameters, relative)
    floor = float(np.median(free.amount))
    found = law.evaluate(parameters, relative, floor)
    low = free.amount < floor
    assert 0 < low.sum() < len(relative)
    assert found.value[~low] == pytest.approx(free.value[~low])
    at_floor = np.interp(floor, np.sort(free.amount), free.value[np.argsort(free.amount)])
    assert found.value[low] == pytest.approx(np.full(low.sum(), found.value[low][0]))
    assert found.value[low][0] == pytest.approx(at_floor, abs=np.ptp(free.value) / 5)
    assert (found.value[low] >= free.value[low]).all()


@pytest.mark.parametrize("own", [None, 4])
def test_explained_part_is_what_is_missing_without_any_source(own: int | None) -> None:
    law, parameters, _ = drawn(own, 6)
    part, row = law.explained(parameters)
    assert part == pytest.approx(1 - law.evaluate(parameters, np.zeros((1, S)), 1e-9).amount[0])
    assert row == pytest.approx(derivative(lambda p: np.array(law.explained(p)[0]), parameters), rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("own", [None, 0])
def test_slopes_are_derivatives_by_relative_amounts_at_the_reference(own: int | None) -> None:
    law, parameters, _ = drawn(own, 7)
    found = derivative(lambda x: law.evaluate(parameters, x[None]).value[0], np.ones(S))
    assert found == pytest.approx(parameters[1:-3], rel=1e-7)
    assert law.evaluate(parameters, np.ones((1, S))).value[0] == pytest.approx(parameters[0])


def test_law_without_decay_is_the_plain_power_law_of_equivalent_amounts() -> None:
    """a − b (e + n_0 + Σ γ_j n_j)^(−c), its parameters matched at the reference and at one more mixture."""
    a, b, c, e = -0.4, 9.0, 0.45, 150.0
    gamma, reference = np.array([1.0, 0.4, 0.0, -0.1, 0.8]), np.array([300.0, 500.0, 80.0, 400.0, 40.0])

    def plain(amounts: np.ndarray) -> np.ndarray:
        return a - b * (e + amounts @ gamma) ** -c

    amount = e + reference @ gamma
    slopes = b * c * amount ** (-c - 1) * gamma * reference
    law, bend = Law(S, 0), np.log(c / (CURVATURE_MAX - c))

    def parameters(share: float) -> np.ndarray:
        return np.concatenate([[plain(reference)], slopes, [share, bend, 50.0]])

    twice = np.full((1, S), 2.0)
    share = brentq(
        lambda h: law.evaluate(parameters(h), twice).value[0] - plain(2 * reference), -3, 6, xtol=1e-14, rtol=1e-14
    )
    relative = np.random.default_rng(0).uniform(0, 2, (30, S)) * (np.random.default_rng(1).random((30, S)) > 0.2)
    found = law.evaluate(parameters(share), relative)
    assert found.value == pytest.approx(plain(relative * reference), abs=1e-10)
    assert found.amount == pytest.approx((e + relative * reference @ gamma) / amount, rel=1e-9)
    assert found.sensitivity == pytest.approx(found.amount**-c)


@pytest.mark.parametrize("own", [None, 2])
@pytest.mark.parametrize("floor", [1e-3, 0.9])
def test_values_of_many_parameters_are_those_of_each(own: int | None, floor: float) -> None:
    law, parameters, relative = drawn(own, 8)
    many = parameters + np.random.default_rng(9).normal(0, 0.3, (40, S + 4))
    expected = [law.evaluate(one, relative, floor).value for one in many]
    assert law.values(many, relative, floor) == pytest.approx(np.array(expected), rel=1e-12, abs=1e-12)


def test_values_of_more_parameters_than_are_held_at_once_are_those_of_each() -> None:
    rng, law = np.random.default_rng(10), Law(60, 7)
    many, relative = rng.normal(0, 0.1, (400, 64)), rng.uniform(0, 2, (50, 60))
    found = law.values(many, relative, 0.05)
    for k in (0, 199, 333, 399):
        assert found[k] == pytest.approx(law.evaluate(many[k], relative, 0.05).value, rel=1e-12, abs=1e-12)
