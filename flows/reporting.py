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
from db.experiments import latest_analysis
from db.measurements import run_table
from db.overview import experiment_overview
from db.runs import load_record
from flows.config import ExperimentConfig
from flows.workspace import Workspace
from tasks.benchmarks.scores import Metric
from tasks.curriculum.curriculum import Curriculum
from tasks.effects.matrix import EffectMatrix
from tasks.effects.prediction import main_effects, weight_vector
from tasks.errors import BeyondIIDError
from tasks.interventions.intervention import BASELINE
from tasks.interventions.manifest_file import read_manifest
from tasks.pool.config import SkillWorldSource
from tasks.pool.skillworld import skill_world
from tasks.pool.summary import PoolSummary
from tasks.proportions.proposal import Limits
from tasks.report.content import ArmPerformance, MainEffects, PlantedEdges, ReportData, RunRow
from tasks.report.render import write_figures, write_report
from tasks.validation.arms import SIGN_RULE


def write_stored_report(workspace: Workspace, name: str, path: Path) -> None:
    """Write the report of the experiment recorded last under this name.

    Raises:
        InputError: there is no such experiment, or the file cannot be written.
    """
    with workspace.database.session() as session:
        data = report_data(session, name)
    write_report(data, path)


def write_stored_figures(workspace: Workspace, name: str, folder: Path) -> tuple[Path, ...]:
    """Write the experiment's heat map and taxonomy as pictures."""
    with workspace.database.session() as session:
        data = report_data(session, name)
    return write_figures(data, folder)


def report_data(session: Session, name: str) -> ReportData:
    """Everything the report shows, from the database and the pool's snapshot.

    Raises:
        InputError: there is no such experiment.
    """
    overview = experiment_overview(session, name)
    config = ExperimentConfig.model_validate(overview["config"])
    runs, versions = _runs(session, overview)
    return ReportData(
        experiment=name,
        created=overview["created"],
        config=config.model_dump(mode="json", exclude_none=True),
        pool=_pool(overview["pool"]),
        pool_hash=overview["pool"]["content_hash"],
        baseline_counts=_baseline_counts(overview),
        runs=runs,
        arm=config.design.arm.value,
        false_discovery_rate=config.analysis.fdr,
        planted=_planted(config),
        versions=versions,
        seconds=_duration(overview),
        **_conclusions(session, config, overview),
    )


def _conclusions(session: Session, config: ExperimentConfig, overview: dict[str, Any]) -> dict[str, Any]:
    experiment, baseline = overview["id"], dict(_baseline_counts(overview))
    found = latest_analysis(session, experiment, AnalysisKind.OPTIMIZE)
    if found is None:
        return {}
    metric = config.analysis.metric
    matrices = {
        arm: effects.load_effects(session, found.id, of, arm)
        for of, arm in effects.effect_arms(session, found.id)
        if of is metric
    }
    deciding = matrices.pop(config.design.arm.value)
    assert deciding is not None  # noqa: S101 - stored together with its analysis
    judged = latest_analysis(session, experiment, AnalysisKind.VALIDATE)
    if judged and judged.parameters["optimize"] != found.id:
        judged = None  # verdicts on an earlier proposal
    # An experiment that was changed and is under way again has conclusions beside runs without scores.
    measured = not overview["phases"][Phase.MEASURE.value]["missing"]
    validated = judged and not overview["phases"][Phase.VALIDATE.value]["missing"]
    return {
        "effects": deciding,
        "other_effects": tuple(matrices.items()),
        "main_effects": _main_effects(deciding),
        "baseline_exact_match": _exact_match(session, experiment) if measured else (),
        "limits": Limits(sum(baseline.values()), config.analysis.max_shift, config.analysis.box),
        "proposal": proposals.load_proposal(session, found.id),
        "sign_rule": _planned_counts(overview, Phase.VALIDATE, SIGN_RULE),
        "taxonomy": taxonomies.load_taxonomy(session, found.id),
        "curriculum": _curriculum(session, found.id),
        "verdicts": verdicts.load_verdicts(session, judged.id) if judged else (),
        "performances": _performances(session, experiment, found.id, metric, baseline) if validated else (),
    }


def _runs(session: Session, overview: dict[str, Any]) -> tuple[tuple[RunRow, ...], tuple[tuple[str, str], ...]]:
    created = datetime.fromisoformat(overview["created"])
    rows: dict[str, RunRow] = {}
    versions: dict[str, str] = {}
    for phase, content in overview["phases"].items():
        known = {i["name"]: i for i in content["interventions"]}
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
                    removed=tuple(known[run["intervention"]]["removed"]),
                    arm=run["arm"],
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


def _baseline_counts(overview: dict[str, Any]) -> tuple[tuple[str, int], ...]:
    return _planned_counts(overview, Phase.MEASURE, BASELINE)


def _planned_counts(overview: dict[str, Any], phase: Phase, name: str) -> tuple[tuple[str, int], ...]:
    """Examples per category of one planned training set; empty where it is not planned."""
    for intervention in overview["phases"].get(phase.value, {"interventions": []})["interventions"]:
        if intervention["name"] == name:
            return tuple((category, n) for category, n in intervention["counts"])
    return ()


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


def _exact_match(session: Session, experiment_id: int) -> tuple[tuple[str, float], ...]:
    table = run_table(session, experiment_id, Phase.MEASURE, Metric.EXACT_MATCH)
    rows = [index for index, arm in enumerate(table.arms) if arm == BASELINE]
    return tuple(zip(table.targets, table.performance[rows].mean(axis=0).tolist(), strict=True))


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


def _performances(
    session: Session, experiment_id: int, analysis_id: int, metric: Metric, baseline: dict[str, int]
) -> tuple[ArmPerformance, ...]:
    table = run_table(session, experiment_id, Phase.VALIDATE, metric, analysis_id=analysis_id)
    total = sum(baseline.values())
    overall = table.performance @ weight_vector({c: n / total for c, n in baseline.items()}, table.targets)
    arms = dict.fromkeys(table.arms)
    return tuple(
        ArmPerformance(
            arm,
            tuple(seed for seed, of in zip(table.seeds, table.arms, strict=True) if of == arm),
            tuple(float(v) for v, of in zip(overall, table.arms, strict=True) if of == arm),
        )
        for arm in arms
    )


def _duration(overview: dict[str, Any]) -> float | None:
    """From the first run's start to the last one's end."""
    runs = [run for phase in overview["phases"].values() for run in phase["runs"]]
    starts = [datetime.fromisoformat(run["started"]) for run in runs if run["started"]]
    ends = [datetime.fromisoformat(run["finished"]) for run in runs if run["finished"]]
    return (max(ends) - min(starts)).total_seconds() if starts and ends else None
