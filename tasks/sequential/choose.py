"""Which runs to do next: those that can still change what the full leave-one-out design would decide."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from tasks.effects.matrix import RunTable
from tasks.effects.paired import paired_effects
from tasks.errors import InputError
from tasks.interventions.intervention import BASELINE
from tasks.proportions.goal import ObjectiveName
from tasks.proportions.proposal import Baseline, Limits
from tasks.sequential.edges import EdgeRule, edge_chances
from tasks.sequential.shares import Program, share_chances

Run = tuple[str, int]
"""(arm, seed): the intervention's name, "baseline" included, and the seed."""

FOCUS = 0.5
"""A block goes to the sources whose chance is at least this part of the largest: what they bring settles others too."""

_NAMED = 6


@dataclass(frozen=True)
class SequentialPlan:
    """The design's parameters, fixed before the first run.

    Attributes:
        first_seeds: seeds of the first block, in which the baseline and every source run; at least 2.
        max_runs: budget of runs in total, baseline included; None = what the full leave-one-out with all seeds takes.
        seeds: all seeds that may be used, in order.
        chance: a source whose decisions change with less than this chance is left alone.
        confidence: level of the effects' intervals and of the program's gain.
        fdr: false discovery rate of the edges.
        minimum_effect: smallest effect of interest, in the effects' unit.
        objective: what the program maximizes.
    """

    first_seeds: int
    max_runs: int | None
    seeds: tuple[int, ...]
    chance: float = 0.05
    confidence: float = 0.95
    fdr: float = 0.05
    minimum_effect: float = 0.0
    objective: ObjectiveName = "performance"


@dataclass(frozen=True)
class Next:
    """What to run now, and why.

    Attributes:
        runs: (arm, seed) to do now; empty = stop.
        reason: for people: stable, budget spent, or which sources are still open and why.
        undecided: (source, chance that a decision on it would still change) of every open source, largest first.
    """

    runs: tuple[Run, ...]
    reason: str
    undecided: tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class Outlook:
    """What the remaining seeds could change about one source.

    Attributes:
        source: its name.
        edges: chance that an edge from or to it changes.
        share: chance that its recommended share moves by more than a point.
    """

    source: str
    edges: float
    share: float

    @property
    def chance(self) -> float:
        """Chance that either changes, as if the two were independent."""
        return 1 - (1 - self.edges) * (1 - self.share)


def first_runs(arms: Mapping[str, str], plan: SequentialPlan) -> tuple[Run, ...]:
    """The first block: the baseline and every source with each of the first seeds, seed by seed.

    Args:
        arms: intervention name of each source.
        plan: the design's parameters.

    Raises:
        InputError: a plan that contradicts itself or does not fit its budget.
    """
    _check(arms, plan)
    names = (BASELINE, *(arms[source] for source in sorted(arms)))
    return tuple((name, seed) for seed in plan.seeds[: plan.first_seeds] for name in names)


def next_runs(
    runs: RunTable, arms: Mapping[str, str], plan: SequentialPlan, baseline: Baseline, limits: Limits
) -> Next:
    """The next block, as a pure function of the runs that are there.

    For every source the chance is computed that its remaining seeds change a decision of the full leave-one-out
    design: an edge of the taxonomy (`edge_chances`) or its recommended share (`share_chances`). Sources at or above
    `plan.chance` are open. The block has the next seed of the open sources whose chance is at least half of the
    largest, with the baseline where that seed does not have it yet; where the budget is short, those with the largest
    chance. It ends when no source is open, or the budget does not allow another run.

    Runs of a missing first block, or a baseline missing at a seed that others have, are asked for before anything else.
    Runs of other arms or seeds than the plan's take no part.

    Args:
        runs: what has been measured.
        arms: intervention name of each source.
        plan: the design's parameters.
        baseline: where the program starts.
        limits: what it may change.

    Raises:
        InputError: a plan that contradicts itself, runs that cannot be paired, sources that are not the baseline's
            categories.
        InfeasibleLimitsError: no shares keep all limits (an EvidenceError).
    """
    first = first_runs(arms, plan)
    own = {BASELINE, *arms.values()}
    mine = runs.subset([arm in own and seed in plan.seeds for arm, seed in zip(runs.arms, runs.seeds, strict=True)])
    done = set(zip(mine.arms, mine.seeds, strict=True))
    lacking = [run for run in first if run not in done]
    lacking += [(BASELINE, seed) for seed in sorted({s for _, s in done}) if (BASELINE, seed) not in {*done, *lacking}]
    if lacking:
        return Next(tuple(lacking), f"The first block, or what is missing of earlier ones: {len(lacking)} runs.", ())
    return choose(assess(mine, plan, baseline, limits), done, arms, plan)


def assess(runs: RunTable, plan: SequentialPlan, baseline: Baseline, limits: Limits) -> tuple[Outlook, ...]:
    """What every source's remaining seeds could still change, the largest chance first.

    Args:
        runs: the design's runs so far, a complete first block at least.
        plan: the design's parameters; neither its budget nor its `chance` matters here.
        baseline: where the program starts.
        limits: what it may change.

    Raises:
        InputError: runs that cannot be paired, sources that are not the baseline's categories.
        InfeasibleLimitsError: no shares keep all limits (an EvidenceError).
    """
    matrix = paired_effects(runs, plan.confidence, allow_missing=True)
    seeds = len(plan.seeds)
    edges = edge_chances(matrix, seeds, EdgeRule(plan.fdr, plan.minimum_effect))
    shares = share_chances(matrix, seeds, Program(baseline, limits, plan.objective, plan.confidence))
    found = map(Outlook, matrix.sources, edges.tolist(), shares.tolist())
    return tuple(sorted(found, key=lambda one: (-one.chance, one.source)))


def choose(outlooks: Sequence[Outlook], done: Collection[Run], arms: Mapping[str, str], plan: SequentialPlan) -> Next:
    """The next block where the chances are these.

    Args:
        outlooks: of every source, the largest chance first.
        done: the runs so far.
        arms: intervention name of each source.
        plan: the design's parameters.
    """
    undecided = [one for one in outlooks if one.chance >= plan.chance]
    chances = tuple((one.source, one.chance) for one in undecided)
    budget = (len(arms) + 1) * len(plan.seeds) if plan.max_runs is None else plan.max_runs
    used = f"{len(done)} of at most {budget} runs done"
    if not undecided:
        limit = f"{100 * plan.chance:g}%"
        return Next((), f"Stable: {used}; no source's decisions would change with a chance of {limit} or more.", ())
    block = _block(undecided, done, arms, plan, budget - len(done))
    if not block:
        return Next((), f"Budget spent: {used}. Still open: {_wording(undecided)}.", chances)
    return Next(
        block, f"{used}; {len(undecided)} of {len(arms)} sources are still open: {_wording(undecided)}.", chances
    )


def mark_adaptive(runs: RunTable, arms: Mapping[str, str], plan: SequentialPlan) -> RunTable:
    """The same runs with `adaptive` set: True for all that are not in the first block.

    Raises:
        InputError: a plan that contradicts itself.
    """
    first = set(first_runs(arms, plan))
    return replace(runs, adaptive=tuple(run not in first for run in zip(runs.arms, runs.seeds, strict=True)))


def _block(
    undecided: Sequence[Outlook], done: Collection[Run], arms: Mapping[str, str], plan: SequentialPlan, room: int
) -> tuple[Run, ...]:
    chosen: set[Run] = set()
    for one in undecided:
        if one.chance < FOCUS * undecided[0].chance:
            break
        arm = arms[one.source]
        seed = next(seed for seed in plan.seeds if (arm, seed) not in done)
        wanted = {(arm, seed), (BASELINE, seed)} - chosen - set(done)
        if len(chosen) + len(wanted) <= room:
            chosen |= wanted
    order = {seed: k for k, seed in enumerate(plan.seeds)}
    return tuple(sorted(chosen, key=lambda run: (order[run[1]], run[0] != BASELINE, run[0])))


def _wording(undecided: Sequence[Outlook]) -> str:
    texts = [
        f"{one.source} {one.chance:.0%} (edges {one.edges:.0%}, share {one.share:.0%})" for one in undecided[:_NAMED]
    ]
    return ", ".join(texts) + (f" and {len(undecided) - _NAMED} more" if len(undecided) > _NAMED else "")


def _check(arms: Mapping[str, str], plan: SequentialPlan) -> None:
    problems = []
    if not arms:
        problems.append("there are no sources")
    if len(set(arms.values())) < len(arms) or BASELINE in arms.values():
        problems.append('every source needs an intervention of its own, none of them "baseline"')
    if len(set(plan.seeds)) < len(plan.seeds):
        problems.append(f"seeds {list(plan.seeds)} repeat")
    if not 2 <= plan.first_seeds <= len(plan.seeds):
        problems.append(f"first_seeds is {plan.first_seeds}; expected 2 to {len(plan.seeds)}, the number of seeds")
    if not 0 < plan.chance < 1:
        problems.append(f"chance is {plan.chance}; expected a number between 0 and 1")
    first = (len(arms) + 1) * plan.first_seeds
    if plan.max_runs is not None and plan.max_runs < first:
        problems.append(
            f"max_runs is {plan.max_runs}, but the first block takes {first}; raise it or lower first_seeds"
        )
    if problems:
        raise InputError("Sequential design: " + "; ".join(problems) + ".")
