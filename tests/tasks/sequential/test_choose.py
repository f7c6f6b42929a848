from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from tasks.effects.matrix import RunTable
from tasks.effects.paired import paired_effects
from tasks.errors import InputError
from tasks.sequential.choose import Next, Outlook, SequentialPlan, choose, first_runs, mark_adaptive, next_runs
from tasks.sequential.edges import EdgeRule, edges_now
from tasks.sequential.shares import MOVED, Program, shares_now

PLAN = SequentialPlan(first_seeds=2, max_runs=None, seeds=(1, 2, 3, 4, 5, 6, 7, 8))
ARMS = {"shift": "without shift", "copy": "without copy"}


def following(measured: object, runs: RunTable, plan: SequentialPlan = PLAN) -> Next:
    return next_runs(runs, measured.arms, plan, measured.baseline, measured.limits)


def until_the_end(measured: object, plan: SequentialPlan) -> tuple[RunTable, list[Next]]:
    done, blocks = set(first_runs(measured.arms, plan)), []
    while True:
        blocks.append(following(measured, measured.at(done), plan))
        if not blocks[-1].runs:
            return measured.at(done), blocks
        assert not done & set(blocks[-1].runs)
        done |= set(blocks[-1].runs)


def test_the_first_block_is_everything_with_the_first_seeds() -> None:
    plan = SequentialPlan(2, None, (7, 3, 5))
    names = ("baseline", "without copy", "without shift")
    assert first_runs(ARMS, plan) == (*((name, 7) for name in names), *((name, 3) for name in names))


@pytest.mark.parametrize(
    ("plan", "named"),
    [
        (SequentialPlan(1, None, (1, 2)), "first_seeds is 1; expected 2 to 2"),
        (SequentialPlan(3, None, (1, 2)), "first_seeds is 3"),
        (SequentialPlan(2, None, (1, 1)), "repeat"),
        (SequentialPlan(2, 5, (1, 2)), "max_runs is 5, but the first block takes 6"),
        (SequentialPlan(2, None, (1, 2), chance=0.0), "chance is 0.0"),
    ],
)
def test_plans_that_contradict_themselves_are_refused(plan: SequentialPlan, named: str) -> None:
    with pytest.raises(InputError, match=named):
        first_runs(ARMS, plan)


def test_arms_that_are_not_one_per_source_are_refused() -> None:
    with pytest.raises(InputError, match="an intervention of its own"):
        first_runs({"copy": "without", "shift": "without"}, PLAN)
    with pytest.raises(InputError, match="an intervention of its own"):
        first_runs({"copy": "baseline"}, PLAN)


def test_runs_that_earlier_blocks_lack_are_asked_for_first(planted: Callable) -> None:
    measured = planted(0)
    first = first_runs(measured.arms, PLAN)
    assert following(measured, measured.at(set())).runs == first
    assert following(measured, measured.at(set(first[:-2]))).runs == first[-2:]
    without_baseline = {*first, (measured.arms["c3"], 6)}
    assert following(measured, measured.at(without_baseline)).runs == (("baseline", 6),)


def test_a_world_without_doubt_stops_after_the_first_block(planted: Callable) -> None:
    measured = planted(3, noise=0.002)
    found = following(measured, measured.at(set(first_runs(measured.arms, PLAN))))
    assert found.runs == () and found.undecided == ()
    assert found.reason.startswith("Stable: 18 of at most 72 runs done")


def test_effects_too_small_to_be_of_interest_need_no_runs(planted: Callable) -> None:
    measured = planted(0, noise=0.002)
    table = measured.at(set(first_runs(measured.arms, PLAN)))
    assert following(measured, table).runs
    assert following(measured, table, replace(PLAN, minimum_effect=0.02)).runs == ()


def test_the_next_block_depends_on_the_design_s_own_runs_alone(planted: Callable) -> None:
    measured = planted(1, noise=0.2)
    table = measured.at(set(first_runs(measured.arms, PLAN)))
    found = following(measured, table)
    assert found.runs
    order = np.random.default_rng(0).permutation(len(table.runs))
    shuffled = replace(
        table,
        runs=tuple(table.runs[k] for k in order),
        seeds=tuple(table.seeds[k] for k in order),
        arms=tuple(table.arms[k] for k in order),
        amounts=table.amounts[order],
        performance=table.performance[order],
        n=table.n[order],
    )
    again = following(measured, shuffled)
    assert again.runs == found.runs
    plan = replace(PLAN, seeds=(1, 2, 3, 4, 5))
    beyond = measured.runs.subset([seed <= 2 or seed > 5 for seed in measured.runs.seeds])
    assert following(measured, beyond, plan) == following(measured, table, plan)
    other = replace(measured.runs, arms=tuple(f"{arm} (size-matched)" for arm in measured.runs.arms))
    both = replace(
        table,
        runs=(*table.runs, *(f"other {name}" for name in other.runs)),
        seeds=(*table.seeds, *other.seeds),
        arms=(*table.arms, *other.arms),
        amounts=np.concatenate([table.amounts, other.amounts]),
        performance=np.concatenate([table.performance, other.performance]),
        n=np.concatenate([table.n, other.n]),
    )
    assert following(measured, both) == found


def test_blocks_are_each_open_sources_next_seed_with_its_baseline(planted: Callable) -> None:
    measured = planted(4, noise=0.2)
    done = set(first_runs(measured.arms, PLAN))
    _, blocks = until_the_end(measured, PLAN)
    assert len(blocks) > 2
    for block in blocks[:-1]:
        open_arms = {measured.arms[source] for source, _ in block.undecided}
        chances = [chance for _, chance in block.undecided]
        assert chances == sorted(chances, reverse=True) and min(chances) >= PLAN.chance
        assert measured.arms[block.undecided[0][0]] in {arm for arm, _ in block.runs}
        for arm, seed in block.runs:
            assert (arm, seed - 1) in done
            assert arm == "baseline" or (arm in open_arms and ("baseline", seed) in {*done, *block.runs})
        done |= set(block.runs)
        assert "still open" in block.reason and block.undecided[0][0] in block.reason


@pytest.mark.parametrize("budget", [18, 19, 20, 31])
def test_a_budget_is_never_exceeded(planted: Callable, budget: int) -> None:
    measured = planted(4, noise=0.3)
    table, blocks = until_the_end(measured, replace(PLAN, max_runs=budget, chance=0.01))
    assert budget - 1 <= len(table.runs) <= budget
    assert blocks[-1].reason.startswith("Budget spent") and blocks[-1].undecided


def test_a_short_budget_goes_to_the_most_open_sources() -> None:
    plan = SequentialPlan(2, 9, (1, 2, 3, 4))
    arms = {name: f"without {name}" for name in "ab"}
    done = {*first_runs(arms, plan)}
    outlooks = [Outlook("b", 0.5, 0.2), Outlook("a", 0.4, 0.1)]
    assert choose(outlooks, done, arms, plan).runs == (("baseline", 3), ("without a", 3), ("without b", 3))
    assert choose(outlooks, done, arms, replace(plan, max_runs=8)).runs == (("baseline", 3), ("without b", 3))
    assert choose(outlooks, done, arms, replace(plan, max_runs=7)).runs == ()
    assert choose(outlooks, done, arms, replace(plan, max_runs=7)).undecided == (
        ("b", pytest.approx(0.6)),
        ("a", pytest.approx(0.46)),
    )
    far = [Outlook("b", 0.5, 0.2), Outlook("a", 0.2, 0.0)]
    assert choose(far, done, arms, plan).runs == (("baseline", 3), ("without b", 3))
    seldom = [Outlook("b", 0.04, 0.0), Outlook("a", 0.0, 0.0)]
    assert choose(seldom, done, arms, plan).runs == ()


def test_a_source_behind_the_others_catches_up_on_baselines_that_are_there() -> None:
    plan = SequentialPlan(2, None, (1, 2, 3, 4))
    arms = {name: f"without {name}" for name in "ab"}
    done = {*first_runs(arms, plan), ("baseline", 3), ("without b", 3)}
    assert choose([Outlook("a", 0.5, 0.0), Outlook("b", 0.0, 0.0)], done, arms, plan).runs == (("without a", 3),)


def test_runs_chosen_later_are_marked_and_left_out_of_confirmation(planted: Callable) -> None:
    measured = planted(4, noise=0.2)
    table, _ = until_the_end(measured, PLAN)
    marked = mark_adaptive(table, measured.arms, PLAN)
    assert [not mark for mark in marked.adaptive] == [seed <= 2 for seed in marked.seeds]
    confirmatory = marked.confirmatory()
    assert set(zip(confirmatory.arms, confirmatory.seeds, strict=True)) == set(first_runs(measured.arms, PLAN))
    assert len(confirmatory.runs) < len(table.runs)


def test_the_design_decides_mostly_as_the_full_one_with_fewer_runs(planted: Callable) -> None:
    used, edges, shares = [], [], []
    for seed in range(6):
        measured = planted(seed, noise=0.05)
        program = Program(measured.baseline, measured.limits, "performance", 0.95)
        table, _ = until_the_end(measured, PLAN)
        found, full = paired_effects(table, allow_missing=True), measured.effects(8)
        used.append(len(table.runs) / len(measured.runs.runs))
        edges.append(np.array_equal(edges_now(found, EdgeRule(0.05, 0)), edges_now(full, EdgeRule(0.05, 0))))
        shares.append(np.abs(shares_now(found, program) - shares_now(full, program)).max() <= MOVED)
    assert np.mean(used) < 0.8
    assert np.mean(edges) >= 0.8 and np.mean(shares) >= 0.8


def test_a_world_where_nothing_is_to_be_found_costs_little_more_than_the_first_block(planted: Callable) -> None:
    used = []
    for seed in range(6):
        measured = planted(seed, noise=0.2, null=True)
        table, _ = until_the_end(measured, PLAN)
        used.append(len(table.runs) / len(measured.runs.runs))
    assert np.mean(used) < 0.5
