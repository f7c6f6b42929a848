"""kill -9 of the driver, of a worker and of Postgres: the same command completes, repeats nothing, doubles nothing."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

from tests.flows.command import CATEGORIES, METRICS, SEEDS, Command, busy_workers, processes, small_experiment

MEASURE_RUNS = (1 + len(CATEGORIES)) * len(SEEDS)


def test_experiment_with_killed_driver_completes_without_repeating(command: Command, tmp_path: Path) -> None:
    experiment = small_experiment(tmp_path)
    first = command.start("run", str(experiment))
    command.wait_for(lambda: command.finished() >= 3, first)
    first.kill()
    first.wait()
    before = finished_runs(command)

    again = command.run("run", str(experiment))

    assert again.returncode == 0, again.stderr
    assert_complete(command)
    assert_kept(before, command)


def test_experiment_with_killed_worker_completes_without_repeating(command: Command, tmp_path: Path) -> None:
    experiment = small_experiment(tmp_path, validation=None)
    first = command.start("run", str(experiment))
    command.wait_for(lambda: command.finished() >= 2 and bool(busy_workers(first.pid)), first)
    before = finished_runs(command)
    victim = busy_workers(first.pid)[0]
    victim.send_signal(signal.SIGKILL)
    out, err = first.communicate(timeout=400)
    assert first.returncode == 0, out + err

    again = command.run("run", str(experiment))

    assert again.returncode == 0, again.stderr
    assert ": 0 runs trained" in again.stdout
    assert_complete(command)
    assert_kept(before, command)
    attempts = [run["attempts"] for run in all_runs(command.overview())]
    assert max(attempts) == 2, "the killed worker's run was tried again"


def test_experiment_with_killed_postgres_completes_without_repeating(command: Command, tmp_path: Path) -> None:
    experiment = small_experiment(tmp_path, validation=None)
    first = command.start("run", str(experiment))
    command.wait_for(lambda: command.finished() >= 3, first)
    before = finished_runs(command)
    postmaster = int((command.home / "postgres" / "postmaster.pid").read_text().splitlines()[0])
    for process in processes(lambda line: str(command.home / "postgres") in line):
        if process.pid == postmaster:
            process.send_signal(signal.SIGKILL)
    out, err = first.communicate(timeout=400)
    assert "Traceback" not in out + err

    again = command.run("run", str(experiment))

    assert again.returncode == 0, again.stderr
    assert_complete(command)
    assert_kept(before, command)


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


def assert_complete(command: Command) -> None:
    """Every planned run has exactly its scores, every intervention × seed × category × metric exactly one delta."""
    overview = command.overview()
    measured = overview["phases"]["measure"]
    assert measured["missing"] == []
    assert measured["states"]["finished"] == len(measured["runs"]) == MEASURE_RUNS
    keys = [(d["intervention"], d["seed"], d["category"], d["metric"]) for d in measured["deltas"]]
    assert len(keys) == len(set(keys)) == len(CATEGORIES) * len(SEEDS) * len(CATEGORIES) * METRICS
    runs = all_runs(overview)
    assert len({run["fingerprint"] for run in runs}) == len(runs)
    assert overview["phases"]["validate"]["missing"] == []
    if overview["config"]["validation"]:
        assert overview["verdicts"]


def all_runs(overview: dict[str, Any]) -> list[dict[str, Any]]:
    return [run for phase in overview["phases"].values() for run in phase["runs"]]
