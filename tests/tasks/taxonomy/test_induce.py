from __future__ import annotations

import math

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from tasks.effects.matrix import EffectMatrix
from tasks.effects.paired import effects_from_differences
from tasks.effects.pairing import PairedDifferences
from tasks.errors import InputError
from tasks.taxonomy.induce import induce, induce_from_values, levels
from tasks.taxonomy.taxonomy import Role, Taxonomy

NAMES = ("add", "copy", "reverse", "shift", "shift-reverse", "story")
PLANTED = {
    ("copy", "reverse"): 0.8,
    ("copy", "shift"): 0.9,
    ("reverse", "shift-reverse"): 0.6,
    ("shift", "shift-reverse"): 0.5,
    ("copy", "shift-reverse"): 0.4,
    ("add", "story"): 0.5,
}


def effects(planted: dict[tuple[str, str], float], seeds: int = 3, noise: float = 0.05, seed: int = 0) -> EffectMatrix:
    """Baseline noise shared within rows, own effects around 2."""
    rng = np.random.default_rng(seed)
    k = len(NAMES)
    truth = 2 * np.eye(k)
    for (source, target), value in planted.items():
        truth[NAMES.index(target), NAMES.index(source)] = value
    base = rng.normal(0, noise, (seeds, k, 1))
    difference = truth + base + rng.normal(0, noise, (seeds, k, k)) + rng.normal(0, 0.2, (seeds, k, k)) * np.eye(k)
    return effects_from_differences(PairedDifferences(NAMES, NAMES, "nats per token", np.full(k, 100.0), difference))


def arcs(taxonomy: Taxonomy) -> set[tuple[str, str]]:
    return {(edge.source, edge.target) for edge in taxonomy.edges}


def test_induce_in_a_planted_world_recovers_edges_levels_roles_and_reduction() -> None:
    taxonomy = induce(effects(PLANTED, seeds=5))
    assert arcs(taxonomy) == set(PLANTED)
    assert dict(taxonomy.levels) == {
        "add": 0,
        "copy": 0,
        "reverse": 1,
        "shift": 1,
        "shift-reverse": 2,
        "story": 1,
    }
    roles = dict(taxonomy.roles)
    assert [roles[name] for name in NAMES] == [
        Role.BASE,
        Role.BASE,
        Role.MIDDLE,
        Role.MIDDLE,
        Role.DEPENDENT,
        Role.DEPENDENT,
    ]
    assert set(taxonomy.reduced) == set(PLANTED) - {("copy", "shift-reverse")}
    assert taxonomy.removed == ()
    assert all(edge.stability >= 0.8 and edge.delta > 0 and edge.q_value <= 0.05 for edge in taxonomy.edges)


@pytest.mark.parametrize(("seeds", "share"), [(2, 0.8), (3, 0.95)])
def test_induce_over_planted_worlds_finds_the_edges_and_few_others(seeds: int, share: float) -> None:
    found, false, worlds = 0, 0, 40
    for seed in range(worlds):
        kept = arcs(induce(effects(PLANTED, seeds=seeds, noise=0.08, seed=seed)))
        found += len(kept & set(PLANTED))
        false += len(kept - set(PLANTED))
    assert found >= share * worlds * len(PLANTED)
    assert false <= 0.05 * found


def test_induce_in_worlds_without_interaction_seldom_finds_an_edge() -> None:
    wrong = [bool(induce(effects({}, seeds=2, seed=seed)).edges) for seed in range(150)]
    assert np.mean(wrong) <= 0.05


def test_induce_of_mutual_support_finds_no_direction() -> None:
    taxonomy = induce(effects({("add", "copy"): 0.6, ("copy", "add"): 0.6}))
    assert taxonomy.edges == taxonomy.removed == ()
    assert set(dict(taxonomy.roles).values()) == {Role.MIDDLE}


def test_induce_of_a_cycle_removes_its_lightest_edge_and_reports_it() -> None:
    taxonomy = induce(effects({("add", "copy"): 0.9, ("copy", "reverse"): 0.8, ("reverse", "add"): 0.5}, noise=0.02))
    assert arcs(taxonomy) == {("add", "copy"), ("copy", "reverse")}
    assert [(edge.source, edge.target) for edge in taxonomy.removed] == [("reverse", "add")]
    assert taxonomy.removed_exactly


def test_induce_with_a_smallest_effect_of_interest_leaves_smaller_ones_out() -> None:
    assert arcs(induce(effects(PLANTED, noise=0.01), minimum_effect=0.7)) == {("copy", "reverse"), ("copy", "shift")}


def test_induce_of_two_seeds_leaves_stability_unknown() -> None:
    taxonomy = induce(effects(PLANTED, seeds=2))
    assert taxonomy.edges
    assert all(math.isnan(edge.stability) for edge in taxonomy.edges)


def test_induce_of_an_edge_that_one_seed_carries_is_less_stable_than_a_steady_one() -> None:
    matrix = effects({("copy", "shift"): 0.8, ("add", "story"): 0.0}, seeds=4, noise=0.05)
    row, column = NAMES.index("story"), NAMES.index("add")
    difference = matrix.seed_delta.copy()
    difference[:, row, column] = [0.05, 0.2, 0.2, 0.5]
    again = effects_from_differences(PairedDifferences(NAMES, NAMES, "nats", matrix.amounts, difference))
    stability = {(e.source, e.target): e.stability for e in induce(again, asymmetry_level=0.2).edges}
    assert stability["copy", "shift"] > stability.get(("add", "story"), 0.0)
    assert stability["copy", "shift"] > 0.9


def test_induce_with_six_seeds_resamples_alike_every_time() -> None:
    matrix = effects(PLANTED, seeds=6)
    assert induce(matrix) == induce(matrix)


def test_induce_of_a_source_nobody_removed_makes_it_no_edge_end() -> None:
    full = effects(PLANTED)
    columns = [j for j, name in enumerate(NAMES) if name != "shift"]
    sources = tuple(NAMES[j] for j in columns)
    paired = PairedDifferences(NAMES, sources, "nats", full.amounts[columns], full.seed_delta[:, :, columns])
    taxonomy = induce(effects_from_differences(paired))
    assert taxonomy.categories == NAMES
    assert arcs(taxonomy) == {arc for arc in PLANTED if "shift" not in arc}


def test_induce_with_bad_levels_is_refused() -> None:
    with pytest.raises(InputError, match=r"fdr is 5, .*smallest effect is -1"):
        induce(effects(PLANTED), fdr=5, minimum_effect=-1)


def test_induce_from_values_with_standard_errors_uses_normal_tests() -> None:
    delta = np.array([[2.0, 0.05, 0.3], [0.5, 2.0, 0.1], [0.1, 0.32, 2.0]])
    error = np.full((3, 3), 0.1)
    taxonomy = induce_from_values(("a", "b", "c"), ("a", "b", "c"), delta, error)
    off = ~np.eye(3, dtype=bool)
    q = np.full((3, 3), np.nan)
    q[off] = stats.false_discovery_control(2 * stats.norm.sf(delta[off] / 0.1))
    assert arcs(taxonomy) == {("a", "b")} | ({("b", "c")} if stats.norm.sf(0.22 / 0.1 / np.sqrt(2)) <= 0.05 else set())
    edge = next(e for e in taxonomy.edges if e.target == "b")
    assert edge.q_value == pytest.approx(q[1, 0])
    assert edge.asymmetry_p == pytest.approx(stats.norm.sf(0.45 / 0.1 / np.sqrt(2)))
    assert math.isnan(edge.stability)


def test_induce_from_values_with_a_threshold_alone_asks_it_of_effect_and_asymmetry() -> None:
    delta = np.array([[9.0, 0.0, 0.4], [0.5, 9.0, 0.0], [0.5, 0.29, 9.0]])
    taxonomy = induce_from_values(("a", "b", "c"), ("a", "b", "c"), delta, threshold=0.3)
    assert arcs(taxonomy) == {("a", "b")}
    assert math.isnan(taxonomy.edges[0].q_value)


@pytest.mark.parametrize("threshold", [None, 0.0])
def test_induce_from_values_without_errors_or_threshold_is_refused(threshold: float | None) -> None:
    with pytest.raises(InputError, match="standard errors"):
        induce_from_values(("a",), ("a",), np.ones((1, 1)), threshold=threshold)


def test_induce_from_values_with_a_zero_standard_error_names_its_cell() -> None:
    with pytest.raises(InputError, match="'b' from 'a': 0"):
        induce_from_values(("a", "b"), ("a",), np.ones((2, 1)), np.array([[1.0], [0.0]]))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 8))
def test_induce_from_any_values_is_acyclic_with_longest_path_levels(seed: int, categories: int) -> None:
    names = tuple(f"c{i}" for i in range(categories))
    delta = np.random.default_rng(seed).normal(size=(categories, categories))
    taxonomy = induce_from_values(names, names, delta, threshold=0.2)
    graph = nx.DiGraph(list(arcs(taxonomy)))
    graph.add_nodes_from(names)
    assert nx.is_directed_acyclic_graph(graph)
    level = dict(taxonomy.levels)
    for name in names:
        paths = [len(p) - 1 for root in names if root != name for p in nx.all_simple_paths(graph, root, name)]
        assert level[name] == max(paths, default=0)
    closure = set(nx.transitive_closure(graph).edges)
    assert set(nx.transitive_closure(nx.DiGraph(list(taxonomy.reduced))).edges) == closure


def test_levels_of_a_diamond_follow_the_longer_side() -> None:
    assert levels(nx.DiGraph([("a", "d"), ("a", "b"), ("b", "c"), ("c", "d")])) == {"a": 0, "d": 3, "b": 1, "c": 2}
