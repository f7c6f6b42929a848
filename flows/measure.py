"""Flow `measure`: pool → interventions → fan-out of fine-tunes → scores in Postgres."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager

from prefect import flow, get_run_logger
from prefect.artifacts import create_markdown_artifact

from db import interventions as plan_store
from db import runs as run_store
from db.base import Phase
from db.measurements import run_table
from flows.abandoned_runs import fail_abandoned
from flows.announcements import EXPERIMENT_MEASURED, hand_on
from flows.cancellation import close_cancelled
from flows.conclusions import baseline_and_limits
from flows.config import ExperimentConfig
from flows.dead_runs import marked_as_working
from flows.designs import Sequential
from flows.experiment_lock import alone
from flows.fan_out import FanOutResult, fan_out
from flows.planning import PlannedRun
from flows.preparation import Prepared, prepare, record_plan
from flows.progress import artifact_key
from flows.workspace import workspace
from tasks.errors import RunError
from tasks.interventions.intervention import Intervention
from tasks.sequential.choose import Next, SequentialPlan, first_runs, next_runs


@contextmanager
def prepared_experiment(config: ExperimentConfig) -> Iterator[Prepared]:
    """Open the workspace and prepare the experiment in it, once no other flow works on it."""
    with workspace() as opened, alone(opened.database, config.name), marked_as_working(config.name):
        fail_abandoned(opened, config.name)
        yield prepare(config, opened)


@flow(name="measure", flow_run_name="measure {config.name}", on_cancellation=[close_cancelled])
def measure(config: ExperimentConfig) -> None:
    """Train and score every intervention with every seed; ends Failed, naming what is missing, unless all are in.

    Args:
        config: The experiment: its pool, design, recipe and where runs go.

    Raises:
        RunError: runs without scores; or all are in, but the server was not there to be told.
    """
    with prepared_experiment(config) as prepared:
        measure_interventions(prepared)
    hand_on(EXPERIMENT_MEASURED, config.name, "optimize/optimize")


def measure_interventions(prepared: Prepared) -> FanOutResult:
    """Do the design's runs that have no scores yet.

    Raises:
        InputError: a design that this pool does not allow.
        RunError: runs without scores at the end, each with its reason.
    """
    design, material = prepared.config.design, prepared.material
    interventions = design.interventions(material.baseline, material.available)
    if isinstance(design, Sequential):
        return _block_after_block(prepared, design, interventions)
    return do_runs(prepared, Phase.MEASURE, list(prepared.planner.drawn(interventions, design.seeds, Phase.MEASURE)))


def do_runs(
    prepared: Prepared,
    phase: Phase,
    runs: Sequence[PlannedRun],
    analysis_id: int | None = None,
    adaptive: Collection[tuple[str, int]] = (),
) -> FanOutResult:
    """Plan the runs, do those without scores, and ask the database whether all are in.

    Args:
        prepared: the experiment.
        phase: what the runs are for.
        runs: the phase's complete plan.
        analysis_id: the analysis a validation tries out.
        adaptive: (intervention's name, seed) of the runs chosen after looking at earlier results.

    Raises:
        RunError: runs without scores at the end, each with its reason.
    """
    record_plan(prepared, phase, runs, analysis_id, adaptive)
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


def _block_after_block(prepared: Prepared, design: Sequential, interventions: Sequence[Intervention]) -> FanOutResult:
    """Do the first block, then block after block what its scores call for, until they call for nothing more.

    The plan in the database is the state: a flow that was killed finishes the block it was in, and goes on from there.
    """
    by_name = {one.name: one for one in interventions}
    arms = {one.removed[0]: one.name for one in interventions if one.removed}
    plan = _sequential_plan(prepared.config, design)
    later = _chosen_before(prepared, by_name)
    runs = [_one(prepared, by_name[name], seed) for name, seed in (*first_runs(arms, plan), *later)]
    results, reasons = [], []
    while True:
        results.append(do_runs(prepared, Phase.MEASURE, runs, adaptive=later))
        following = _next(prepared, design, arms, plan)
        reasons.append(following.reason)
        get_run_logger().info("%d runs are in. %s", len(runs), following.reason)
        print(f"measure {prepared.config.name}: {len(runs)} runs are in. {following.reason}", file=sys.stderr)
        if not following.runs:
            break
        later += following.runs
        runs += [_one(prepared, by_name[name], seed) for name, seed in following.runs]
    create_markdown_artifact(
        markdown="\n".join(f"{number}. {reason}" for number, reason in enumerate(reasons, 1)),
        key=f"{artifact_key(prepared.config.name)}-blocks",
        description=f"Why which runs were added to {prepared.config.name}, block after block",
    )
    trained = {identity for result in results for identity in result.trained}
    done = (*results[-1].reused, *results[-1].trained)
    return FanOutResult(tuple(one for one in done if one not in trained), tuple(sorted(trained)), results[-1].failed)


def _sequential_plan(config: ExperimentConfig, design: Sequential) -> SequentialPlan:
    analysis = config.analysis
    return SequentialPlan(
        first_seeds=design.first_seeds,
        max_runs=design.max_runs,
        seeds=design.seeds,
        chance=design.chance,
        confidence=analysis.confidence,
        fdr=analysis.fdr,
        minimum_effect=analysis.minimum_effect,
        objective=analysis.objective,
    )


def _chosen_before(prepared: Prepared, known: Collection[str]) -> list[tuple[str, int]]:
    """What earlier starts of this experiment chose."""
    with prepared.workspace.database.session() as session:
        stored = plan_store.planned_runs(session, prepared.experiment_id, Phase.MEASURE)
    return [(name, seed) for name, seed, adaptive in stored if adaptive and name in known]


def _one(prepared: Prepared, intervention: Intervention, seed: int) -> PlannedRun:
    return next(prepared.planner.drawn([intervention], [seed], Phase.MEASURE))


def _next(prepared: Prepared, design: Sequential, arms: Mapping[str, str], plan: SequentialPlan) -> Next:
    config = prepared.config
    with prepared.workspace.database.session() as session:
        table = run_table(session, prepared.experiment_id, Phase.MEASURE, config.analysis.metric, design.arm)
    return next_runs(table, arms, plan, *baseline_and_limits(config, prepared.material))
