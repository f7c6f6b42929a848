"""Flow `optimize`: stored scores → effects → proportions and taxonomy → curriculum. Needs no GPU and no Ray."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from db import curricula, effects, experiments, interventions, proposals, taxonomies
from db.base import AnalysisKind, Phase
from db.measurements import run_table
from db.runs import missing
from flows.announcements import EXPERIMENT_OPTIMIZED, VALIDATION_LABEL, announce, hand_on
from flows.cancellation import close_cancelled
from flows.conclusions import METHOD_VERSION, Conclusions, conclude
from flows.config import ExperimentName
from flows.designs import Factorial, Mixtures
from flows.measure import prepared_experiment
from flows.preparation import Prepared
from flows.recorded import recorded_config
from tasks.effects.matrix import RunTable
from tasks.errors import EvidenceError
from tasks.fingerprint import fingerprint
from tasks.interventions.manifest_file import write_manifest


@dataclass(frozen=True)
class Analyzed:
    """Conclusions with their row in the database.

    Attributes:
        analysis_id: the row.
        conclusions: what the scores say.
    """

    analysis_id: int
    conclusions: Conclusions


@flow(name="optimize", flow_run_name="optimize {name}", on_cancellation=[close_cancelled])
def optimize(name: ExperimentName) -> None:
    """Draw conclusions from the stored scores; refuses, naming what is missing, unless every planned run has some.

    Args:
        name: The experiment's name. The settings are those that it was measured with.

    Raises:
        RunError: the conclusions are stored, but the server was not there to be told, and a validation should follow.
    """
    config = recorded_config(name)
    with prepared_experiment(config) as prepared:
        analyze(prepared)
    if config.validation:
        hand_on(EXPERIMENT_OPTIMIZED, name, "validate/validate", {VALIDATION_LABEL: "yes"})
    else:
        announce(EXPERIMENT_OPTIMIZED, name, {VALIDATION_LABEL: "no"})


def analyze(prepared: Prepared) -> Analyzed:
    """Draw and store conclusions; the same scores and parameters give the same analysis, not a second one.

    Raises:
        EvidenceError: interventions without scores; limits that contradict each other.
    """

    @task(name="conclude", task_run_name="effects, proportions, taxonomy, curriculum", cache_policy=NO_CACHE,
          persist_result=False)  # fmt: skip
    def conclude_and_store() -> Analyzed:
        tables = _tables(prepared)
        conclusions = conclude(prepared.config, prepared.material, tables)
        return Analyzed(_store(prepared, conclusions, tables), conclusions)

    return conclude_and_store()


def _tables(prepared: Prepared) -> dict[str, RunTable]:
    """What the estimator takes, by the name the effects are stored under; the deciding one is the design's label.

    Paired differences need one arm at a time; a surface is fitted to all runs of all arms at once.
    """
    config, experiment = prepared.config, prepared.experiment_id
    with prepared.workspace.database.session() as session:
        if not interventions.planned_seeds(session, experiment, Phase.MEASURE):
            raise EvidenceError(f"Experiment {config.name!r} has no planned interventions: run `measure` first.")
        absent = missing(session, experiment, Phase.MEASURE)
        if absent:
            raise EvidenceError(
                f"{len(absent)} interventions of {config.name!r} have no scores; run `measure` again:\n"
                + "\n".join(f"  {one}" for one in absent)
            )
        metric, design = config.analysis.metric, config.design
        if config.estimator == "surface" or isinstance(design, Factorial | Mixtures):
            return {design.label: run_table(session, experiment, Phase.MEASURE, metric)}
        return {arm: run_table(session, experiment, Phase.MEASURE, metric, arm) for arm in design.arms}


def _store(prepared: Prepared, found: Conclusions, tables: dict[str, RunTable]) -> int:
    config, experiment = prepared.config, prepared.experiment_id
    manifest = _manifest_file(prepared, found)
    with prepared.workspace.database.session() as session:
        runs = experiments.plan_fingerprints(session, experiment, Phase.MEASURE)
        analysis = experiments.record_analysis(
            session,
            experiment,
            AnalysisKind.OPTIMIZE,
            {**config.analysis.model_dump(mode="json"), "method": METHOD_VERSION},
            fingerprint(
                [
                    [str(name), table.runs, table.performance.tolist(), table.adaptive]
                    for name, table in sorted(tables.items())
                ]
            ),
            runs,
        )
        metric = config.analysis.metric
        for arm, matrix in ((config.design.label, found.effects), *found.further_effects):
            effects.store_effects(session, analysis.id, metric, arm, matrix)
        proposals.store_proposal(session, analysis.id, found.proposal)
        taxonomies.store_taxonomy(session, analysis.id, found.taxonomy)
        curricula.store_curriculum(session, analysis.id, found.curriculum, str(manifest))
        return analysis.id


def _manifest_file(prepared: Prepared, found: Conclusions) -> Path:
    path = prepared.workspace.artifacts / "curricula" / f"{found.curriculum.manifest.sha256}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        path.touch()  # needed again: housekeeping goes by age
    else:
        write_manifest(path, found.curriculum.manifest)
    return path
