from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from tasks.effects.matrix import EffectMatrix
from tasks.effects.paired import paired_effects
from tasks.sequential.edges import EdgeRule, edge_chances, edges_now
from tasks.taxonomy.induce import induce

RULE = EdgeRule(0.05, 0.0)


def named(matrix: EffectMatrix, rule: EdgeRule) -> set[tuple[str, str]]:
    return {(matrix.sources[j], matrix.targets[i]) for i, j in np.argwhere(edges_now(matrix, rule))}


@pytest.mark.parametrize("rule", [RULE, EdgeRule(0.2, 0.0), EdgeRule(0.05, 0.1)])
def test_edges_now_are_those_of_the_taxonomy_before_cycles_are_broken(planted: Callable, rule: EdgeRule) -> None:
    seen = 0
    for seed in range(12):
        matrix = planted(seed).effects(2)
        taxonomy = induce(matrix, rule.fdr, minimum_effect=rule.minimum_effect)
        expected = {(edge.source, edge.target) for edge in (*taxonomy.edges, *taxonomy.removed)}
        assert named(matrix, rule) == expected
        seen += len(expected)
    assert seen > 20


def test_edges_of_sources_that_are_no_targets_are_never_found(planted: Callable) -> None:
    runs = planted(1, noise=0.02).runs
    kept = [k for k, name in enumerate(runs.targets) if name not in ("c1", "c2", "c3")]
    narrow = replace(
        runs,
        targets=tuple(runs.targets[k] for k in kept),
        performance=runs.performance[:, kept],
        n=runs.n[:, kept],
    )
    matrix = paired_effects(narrow)
    taxonomy = induce(matrix)
    assert named(matrix, RULE) == {(edge.source, edge.target) for edge in (*taxonomy.edges, *taxonomy.removed)}
    assert not {source for source, _ in named(matrix, RULE)} & {"c1", "c2", "c3"}
    chance = edge_chances(paired_effects(narrow.subset([seed <= 2 for seed in narrow.seeds])), 8, RULE)
    assert np.all(chance[[matrix.sources.index(name) for name in ("c1", "c2", "c3")]] == 0)


def test_edge_chances_of_a_finished_design_are_zero(planted: Callable) -> None:
    assert np.all(edge_chances(planted(3, noise=0.3).effects(8), 8, RULE) == 0)


def test_edge_chances_without_noise_to_speak_of_are_near_zero(planted: Callable) -> None:
    assert edge_chances(planted(3, noise=0.002).effects(2), 8, RULE).max() < 0.05


def test_edge_chances_tell_which_sources_edges_will_change(planted: Callable) -> None:
    chances, changes = [], []
    for seed in range(40):
        measured = planted(seed, noise=0.2)
        before = measured.effects(2)
        changed = named(before, RULE) ^ named(measured.effects(8), RULE)
        chances += edge_chances(before, 8, RULE).tolist()
        changes += [source in {start for start, _ in changed} for source in before.sources]
    chance, change = np.array(chances), np.array(changes)
    assert change[chance < 0.05].mean() < 0.2
    assert change[chance > 0.6].mean() > 0.4
    assert abs(chance.mean() - change.mean()) < 0.12


def test_edge_chances_where_nothing_is_to_be_found_are_small(planted: Callable) -> None:
    chances = [edge_chances(planted(seed, categories=28, null=True).effects(2), 5, RULE) for seed in range(5)]
    assert np.mean(chances) < 0.05
