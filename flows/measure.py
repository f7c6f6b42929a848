"""Flow `measure`: pool → interventions → fan-out of fine-tunes → scores in Postgres."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from prefect import flow

from db import runs as run_store
from db.base import Phase
from flows.config import ExperimentConfig
from flows.fan_out import FanOutResult, fan_out
from flows.planning import PlannedRun
from flows.preparation import Prepared, prepare, record_plan
from flows.workspace import workspace
from tasks.errors import RunError
from tasks.interventions.design import leave_one_out


@contextmanager
def prepared_experiment(config: ExperimentConfig) -> Iterator[Prepared]:
    """Open the workspace and prepare the experiment in it."""
    with workspace() as opened:
        yield prepare(config, opened)


@flow(name="measure", flow_run_name="measure {config.name}")
def measure(config: ExperimentConfig) -> None:
    """Train and score every intervention with every seed; ends Failed, naming what is missing, unless all are in."""
    with prepared_experiment(config) as prepared:
        measure_interventions(prepared)


def measure_interventions(prepared: Prepared) -> FanOutResult:
    """Do the leave-one-out runs that have no scores yet.

    Raises:
        RunError: runs without scores at the end, each with its reason.
    """
    config, material = prepared.config, prepared.material
    design = leave_one_out(material.baseline, material.available, config.design.arms)
    runs = list(prepared.planner.drawn(design, config.design.seeds, Phase.MEASURE))
    return do_runs(prepared, Phase.MEASURE, runs, None)


def do_runs(prepared: Prepared, phase: Phase, runs: Sequence[PlannedRun], analysis_id: int | None) -> FanOutResult:
    """Plan the runs, do those without scores, and ask the database whether all are in.

    Raises:
        RunError: runs without scores at the end, each with its reason.
    """
    record_plan(prepared, phase, runs, analysis_id)
    config, opened = prepared.config, prepared.workspace
    title = f"{phase.value} {config.name}"
    result = fan_out(title, runs, config.resources, opened)
    with opened.database.session() as session:
        missing = run_store.missing(session, prepared.experiment_id, phase, analysis_id)
    if missing:
        lines = [f"  {one}" for one in missing]
        raise RunError(
            f"{len(missing)} of {len(runs)} runs have no scores; start the same experiment again to repeat only "
            "these:\n" + "\n".join(lines)
        )
    return result
