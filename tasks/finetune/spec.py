"""What a worker gets and gives back: the run specification and the training record, both plain JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import ConfigDict

from tasks.finetune.recipe import Recipe

TRAINER_VERSION = "1"
"""Changes whenever the same specification would train other weights; part of a run's fingerprint."""


@dataclass(frozen=True)
class RunSpec:
    """One fine-tune with its benchmark, complete: no database, no Prefect, no environment needed.

    Paths may be relative to the specification file's folder.

    Attributes:
        fingerprint: identity of the run (see `tasks.fingerprint`); paths and workers are not part of it.
        name: for people, e.g. "without reverse (size-matched), seed 3".
        seed: decides dropout and any other randomness of training; the data order is already in the manifest.
        recipe: how to train.
        base_model: folder of the prepared base checkpoint (`tasks.finetune.base.prepare_base`).
        train_data: JSON lines of instructions the manifest draws from.
        manifest: JSON lines of the examples in order.
        manifest_sha256: the manifest's hash; checked before training.
        held_out: JSON lines of instructions to score on.
        benchmark_batch_size: examples per forward pass while scoring.
        workers: data-parallel workers; more than 1 needs Ray Train.
        threads: CPU threads per worker; 0 leaves torch's default.
        deepspeed: DeepSpeed's own configuration (infra/deepspeed/zero<stage>.json), carried here so that the
            specification is complete alone; used only where the engine is deepspeed.
        benchmarks: measures beside held-out loss and exact match (`tasks.benchmarks.measures.Benchmarks` as plain
            data, its engine resolved); None: no others.
        gpu_share: of a GPU's memory that the run may take for generating answers, 0…1.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    fingerprint: str
    name: str
    seed: int
    recipe: Recipe
    base_model: str
    train_data: str
    manifest: str
    manifest_sha256: str
    held_out: str
    benchmark_batch_size: int = 64
    workers: int = 1
    threads: int = 0
    deepspeed: dict[str, Any] | None = None
    benchmarks: dict[str, Any] | None = None
    gpu_share: float = 1.0


@dataclass(frozen=True)
class TrainingRecord:
    """What happened in one fine-tune; written last, atomically, as record.json beside the checkpoint.

    Attributes:
        fingerprint: the run's identity.
        checkpoint: folder of the trained model (safetensors; a LoRA adapter for that method); "" once its weights
            were deleted after scoring.
        steps: optimizer steps.
        examples: examples seen.
        tokens: tokens seen (prompt and answer, without padding).
        losses: (step, training loss in nats per answer token) at each logged step.
        seen_sha256: hash of the example ids in the order the model saw them; equals the manifest's.
        seconds: wall-clock seconds of training.
        device: e.g. "cpu" or the GPU's name.
        engine: "torch" or "deepspeed".
        host: host name.
        resumed_from_step: 0 if it ran through.
        versions: (package, version) pairs of what trained.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    fingerprint: str
    checkpoint: str
    steps: int
    examples: int
    tokens: int
    losses: tuple[tuple[int, float], ...]
    seen_sha256: str
    seconds: float
    device: str
    engine: str
    host: str
    resumed_from_step: int
    versions: tuple[tuple[str, str], ...]
