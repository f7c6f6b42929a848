"""Which trainings a validation consists of: the arms that were asked for, as far as there is something to try."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from db.base import Phase
from flows.conclusions import Conclusions, curriculum_over
from flows.config import Validation
from flows.planning import PlannedRun
from flows.preparation import Prepared
from tasks.curriculum.curriculum import Schedule
from tasks.interventions.design import mixture
from tasks.interventions.rounding import fill_pro_rata
from tasks.proportions.random_step import random_step
from tasks.validation.arms import (
    BASELINE,
    CURRICULA,
    CURRICULUM,
    PROPOSAL,
    PROPOSAL_CURRICULUM,
    RANDOM_STEP,
    SHUFFLED_CURRICULUM,
    SHUFFLED_PROPOSAL,
    SIGN_RULE,
    STRICT_CURRICULUM,
    TILTED_CURRICULUM,
    UNIFORM,
    is_random_step,
)

Counts = Mapping[str, int]


@dataclass(frozen=True)
class Arm:
    """What one arm trains on: counts, and an order where it is not the plain one.

    Attributes:
        counts: examples per epoch and category.
        schedule: the order, None for that of plain training.
        control: the arm that shows the same examples in random order; trained where this one is.
    """

    counts: Counts
    schedule: Schedule | None = None
    control: str | None = None


def arms_to_try(
    plan: Validation, found: Conclusions, available: Counts
) -> tuple[dict[str, Arm], list[tuple[str, str]]]:
    """The arms to be trained, the baseline first, and (arm, reason) of the others."""
    proposed = dict(zip(found.proposal.categories, found.proposal.counts, strict=True))
    baseline, schedule = found.baseline_counts, found.curriculum.schedule
    arms: dict[str, Arm] = {BASELINE: Arm(baseline)}
    skipped: list[tuple[str, str]] = []
    for name in plan.arms:
        reason = _nothing_to_try(name, plan, found)
        if reason:
            skipped.append((name, reason))
        elif name == UNIFORM:
            arms[name] = Arm(_uniform(baseline, available))
        elif name == RANDOM_STEP:
            arms |= {f"{name} {number}": Arm(_random_step(found, number)) for number in range(1, plan.random_steps + 1)}
        elif name == SIGN_RULE:
            arms[name] = Arm(dict(zip(found.sign_rule.categories, found.sign_rule.counts, strict=True)))
        elif name in CURRICULA:
            order = {TILTED_CURRICULUM: Schedule.TILTED, STRICT_CURRICULUM: Schedule.STRICT, CURRICULUM: schedule}
            arms[name] = Arm(baseline, order.get(name, Schedule.REVERSED), SHUFFLED_CURRICULUM)
        else:
            arms[PROPOSAL] = Arm(proposed)
            if name == PROPOSAL_CURRICULUM:
                arms[name] = Arm(proposed, schedule, SHUFFLED_PROPOSAL)
    return arms, skipped


def _nothing_to_try(arm: str, plan: Validation, found: Conclusions) -> str:
    """Why this arm is left out; empty where it is not."""
    if arm in (PROPOSAL, RANDOM_STEP, PROPOSAL_CURRICULUM):
        if dict(zip(found.proposal.categories, found.proposal.counts, strict=True)) == found.baseline_counts:
            return "the proposal is the baseline itself"
        if found.proposal.decision == "keep" and plan.refused == "skip":
            return f"the program advises to keep the baseline: {found.proposal.reason}"
    if arm in (*CURRICULA, PROPOSAL_CURRICULUM) and not found.taxonomy.edges:
        return "the taxonomy has no edges, so there is no order to try"
    return ""


def _uniform(baseline: Counts, available: Counts) -> dict[str, int]:
    """The baseline's total spread alike over its categories, as far as each one's examples reach."""
    present = [int(n > 0) for n in baseline.values()]
    spread = fill_pro_rata(present, sum(baseline.values()), [available[c] for c in baseline])
    return dict(zip(baseline, spread, strict=True))


def _random_step(found: Conclusions, number: int) -> dict[str, int]:
    step = random_step(found.proposal, found.baseline, found.limits, seed=number)
    return dict(zip(step.categories, step.counts, strict=True))


def distinct_runs(
    prepared: Prepared, plan: Validation, found: Conclusions, arms: Mapping[str, Arm]
) -> tuple[dict[str, list[PlannedRun]], list[tuple[str, str]]]:
    """Each arm's runs, then those of the controls that they call for; and (arm, reason) of arms left out.

    An arm that would train exactly what another one trains is left out: it has no evidence of its own. Random steps
    stay, as they stand for all random steps.
    """
    runs: dict[str, list[PlannedRun]] = {}
    copies: list[tuple[str, str]] = []
    first: dict[tuple[str, ...], str] = {}
    controls: dict[str, Arm] = {}

    def add(name: str, arm: Arm) -> None:
        planned = _runs(prepared, plan, found, name, arm)
        twin = first.setdefault(tuple(run.fingerprint for run in planned), name)
        if twin != name and not is_random_step(name):
            copies.append((name, f"it is the same training as {twin!r}"))
            return
        runs[name] = planned
        if arm.control:
            controls[arm.control] = Arm(arm.counts, Schedule.SHUFFLED)

    for name, arm in arms.items():
        add(name, arm)
    for name, arm in controls.items():
        add(name, arm)
    return runs, copies


def _runs(prepared: Prepared, plan: Validation, found: Conclusions, name: str, arm: Arm) -> list[PlannedRun]:
    """One run per seed."""
    training_set = mixture(name, arm.counts)
    if arm.schedule is None:
        return list(prepared.planner.drawn([training_set], plan.seeds, Phase.VALIDATE))
    planned = []
    for seed in plan.seeds:
        order = curriculum_over(prepared.config, prepared.material, arm.counts, found.taxonomy, seed, arm.schedule)
        planned.append(prepared.planner.ordered(training_set, order.manifest, seed, Phase.VALIDATE))
    return planned
