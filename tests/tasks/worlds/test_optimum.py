"""The best mixture against brute force."""

from __future__ import annotations

import numpy as np
import pytest

from tasks.errors import InputError
from tasks.proportions.proposal import Limits
from tasks.worlds.drawing import WorldSpec, draw_world
from tasks.worlds.optimum import best_mixture


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("shift", [0.03, 0.2, None])
def test_best_mixture_of_three_categories_is_that_of_a_fine_grid(seed: int, shift: float | None) -> None:
    world = draw_world(WorldSpec(3, edges=0.67, conflicts=0.3), seed)
    found = best_mixture(world, Limits(1000, max_shift=shift, box=0.5))
    alpha, total = world.shares, world.counts.sum()
    first, second = np.meshgrid(*[np.linspace(0.5, 1.5, 401) * alpha[k] for k in (0, 1)])
    grid = np.stack([first, second, 1 - first - second], axis=-1).reshape(-1, 3)
    inside = (np.abs(grid - alpha).sum(axis=1) / 2 <= (1 if shift is None else shift) + 1e-12) & (
        np.abs(grid[:, 2] / alpha[2] - 1) <= 0.5
    )
    best = (world.performance(total * grid[inside]) - world.performance(world.counts)) @ alpha
    assert found.gain >= best.max() - 1e-9
    assert found.gain == pytest.approx(best.max(), rel=0.03, abs=1e-5)
    assert found.gain == pytest.approx(world.gain(found.amounts))
    assert found.gap <= 0.01 * found.gain + 1e-9


@pytest.mark.parametrize("size", [8, 28])
def test_best_mixture_keeps_the_limits_and_no_random_one_beats_it(size: int) -> None:
    world = draw_world(WorldSpec(size), 7)
    found = best_mixture(world, Limits(1000, max_shift=0.05, box=0.3))
    shares = found.amounts / world.counts.sum()
    assert shares.sum() == pytest.approx(1)
    assert np.abs(shares - world.shares).sum() / 2 <= 0.05 + 1e-9
    assert (np.abs(shares / world.shares - 1) <= 0.3 + 1e-9).all()
    generator = np.random.default_rng(0)
    for _ in range(2000):
        direction = generator.standard_normal(size) * world.shares
        direction -= direction.mean()
        room = min(0.05 / (np.abs(direction).sum() / 2), 0.3 / np.abs(direction / world.shares).max())
        assert world.gain(world.counts + world.counts.sum() * room * direction) <= found.gain + found.gap


def test_best_mixture_of_a_null_world_is_the_baseline() -> None:
    world = draw_world(WorldSpec(8), 7, null=True)
    found = best_mixture(world, Limits(1000, max_shift=0.5, box=0.5))
    assert 0 <= found.gain + found.gap < 1e-6
    assert found.amounts == pytest.approx(world.counts, rel=1e-3)


def test_impossible_limits_are_refused() -> None:
    with pytest.raises(InputError, match="max-shift"):
        best_mixture(draw_world(WorldSpec(8), 1), Limits(1000, max_shift=2.0))
