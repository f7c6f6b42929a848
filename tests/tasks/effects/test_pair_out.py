from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from tasks.effects.matrix import RunTable
from tasks.effects.pair_out import pair_interaction
from tasks.effects.pairing import Unused
from tasks.errors import InputError

Pair = tuple[int, int]


def pair_out_runs(
    seed: int,
    pairs: list[Pair],
    interaction: dict[Pair, float] | None = None,
    categories: int = 5,
    seeds: int = 3,
    own_noise: float = 0.0,
) -> RunTable:
    """Additive effects; noise of 0.05 a run, correlated by 0.3 between targets.

    interaction[(j, i)]: what i's own gain loses when j is absent.
    own_noise: deviation of a removed category's own loss, as a share of the loss.
    """
    rng = np.random.default_rng(seed)
    names = tuple(f"c{i}" for i in range(categories))
    cross, own = rng.gamma(1, 0.2, (categories, categories)), rng.gamma(4, 0.5, categories) + 0.3
    runs: list[tuple[str, int]] = []
    amounts, performance = [], []
    for s in range(seeds):
        level = rng.normal()
        for gone in [(), *((j,) for j in range(categories)), *pairs]:
            value = level + 0.05 * (np.sqrt(0.7) * rng.normal(size=categories) + np.sqrt(0.3) * rng.normal())
            for j in gone:
                others = np.arange(categories) != j
                value[others] -= cross[others, j]
                value[j] -= own[j] * (1 + own_noise * rng.normal())
            for (j, i), size in (interaction or {}).items():
                if set(gone) == {i, j}:
                    value[i] += size
            runs.append(("without " + ", ".join(names[j] for j in gone) if gone else "baseline", s))
            amounts.append([0.0 if j in gone else 100.0 for j in range(categories)])
            performance.append(value)
    return RunTable(
        runs=tuple(f"{arm} at {s}" for arm, s in runs),
        seeds=tuple(s for _, s in runs),
        arms=tuple(arm for arm, _ in runs),
        sources=names,
        amounts=np.array(amounts),
        targets=names,
        performance=np.array(performance),
        n=np.zeros((len(runs), categories), dtype=np.int64),
        unit="nats per token",
    )


def dropped(table: RunTable, *names: str) -> RunTable:
    return table.subset([name not in names for name in table.runs])


def test_interaction_of_one_pair_is_the_difference_of_differences_with_its_own_t_test() -> None:
    table = pair_out_runs(0, [(1, 3)], seeds=4)
    found = pair_interaction(table)
    assert list(zip(found.sources, found.targets, strict=True)) == [("c1", "c3"), ("c3", "c1")]
    row = {name: r for r, name in enumerate(table.runs)}
    values = []
    for s in range(4):
        p = {arm: table.performance[row[f"{arm} at {s}"], 3] for arm in table.arms}
        values.append((p["baseline"] - p["without c3"]) - (p["without c1"] - p["without c1, c3"]))
    test = stats.ttest_1samp(values, 0, alternative="greater")
    assert found.value[0] == pytest.approx(np.mean(values))
    assert found.standard_error[0] == pytest.approx(stats.sem(values))
    assert found.p_by_pair["c1", "c3"] == pytest.approx(test.pvalue)
    assert found.seeds.tolist() == [4, 4]


def test_interactions_that_were_planted_are_found_in_their_direction() -> None:
    planted = {(0, 1): 0.6, (2, 3): 0.6, (4, 0): -0.6}
    found = pair_interaction(pair_out_runs(1, list(combinations(range(5), 2)), planted))
    assert len(found.sources) == 20
    significant = {pair for pair, p in found.p_by_pair.items() if p <= 0.01}
    assert significant == {("c0", "c1"), ("c2", "c3")}
    value = dict(zip(zip(found.sources, found.targets, strict=True), found.value, strict=True))
    assert value["c0", "c1"] == pytest.approx(0.6, abs=0.15)
    assert value["c4", "c0"] == pytest.approx(-0.6, abs=0.15)


@pytest.mark.parametrize(("pairs", "own_noise"), [(10, 0.0), (10, 0.15), (3, 0.15)])
def test_interactions_in_additive_worlds_are_significant_about_as_often_as_chance(pairs: int, own_noise: float) -> None:
    chosen = list(combinations(range(5), 2))[:pairs]
    p = [pair_interaction(pair_out_runs(s, chosen, own_noise=own_noise)).p_value for s in range(150)]
    assert np.mean(np.concatenate(p) <= 0.05) <= 0.07


def test_interactions_need_all_four_runs_of_a_seed_and_say_which_are_missing() -> None:
    table = pair_out_runs(2, [(0, 1), (2, 3)], seeds=2)
    found = pair_interaction(dropped(table, "without c1 at 1", "without c2, c3 at 0"))
    assert found.sources == ()
    assert found.unused == (
        Unused("without c0, c1 at 1", "no run without c1 alone at seed 1"),
        Unused("without c0, c1 at 0", "one seed only; expected at least 2 with all four runs"),
        Unused("without c2, c3 at 1", "one seed only; expected at least 2 with all four runs"),
    )


def test_interactions_of_a_category_that_is_not_measured_have_one_direction() -> None:
    table = pair_out_runs(3, [(0, 1)])
    measured = replace(table, targets=table.targets[1:], performance=table.performance[:, 1:], n=table.n[:, 1:])
    assert pair_interaction(measured).p_by_pair.keys() == {("c0", "c1")}


def test_interactions_without_pair_out_runs_are_none() -> None:
    found = pair_interaction(pair_out_runs(4, []))
    assert found.sources == found.targets == ()
    assert found.p_by_pair == {}


def test_interactions_from_two_runs_of_the_same_pair_and_seed_are_refused() -> None:
    table = pair_out_runs(5, [(0, 1)])
    arms = tuple("both" if arm == "without c2" else arm for arm in table.arms)
    amounts = np.where(np.array(arms)[:, None] == "both", [0.0, 0, 100, 100, 100], table.amounts)
    with pytest.raises(InputError, match="'without c2 at 0' and 'without c0, c1 at 0': both remove 'c0' and 'c1'"):
        pair_interaction(replace(table, arms=arms, amounts=amounts))


def test_interactions_that_are_the_same_in_all_seeds_are_refused() -> None:
    table = pair_out_runs(6, [(0, 1)], seeds=2)
    half = len(table.runs) // 2
    with pytest.raises(InputError, match="same in all seeds"):
        pair_interaction(replace(table, performance=np.vstack([table.performance[:half]] * 2)))
