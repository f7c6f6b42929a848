"""Drawn worlds: what is planted is what was asked for, and null worlds hold nothing to be found."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest

from tasks.errors import InputError
from tasks.worlds.drawing import WorldSpec, draw_world


def test_same_seed_gives_the_same_world_and_another_seed_another() -> None:
    first, again, other = (draw_world(WorldSpec(), seed) for seed in (3, 3, 4))
    for name in ("counts", "gamma", "scale", "exponent", "prior", "run_noise"):
        assert (getattr(first, name) == getattr(again, name)).all()
    assert (first.counts != other.counts).any()


@pytest.mark.parametrize("universal", [0, 2])
def test_planted_dependencies_are_acyclic_one_way_and_as_many_as_asked_for(universal: int) -> None:
    spec = WorldSpec(12, edges=1.5, conflicts=0.5, universal=universal)
    for seed in range(20):
        world = draw_world(spec, seed)
        off = world.gamma - np.eye(12)
        assert nx.is_directed_acyclic_graph(nx.DiGraph(world.true_edges))
        assert not ((off > 0) & (off.T > 0)).any()
        assert (np.diag(world.gamma) == 1).all()
        # Two universal sources: one reaches the other and 10 more, the second those 10.
        assert len(world.true_edges) == 18 + (11 + 10 if universal else 0)
        assert (off < 0).sum() == 6
        assert off[off > 0].min() >= 0.15
        assert off.max() <= 1
        assert off.min() >= -0.3


def test_no_conflict_reaches_the_floor_with_twice_its_amount() -> None:
    for seed in range(30):
        world = draw_world(WorldSpec(10, conflicts=2.0), seed)
        worst = np.where(world.gamma < 0, 2 * world.counts, 0.0)
        assert (world.prior + (world.gamma * worst).sum(axis=1) > world.floor).all()
        assert (world.floor > 0).all()


def test_noise_is_a_fraction_of_the_typical_removal_effect() -> None:
    ratios = []
    for seed in range(200):
        world = draw_world(WorldSpec(8, noise=0.1, seed_noise=2.0), seed)
        typical = np.median(np.abs(world.removal()[world.gamma != 0]))
        ratios.append(np.median(world.run_noise) / typical)
        assert world.seed_noise == pytest.approx(2 * world.run_noise)
    assert np.median(ratios) == pytest.approx(0.1, rel=0.05)
    assert (draw_world(WorldSpec(8, noise=0.0), 1).run_noise == 0).all()


def test_removing_all_of_a_category_costs_it_half_a_nat_in_the_median() -> None:
    for null in (False, True):
        own = np.concatenate([np.diag(draw_world(WorldSpec(8), seed, null).removal()) for seed in range(200)])
        assert np.median(own) == pytest.approx(0.5, rel=0.1)


@pytest.mark.parametrize("size", [3, 8, 28])
def test_no_mixture_of_a_null_world_is_better_than_the_baseline(size: int) -> None:
    world = draw_world(WorldSpec(size, edges=0.3, conflicts=0.1), seed=5, null=True)
    assert world.true_edges == frozenset()
    assert (world.gamma == np.eye(size)).all()
    assert world.slopes() == pytest.approx(np.full(size, world.slopes()[0]))
    generator = np.random.default_rng(0)
    for concentration in (1.0, 30.0, 1000.0):
        shares = generator.dirichlet(concentration * size * world.shares, 2000)
        assert max(world.gain(world.counts.sum() * w) for w in shares) < 0


def test_laws_of_one_shape_leave_removals_flat_in_a_null_world_and_others_do_not() -> None:
    def removal_slopes(spread: float) -> np.ndarray:
        world = draw_world(WorldSpec(8, curvature_spread=spread), seed=5, null=True)
        return np.asarray(world.shares @ (world.removal() / world.counts))

    alike, different = removal_slopes(0.0), removal_slopes(1.0)
    assert alike == pytest.approx(np.full(8, alike[0]))
    assert different.std() / different.mean() > 0.1


def test_impossible_worlds_are_refused_with_every_reason() -> None:
    with pytest.raises(InputError) as refusal:
        draw_world(WorldSpec(1, noise=-1, correlation=1.0, curvature_spread=2), 0)
    for word in ("categories", "noise", "correlation", "curvature spread"):
        assert word in str(refusal.value)
    with pytest.raises(InputError, match="6 pairs"):
        draw_world(WorldSpec(4, edges=1.5, conflicts=0.25), 0)
    with pytest.raises(InputError, match="0 to 7"):
        draw_world(WorldSpec(8, universal=8), 0)
