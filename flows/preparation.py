"""Preparing an experiment: pool, base checkpoint and plan, all recorded; the same again changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE
from pydantic import TypeAdapter

from db import experiments, pools
from db.base import Phase
from db.interventions import Planned, set_plan
from flows.config import ExperimentConfig
from flows.material import Material, gather_material
from flows.planning import PlannedRun, Planner
from flows.remote import result_of
from flows.worker import prepare_base_model
from flows.workspace import Workspace
from tasks.finetune.base import base_identity
from tasks.finetune.recipe import ModelConfig, TinyModel
from tasks.finetune.tiny import characters
from tasks.fingerprint import fingerprint


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
        InputError: an unusable pool or model.
    """
    material = _read_pool(config, workspace)
    base = _prepare_base(config, workspace, material)
    with workspace.database.session() as session:
        snapshot = pools.record_snapshot(
            session,
            material.pool.name,
            material.pool.content_hash,
            material.pool.counts(),
            str(material.folder),
            sum(material.rejected_by_reason.values()),
        )
        identity = {**_decisive(config), "base": base.name}
        experiment = experiments.record_experiment(
            session, config.name, config.model_dump(mode="json"), fingerprint(identity), snapshot.id
        )
    return Prepared(config, workspace, material, Planner(config, material, base, workspace.artifacts), experiment.id)


def record_plan(prepared: Prepared, phase: Phase, runs: Sequence[PlannedRun], analysis_id: int | None = None) -> None:
    """Make these runs the phase's complete plan in the database."""
    planned = [
        Planned(
            run.intervention,
            run.seed,
            run.fingerprint,
            run.label,
            TypeAdapter(type(run.spec)).dump_python(run.spec, mode="json"),
        )
        for run in runs
    ]
    with prepared.workspace.database.session() as session:
        set_plan(session, prepared.experiment_id, phase, planned, analysis_id)


def _decisive(config: ExperimentConfig) -> dict[str, Any]:
    """The configuration without what decides no number."""
    return config.model_dump(mode="json", exclude={"resources"})


def _read_pool(config: ExperimentConfig, workspace: Workspace) -> Material:
    @task(name="pool", task_run_name="read the pool", cache_policy=NO_CACHE, persist_result=False)
    def read() -> Material:
        material = gather_material(config, workspace.artifacts)
        rejected = sum(material.rejected_by_reason.values())
        get_run_logger().info(
            "%d instructions in %d categories, %d rows rejected (reasons: %s)",
            len(material.pool.instructions),
            len(material.pool.categories),
            rejected,
            material.folder / "rejected.jsonl",
        )
        return material

    return read()


def _prepare_base(config: ExperimentConfig, workspace: Workspace, material: Material) -> Path:
    """The base checkpoint's folder, named after its identity; built on the cluster where it is not there yet."""
    model = config.recipe.model
    folder = workspace.artifacts / "bases" / fingerprint(_base_identity(model, material))

    @task(name="base model", task_run_name="prepare the base model", cache_policy=NO_CACHE, persist_result=False)
    def build() -> None:
        import ray

        workspace.cluster()
        remote = ray.remote(num_cpus=1, max_retries=0)(prepare_base_model)
        data = [str(material.folder / f"{part}.jsonl") for part in ("train", "measure", "validate")]
        warmup = str(material.folder / "warmup.jsonl") if material.warmup else None
        result_of(remote.remote(model.model_dump(mode="json"), data, warmup, str(folder)), "base model")

    if not folder.exists():
        build()
    return folder


def _base_identity(model: ModelConfig, material: Material) -> dict[str, Any]:
    identity: dict[str, Any] = {"model": base_identity(model)}
    if isinstance(model, TinyModel):
        # Its tokenizer knows the pool's characters, its warm-up trains on the pool's warm-up set.
        identity["alphabet"] = list(characters([*material.instructions, *material.warmup]))
        identity["warmup"] = [row.content_hash for row in material.warmup]
    return identity
