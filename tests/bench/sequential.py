"""The sequential design beside the full leave-one-out design, on analytic worlds whose truth is known.

`python -m tests.bench.sequential [--categories 8] [--worlds 200] [--noise 0.05] [--seeds 5]`: about 0.1 s a decision at
8 categories and 0.3 s at 28, some 30 decisions a world and full design. Null worlds: nothing is to be found, and the
baseline is the best mixture. `--skillworlds 1 2 3` trains instead: the quick start with both designs, about five
minutes a world on two cores.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from tasks.effects.matrix import EffectMatrix, RunTable
from tasks.effects.paired import paired_effects
from tasks.interventions.designs.removals import leave_one_out
from tasks.interventions.intervention import Arm
from tasks.proportions.goal import goal_from_effects, propose
from tasks.proportions.proposal import Limits, Options
from tasks.sequential.choose import Outlook, SequentialPlan, assess, choose, first_runs, mark_adaptive
from tasks.sequential.shares import MOVED
from tasks.taxonomy.induce import induce
from tasks.worlds.drawing import WorldSpec, draw_world
from tasks.worlds.measuring import measure
from tasks.worlds.optimum import world_baseline
from tasks.worlds.trials import pool_counts
from tasks.worlds.world import AnalyticWorld
from tests.bench.recovery import edges_of, run_quickstart

WORLDS = {8: 200, 28: 60}
NOISE = (0.05, 0.2)
SEEDS = (5, 8)
CHANCES = (0.02, 0.05, 0.1, 0.2)
BUDGET = 0.6
SKILL_SEEDS = 5
FULL = "full"
AGAIN = "a second full design, other seeds"
SHOWN = "chance 0.05"
"""The design whose intervals are scored."""


@dataclass(frozen=True)
class Experiment:
    """A world, what is run on it, and the runs of two full designs."""

    world: AnalyticWorld
    arms: dict[str, str]
    limits: Limits
    full: RunTable
    again: RunTable
    assessed: dict[frozenset[tuple[str, int]], tuple[Outlook, ...]] = field(default_factory=dict)
    """The designs' ways through the runs overlap."""


@dataclass(frozen=True)
class Decision:
    """What a set of runs leads to: edges, and the recommended shares (the baseline's where the program refuses)."""

    runs: int
    edges: frozenset[tuple[str, str]]
    shares: np.ndarray
    matrix: EffectMatrix


def main() -> None:
    """Print agreement with the full design, and how well intervals cover, for every size and noise level."""
    report(WORLDS, NOISE)


def report(worlds: dict[int, int], noise: Sequence[float], full_seeds: Sequence[int] = SEEDS) -> None:
    """Print the tables of these sizes."""
    for size, count in worlds.items():
        for seeds in full_seeds:
            for level in noise:
                _report(WorldSpec(categories=size, noise=level), count, seeds)
            _report(WorldSpec(categories=size, noise=max(noise)), max(count // 4, 1), seeds, null=True)


def _report(spec: WorldSpec, count: int, seeds: int, null: bool = False) -> None:
    rows: dict[str, list[tuple[float, ...]]] = defaultdict(list)
    covered: dict[str, list[np.ndarray]] = defaultdict(list)
    for number in range(count):
        experiment = set_up(spec, number, seeds, null)
        full = decide(experiment, experiment.full)
        for name, table in designs(experiment, seeds):
            found = decide(experiment, table)
            rows[name].append(compare(experiment.world, found, full))
            if name in (FULL, SHOWN):
                covered[name].append(coverage(experiment.world, found.matrix))
            if name == SHOWN:
                first = paired_effects(table.confirmatory())
                covered[f"{name}, confirmatory runs only"].append(coverage(experiment.world, first))
    size = spec.categories
    print(
        f"\n{size} categories, noise {spec.noise:g}, full design {seeds} seeds ({seeds * (size + 1)} runs), "
        f"{count} {'null ' if null else ''}worlds"
    )
    _print_agreement(rows)
    if not null:
        _print_truth(rows)
    _print_intervals(covered)


def _print_agreement(rows: dict[str, list[tuple[float, ...]]]) -> None:
    _header("design", "share of the runs", "worlds ≤ 60 %", "same edges", "edges in common", "shares ≤ 1 point", "both")
    for name, values in rows.items():
        _line(name, *(f"{value:.3f}" for value in np.mean([value[:6] for value in values], axis=0)))


def _print_truth(rows: dict[str, list[tuple[float, ...]]]) -> None:
    _header("design", "true edges found", "false among found", "true gain over the full design's")
    gain = sum(value[9] for value in rows[FULL])
    for name, values in rows.items():
        right, found, true, gained = np.sum([value[6:10] for value in values], axis=0)
        _line(name, f"{right / true:.3f}", f"{1 - right / max(found, 1):.3f}", f"{gained / gain:.3f}")


def _print_intervals(covered: dict[str, list[np.ndarray]]) -> None:
    _header("95 % intervals", "off-diagonal", "of edges found", "mean error of edges found, standard errors")
    for name, parts in covered.items():
        hits, cells, edge_hits, edges, error = np.sum(parts, axis=0)
        several = edges if edges else float("nan")
        _line(name, f"{hits / cells:.3f}", f"{edge_hits / several:.3f}", f"{error / several:+.2f}")


def _header(*names: str) -> None:
    print("\n| " + " | ".join(names) + " |\n|" + " --- |" * len(names))


def _line(*cells: str) -> None:
    print("| " + " | ".join(cells) + " |")


def skill_worlds(worlds: Sequence[int]) -> None:
    """Print, world by world, what the quick start concludes from the full design and from the sequential one."""
    _header(
        "SkillWorld", "runs", "edges", "sequential runs", "edges in common", "edges", "largest difference of shares"
    )
    for world in worlds:
        with tempfile.TemporaryDirectory(prefix="beyond-iid-bench-") as home:
            every = ["validation=null", f"design.seeds={list(range(1, SKILL_SEEDS + 1))}"]
            full = run_quickstart(Path(home), world, *every, "design.kind=leave-one-out")
            fewer = run_quickstart(Path(home), world, *every, "design.kind=sequential")
        edges, found = set(edges_of(full)), set(edges_of(fewer))
        shares, near = recommended(full), recommended(fewer)
        difference = max(abs(shares[name] - near[name]) for name in shares)
        runs = (len(one["phases"]["measure"]["runs"]) for one in (full, fewer))
        _line(
            f"{world}",
            f"{next(runs)}",
            f"{len(edges)}",
            f"{next(runs)}",
            f"{len(edges & found)}",
            f"{len(found)}",
            f"{difference:.4f}",
        )


def recommended(overview: dict[str, Any]) -> dict[str, float]:
    """Share of each category that the program recommends."""
    proposal = overview["proposals"]["proposal"]
    kept = proposal["decision"] == "keep"
    return dict(zip(proposal["categories"], proposal["baseline_shares" if kept else "shares"], strict=True))


def set_up(spec: WorldSpec, number: int, seeds: int, null: bool) -> Experiment:
    """Draw a world and measure two full designs on it."""
    world = draw_world(spec, number, null)
    interventions = leave_one_out(*pool_counts(world), [Arm.SIZE_REDUCED])
    arms = {one.removed[0]: one.name for one in interventions if one.removed}
    full, again = (measure(world, interventions, range(first, first + seeds)) for first in (1, 101))
    return Experiment(world, arms, Limits(int(world.counts.sum())), full, again)


def designs(experiment: Experiment, seeds: int) -> Iterator[tuple[str, RunTable]]:
    """Each design's name and runs."""
    full = experiment.full
    yield FULL, full
    yield AGAIN, experiment.again
    fewer = round(BUDGET * seeds)
    yield f"every source with {fewer} seeds", full.subset([seed <= fewer for seed in full.seeds])
    for chance in CHANCES:
        yield f"chance {chance:g}", sequential(experiment, seeds, chance, None)
    budget = int(BUDGET * len(full.runs))
    yield f"chance {CHANCES[0]:g}, budget 60 %", sequential(experiment, seeds, CHANCES[0], budget)


def sequential(experiment: Experiment, seeds: int, chance: float, budget: int | None) -> RunTable:
    """The runs that the sequential design does, block after block."""
    plan = SequentialPlan(2, budget, tuple(range(1, seeds + 1)), chance)
    full, known = experiment.full, experiment.assessed
    done = set(first_runs(experiment.arms, plan))
    while True:
        table = full.subset([run in done for run in zip(full.arms, full.seeds, strict=True)])
        key = frozenset(done)
        if key not in known:
            known[key] = assess(table, plan, world_baseline(experiment.world), experiment.limits)
        block = choose(known[key], done, experiment.arms, plan)
        if not block.runs:
            return mark_adaptive(table, experiment.arms, plan)
        done.update(block.runs)


def decide(experiment: Experiment, runs: RunTable) -> Decision:
    """Effects, edges and recommended shares, as the product decides them."""
    matrix = paired_effects(runs, allow_missing=True)
    baseline = world_baseline(experiment.world)
    goal = goal_from_effects(matrix, baseline, "performance")
    proposal = propose(goal, baseline, experiment.limits, Options(sensitivity=False))
    shares = proposal.shares if proposal.decision == "change" else proposal.baseline_shares
    # Stability, a bootstrap that takes most of the time, is not compared; with 2 seeds there is none.
    edges = induce(replace(matrix, seeds=2)).edges
    return Decision(len(runs.runs), frozenset((e.source, e.target) for e in edges), np.array(shares), matrix)


def compare(world: AnalyticWorld, found: Decision, full: Decision) -> tuple[float, ...]:
    """Agreement with the full design (six numbers), then edges in common with the truth, found, true, and the gain."""
    used = found.runs / full.runs
    common, either = len(found.edges & full.edges), len(found.edges | full.edges)
    near = float(np.abs(found.shares - full.shares).max()) <= MOVED
    same = found.edges == full.edges
    right = len(found.edges & world.true_edges)
    agreement = (used, used <= BUDGET, same, common / either if either else 1.0, near, same and near)
    gain = world.gain(found.shares * world.counts.sum())
    return (*map(float, agreement), right, len(found.edges), len(world.true_edges), gain)


def coverage(world: AnalyticWorld, matrix: EffectMatrix) -> np.ndarray:
    """Off-diagonal intervals that hold the truth, how many there are; the same of edges found; their summed error."""
    truth = world.removal()
    hits = (matrix.low <= truth) & (truth <= matrix.high)
    off = ~np.eye(len(truth), dtype=bool)
    chosen = np.zeros_like(off)
    for edge in induce(replace(matrix, seeds=2)).edges:
        chosen[matrix.targets.index(edge.target), matrix.sources.index(edge.source)] = True
    error = ((matrix.delta - truth) / matrix.standard_error)[chosen].sum()
    return np.array([hits[off].sum(), off.sum(), hits[chosen].sum(), chosen.sum(), error])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--categories", type=int, nargs="+", default=list(WORLDS))
    parser.add_argument("--worlds", type=int)
    parser.add_argument("--noise", type=float, nargs="+", default=list(NOISE))
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS))
    parser.add_argument("--skillworlds", type=int, nargs="+")
    given = parser.parse_args()
    if given.skillworlds:
        skill_worlds(given.skillworlds)
        sys.exit()
    report({size: given.worlds or WORLDS.get(size, 100) for size in given.categories}, given.noise, given.seeds)
