"""Interventions that add what the baseline leaves out: counts by hand, the rest of the plan untouched."""

from __future__ import annotations

import numpy as np
import pytest

from tasks.effects.matrix import RunTable
from tasks.effects.paired import paired_effects
from tasks.errors import InputError
from tasks.interventions.designs.additions import added_category, additions
from tasks.interventions.designs.removals import dose, leave_one_out
from tasks.interventions.intervention import Arm

COUNTS = {"a": 10, "b": 20, "c": 0, "d": 30, "e": 0, "f": 0}
AVAILABLE = {"a": 90, "b": 90, "c": 40, "d": 90, "e": 4, "f": 0}


def test_each_category_that_the_baseline_leaves_out_is_added_with_its_share_or_whole() -> None:
    table = {one.name: dict(one.counts) for one in additions(COUNTS, AVAILABLE, tuple(Arm), 0.1)}
    assert table == {
        "with c (size-reduced)": {"a": 10, "b": 20, "c": 6, "d": 30, "e": 0, "f": 0},
        "with e (size-reduced)": {"a": 10, "b": 20, "c": 0, "d": 30, "e": 4, "f": 0},
        "with c (size-matched)": {"a": 9, "b": 18, "c": 6, "d": 27, "e": 0, "f": 0},
        # 56 examples for a, b, d in the proportion 1 : 2 : 3 are 9.33, 18.67 and 28
        "with e (size-matched)": {"a": 9, "b": 19, "c": 0, "d": 28, "e": 4, "f": 0},
    }


def test_a_category_that_comes_later_changes_no_other_intervention() -> None:
    before, after = {"a": 10, "b": 20, "d": 30}, {"a": 10, "b": 20, "c": 0, "d": 30}
    old = leave_one_out(before, {name: AVAILABLE[name] for name in before}, [Arm.SIZE_MATCHED])
    new = leave_one_out(after, {name: AVAILABLE[name] for name in after}, [Arm.SIZE_MATCHED])
    assert [one.name for one in old] == [one.name for one in new]
    assert [dict(one.counts) | {"c": 0} for one in old] == [dict(one.counts) for one in new]


def test_the_added_category_is_told_from_removed_and_dosed_ones() -> None:
    found = additions(COUNTS, AVAILABLE, [Arm.SIZE_MATCHED], 0.1)
    assert [added_category(one) for one in found] == ["c", "e"]
    others = (
        *leave_one_out(COUNTS, AVAILABLE, [Arm.SIZE_MATCHED]),
        *dose(COUNTS, AVAILABLE, [Arm.SIZE_MATCHED], [1.5]),
    )
    assert [added_category(one) for one in others] == [None] * 8


def test_paired_effect_of_an_added_category_is_performance_with_it_minus_without() -> None:
    names = tuple(COUNTS)
    plan = (
        *leave_one_out(COUNTS, AVAILABLE, [Arm.SIZE_MATCHED]),
        *additions(COUNTS, AVAILABLE, [Arm.SIZE_MATCHED], 0.1),
    )
    worth = {"a": 0.01, "b": 0.02, "c": 0.05, "d": 0.01, "e": -0.1}
    amounts = np.array([[dict(one.counts)[name] for name in names] for one in plan for _ in (1, 2, 3)], dtype=float)
    jitter = np.random.default_rng(0).normal(0, 1e-6, (len(amounts), 2))
    gains = amounts @ np.array([worth.get(name, 0.0) for name in names])
    found = paired_effects(
        RunTable(
            runs=tuple(f"r{k}" for k in range(len(amounts))),
            seeds=(1, 2, 3) * len(plan),
            arms=tuple("baseline" if one.arm is None else one.name for one in plan for _ in (1, 2, 3)),
            sources=names,
            amounts=amounts,
            targets=("a", "b"),
            performance=gains[:, None] + jitter,
            n=np.full(jitter.shape, 64),
            unit="points",
        )
    )
    column = {name: found.delta[:, j] for j, name in enumerate(found.sources)}
    # by hand: 6 of c for 1 a, 2 b and 3 d; 4 of e for 1 a, 1 b and 2 d
    assert column["c"] == pytest.approx([6 * 0.05 - 0.01 - 2 * 0.02 - 3 * 0.01] * 2, abs=1e-5)
    assert column["e"] == pytest.approx([-4 * 0.1 - 0.01 - 0.02 - 2 * 0.01] * 2, abs=1e-5)


@pytest.mark.parametrize("share", [0, 1, -0.1, float("nan")])
def test_impossible_share_is_named(share: float) -> None:
    with pytest.raises(InputError, match="addition is"):
        additions(COUNTS, AVAILABLE, [Arm.SIZE_MATCHED], share)


def test_no_room_for_an_addition_is_said_with_its_name() -> None:
    with pytest.raises(InputError, match=r"with c \(size-matched\): .* must make room"):
        additions({"a": 1, "b": 1, "c": 0}, {"a": 9, "b": 9, "c": 9}, [Arm.SIZE_MATCHED], 0.5)
