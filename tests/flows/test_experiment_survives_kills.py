"""kill -9 of the driver, of a worker and of Postgres: the same command completes, repeats nothing, doubles nothing."""

from __future__ import annotations

import signal
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.flows.command import (
    CATEGORIES,
    LONG_DESIGN,
    LONG_RUNS,
    METRICS,
    Command,
    busy_workers,
    processes,
    small_experiment,
)

SEEDS = LONG_DESIGN["seeds"]


def test_experiment_whose_worker_postgres_and_driver_are_killed_completes_without_repeating(
    command: Command, tmp_path: Path
) -> None:
    experiment = small_experiment(tmp_path, validation=None, design=LONG_DESIGN)
    first = command.start("run", str(experiment))
    command.wait_for(lambda: command.finished() >= 1 and bool(busy_workers(first.pid)), first)
    (victim, *_) = busy_workers(first.pid)
    victim.send_signal(signal.SIGKILL)
    # Its run is tried again by itself, beside the others.
    command.wait_for(lambda: command.finished() >= 3, first)
    before = finished_runs(command)
    kill_postgres(command)
    out, err = first.communicate(timeout=400)
    assert "Traceback" not in out + err
    assert first.returncode, "the database is gone"

    second = command.start("run", str(experiment))
    command.wait_for(lambda: command.finished() >= len(before) + 1 and bool(busy_workers(second.pid)), second)
    before = {**finished_runs(command), **before}
    second.kill()
    second.wait()

    last = command.run("run", str(experiment))

    assert last.returncode == 0, last.stderr
    assert_complete(command)
    assert_kept(before, command)
    assert_nothing_runs_on_the_server(command)
    attempts = [run["attempts"] for run in all_runs(command.overview())]
    # The killed worker's run, and at most the one under way when Postgres and the driver died, each once more.
    assert max(attempts) > 1
    assert sum(attempts) - len(attempts) <= 3


def kill_postgres(command: Command) -> None:
    postmaster = int((command.home / "postgres" / "postmaster.pid").read_text().splitlines()[0])
    for process in processes(lambda line: str(command.home / "postgres") in line):
        if process.pid == postmaster:
            process.send_signal(signal.SIGKILL)


def finished_runs(command: Command) -> dict[str, tuple[Any, ...]]:
    """What must never change again: fingerprint → end, training seconds, attempts."""
    rows = command.query("SELECT fingerprint, finished, seconds, attempts FROM run WHERE state = 'finished'")
    if not rows:  # the server went down with its last user
        rows = [
            (run["fingerprint"], run["finished"], run["seconds"], run["attempts"])
            for run in all_runs(command.overview())
            if run["state"] == "finished"
        ]
        return {fingerprint: (end, seconds, attempts) for fingerprint, end, seconds, attempts in rows}
    return {fingerprint: (end.isoformat(), seconds, attempts) for fingerprint, end, seconds, attempts in rows}


def assert_kept(before: dict[str, tuple[Any, ...]], command: Command) -> None:
    assert before
    runs = {run["fingerprint"]: run for run in all_runs(command.overview())}
    for fingerprint, (_, seconds, attempts) in before.items():
        assert (runs[fingerprint]["seconds"], runs[fingerprint]["attempts"]) == (seconds, attempts)


def assert_nothing_runs_on_the_server(command: Command) -> None:
    """What the killed driver left as Running is Crashed now; what the lost database ended is Failed."""
    with closing(sqlite3.connect(command.home / "prefect" / "prefect.db")) as server:
        flows = dict(server.execute("SELECT state_type, count(*) FROM flow_run GROUP BY 1").fetchall())
        tasks = dict(server.execute("SELECT state_type, count(*) FROM task_run GROUP BY 1").fetchall())
    assert set(flows) == {"COMPLETED", "CRASHED", "FAILED"}
    # A kill in the moment between two runs finds no task under way.
    assert set(tasks) <= {"COMPLETED", "CRASHED", "FAILED"}
    assert flows["CRASHED"] == 2, "the experiment and its fan-out"


def assert_complete(command: Command) -> None:
    """Every planned run has exactly its scores, every intervention × seed × category × metric exactly one delta."""
    overview = command.overview()
    measured = overview["phases"]["measure"]
    assert measured["missing"] == []
    assert measured["states"]["finished"] == len(measured["runs"]) == LONG_RUNS
    keys = [(d["intervention"], d["seed"], d["category"], d["metric"]) for d in measured["deltas"]]
    assert len(keys) == len(set(keys)) == len(CATEGORIES) * len(SEEDS) * len(CATEGORIES) * METRICS
    runs = all_runs(overview)
    assert len({run["fingerprint"] for run in runs}) == len(runs)
    assert overview["phases"]["validate"]["missing"] == []
    if overview["config"]["validation"]:
        assert overview["verdicts"]


def all_runs(overview: dict[str, Any]) -> list[dict[str, Any]]:
    return [run for phase in overview["phases"].values() for run in phase["runs"]]
