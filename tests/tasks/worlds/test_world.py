"""The law: performance, slopes, removals and gains against worked numbers and finite differences."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tasks.errors import InputError
from tasks.worlds.drawing import WorldSpec, draw_world
from tasks.worlds.world import AnalyticWorld


def small_world(**changes: object) -> AnalyticWorld:
    """Two categories; the first is worth half an example to the second, which takes a tenth of one away from it."""
    world = AnalyticWorld(
        seed=0,
        null=False,
        categories=("a", "b"),
        counts=np.array([100.0, 50.0]),
        ceiling=np.array([-1.0, -2.0]),
        scale=np.array([10.0, 20.0]),
        exponent=np.array([0.5, 1.0]),
        prior=np.array([26.0, 50.0]),
        floor=np.array([5.0, 10.0]),
        gamma=np.array([[1.0, -0.1], [0.5, 1.0]]),
        run_noise=np.zeros(2),
        seed_noise=np.zeros(2),
        correlation=0.0,
    )
    return replace(world, **changes)  # type: ignore[arg-type]


def test_performance_of_a_small_world_is_that_worked_out_by_hand() -> None:
    # A = (26 + 100 − 5, 50 + 50 + 50) = (121, 150); P = (−1 − 10/11, −2 − 20/150)
    world = small_world()
    assert world.performance(world.counts) == pytest.approx([-1 - 10 / 11, -2 - 20 / 150])
    # Without a: A = (21, 100); without b: A = (126, 100).
    without = np.array(
        [
            [-10 / 11 + 10 / np.sqrt(21), -10 / 11 + 10 / np.sqrt(126)],
            [-20 / 150 + 20 / 100, -20 / 150 + 20 / 100],
        ]
    )
    assert world.removal() == pytest.approx(without)
    assert world.marginal() == pytest.approx(
        np.array([[0.5 * 10 / 11**3 * 1, 0.5 * 10 / 11**3 * -0.1], [20 / 150**2 * 0.5, 20 / 150**2]])
    )
    assert world.true_edges == {("a", "b")}
    assert world.shares == pytest.approx([2 / 3, 1 / 3])


def test_performance_of_many_mixtures_is_that_of_each_alone() -> None:
    world = draw_world(WorldSpec(6), seed=1)
    amounts = np.random.default_rng(0).uniform(0, 800, (5, 6))
    together = world.performance(amounts)
    assert together.shape == (5, 6)
    for row, values in zip(amounts, together, strict=True):
        assert world.performance(row) == pytest.approx(values)


@pytest.mark.parametrize("seed", range(5))
def test_slopes_are_the_limits_of_small_differences(seed: int) -> None:
    world = draw_world(WorldSpec(7, conflicts=0.5), seed)
    at = world.counts * np.random.default_rng(seed).uniform(0.6, 1.4, 7)
    step = 1e-3
    numeric = np.array([(world.performance(at + step * e) - world.performance(at - step * e)) for e in np.eye(7)])
    assert world.marginal(at) == pytest.approx(numeric.T / (2 * step), rel=1e-6, abs=1e-12)
    alpha = world.counts / world.counts.sum()
    expected = [sum(alpha[i] * world.marginal()[i, j] for i in range(7)) for j in range(7)]
    assert world.slopes() == pytest.approx(expected)


def test_removing_little_tells_the_coefficients_and_removing_all_does_not() -> None:
    world = draw_world(WorldSpec(8), seed=2)
    assert world.removal_gamma(np.full(8, 1e-4)) == pytest.approx(world.gamma, abs=1e-5)
    edges = (world.gamma > 0) & ~np.eye(8, dtype=bool)
    # With concave laws, the last of a category's own examples are the ones that count most.
    assert np.median(world.removal_gamma()[edges] / world.gamma[edges]) < 0.95
    assert np.diag(world.removal_gamma()) == pytest.approx(np.ones(8))


def test_exchanges_keep_the_total() -> None:
    world = draw_world(WorldSpec(5, edges=0.5), seed=3)
    counts, total = world.counts, world.counts.sum()
    removal, exchange = world.removal(matched=True), world.exchange()
    for j in range(5):
        others = np.arange(5) != j

        def instead(change: float, j: int = j, others: np.ndarray = others) -> np.ndarray:
            at = np.where(others, counts * (1 - change / counts[others].sum()), counts + change)
            assert at.sum() == pytest.approx(total)
            return np.asarray(world.performance(at))

        assert removal[:, j] == pytest.approx(world.performance(counts) - instead(-counts[j]))
        assert exchange[:, j] == pytest.approx((instead(1e-3) - instead(-1e-3)) / 2e-3, abs=1e-9)
    assert world.exchange_gamma() == pytest.approx(exchange / np.diag(exchange)[:, None])
    assert world.removal_gamma(np.full(5, 1e-3), matched=True) == pytest.approx(world.exchange_gamma(), abs=1e-4)


def test_performance_stops_falling_at_the_floor() -> None:
    world = small_world(gamma=np.array([[1.0, -5.0], [0.5, 1.0]]))
    flooded = np.array([0.0, 50.0])
    assert world.equivalent(flooded)[0] == 5.0
    assert (
        world.performance(flooded)[0] == world.performance(np.array([0.0, 500.0]))[0] == pytest.approx(-1 - 10 / 5**0.5)
    )
    assert world.marginal(flooded)[0] == pytest.approx([0.0, 0.0])
    assert (world.marginal(flooded)[1] > 0).all()


def test_gain_weighs_the_changes_by_the_baseline_shares() -> None:
    world = small_world()
    mixture = np.array([80.0, 70.0])
    change = world.performance(mixture) - world.performance(world.counts)
    assert world.gain(mixture) == pytest.approx(2 / 3 * change[0] + 1 / 3 * change[1])
    assert world.gain(world.counts) == 0


def test_amounts_of_other_categories_are_refused_by_name() -> None:
    with pytest.raises(InputError, match="b, x"):
        small_world().vector({"a": 1, "x": 2})
