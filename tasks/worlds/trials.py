"""Designs by name, each spending a budget of runs on a world."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tasks.effects.matrix import RunTable
from tasks.errors import InputError
from tasks.interventions.designs.mixes import Levels, factorial, mixtures
from tasks.interventions.designs.removals import dose, leave_one_out, pair_out
from tasks.interventions.hadamard import constructible, next_order
from tasks.interventions.intervention import Arm, Intervention
from tasks.sequential.choose import SequentialPlan, first_runs, mark_adaptive, next_runs
from tasks.worlds.decision import Rule, world_baseline
from tasks.worlds.measuring import Run, measure_runs
from tasks.worlds.world import AnalyticWorld

FEWEST_SEEDS = 2
MOST_BLOCKS = 4
DOSES = (0.5, 2.0)
AVAILABLE = 4
"""A world's pool holds this many times the baseline of every category."""


@dataclass(frozen=True)
class Design:
    """One way to spend runs.

    Attributes:
        name: as on the command line.
        smallest: fewest runs for K categories.
        spend: measure the design's runs on a world, at most so many; the rule is what they are to decide.
        paired: whether each run changes one source, so that paired differences can be taken (others are left out).
    """

    name: str
    smallest: Callable[[int], int]
    spend: Callable[[AnalyticWorld, int, Rule], RunTable]
    paired: bool


def pool_counts(world: AnalyticWorld) -> tuple[dict[str, int], dict[str, int]]:
    """Baseline examples per category, and what the world's pool holds."""
    counts = {name: int(n) for name, n in zip(world.categories, world.counts, strict=True)}
    return counts, {name: AVAILABLE * n for name, n in counts.items()}


def run_design(name: str, world: AnalyticWorld, budget: int, rule: Rule) -> RunTable:
    """Measure a design's runs on a world; as many as fit into the budget.

    Args:
        name: of the design.
        world: what to measure.
        budget: runs at most.
        rule: what the runs are to decide; only designs that choose runs by results look at it.

    Raises:
        InputError: an unknown design; a budget below the design's smallest.
    """
    design = find_design(name)
    check_budget(design, len(world.categories), budget)
    return design.spend(world, budget, rule)


def find_design(name: str) -> Design:
    """The design of this name; InputError lists those there are."""
    if name not in DESIGNS:
        raise InputError(f"no design {name!r}; there are {', '.join(DESIGNS)}")
    return DESIGNS[name]


def check_budget(design: Design, categories: int, budget: int) -> None:
    """Raise InputError, naming the smallest budget, where the design does not fit into it."""
    least = design.smallest(categories)
    if budget < least:
        raise InputError(
            f"{budget} runs are too few for {design.name} on {categories} categories; expected at least {least}."
        )


def _each_seed(plan: Callable[[AnalyticWorld], Sequence[Intervention]]) -> Callable[..., RunTable]:
    """Every intervention at as many seeds as the budget allows."""

    def spend(world: AnalyticWorld, budget: int, _: Rule) -> RunTable:
        interventions = plan(world)
        seeds = range(1, budget // len(interventions) + 1)
        return measure_runs(world, [(one, seed) for seed in seeds for one in interventions])

    return spend


def _leave_one_out(world: AnalyticWorld) -> tuple[Intervention, ...]:
    return leave_one_out(*pool_counts(world), [Arm.SIZE_REDUCED])


def _half_dose(world: AnalyticWorld) -> tuple[Intervention, ...]:
    return dose(*pool_counts(world), [Arm.SIZE_REDUCED], DOSES[:1])


def _dose(world: AnalyticWorld) -> tuple[Intervention, ...]:
    return dose(*pool_counts(world), [Arm.SIZE_REDUCED], DOSES)


def _pair_out(world: AnalyticWorld) -> tuple[Intervention, ...]:
    return pair_out(*pool_counts(world), [Arm.SIZE_REDUCED])


def _sequential(world: AnalyticWorld, budget: int, rule: Rule) -> RunTable:
    """Leave-one-out that may stop earlier: two seeds first, then what can still change the decision."""
    baseline, *removals = _leave_one_out(world)
    arms = {one.removed[0]: one.name for one in removals}
    named = {one.name: one for one in (baseline, *removals)}
    seeds = tuple(range(1, budget // len(named) + 1))
    plan = SequentialPlan(
        FEWEST_SEEDS, None, seeds, confidence=rule.confidence, fdr=1 - rule.confidence, objective=rule.objective
    )
    done: list[tuple[str, int]] = []
    block = first_runs(arms, plan)
    while block:
        done += block
        table = mark_adaptive(measure_runs(world, [(named[arm], seed) for arm, seed in done]), arms, plan)
        block = next_runs(table, arms, plan, world_baseline(world), rule.limits).runs
    return table


def _factorial(world: AnalyticWorld, budget: int, _: Rule) -> RunTable:
    rows = budget - _blocks(budget)
    while not constructible(rows):
        rows -= 1
    return _blocked(world, factorial(*pool_counts(world), Levels(runs=rows, draw=world.seed)), budget)


def _factorial_and_removals(world: AnalyticWorld, budget: int, _: Rule) -> RunTable:
    """A factorial says how small steps act, one removal of each category how far the curves go down."""
    removals = _leave_one_out(world)[1:]
    rows = budget - _blocks(budget) - len(removals)
    while not constructible(rows):
        rows -= 1
    planned = factorial(*pool_counts(world), Levels(runs=rows, draw=world.seed))
    return _blocked(world, (*planned, *removals), budget)


def _mixtures(world: AnalyticWorld, budget: int, _: Rule) -> RunTable:
    number = budget - _blocks(budget)
    return _blocked(world, mixtures(*pool_counts(world), number, draw=world.seed), budget)


def _blocked(world: AnalyticWorld, interventions: Sequence[Intervention], budget: int) -> RunTable:
    """Each training set once, dealt at random to the seeds, each of which also runs the baseline (the first one)."""
    blocks = _blocks(budget)
    baseline, *rows = interventions
    seeds = np.random.default_rng([world.seed, blocks]).permutation(np.arange(len(rows)) % blocks + 1)
    runs: list[Run] = [(baseline, seed) for seed in range(1, blocks + 1)]
    runs += [(row, int(seed)) for row, seed in zip(rows, seeds, strict=True)]
    return measure_runs(world, runs)


def _blocks(budget: int) -> int:
    return min(max(budget // 9, FEWEST_SEEDS), MOST_BLOCKS)


def _smallest_factorial(categories: int) -> int:
    return _with_blocks(next_order(categories + 1))


def _with_blocks(rows: int) -> int:
    """The smallest budget that leaves so many runs besides the baseline of every seed."""
    return next(budget for budget in range(rows, rows + MOST_BLOCKS + 1) if budget - _blocks(budget) >= rows)


def _times(arms: Callable[[int], int]) -> Callable[[int], int]:
    return lambda categories: FEWEST_SEEDS * arms(categories)


_ALL = (
    Design("leave-one-out", _times(lambda k: k + 1), _each_seed(_leave_one_out), paired=True),
    Design("half-dose", _times(lambda k: k + 1), _each_seed(_half_dose), paired=True),
    Design("dose", _times(lambda k: 2 * k + 1), _each_seed(_dose), paired=False),
    Design("pair-out", _times(lambda k: k + 1 + k * (k - 1) // 2), _each_seed(_pair_out), paired=True),
    Design("factorial", _smallest_factorial, _factorial, paired=False),
    Design(
        "factorial-and-removals",
        lambda k: _with_blocks(next_order(k + 1) + k),
        _factorial_and_removals,
        paired=False,
    ),
    Design("mixtures", lambda k: _with_blocks(k + 1), _mixtures, paired=False),
    Design("sequential", lambda k: (FEWEST_SEEDS + 1) * (k + 1), _sequential, paired=True),
)
DESIGNS = {design.name: design for design in _ALL}
