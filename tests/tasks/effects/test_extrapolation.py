from __future__ import annotations

import math

import numpy as np
import pytest

from tasks.effects.extrapolation import far_mixtures

SOURCES = ("web", "code", "books")


def test_the_runs_themselves_and_their_neighbors_are_not_far() -> None:
    generator = np.random.default_rng(0)
    runs = generator.dirichlet(np.ones(3), 50)
    near = runs[:10] + generator.uniform(0, 1e-4, (10, 3))
    assert far_mixtures(SOURCES, runs, np.vstack([runs, near])) == ()


def test_mixtures_drawn_like_the_runs_are_rarely_far() -> None:
    generator = np.random.default_rng(1)
    names = tuple("abcdefgh")
    far = sum(
        any(mixture.distance > 1 for mixture in far_mixtures(names, draws[:-1], draws[-1:]))
        for draws in generator.dirichlet(np.ones(8), (2_000, 25))
    )
    # One of 25 exchangeable draws is the new one: at most 1 / 25 of 2,000, here within four standard deviations.
    assert 0 < far <= 80 + 4 * math.sqrt(2_000 * 0.04 * 0.96)


def test_a_source_beyond_half_its_range_is_named_with_the_range() -> None:
    runs = np.array([[10, 0, 5], [20, 4, 5], [15, 2, 5]], dtype=float)
    inside, outside = far_mixtures(SOURCES, runs, np.array([[20, 6.1, 5], [4.9, 2, 5.2]]))
    assert (inside.row, inside.beyond) == (0, (("code", 6.1, 0.0, 4.0),))
    assert [name for name, *_ in outside.beyond] == ["web", "books"]
    assert not any(mixture.beyond for mixture in far_mixtures(SOURCES, runs, np.array([[24.9, 5.9, 5.04]])))


def test_shares_among_amounts_are_far_by_their_total() -> None:
    runs = np.array([[500, 300, 200], [300, 500, 200], [200, 300, 500]], dtype=float)
    (found,) = far_mixtures(SOURCES, runs, np.array([[0.5, 0.3, 0.2]]))
    assert ("the total", 1.0, 1000.0, 1000.0) in found.beyond


def test_a_combination_that_no_run_is_near_to_is_far_within_all_ranges() -> None:
    level = np.linspace(0, 1, 11)
    runs = np.column_stack([level, level, np.ones(11)])
    (found,) = far_mixtures(SOURCES, runs, np.array([[0.5, 0.5, 1], [0, 1, 1]]))
    assert (found.row, found.beyond) == (1, ())
    roots = [tuple(row) for row in np.sqrt(runs)]
    nearest = min(math.dist(root, (0, 1, 1)) for root in roots)
    largest = max(min(math.dist(a, b) for b in roots if b is not a) for a in roots)
    assert found.distance == pytest.approx(nearest / largest)


def test_repeated_runs_of_one_mixture_leave_every_other_mixture_far() -> None:
    runs = np.tile([5.0, 3.0, 2.0], (4, 1))
    (found,) = far_mixtures(SOURCES, runs, np.array([[5.0, 3, 2], [5.01, 2.99, 2]]))
    assert (found.row, found.distance) == (1, math.inf)
