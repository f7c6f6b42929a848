"""A fine-tune on several data-parallel workers: Ray Train places them, each runs the same training function."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from tasks.errors import BeyondIIDError, RunError
from tasks.finetune.ledger import OnStep
from tasks.finetune.spec import RunSpec, TrainingRecord
from tasks.finetune.spec_file import RECORD_NAME, read_record

_T = TypeVar("_T")


def finetune_on_workers(spec: RunSpec, out: Path, on_step: OnStep | None = None) -> TrainingRecord:
    """Train on `spec.workers` workers of the Ray cluster (a local one is started where there is none).

    Workers get a GPU each where the cluster has GPUs. All of them must see `out` and the specification's files under
    the same paths. A run that was cut short goes on from its last complete checkpoint. Ray itself repeats nothing.

    Args:
        spec: the run.
        out: its folder.
        on_step: progress; called in the first worker's process, so it must be picklable.

    Raises:
        InputError: see `tasks.finetune.train.finetune`.
        RunError: training failed on a worker, or a worker died.
    """
    import ray
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer

    if not ray.is_initialized():
        ray.init(log_to_driver=False, logging_level=logging.WARNING)
    storage = out.resolve() / "ray"
    # What Ray Train itself notes there is not resumed from: the training function has its own checkpoints.
    shutil.rmtree(storage, ignore_errors=True)
    gpu = _cluster_gpus() > 0
    trainer = TorchTrainer(
        _train_on_worker,
        train_loop_config={"spec": spec, "out": str(out.resolve()), "on_step": on_step},
        scaling_config=ScalingConfig(
            num_workers=spec.workers, use_gpu=gpu, resources_per_worker=_resources(spec.threads, gpu)
        ),
        run_config=RunConfig(
            name=spec.fingerprint,
            storage_path=str(storage),
            failure_config=FailureConfig(max_failures=0),
        ),
    )
    try:
        trainer.fit()
    except ray.train.TrainingFailedError as error:
        raise _cause(error, spec) from error
    shutil.rmtree(storage, ignore_errors=True)
    return read_record(out / RECORD_NAME)


def call_with_gpu(function: Callable[..., _T], *arguments: Any) -> _T:
    """Call a function in a Ray worker that holds one GPU, where the cluster has GPUs; else in this process."""
    import ray

    if not ray.is_initialized() or not _cluster_gpus():
        return function(*arguments)
    remote = ray.remote(num_gpus=1, num_cpus=1, max_retries=0)(function)
    return ray.get(remote.remote(*arguments))


def _train_on_worker(config: dict[str, Any]) -> None:
    from tasks.finetune.train import load_job, run_job

    run_job(load_job(config["spec"]), Path(config["out"]), config["on_step"])


def _cluster_gpus() -> float:
    import ray

    return float(ray.cluster_resources().get("GPU", 0))


def _resources(threads: int, gpu: bool) -> dict[str, float]:
    return {"CPU": float(max(1, threads)), "GPU": float(gpu)}


def _cause(error: Any, spec: RunSpec) -> BeyondIIDError:
    """The first worker's own error where it is one of this product's, else a RunError that quotes it."""
    failures = getattr(error, "worker_failures", {})
    for _, failure in sorted(failures.items()):
        inner = getattr(failure, "cause", None) or failure
        if isinstance(inner, BeyondIIDError):
            return inner
    return RunError(f"run {spec.fingerprint[:12]} ({spec.name}) failed on its Ray Train workers: {error}")
