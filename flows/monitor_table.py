"""The table of a fan-out's runs that people watch on the Prefect server: what runs, what failed, what finished last."""

from __future__ import annotations

import math
import time
from typing import Any

from flows.config import Resources
from flows.monitor_markdown import escaped
from flows.run_board import BoardState, Finished, Running
from flows.worker import WorkerProgress, read_progress
from tasks.finetune.spec import TrainingRecord

MOST_RUNNING, MOST_FAILED = 50, 50
"""Rows of each kind; with the last finished ones the table stays small, however many runs there are."""
COLUMNS = ("run", "state", "step", "loss", "seconds", "cost", "worker", "GPU", "tokens/s", "note")

_GIB = 1024**3


def counts_text(state: BoardState, total: int, done: int) -> str:
    """One line: how many runs are in which state.

    Args:
        state: the fan-out.
        total: runs of the plan.
        done: of them, those with scores.
    """
    running, failed = len(state.running), len(state.failed)
    waiting = max(0, total - done - running - failed)
    retried = f"; tried again: {sum(state.attempts.values()) - len(state.attempts)}" if state.attempts else ""
    return f"{done} of {total} runs finished, {running} running, {failed} failed, {waiting} waiting{retried}"


def table_rows(state: BoardState, resources: Resources) -> list[dict[str, Any]]:
    """Rows: running (longest first), failed and last finished (latest first); of `COLUMNS`, those with content."""
    now = time.monotonic()
    rows = [_running_row(one, now, state, resources) for one in state.running[:MOST_RUNNING]]
    rows += _left_out("running", len(state.running) - MOST_RUNNING)
    failed = state.failed[::-1]
    for run, reason in failed[:MOST_FAILED]:
        rows.append(_row(run=run.label, state="failed", note=reason))
    rows += _left_out("failed", len(failed) - MOST_FAILED)
    rows += [_finished_row(one, state, resources) for one in state.last_finished[::-1]]
    filled = [name for name in COLUMNS if any(row[name] for row in rows)]
    return [{name: row[name] for name in filled} for row in rows]


def cost_text(seconds: float, resources: Resources) -> str:
    """What a run took so far: CPU or GPU time of all its workers, and its price where one is configured."""
    on_gpu = resources.gpus_per_run > 0
    units = (resources.gpus_per_run if on_gpu else resources.cpus_per_run) * resources.workers_per_run
    taken = seconds * units
    kind = "GPU" if on_gpu else "CPU"
    text = f"{taken:.0f} {kind}-s" if taken < 3600 else f"{taken / 3600:.2f} {kind}-h"
    return text if resources.price_per_hour is None else f"{text}, {resources.price_per_hour * taken / 3600:.4f}"


def step_text(progress: WorkerProgress) -> str:
    """E.g. "30 of 45", or what else the worker does."""
    return progress.stage if progress.stage != "training" else f"{progress.step} of {progress.steps}"


def worker_text(progress: WorkerProgress) -> str:
    """E.g. "node-7, pid 4711"."""
    return f"{progress.host}, pid {progress.pid}"


def gpu_text(progress: WorkerProgress | None) -> str:
    """The GPUs of a run and the most memory it held; empty on a CPU."""
    if progress is None or not progress.gpus:
        return ""
    peak = f", peak {progress.peak_gpu_bytes / _GIB:.1f} GiB" if progress.peak_gpu_bytes is not None else ""
    return ", ".join(progress.gpus) + peak


def _running_row(one: Running, now: float, state: BoardState, resources: Resources) -> dict[str, Any]:
    progress, seconds = read_progress(one.run.folder), now - one.since
    if progress is None:
        return _row(run=one.run.label, state="waiting for a place", note=_attempt(one.run.fingerprint, state))
    return _row(
        run=one.run.label,
        state="running",
        worker=worker_text(progress),
        step=step_text(progress),
        loss=_loss(progress.loss),
        seconds=f"{seconds:.0f}",
        GPU=gpu_text(progress),
        cost=cost_text(seconds, resources),
        note=_attempt(one.run.fingerprint, state),
    )


def _finished_row(one: Finished, state: BoardState, resources: Resources) -> dict[str, Any]:
    training, progress = one.record.training, one.progress
    seconds = training.seconds + one.record.evaluation_seconds
    worker = worker_text(progress) if progress else training.host
    return _row(
        run=one.run.label,
        state="finished",
        worker=worker,
        step=f"{training.steps} of {training.steps}",
        loss=_loss(training.losses[-1][1] if training.losses else None),
        seconds=f"{seconds:.1f}",
        GPU=gpu_text(progress) or ("" if training.device == "cpu" else training.device),
        cost=cost_text(seconds, resources),
        note=_attempt(one.run.fingerprint, state),
        **{"tokens/s": _per_second(training)},
    )


def _row(**cells: str) -> dict[str, Any]:
    return {name: escaped(cells.get(name, "")) for name in COLUMNS}


def _left_out(kind: str, number: int) -> list[dict[str, Any]]:
    return [_row(run=f"… and {number} more", state=kind)] if number > 0 else []


def _attempt(fingerprint: str, state: BoardState) -> str:
    attempts = state.attempts.get(fingerprint, 1)
    return f"attempt {attempts}" if attempts > 1 else ""


def _loss(loss: float | None) -> str:
    return "" if loss is None or not math.isfinite(loss) else f"{loss:.4f}"


def _per_second(training: TrainingRecord) -> str:
    return f"{training.tokens / training.seconds:.0f}" if training.seconds > 0 else ""
