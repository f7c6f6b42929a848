"""A whole run on a worker: fine-tune, score, record. What a Ray task or `beyond-iid finetune` executes."""

from __future__ import annotations

import fcntl
import shutil
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from pydantic import ConfigDict, TypeAdapter

from tasks.benchmarks.evaluate import assert_disjoint, load_checkpoint, score_held_out
from tasks.benchmarks.generation import Generator, TransformersGenerator, open_vllm, vllm_options
from tasks.benchmarks.measures import Benchmarks, LmEvalMeasure
from tasks.benchmarks.measuring import (
    Assignment,
    OnAnswers,
    assign,
    check_assignments,
    check_lengths,
    measure_answers,
    measure_tasks,
)
from tasks.benchmarks.scores import Score
from tasks.errors import InputError
from tasks.finetune.distributed import call_with_gpu
from tasks.finetune.encoding import encode, load_tokenizer
from tasks.finetune.engine import quiet_process
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


def execute(
    spec: RunSpec,
    out: Path,
    keep_checkpoint: bool = True,
    on_step: OnStep | None = None,
    on_answers: OnAnswers | None = None,
) -> RunRecord:
    """Fine-tune and score what the specification says; a finished record in `out` is returned at once.

    Where another process does the same run in the same folder, this one waits for it and finds its record.

    Args:
        spec: the run.
        out: its folder: training/ (model and training record), generations.jsonl where answers are generated and,
            last, record.json.
        keep_checkpoint: False deletes the weights after scoring, before the record is written.
        on_step: progress of the training.
        on_answers: progress of the generation.

    Raises:
        InputError: the specification's files do not fit together, held-out examples or benchmark items are in the
            training data, a measure cannot be taken, or `out` holds another run.
        RunError: training or scoring failed.
    """
    out.mkdir(parents=True, exist_ok=True)
    with _locked(out):
        return _execute(spec, out, keep_checkpoint, (on_step, on_answers))


def _execute(
    spec: RunSpec, out: Path, keep_checkpoint: bool, progress: tuple[OnStep | None, OnAnswers | None]
) -> RunRecord:
    finished = read_run_record(out)
    if finished is not None:
        _same_run(finished, spec, out)
        return finished
    held_out, assignments = _checked(spec)
    training = finetune(spec, out / TRAINING_FOLDER, progress[0])
    start = time.perf_counter()
    scoring = (spec, Path(training.checkpoint), held_out, assignments, out, progress[1])
    # The process that started several workers holds no GPU of its own.
    scores = _score(*scoring) if spec.workers == 1 else call_with_gpu(_score, *scoring)
    seconds = time.perf_counter() - start
    if not keep_checkpoint:
        _delete_training(out)
        training = replace(training, checkpoint="")
    record = RunRecord(training, scores, seconds)
    _write_run_record(out, record)
    return record


def forget_weights(out: Path) -> RunRecord | None:
    """Delete a finished run's weights and say so in its record; what a killed call left over goes too.

    Waits for a process that is at work on the run. The record is changed first, so it never names weights that are
    gone.

    Args:
        out: the run's folder.

    Returns:
        The record as it is now; None where the run has none, and nothing was deleted.

    Raises:
        InputError: the record is not valid.
    """
    if not (out / RECORD_NAME).is_file():
        return None
    with _locked(out):
        record = read_run_record(out)
        if record is None:
            return None
        if record.training.checkpoint:
            record = replace(record, training=replace(record.training, checkpoint=""))
            _write_run_record(out, record)
        if (out / TRAINING_FOLDER).is_dir():
            _delete_training(out)
        return record


@contextmanager
def _locked(out: Path) -> Iterator[None]:
    with (out / LOCK_NAME).open("a") as lock:
        # The system frees the lock with the process, however that ends.
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _delete_training(out: Path) -> None:
    # The training record goes first: a record without its weights must never be left behind.
    (out / TRAINING_FOLDER / RECORD_NAME).unlink(missing_ok=True)
    shutil.rmtree(out / TRAINING_FOLDER)


def _write_run_record(out: Path, record: RunRecord) -> None:
    write_json(out / RECORD_NAME, TypeAdapter(RunRecord).dump_python(record, mode="json"))


def read_run_record(out: Path) -> RunRecord | None:
    """The record of a finished run in this folder; None where there is none.

    Raises:
        InputError: the file is no valid run record.
    """
    path = out / RECORD_NAME
    return read_typed(path, RunRecord) if path.is_file() else None


def benchmark(spec: RunSpec, checkpoint: Path, out: Path, on_answers: OnAnswers | None = None) -> tuple[Score, ...]:
    """Score a checkpoint as the specification says, without training.

    Args:
        spec: its base model, held-out examples and benchmarks count.
        checkpoint: folder of a trained model, or of a LoRA adapter on the base model.
        out: where generations.jsonl is written, if answers are generated.
        on_answers: progress of the generation.

    Raises:
        InputError: a measure cannot be taken.
        RunError: scoring failed.
    """
    held_out = read_instructions(Path(spec.held_out))
    assignments = _assignments(spec, held_out)
    check_assignments(assignments, ())
    base = Path(spec.base_model)
    tokenizer = load_tokenizer(base)
    for one in assignments:
        check_lengths(one, tokenizer, base)
    return _score(spec, checkpoint, held_out, assignments, out, on_answers)


def _score(
    spec: RunSpec,
    checkpoint: Path,
    held_out: tuple[Instruction, ...],
    assignments: tuple[Assignment, ...],
    out: Path,
    on_answers: OnAnswers | None,
) -> tuple[Score, ...]:
    base = Path(spec.base_model)
    with quiet_process(spec.threads):
        model, tokenizer = load_checkpoint(checkpoint, base), load_tokenizer(base)
        scores = list(score_held_out(model, tokenizer, held_out, spec.benchmark_batch_size))
        if not assignments:
            return tuple(scores)
        generation = Benchmarks.model_validate(spec.benchmarks).generation
        if any(not isinstance(one.measure, LmEvalMeasure) for one in assignments):
            generator: AbstractContextManager[Generator]
            if generation.engine == "vllm":
                del model
                generator = open_vllm(checkpoint, base, generation.batch_size, spec.gpu_share)
            else:
                generator = nullcontext(TransformersGenerator(model, tokenizer, generation.batch_size))
                del model
            with generator as answering:
                scores += measure_answers(assignments, answering, tokenizer, out, on_answers)
        scores += measure_tasks(assignments, checkpoint, base, generation, vllm_options(spec.gpu_share))
    return tuple(scores)


def _same_run(record: RunRecord, spec: RunSpec, out: Path) -> None:
    found = record.training.fingerprint
    if found != spec.fingerprint:
        raise InputError(f"{out} holds run {found[:12]}, not {spec.fingerprint[:12]}; give another folder")


def _checked(spec: RunSpec) -> tuple[tuple[Instruction, ...], tuple[Assignment, ...]]:
    """Held-out examples and measures, checked before any training: disjoint, not empty, and fit for the tokenizer."""
    held_out = tuple(read_instructions(Path(spec.held_out)))
    if not held_out:
        raise InputError(f"{spec.held_out} is empty; scores need at least one held-out example")
    job = load_job(spec)
    used = dict.fromkeys(job.manifest.ids)
    assert_disjoint((job.instructions[i] for i in used), held_out)
    tokenizer = load_tokenizer(job.base_model)
    encode(tokenizer, held_out, max_length=None)
    assignments = _assignments(spec, held_out)
    check_assignments(assignments, (job.instructions[i] for i in used))
    for one in assignments:
        check_lengths(one, tokenizer, job.base_model)
    return held_out, assignments


def _assignments(spec: RunSpec, held_out: tuple[Instruction, ...]) -> tuple[Assignment, ...]:
    return () if spec.benchmarks is None else assign(Benchmarks.model_validate(spec.benchmarks), held_out)
