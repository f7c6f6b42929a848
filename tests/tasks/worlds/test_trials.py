"""Designs spend at most their budget, on what they say they do."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from tasks.errors import InputError
from tasks.proportions.proposal import Limits
from tasks.worlds.decision import Rule
from tasks.worlds.drawing import WorldSpec, draw_world
from tasks.worlds.trials import DESIGNS, run_design

WORLD = draw_world(WorldSpec(8), 1)
RULE = Rule(Limits(int(WORLD.counts.sum())))


@pytest.mark.parametrize("name", DESIGNS)
@pytest.mark.parametrize("extra", [0, 1, 30])
def test_every_design_spends_at_most_its_budget_with_a_baseline_at_each_seed(name: str, extra: int) -> None:
    budget = DESIGNS[name].smallest(8) + extra
    table = run_design(name, WORLD, budget, RULE)
    assert len(set(table.seeds)) >= 2
    assert len(table.runs) <= budget
    baselines = [seed for seed, arm in zip(table.seeds, table.arms, strict=True) if arm == "baseline"]
    assert sorted(baselines) == sorted(set(table.seeds))


@pytest.mark.parametrize("name", DESIGNS)
def test_every_design_refuses_one_run_less_than_its_smallest_and_names_it(name: str) -> None:
    least = DESIGNS[name].smallest(8)
    with pytest.raises(InputError, match=f"at least {least}"):
        run_design(name, WORLD, least - 1, RULE)


def test_leave_one_out_repeats_all_arms_at_as_many_seeds_as_fit() -> None:
    table = run_design("leave-one-out", WORLD, 44, RULE)
    assert len(table.runs) == 36
    assert set(Counter(table.arms).values()) == {4}
    removed = table.amounts == 0
    assert removed.sum(axis=1).tolist() == [arm != "baseline" for arm in table.arms]


def test_factorial_rows_are_orthogonal_and_dealt_evenly_to_the_seeds() -> None:
    table = run_design("factorial", WORLD, 36, RULE)
    rows = np.array([arm != "baseline" for arm in table.arms])
    signs = np.sign(table.amounts[rows] - WORLD.counts)
    assert len(signs) == 32
    assert (signs.T @ signs == 32 * np.eye(8)).all()
    assert (signs.sum(axis=0) == 0).all()
    assert Counter(np.array(table.seeds)[rows].tolist()) == {1: 8, 2: 8, 3: 8, 4: 8}


def test_factorial_and_removals_holds_both() -> None:
    table = run_design("factorial-and-removals", WORLD, 36, RULE)
    removed = (table.amounts == 0).sum(axis=1)
    assert removed.tolist().count(1) == 8
    rows = (table.amounts != WORLD.counts).all(axis=1)
    assert (np.sign(table.amounts[rows] - WORLD.counts).sum(axis=0) == 0).all()
    assert rows.sum() == 24
    assert len(table.runs) == 24 + 8 + 4


def test_mixtures_keep_the_total_and_differ_from_each_other() -> None:
    table = run_design("mixtures", WORLD, 36, RULE)
    assert table.amounts.sum(axis=1) == pytest.approx(np.full(36, WORLD.counts.sum()))
    assert len({tuple(row) for row in table.amounts.tolist()}) == 32 + 1


def test_unknown_design_is_refused_with_those_there_are() -> None:
    with pytest.raises(InputError, match="leave-one-out, half-dose, dose"):
        run_design("latin square", WORLD, 36, RULE)
