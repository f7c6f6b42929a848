"""What a Ray worker executes: one run from its specification file. Knows neither Prefect nor the database."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

PROGRESS_FILE = "progress.json"
SPEC_FILE = "spec.json"


def execute_run(folder: str, keep_checkpoint: bool) -> None:
    """Fine-tune and score the run specified in `folder`; its record is written there last.

    Raises:
        BeyondIIDError: the run cannot be done (bad data, diverged loss).
    """
    from tasks.benchmarks.run import execute
    from tasks.finetune.spec_file import read_spec

    out = Path(folder)
    execute(read_spec(out / SPEC_FILE), out, keep_checkpoint=keep_checkpoint, on_step=_ProgressFile(out))


def prepare_base_model(model: dict[str, Any], data: list[str], warmup: str | None, out: str) -> None:
    """Build or convert the base checkpoint that all runs start from, in the folder `out`."""
    from pydantic import TypeAdapter

    from tasks.finetune.base import prepare_base
    from tasks.finetune.recipe import ModelConfig
    from tasks.pool.storage import read_instructions

    rows = [row for path in data for row in read_instructions(Path(path))]
    practice = read_instructions(Path(warmup)) if warmup else ()
    prepare_base(TypeAdapter(ModelConfig).validate_python(model), rows, practice, Path(out))


def read_progress(folder: Path) -> dict[str, float] | None:
    """Read the last progress a worker wrote: step, steps, loss; None before its first step."""
    try:
        content = json.loads((folder / PROGRESS_FILE).read_text())
    except (OSError, ValueError):
        return None
    return {key: float(value) for key, value in content.items()}


class _ProgressFile:
    """Writes the current step at most twice a second, atomically."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / PROGRESS_FILE
        self._next = 0.0

    def __call__(self, step: int, steps: int, loss: float) -> None:
        now = time.monotonic()
        if now < self._next and step < steps:
            return
        self._next = now + 0.5
        temporary = self._path.with_suffix(f".{os.getpid()}.tmp")
        temporary.write_text(json.dumps({"step": step, "steps": steps, "loss": loss}))
        temporary.replace(self._path)
