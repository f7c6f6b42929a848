from __future__ import annotations

from itertools import permutations

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.taxonomy.feedback import minimum_feedback_arcs

Weights = dict[tuple[str, str], float]


def random_weights(seed: int, nodes: int, density: float) -> Weights:
    rng = np.random.default_rng(seed)
    names = [f"n{i:02}" for i in range(nodes)]
    return {(a, b): float(rng.exponential()) for a in names for b in names if a != b and rng.random() < density}


def brute_force(weights: Weights) -> float:
    """Least weight of arcs that point backward, over all orders of the nodes."""
    nodes = sorted({node for arc in weights for node in arc})
    best = np.inf
    for order in permutations(range(len(nodes))):
        place = dict(zip(nodes, order, strict=True))
        best = min(best, sum(w for (a, b), w in weights.items() if place[a] > place[b]))
    return best


def is_acyclic_without(weights: Weights, removed: tuple[tuple[str, str], ...]) -> bool:
    return nx.is_directed_acyclic_graph(nx.DiGraph([arc for arc in weights if arc not in removed]))


@pytest.mark.parametrize("seed", range(40))
def test_feedback_arcs_of_small_random_graphs_weigh_as_little_as_brute_force_finds(seed: int) -> None:
    weights = random_weights(seed, 3 + seed % 4, 0.3 + 0.15 * (seed % 4))
    removed, exact = minimum_feedback_arcs(weights)
    assert exact
    assert is_acyclic_without(weights, removed)
    assert sum(weights[arc] for arc in removed) == pytest.approx(brute_force(weights), rel=1e-7, abs=1e-12)


def test_feedback_arcs_of_a_dense_graph_of_seven_weigh_as_little_as_brute_force_finds() -> None:
    weights = random_weights(99, 7, 0.8)
    removed, _ = minimum_feedback_arcs(weights)
    assert sum(weights[arc] for arc in removed) == pytest.approx(brute_force(weights), rel=1e-7)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 12), st.floats(0.05, 0.6))
def test_feedback_arcs_of_any_graph_leave_no_cycle_and_none_of_them_fits_back(
    seed: int, nodes: int, density: float
) -> None:
    weights = random_weights(seed, nodes, density)
    removed, _ = minimum_feedback_arcs(weights)
    assert is_acyclic_without(weights, removed)
    for arc in removed:
        assert not is_acyclic_without(weights, tuple(a for a in removed if a != arc))


def test_feedback_arcs_with_equal_weights_do_not_depend_on_the_order_given() -> None:
    weights = dict.fromkeys(random_weights(5, 9, 0.4), 1.0)
    backward = dict(reversed(weights.items()))
    assert minimum_feedback_arcs(weights) == minimum_feedback_arcs(backward)


def test_feedback_arcs_of_an_acyclic_graph_are_none() -> None:
    assert minimum_feedback_arcs({("a", "b"): 1.0, ("b", "c"): 2.0}) == ((), True)
    assert minimum_feedback_arcs({}) == ((), True)


def test_feedback_arcs_of_sixty_nodes_are_exact() -> None:
    weights = random_weights(0, 60, 0.05)
    removed, exact = minimum_feedback_arcs(weights)
    assert exact
    assert is_acyclic_without(weights, removed)


def test_feedback_arcs_above_sixty_nodes_say_that_they_are_a_heuristic() -> None:
    weights = random_weights(1, 80, 0.06)
    removed, exact = minimum_feedback_arcs(weights)
    assert not exact
    assert is_acyclic_without(weights, removed)
    for arc in removed:
        assert not is_acyclic_without(weights, tuple(a for a in removed if a != arc))
