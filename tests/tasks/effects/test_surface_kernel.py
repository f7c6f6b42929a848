"""The residual process' covariance against Bessel functions and other people's distances."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from scipy.special import gamma, kv

from tasks.effects.surface_kernel import RELEVANCE_MAX, Places, covariance, linear, matern, squared_distances


def drawn(sources: int, runs: int, seed: int = 0) -> np.ndarray:
    """[runs, sources] amounts; every third run lacks the first source."""
    amounts = np.random.default_rng(seed).dirichlet(np.ones(sources), runs) * 700
    amounts[::3, 0] = 0
    return amounts


def matern_by_bessel(distance: np.ndarray) -> np.ndarray:
    """Matérn correlation with ν = 5/2 of scaled distances."""
    scaled = np.sqrt(5) * np.maximum(distance, 1e-12)
    return 2 ** (1 - 2.5) / gamma(2.5) * scaled**2.5 * kv(2.5, scaled)


@pytest.mark.parametrize("sources", [1, 5])
def test_matern_is_the_bessel_form_with_one_length_per_dimension(sources: int) -> None:
    rng = np.random.default_rng(sources)
    a, b, lengths = rng.normal(size=(7, sources)), rng.normal(size=(4, sources)), rng.uniform(0.3, 2, sources)
    squared = np.stack([(a[:, None, k] - b[None, :, k]) ** 2 for k in range(sources)])
    found, _ = matern(squared, np.log(lengths))
    assert found == pytest.approx(matern_by_bessel(cdist(a / lengths, b / lengths)), abs=1e-12)


def test_matern_is_1_at_no_distance_and_falls_to_nothing() -> None:
    found, _ = matern(np.array([[[0.0, 1e4]]]), np.zeros(1))
    assert found[0, 0] == 1
    assert 0 <= found[0, 1] < 1e-50


def test_second_return_is_minus_twice_the_derivative_by_the_squared_scaled_distance() -> None:
    squared = np.linspace(0.01, 4, 30)[None, None]
    above, below = (matern(squared + step, np.zeros(1))[0] for step in (1e-6, -1e-6))
    assert matern(squared, np.zeros(1))[1] == pytest.approx(-2 * (above - below) / 2e-6, rel=1e-7)


@pytest.mark.parametrize("sources", [3, RELEVANCE_MAX, RELEVANCE_MAX + 10])
def test_squared_distances_sum_to_those_of_square_rooted_shares(sources: int) -> None:
    runs, new = drawn(sources, 12), drawn(sources, 5, seed=1)
    places = Places.of_runs(runs)
    others = places.others(new, float(runs.sum(axis=1).mean()))
    found = squared_distances(others, places)
    assert len(found) == (sources if sources <= RELEVANCE_MAX else 1)
    mean = runs.sum() / len(runs)
    assert found.sum(axis=0) == pytest.approx(cdist(np.sqrt(new / mean), np.sqrt(runs / mean)) ** 2, abs=1e-12)


def test_distances_between_shares_are_hellinger_distances() -> None:
    shares = np.random.default_rng(2).dirichlet(np.ones(4), 6)
    places = Places.of_runs(shares)
    coefficient = np.sqrt(shares[:, None, :] * shares[None, :, :]).sum(axis=2)
    assert squared_distances(places, places).sum(axis=0) == pytest.approx(2 - 2 * coefficient)


def test_linear_part_is_0_at_the_runs_mean_and_grows_in_proportion_outside() -> None:
    places = Places.of_runs(drawn(4, 10))
    middle = Places(places.center[None], places.center)
    assert linear(middle, places) == pytest.approx(np.zeros((1, 10)), abs=1e-12)
    once, twice = (Places(places.center + k * (places.points[:1] - places.center), places.center) for k in (1, 2))
    assert linear(twice, places) == pytest.approx(2 * linear(once, places))


@pytest.mark.parametrize("sources", [2, 9, RELEVANCE_MAX + 10])
@pytest.mark.parametrize("length", [0.05, 0.7, 20.0])
def test_covariance_is_positive_semidefinite_and_the_sum_of_its_parts(sources: int, length: float) -> None:
    amounts = drawn(sources, 40)
    amounts[7] = amounts[8]
    places = Places.of_runs(amounts)
    distances = squared_distances(places, places)
    lengths = {f"length {k}": np.log(length) for k in range(len(distances))}
    process, trend = 0.8, 0.3
    found = covariance(
        {"process": np.log(process), "trend": np.log(trend), **lengths}, distances, linear(places, places)
    )
    assert found == pytest.approx(found.T)
    values = np.linalg.eigvalsh(found)
    assert values[0] > -1e-10 * values[-1]
    points = np.sqrt(amounts / amounts.sum(axis=1).mean())
    centered = points - points.mean(axis=0)
    expected = process**2 * matern_by_bessel(cdist(points, points) / length) + trend**2 * centered @ centered.T
    # squared distances of a point to itself are not exactly 0 where they come from inner products
    assert found == pytest.approx(expected, abs=1e-6)
