"""A whole run on a worker: fine-tune, score, record. What a Ray task or `beyond-iid finetune` executes."""

from __future__ import annotations

import fcntl
import shutil
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from pydantic import ConfigDict, TypeAdapter

from tasks.benchmarks.evaluate import assert_disjoint, evaluate
from tasks.benchmarks.scores import Score
from tasks.errors import InputError
from tasks.finetune.distributed import call_with_gpu
from tasks.finetune.encoding import encode, load_tokenizer
from tasks.finetune.ledger import OnStep
from tasks.finetune.spec import RunSpec, TrainingRecord
from tasks.finetune.spec_file import RECORD_NAME, read_typed, write_json
from tasks.finetune.train import finetune, load_job
from tasks.pool.instruction import Instruction
from tasks.pool.storage import read_instructions

TRAINING_FOLDER = "training"
"""Name of the folder inside a run's folder in which `finetune` works."""
LOCK_NAME = "run.lock"
"""Name of the file in a run's folder that the process at work on it holds locked."""


@dataclass(frozen=True)
class RunRecord:
    """A finished run; its file is written last, so that it exists only if everything else does.

    Attributes:
        training: what happened in the fine-tune; its checkpoint is "" where the weights were deleted after scoring.
        scores: per category and metric, on the specification's held-out examples.
        evaluation_seconds: wall-clock seconds of scoring.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    training: TrainingRecord
    scores: tuple[Score, ...]
    evaluation_seconds: float


def execute(spec: RunSpec, out: Path, keep_checkpoint: bool = True, on_step: OnStep | None = None) -> RunRecord:
    """Fine-tune and score what the specification says; a finished record in `out` is returned at once.

    Where another process does the same run in the same folder, this one waits for it and finds its record.

    Args:
        spec: the run.
        out: its folder: training/ (model and training record) and, last, record.json.
        keep_checkpoint: False deletes the weights after scoring, before the record is written.
        on_step: progress of the training.

    Raises:
        InputError: the specification's files do not fit together, held-out examples are in the training data, or `out`
            holds another run.
        RunError: training or scoring failed.
    """
    out.mkdir(parents=True, exist_ok=True)
    with (out / LOCK_NAME).open("a") as lock:
        # The system frees the lock with the process, however that ends.
        fcntl.flock(lock, fcntl.LOCK_EX)
        return _execute(spec, out, keep_checkpoint, on_step)


def _execute(spec: RunSpec, out: Path, keep_checkpoint: bool, on_step: OnStep | None) -> RunRecord:
    finished = read_run_record(out)
    if finished is not None:
        _same_run(finished, spec, out)
        return finished
    held_out = _checked_held_out(spec)
    training = finetune(spec, out / TRAINING_FOLDER, on_step)
    start = time.perf_counter()
    scores = _evaluate(spec, Path(training.checkpoint), held_out)
    seconds = time.perf_counter() - start
    if not keep_checkpoint:
        # The training record goes first: a record without its weights must never be left behind.
        (out / TRAINING_FOLDER / RECORD_NAME).unlink()
        shutil.rmtree(out / TRAINING_FOLDER)
        training = replace(training, checkpoint="")
    record = RunRecord(training, scores, seconds)
    write_json(out / RECORD_NAME, TypeAdapter(RunRecord).dump_python(record, mode="json"))
    return record


def read_run_record(out: Path) -> RunRecord | None:
    """The record of a finished run in this folder; None where there is none.

    Raises:
        InputError: the file is no valid run record.
    """
    path = out / RECORD_NAME
    return read_typed(path, RunRecord) if path.is_file() else None


def _evaluate(spec: RunSpec, checkpoint: Path, held_out: tuple[Instruction, ...]) -> tuple[Score, ...]:
    arguments = (checkpoint, Path(spec.base_model), held_out, spec.benchmark_batch_size, spec.threads)
    if spec.workers == 1:
        return evaluate(*arguments)
    # The process that started several workers holds no GPU of its own.
    return call_with_gpu(evaluate, *arguments)


def _same_run(record: RunRecord, spec: RunSpec, out: Path) -> None:
    found = record.training.fingerprint
    if found != spec.fingerprint:
        raise InputError(f"{out} holds run {found[:12]}, not {spec.fingerprint[:12]}; give another folder")


def _checked_held_out(spec: RunSpec) -> tuple[Instruction, ...]:
    """Held-out examples, checked before any training: disjoint, not empty, and readable by the tokenizer."""
    held_out = tuple(read_instructions(Path(spec.held_out)))
    if not held_out:
        raise InputError(f"{spec.held_out} is empty; scores need at least one held-out example")
    job = load_job(spec)
    used = dict.fromkeys(job.manifest.ids)
    assert_disjoint((job.instructions[i] for i in used), held_out)
    encode(load_tokenizer(job.base_model), held_out, max_length=None)
    return held_out
