"""Flow `validate`: retrain with the proposal, the curriculum and their controls on fresh seeds, and judge."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from prefect import flow

from db import experiments, verdicts
from db.base import AnalysisKind, Phase
from db.measurements import run_table
from flows.conclusions import METHOD_VERSION, Conclusions, curriculum_over
from flows.config import ExperimentConfig, Validation
from flows.fan_out import FanOutResult
from flows.measure import do_runs, prepared_experiment
from flows.optimize import Analyzed, analyze
from flows.planning import PlannedRun
from flows.preparation import Prepared
from tasks.curriculum.curriculum import Schedule
from tasks.effects.matrix import RunTable
from tasks.effects.prediction import predicted_gain
from tasks.fingerprint import fingerprint
from tasks.interventions.design import mixture
from tasks.interventions.intervention import BASELINE, Intervention
from tasks.proportions.random_step import random_step
from tasks.validation.arms import (
    CURRICULUM,
    PROPOSAL,
    RANDOM_STEP,
    REVERSED_CURRICULUM,
    SHUFFLED_CURRICULUM,
    SIGN_RULE,
    default_comparisons,
)
from tasks.validation.judge import judge
from tasks.validation.verdict import Verdict


@dataclass(frozen=True)
class Validated:
    """Verdicts and what they rest on.

    Attributes:
        verdicts: one per comparison.
        fan_out: what was reused and trained.
        skipped: (arm, reason) of arms that there was nothing to try for.
    """

    verdicts: tuple[Verdict, ...]
    fan_out: FanOutResult
    skipped: tuple[tuple[str, str], ...]


@flow(name="validate", flow_run_name="validate {config.name}")
def validate(config: ExperimentConfig) -> None:
    """Retrain on fresh seeds and judge every arm against its controls."""
    with prepared_experiment(config) as prepared:
        validate_conclusions(prepared, analyze(prepared), config.validation or Validation())


def validate_conclusions(prepared: Prepared, analyzed: Analyzed, plan: Validation) -> Validated:
    """Do the validation runs that have no scores yet, judge, and store the verdicts.

    Where the conclusions propose nothing, there is nothing to train.

    Raises:
        RunError: runs without scores at the end.
    """
    found = analyzed.conclusions
    mixtures, still = _mixtures(plan, found)
    ordered, unordered = _schedules(plan, found)
    skipped = (*still, *unordered)
    if len(mixtures) + len(ordered) == 1:
        return Validated((), FanOutResult((), (), ()), skipped)
    runs = list(prepared.planner.drawn(mixtures.values(), plan.seeds, Phase.VALIDATE))
    runs += _curricula(prepared, plan, found, ordered)
    result = do_runs(prepared, Phase.VALIDATE, runs, analyzed.analysis_id)
    metric = prepared.config.analysis.metric
    with prepared.workspace.database.session() as session:
        table = run_table(session, prepared.experiment_id, Phase.VALIDATE, metric, analysis_id=analyzed.analysis_id)
    weights = dict(zip(found.baseline.categories, found.baseline.shares, strict=True))
    comparisons = default_comparisons([*mixtures, *ordered])
    predicted = _predicted(found, weights, mixtures)
    judged = judge(table, weights, comparisons, predicted, prepared.config.analysis.confidence)
    _store(prepared, analyzed, plan, table, judged)
    return Validated(judged, result, skipped)


def _predicted(
    found: Conclusions, weights: Mapping[str, float], mixtures: Mapping[str, Intervention]
) -> dict[str, float]:
    return {
        name: predicted_gain(found.effects, weights, found.baseline_counts, dict(arm.counts)).value
        for name, arm in mixtures.items()
        if name != BASELINE
    }


def _store(
    prepared: Prepared, analyzed: Analyzed, plan: Validation, table: RunTable, judged: tuple[Verdict, ...]
) -> None:
    with prepared.workspace.database.session() as session:
        runs = experiments.plan_fingerprints(session, prepared.experiment_id, Phase.VALIDATE, analyzed.analysis_id)
        analysis = experiments.record_analysis(
            session,
            prepared.experiment_id,
            AnalysisKind.VALIDATE,
            {**plan.model_dump(mode="json"), "optimize": analyzed.analysis_id, "method": METHOD_VERSION},
            fingerprint([table.runs, table.performance.tolist()]),
            runs,
        )
        verdicts.store_verdicts(session, analysis.id, judged)


def _mixtures(plan: Validation, found: Conclusions) -> tuple[dict[str, Intervention], list[tuple[str, str]]]:
    """The arms that change the category counts, the baseline first."""
    arms = {BASELINE: mixture(BASELINE, found.baseline_counts)}
    if not found.moves:
        reason = "the proposal is the baseline itself"
        untried: list[tuple[str, str]] = [(a, reason) for a in plan.arms if a in (PROPOSAL, RANDOM_STEP, SIGN_RULE)]
        return arms, untried
    categories = found.proposal.categories
    wanted: dict[str, tuple[int, ...]] = {}
    if PROPOSAL in plan.arms:
        wanted[PROPOSAL] = found.proposal.counts
    if SIGN_RULE in plan.arms:
        wanted[SIGN_RULE] = found.sign_rule.counts
    if RANDOM_STEP in plan.arms:
        for number in range(1, plan.random_steps + 1):
            step = random_step(found.proposal, found.baseline, found.limits, seed=number)
            wanted[f"{RANDOM_STEP} {number}"] = step.counts
    return arms | {n: mixture(n, dict(zip(categories, counts, strict=True))) for n, counts in wanted.items()}, []


def _schedules(plan: Validation, found: Conclusions) -> tuple[dict[str, Schedule], list[tuple[str, str]]]:
    """The arms that change the order only."""
    wanted = [arm for arm in plan.arms if arm in (CURRICULUM, REVERSED_CURRICULUM)]
    if not wanted:
        return {}, []
    if not found.taxonomy.edges:
        return {}, [(arm, "the taxonomy has no edges, so there is no order to try") for arm in wanted]
    schedules = {CURRICULUM: found.curriculum.schedule, REVERSED_CURRICULUM: Schedule.REVERSED}
    return {arm: schedules[arm] for arm in wanted} | {SHUFFLED_CURRICULUM: Schedule.SHUFFLED}, []


def _curricula(
    prepared: Prepared, plan: Validation, found: Conclusions, arms: Mapping[str, Schedule]
) -> Iterator[PlannedRun]:
    counts = found.baseline_counts
    for seed in plan.seeds:
        for name, schedule in arms.items():
            order = curriculum_over(prepared.config, prepared.material, counts, found.taxonomy, seed, schedule)
            yield prepared.planner.ordered(mixture(name, counts), order.manifest, seed, Phase.VALIDATE)
