"""Preparing an experiment: pool, base checkpoint and plan, all recorded; the same again changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE
from pydantic import TypeAdapter

from db import experiments, pools
from db.base import Phase
from db.interventions import Planned, set_plan
from db.metrics import declare_metrics
from flows.benchmarking import ready_benchmarks
from flows.config import ExperimentConfig
from flows.material import Material, gather_material
from flows.planning import PlannedRun, Planner
from flows.pool_files import Steps
from flows.progress import step_progress
from flows.remote import result_of
from flows.worker import prepare_base_model
from flows.workspace import Workspace
from tasks.finetune.base import base_identity
from tasks.finetune.recipe import ModelConfig, TinyModel, default_choices
from tasks.finetune.tiny import characters
from tasks.fingerprint import fingerprint

Result = TypeVar("Result")


@dataclass(frozen=True)
class Prepared:
    """An experiment that is ready to run.

    Attributes:
        config: its description.
        workspace: where results go.
        material: its pool.
        planner: makes its runs.
        experiment_id: its row.
    """

    config: ExperimentConfig
    workspace: Workspace
    material: Material
    planner: Planner
    experiment_id: int


def prepare(config: ExperimentConfig, workspace: Workspace) -> Prepared:
    """Read the pool, build the base checkpoint, record the experiment; call inside a Prefect flow.

    Raises:
        InputError: an unusable pool or model, or measures that cannot be taken.
    """
    material = _read_pool(config, workspace)
    benchmarks = ready_benchmarks(config, material)
    base = _prepare_base(config, workspace, material)
    planner = Planner(config, material, base, workspace.artifacts, benchmarks)
    with workspace.database.session() as session:
        declare_metrics(session, benchmarks.metrics)
        snapshot = pools.record_snapshot(
            session,
            material.pool.name,
            material.pool.content_hash,
            material.pool.counts(),
            str(material.folder),
            sum(material.rejected_by_reason.values()),
        )
        identity = {
            **decisive(config),
            **benchmarks.in_identity,
            "base": base.name,
            **({"steps": material.steps} if material.steps else {}),
        }
        experiment = experiments.record_experiment(
            session, config.name, config.model_dump(mode="json"), fingerprint(identity), snapshot.id
        )
    return Prepared(config, workspace, material, planner, experiment.id)


def record_plan(
    prepared: Prepared,
    phase: Phase,
    runs: Sequence[PlannedRun],
    analysis_id: int | None = None,
    adaptive: Collection[tuple[str, int]] = (),
) -> None:
    """Make these runs the phase's complete plan in the database.

    Args:
        prepared: the experiment.
        phase: what the runs are for.
        runs: all of them.
        analysis_id: the analysis a validation tries out.
        adaptive: (intervention's name, seed) of those chosen after looking at earlier results.
    """
    planned = [
        Planned(
            run.intervention,
            run.seed,
            run.fingerprint,
            run.label,
            TypeAdapter(type(run.spec)).dump_python(run.spec, mode="json"),
            (run.intervention.name, run.seed) in adaptive,
        )
        for run in runs
    ]
    with prepared.workspace.database.session() as session:
        set_plan(session, prepared.experiment_id, phase, planned, analysis_id)


def decisive(config: ExperimentConfig) -> dict[str, Any]:
    """The configuration without what decides no number, and without choices that are not made.

    Benchmarks count by what they measure (`ReadyBenchmarks.identity`), cleaning, tagging and selection by what they are
    made from (`Material.steps`), not by the paths and addresses written here.
    """
    elsewhere = ("resources", "benchmarks", "hygiene", "tagging", "selection")
    return config.model_dump(
        mode="json", exclude={**dict.fromkeys(elsewhere, True), "recipe": default_choices(config.recipe)}
    )


def _read_pool(config: ExperimentConfig, workspace: Workspace) -> Material:
    def stage(name: str, work: Callable[[Steps], Result]) -> Result:
        """A Prefect task that shows its progress."""

        @task(name="pool", task_run_name=name, cache_policy=NO_CACHE, persist_result=False)
        def step() -> Result:
            with step_progress(f"{config.name} {name}") as steps:
                return work(steps)

        return step()

    material = gather_material(config, workspace.artifacts, stage)
    get_run_logger().info(
        "%d instructions in %d categories, %d rows rejected (reasons: %s)",
        len(material.pool.instructions),
        len(material.pool.categories),
        sum(material.rejected_by_reason.values()),
        material.folder / "rejected.jsonl",
    )
    return material


def _prepare_base(config: ExperimentConfig, workspace: Workspace, material: Material) -> Path:
    """The base checkpoint's folder, named after its identity; built on the cluster where it is not there yet."""
    model = config.recipe.model
    folder = workspace.artifacts / "bases" / base_fingerprint(model, material)

    @task(name="base model", task_run_name="prepare the base model", cache_policy=NO_CACHE, persist_result=False)
    def build() -> None:
        import ray

        workspace.cluster()
        remote = ray.remote(num_cpus=1, max_retries=0)(prepare_base_model)
        data = [str(material.folder / f"{part}.jsonl") for part in ("train", "measure", "validate")]
        warmup = str(material.folder / "warmup.jsonl") if material.warmup else None
        result_of(remote.remote(model.model_dump(mode="json"), data, warmup, str(folder)), "base model")

    if folder.exists():
        folder.touch()  # needed again: housekeeping goes by age
    else:
        build()
    return folder


def base_fingerprint(model: ModelConfig, material: Material) -> str:
    """What decides a base checkpoint; its folder's name."""
    identity: dict[str, Any] = {"model": base_identity(model)}
    if isinstance(model, TinyModel):
        # Its tokenizer knows the pool's characters, its warm-up trains on the pool's warm-up set.
        identity["alphabet"] = list(characters([*material.instructions, *material.warmup]))
        identity["warmup"] = [row.content_hash for row in material.warmup]
    return fingerprint(identity)
