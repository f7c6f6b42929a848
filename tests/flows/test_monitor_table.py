"""The table of runs: bounded however many there are, and right about each."""

from __future__ import annotations

import time
from pathlib import Path

from db.base import Phase
from flows.config import Resources
from flows.monitor_table import COLUMNS, MOST_FAILED, MOST_RUNNING, cost_text, counts_text, table_rows
from flows.planning import PlannedRun
from flows.run_board import LAST_FINISHED, BoardState, Finished, Running
from flows.worker import ProgressFile, read_progress
from tasks.benchmarks.run import RunRecord
from tasks.finetune.recipe import Recipe, TinyModel
from tasks.finetune.spec import RunSpec, TrainingRecord
from tasks.interventions.intervention import Intervention
from tasks.interventions.manifest import Manifest


def planned(folder: Path, number: int) -> PlannedRun:
    spec = RunSpec(
        f"{number:064x}", f"run {number}", 1, Recipe(model=TinyModel()), "base", "train", "manifest", "0" * 64, "test"
    )
    return PlannedRun(Intervention("baseline", ()), 1, Phase.MEASURE, Manifest((), ()), spec, folder / str(number))


def finished(run: PlannedRun, tokens: int = 1000, seconds: float = 4.0) -> Finished:
    training = TrainingRecord(
        run.fingerprint, "", 20, 60, tokens, ((20, 0.25),), "0" * 64, seconds, "cpu", "torch", "node", 0, ()
    )
    return Finished(run, RunRecord(training, (), 1.0), None)


def board(running: int, failed: int, done: int, folder: Path) -> BoardState:
    runs = [planned(folder, number) for number in range(running + failed + min(done, LAST_FINISHED))]
    return BoardState(
        tuple(Running(run, time.monotonic()) for run in runs[:running]),
        tuple((run, "WorkerDiedError: killed") for run in runs[running : running + failed]),
        tuple(finished(run) for run in runs[running + failed :]),
        done,
        {},
    )


def test_table_of_2000_runs_stays_bounded_and_says_what_it_leaves_out(tmp_path: Path) -> None:
    rows = table_rows(board(300, 200, 1400, tmp_path), Resources())
    assert len(rows) == MOST_RUNNING + 1 + MOST_FAILED + 1 + LAST_FINISHED
    assert {tuple(row) for row in rows} == {tuple(name for name in COLUMNS if name != "GPU")}
    left_out = [row["run"] for row in rows if row["run"].startswith("…")]
    assert left_out == [f"… and {300 - MOST_RUNNING} more", f"… and {200 - MOST_FAILED} more"]


def test_counts_add_up_to_the_plan(tmp_path: Path) -> None:
    text = counts_text(board(300, 200, 1400, tmp_path), 2000, 1400)
    assert text == "1400 of 2000 runs finished, 300 running, 200 failed, 100 waiting"


def test_running_run_shows_its_worker_once_that_has_begun(tmp_path: Path) -> None:
    state = board(2, 0, 0, tmp_path)
    begun = state.running[1].run
    begun.folder.mkdir()
    report = ProgressFile(begun.folder)
    report(7, 20, 1.5)
    progress = read_progress(begun.folder)
    assert progress is not None
    waiting, running = table_rows(state, Resources())
    assert (waiting["state"], waiting["worker"]) == ("waiting for a place", "")
    assert (running["state"], running["step"], running["loss"]) == ("running", "7 of 20", "1.5000")
    assert running["worker"] == f"{progress.host}, pid {progress.pid}"


def test_finished_run_shows_its_speed_and_price(tmp_path: Path) -> None:
    state = BoardState((), (), (finished(planned(tmp_path, 1), tokens=1000, seconds=4.0),), 1, {f"{1:064x}": 3})
    (row,) = table_rows(state, Resources(cpus_per_run=2, price_per_hour=360))
    assert row["tokens/s"] == "250"
    assert row["seconds"] == "5.0"
    assert row["cost"] == "10 CPU-s, 1.0000", "5 s on 2 CPUs at 0.1 a second"
    assert row["note"] == "attempt 3"


def test_cost_is_of_gpus_where_runs_take_some() -> None:
    resources = Resources(cpus_per_run=8, gpus_per_run=0.5, workers_per_run=4, price_per_hour=2)
    assert cost_text(3600, resources) == "2.00 GPU-h, 4.0000"
