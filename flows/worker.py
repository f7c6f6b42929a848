"""What a Ray worker executes: one run from its specification file. Knows neither Prefect nor the database."""

from __future__ import annotations

import json
import logging
import os
import socket
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from flows.monitor_log import logged, write_line

PROGRESS_FILE = "progress.json"
SPEC_FILE = "spec.json"

_WRITE_SECONDS = 0.5
_FIRST_LOG_SECONDS, _MOST_LOG_SECONDS = 5.0, 60.0
_LOGGED_SCORES = 12


@dataclass(frozen=True)
class WorkerProgress:
    """Where a run is, as its worker wrote it last.

    Attributes:
        stage: "starting" (loading), "training", "scoring" or "answering 8 of 24".
        step: optimizer steps done.
        steps: optimizer steps in total; 0 before the first.
        loss: of the last step, nats per answer token; None before the first.
        host: host name.
        pid: the worker's process.
        gpus: the GPUs it sees, "index: name"; empty on a CPU.
        peak_gpu_bytes: most GPU memory it held at once; None on a CPU.
    """

    stage: str
    step: int
    steps: int
    loss: float | None
    host: str
    pid: int
    gpus: tuple[str, ...] = ()
    peak_gpu_bytes: int | None = None


def execute_run(folder: str, keep_checkpoint: bool) -> None:
    """Fine-tune and score the run specified in `folder`; its record is written there last, its log as it goes.

    Raises:
        BeyondIIDError: the run cannot be done (bad data, diverged loss).
    """
    out = Path(folder)
    progress = ProgressFile(out)
    with logged(out):
        progress.starting()
        from tasks.benchmarks.run import execute
        from tasks.finetune.spec_file import read_spec

        spec = read_spec(out / SPEC_FILE)
        write_line(out, logging.INFO, f"{spec.name} starts on {socket.gethostname()}, pid {os.getpid()}")
        record = execute(spec, out, keep_checkpoint, on_step=progress, on_answers=progress.answers)
        scores = [f"{s.category} {s.metric} {s.value:.4g}" for s in record.scores]
        more = f"; {len(scores) - _LOGGED_SCORES} more" if len(scores) > _LOGGED_SCORES else ""
        write_line(
            out,
            logging.INFO,
            f"trained in {record.training.seconds:.1f} s, scored in {record.evaluation_seconds:.1f} s: "
            f"{'; '.join(scores[:_LOGGED_SCORES])}{more}",
        )


def prepare_base_model(model: dict[str, Any], data: list[str], warmup: str | None, out: str) -> None:
    """Build or convert the base checkpoint that all runs start from, in the folder `out`."""
    from pydantic import TypeAdapter

    from tasks.finetune.base import prepare_base
    from tasks.finetune.recipe import ModelConfig
    from tasks.pool.storage import read_instructions

    rows = [row for path in data for row in read_instructions(Path(path))]
    practice = read_instructions(Path(warmup)) if warmup else ()
    prepare_base(TypeAdapter(ModelConfig).validate_python(model), rows, practice, Path(out))


def read_progress(folder: Path) -> WorkerProgress | None:
    """Read the last progress a worker wrote; None before it has started."""
    try:
        content = json.loads((folder / PROGRESS_FILE).read_text())
        return WorkerProgress(**{**content, "gpus": tuple(content["gpus"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None


def progress_age(folder: Path) -> float | None:
    """Seconds since the worker wrote its progress last; None where there is none."""
    try:
        return max(0.0, time.time() - (folder / PROGRESS_FILE).stat().st_mtime)
    except OSError:
        return None


def forget_progress(folder: Path) -> None:
    """Remove what an earlier attempt wrote."""
    (folder / PROGRESS_FILE).unlink(missing_ok=True)


class ProgressFile:
    """Writes the current step at most twice a second, atomically, and a log line now and then.

    With several workers it is called in the first one's process, possibly on another host: it carries no state there.
    """

    def __init__(self, folder: Path) -> None:
        """Write into this folder."""
        self._folder = folder
        self._next_file = self._next_log = 0.0
        self._log_seconds = _FIRST_LOG_SECONDS

    def __reduce__(self) -> tuple[type[ProgressFile], tuple[Path]]:
        return ProgressFile, (self._folder,)

    def starting(self) -> None:
        """Say which process has taken the run; a reused process' GPU memory counts from here."""
        _forget_peak()
        self._write(WorkerProgress("starting", 0, 0, None, socket.gethostname(), os.getpid()))

    def __call__(self, step: int, steps: int, loss: float) -> None:
        """Note an optimizer step: its number, how many there are, its loss in nats per answer token."""
        now = time.monotonic()
        if now >= self._next_log or step == steps:
            if self._next_log:
                self._log_seconds = min(2 * self._log_seconds, _MOST_LOG_SECONDS)
            self._next_log = now + self._log_seconds
            write_line(self._folder, logging.INFO, f"step {step} of {steps}, loss {loss:.4f}")
        if now < self._next_file and step < steps:
            return
        self._next_file = now + _WRITE_SECONDS
        stage = "training" if step < steps else "scoring"
        self._write(WorkerProgress(stage, step, steps, loss, socket.gethostname(), os.getpid(), *_gpus()))

    def answers(self, done: int, total: int) -> None:
        """Note how many of the benchmarks' answers are generated."""
        self._write(
            WorkerProgress(f"answering {done} of {total}", 0, 0, None, socket.gethostname(), os.getpid(), *_gpus())
        )

    def _write(self, progress: WorkerProgress) -> None:
        path = self._folder / PROGRESS_FILE
        temporary = path.with_suffix(f".{os.getpid()}.tmp")
        temporary.write_text(json.dumps(asdict(progress)))
        temporary.replace(path)


def _forget_peak() -> None:
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        for index in range(torch.cuda.device_count()):
            torch.cuda.reset_peak_memory_stats(index)


def _gpus() -> tuple[tuple[str, ...], int | None]:
    """The GPUs this process sees, by the machine's own numbers, and the most memory it held on any at once."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return (), None
    count = torch.cuda.device_count()
    visible = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    numbers = visible if len(visible) == count else [str(i) for i in range(count)]
    names = tuple(f"{number}: {torch.cuda.get_device_name(i)}" for i, number in enumerate(numbers))
    return names, max(int(torch.cuda.max_memory_allocated(i)) for i in range(count))
