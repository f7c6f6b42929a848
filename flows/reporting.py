"""The report of an experiment, from what the database holds; of an unfinished one too."""

from __future__ import annotations

import json
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from db import curricula, effects, proposals, taxonomies, verdicts
from db.base import AnalysisKind, Phase
from db.experiments import latest_analysis, validation_of
from db.measurements import run_table, scores_of_arm
from db.metrics import load_metrics
from db.overview import experiment_overview
from db.runs import load_record
from flows.conclusions import program_limits
from flows.config import ExperimentConfig
from flows.material import STEPS_FILE
from flows.reporting_plan import (
    allowed_ranges,
    available_examples,
    changed_on_purpose,
    design_summary,
    planned_counts,
    planned_interventions,
    untried_arms,
)
from flows.workspace import Workspace
from tasks.benchmarks.scores import Score, mean_over_runs
from tasks.curriculum.curriculum import Curriculum
from tasks.effects.matrix import EffectMatrix, RunTable
from tasks.effects.prediction import main_effects, weight_vector
from tasks.errors import BeyondIIDError
from tasks.interventions.intervention import BASELINE
from tasks.interventions.manifest_file import read_manifest
from tasks.pool.config import SkillWorldSource
from tasks.pool.skillworld import skill_world
from tasks.pool.summary import PoolSummary
from tasks.report.content import ArmPerformance, BaselineScore, MainEffects, PlantedEdges, ReportData, RunRow
from tasks.report.pool_steps import PoolSteps, pool_steps
from tasks.validation.arms import SIGN_RULE
from tasks.validation.regret import Regret, regrets


def write_stored_report(workspace: Workspace, name: str, path: Path) -> None:
    """Write the report of the experiment recorded last under this name.

    Raises:
        InputError: there is no such experiment, or the file cannot be written.
    """
    with workspace.database.session() as session:
        data = report_data(session, name)
    from tasks.report.render import write_report  # the drawing library, which `show` need not wait for

    write_report(data, path)


def write_stored_figures(workspace: Workspace, name: str, folder: Path) -> tuple[Path, ...]:
    """Write the experiment's heat map and taxonomy as pictures."""
    with workspace.database.session() as session:
        data = report_data(session, name)
    from tasks.report.render import write_figures

    return write_figures(data, folder)


def report_data(session: Session, name: str) -> ReportData:
    """Everything the report shows, from the database and the pool's snapshot.

    Raises:
        InputError: there is no such experiment.
    """
    overview = experiment_overview(session, name)
    config = ExperimentConfig.model_validate(overview["config"])
    runs, versions = _runs(session, overview)
    interventions = planned_interventions(overview, Phase.MEASURE)
    available = available_examples(overview["pool"])
    return ReportData(
        experiment=name,
        created=overview["created"],
        config=config.model_dump(mode="json", exclude_none=True),
        pool=_pool(overview["pool"]),
        steps=_steps(config, overview["pool"]),
        pool_hash=overview["pool"]["content_hash"],
        baseline_counts=planned_counts(interventions, BASELINE),
        runs=runs,
        arm=config.design.label,
        design=design_summary(config, interventions, available),
        interventions=interventions,
        false_discovery_rate=config.analysis.fdr,
        planted=_planted(config),
        versions=versions,
        seconds=_duration(overview),
        **_conclusions(session, config, overview, available),
    )


def _conclusions(
    session: Session, config: ExperimentConfig, overview: dict[str, Any], available: dict[str, int] | None
) -> dict[str, Any]:
    experiment = overview["id"]
    baseline = dict(planned_counts(planned_interventions(overview, Phase.MEASURE), BASELINE))
    found = latest_analysis(session, experiment, AnalysisKind.OPTIMIZE)
    if found is None:
        return {}
    metric = config.analysis.metric
    matrices = {
        arm: effects.load_effects(session, found.id, of, arm)
        for of, arm in effects.effect_arms(session, found.id)
        if of == metric
    }
    deciding = matrices.pop(config.design.label)
    assert deciding is not None  # noqa: S101 - stored together with its analysis
    limits = program_limits(config, sum(baseline.values()))
    proposal = proposals.load_proposal(session, found.id)
    taxonomy = taxonomies.load_taxonomy(session, found.id)
    return {
        "effects": deciding,
        "other_effects": tuple(matrices.items()),
        "main_effects": _main_effects(deciding),
        "baseline_scores": _baseline_scores(session, experiment),
        "limits": limits,
        "allowed": allowed_ranges(baseline, available, limits),
        "proposal": proposal,
        "sign_rule": planned_counts(planned_interventions(overview, Phase.VALIDATE), SIGN_RULE),
        "taxonomy": taxonomy,
        "curriculum": _curriculum(session, found.id),
        "untried": untried_arms(config, overview, proposal, taxonomy),
        **_validated(session, overview, found.id, metric, baseline),
    }


def _validated(
    session: Session, overview: dict[str, Any], analysis_id: int, metric: str, baseline: dict[str, int]
) -> dict[str, Any]:
    """Verdicts on this analysis' proposal, and each arm's performance and regret where all runs are in."""
    judged = validation_of(session, overview["id"], analysis_id)
    if judged is None:
        return {}
    found = {"verdicts": verdicts.load_verdicts(session, judged.id)}
    if overview["phases"][Phase.VALIDATE.value]["missing"]:
        return found
    table = run_table(session, overview["id"], Phase.VALIDATE, metric, analysis_id=analysis_id)
    total = sum(baseline.values())
    weights = {category: n / total for category, n in baseline.items() if n}
    return {**found, "performances": _performances(table, weights), "regrets": _regrets(table, weights)}


def _runs(session: Session, overview: dict[str, Any]) -> tuple[tuple[RunRow, ...], tuple[tuple[str, str], ...]]:
    created = datetime.fromisoformat(overview["created"])
    rows: dict[str, RunRow] = {}
    versions: dict[str, str] = {}
    for phase, content in overview["phases"].items():
        known = {one.name: one for one in planned_interventions(overview, Phase(phase))}
        for run in content["runs"]:
            record = load_record(session, run["fingerprint"])
            versions |= dict(record.versions) if record else {}
            finished = run["finished"]
            rows.setdefault(
                run["fingerprint"],
                RunRow(
                    fingerprint=run["fingerprint"],
                    label=run["intervention"],
                    phase=phase,
                    seed=run["seed"],
                    state=run["state"],
                    seconds=run["seconds"],
                    tokens=run["tokens"],
                    device=run["device"],
                    host=run["host"],
                    final_loss=record.losses[-1][1] if record and record.losses else None,
                    reused=bool(finished) and datetime.fromisoformat(finished) < created,
                    changed=changed_on_purpose(known[run["intervention"]]),
                    arm=run["arm"],
                    adaptive=run["adaptive"],
                ),
            )
    return tuple(rows.values()), tuple(sorted(versions.items()))


def _pool(pool: dict[str, Any]) -> PoolSummary:
    """Counts from the database, reasons from the reject file beside the snapshot."""
    path = Path(pool["path"]) / "rejected.jsonl"
    reasons: Counter[str] = Counter()
    if path.is_file():
        with path.open(encoding="utf-8") as lines:
            reasons.update(str(json.loads(line)["reason"]).split(":")[0] for line in lines if line.strip())
    return PoolSummary(pool["name"], tuple(sorted(pool["counts"].items())), tuple(reasons.most_common()))


def _steps(config: ExperimentConfig, pool: dict[str, Any]) -> PoolSteps:
    """What cleaning, tagging and selection said, from the file beside the snapshot."""
    path = Path(pool["path"]) / STEPS_FILE
    if not path.is_file():
        return PoolSteps()
    found = json.loads(path.read_text(encoding="utf-8"))["report"]
    return pool_steps(found, config.selection.method if config.selection else "")


def _planted(config: ExperimentConfig) -> PlantedEdges | None:
    if not isinstance(config.pool, SkillWorldSource):
        return None
    graph = skill_world(config.pool.seed, config.pool.size_factor).graph
    return PlantedEdges(graph.edges, graph.indirect())


def _main_effects(matrix: EffectMatrix) -> MainEffects | None:
    try:
        found = main_effects(matrix)
    except BeyondIIDError:
        return None
    return MainEffects(tuple(zip(found.sources, found.values.tolist(), strict=True)), found.share)


def _baseline_scores(session: Session, experiment_id: int) -> tuple[BaselineScore, ...]:
    metrics = load_metrics(session)
    found: dict[tuple[str, str], list[Score]] = {}
    for score in scores_of_arm(session, experiment_id, Phase.MEASURE, BASELINE):
        found.setdefault((score.category, score.metric), []).append(score)
    return tuple(BaselineScore(mean_over_runs(scores), metrics[metric]) for (_, metric), scores in found.items())


def _curriculum(session: Session, analysis_id: int) -> Curriculum | None:
    stored = curricula.load_curriculum(session, analysis_id)
    if stored is None or not Path(stored.manifest_path).is_file():
        return None
    return Curriculum(
        stored.schedule,
        stored.seed,
        stored.categories,
        stored.stage_counts,
        stored.tilt,
        stored.tilt_requested,
        read_manifest(Path(stored.manifest_path)),
        stored.repeats,
        note="" if stored.tilt == stored.tilt_requested else "The categories hold too few examples for the whole tilt.",
    )


def _performances(table: RunTable, weights: dict[str, float]) -> tuple[ArmPerformance, ...]:
    overall = table.performance @ weight_vector(weights, table.targets)
    arms = dict.fromkeys(table.arms)
    return tuple(
        ArmPerformance(
            arm,
            tuple(seed for seed, of in zip(table.seeds, table.arms, strict=True) if of == arm),
            tuple(float(v) for v, of in zip(overall, table.arms, strict=True) if of == arm),
        )
        for arm in arms
    )


def _regrets(table: RunTable, weights: dict[str, float]) -> tuple[Regret, ...]:
    """Empty where the runs allow none, as with seeds that are copies of each other."""
    try:
        return regrets(table, weights)
    except BeyondIIDError:
        return ()


def _duration(overview: dict[str, Any]) -> float | None:
    """From the first run's start to the last one's end."""
    runs = [run for phase in overview["phases"].values() for run in phase["runs"]]
    starts = [datetime.fromisoformat(run["started"]) for run in runs if run["started"]]
    ends = [datetime.fromisoformat(run["finished"]) for run in runs if run["finished"]]
    return (max(ends) - min(starts)).total_seconds() if starts and ends else None
