"""How many of the edges are false, counted in planted worlds and in worlds without any interaction.

An edge j → i is true where j's data helps i, and more than i's helps j.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from tasks.effects.paired import effects_from_differences
from tasks.effects.pairing import PairedDifferences
from tasks.taxonomy.induce import induce


def false_and_all(truth: np.ndarray, paired: PairedDifferences) -> tuple[int, int]:
    row = {name: k for k, name in enumerate(paired.targets)}
    edges = induce(effects_from_differences(paired, draws=0)).edges
    cells = [(row[edge.target], row[edge.source]) for edge in edges]
    return sum(truth[i, j] <= max(0, truth[j, i]) for i, j in cells), len(cells)


@pytest.mark.parametrize("unequal_seeds", [False, True])
@pytest.mark.parametrize("noise", ["equal", "mixed", "target", "proportional"])
def test_false_edges_in_planted_worlds_are_at_most_as_many_as_promised(
    planted_world: Callable, thinned: Callable, noise: str, unequal_seeds: bool
) -> None:
    rng = np.random.default_rng(40)
    rates, edges = [], 0
    for _ in range(40):
        truth, paired = planted_world(rng, 8, 3, noise)
        false, found = false_and_all(truth, thinned(rng, paired) if unequal_seeds else paired)
        rates.append(false / max(1, found))
        edges += found
    assert np.mean(rates) <= 0.05
    assert edges >= 40 * 6


@pytest.mark.parametrize(("noise", "unequal_seeds"), [("mixed", False), ("equal", False), ("mixed", True)])
def test_worlds_without_interaction_have_an_edge_at_most_as_often_as_promised(
    planted_world: Callable, thinned: Callable, noise: str, unequal_seeds: bool
) -> None:
    rng = np.random.default_rng(41)
    wrong = []
    for _ in range(120):
        truth, paired = planted_world(rng, 8, 3, noise, null=True)
        wrong.append(false_and_all(truth, thinned(rng, paired) if unequal_seeds else paired)[1] > 0)
    assert stats.binomtest(sum(wrong), len(wrong), 0.05, alternative="greater").pvalue > 0.01


def test_false_edges_among_many_categories_are_at_most_as_many_as_promised(planted_world: Callable) -> None:
    rng = np.random.default_rng(42)
    rates = []
    for _ in range(8):
        false, found = false_and_all(*planted_world(rng, 28, 3, "mixed"))
        rates.append(false / found)
    assert np.mean(rates) <= 0.05
