"""Every design is measured on real components; a sequential one goes on where a kill left it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.flows.command import CATEGORIES, Command, small_experiment

MEASURE = """
import sys
from pathlib import Path
from flows.cli.experiments import prefect_environment
from flows.experiment_file import load_experiment
config = load_experiment(Path(sys.argv[1]))
with prefect_environment(False):
    from flows.measure import measure
    measure(config)
"""

SEQUENTIAL = {"kind": "sequential", "arm": "size-reduced", "seeds": [1, 2, 3, 4], "max_runs": 12, "chance": 0.01}


def start_measure(command: Command, experiment: Path) -> subprocess.Popen[str]:
    """The flow `measure` alone, as a deployment would start it."""
    return subprocess.Popen(
        [sys.executable, "-c", MEASURE, str(experiment)],
        env={**os.environ, "BEYOND_IID_HOME": str(command.home), "CUDA_VISIBLE_DEVICES": ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def measured(command: Command) -> list[dict[str, Any]]:
    return list(command.overview()["phases"]["measure"]["runs"])


def adaptive(command: Command) -> set[tuple[str, int]]:
    rows = command.query(
        "SELECT i.name, p.seed FROM planned_run p JOIN intervention i ON i.id = p.intervention_id WHERE p.adaptive"
    )
    return {(name, seed) for name, seed in rows}


def test_measure_of_a_factorial_trains_every_row_on_its_counts(beside_others: Command, tmp_path: Path) -> None:
    command = beside_others
    experiment = small_experiment(tmp_path, design={"kind": "factorial", "seeds": [1]})
    process = start_measure(command, experiment)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    phase = command.overview()["phases"]["measure"]
    assert [run["intervention"] for run in phase["runs"]] == ["baseline", *(f"factorial {k}" for k in range(1, 5))]
    assert {run["state"] for run in phase["runs"]} == {"finished"}
    assert not any(run["adaptive"] for run in phase["runs"])
    baseline = dict(zip(CATEGORIES, (24, 18, 18), strict=True))
    seen = {tuple(dict(one["counts"])[c] / baseline[c] for c in CATEGORIES) for one in phase["interventions"][1:]}
    assert len(seen) == 4
    assert {level for row in seen for level in row} == {0.5, 1.5}


def test_measure_of_a_sequential_design_killed_in_a_later_block_goes_on_with_the_same_runs(
    beside_others: Command, tmp_path: Path
) -> None:
    command = beside_others
    experiment = small_experiment(tmp_path, design=SEQUENTIAL)
    process = start_measure(command, experiment)
    command.wait_for(lambda: bool(adaptive(command)), process)
    chosen, done = adaptive(command), command.finished()
    assert done >= 8, "the first block, 4 training sets with 2 seeds, comes before anything is chosen"
    process.kill()
    process.communicate(timeout=60)

    again = start_measure(command, experiment)
    _, errors = again.communicate(timeout=300)

    assert again.returncode == 0, errors
    runs = measured(command)
    later = {(run["intervention"], run["seed"]) for run in runs if run["adaptive"]}
    first = {(run["intervention"], run["seed"]) for run in runs if not run["adaptive"]}
    assert {run["state"] for run in runs} == {"finished"}
    assert chosen <= later
    assert {seed for _, seed in later} <= {3, 4}
    assert first == {(name, seed) for name in {n for n, _ in first} for seed in (1, 2)}
    assert len(first) == 8
    assert 8 < len(runs) <= 12
    assert "runs are in" in errors

    third = start_measure(command, experiment)
    third.communicate(timeout=300)
    assert third.returncode == 0
    assert [(run["fingerprint"], run["attempts"]) for run in measured(command)] == [
        (run["fingerprint"], run["attempts"]) for run in runs
    ]
