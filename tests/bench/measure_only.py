"""The measure flow of an experiment file in this process: `python -m tests.bench.measure_only FILE [key=value …]`."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from flows.cli.experiments import prefect_environment
from flows.config import ExperimentConfig
from flows.experiment_file import load_experiment


def main(experiment: Path, changes: list[str]) -> None:
    """Measure, as the flow of that name does; the scores stay in the state folder."""
    measure(load_experiment(experiment, changes))


def measure(config: ExperimentConfig, before: Callable[[], None] = lambda: None) -> None:
    """Run the flow `measure` with the Prefect server of the state folder.

    Args:
        config: the experiment.
        before: called first where Prefect may be imported: after its address is known.
    """
    with prefect_environment(verbose=False):
        before()
        from flows.measure import measure as flow

        flow(config)


def measured(experiment: Path, environment: dict[str, str], *changes: str) -> float:
    """Run `main` in a process of its own; wall seconds from its start to its end."""
    start = time.perf_counter()
    command = [sys.executable, "-m", "tests.bench.measure_only", str(experiment), *changes]
    ended = subprocess.run(command, env=environment, check=False, capture_output=True, text=True)
    if ended.returncode:
        sys.exit(f"the measurement ended with {ended.returncode}\n{ended.stderr[-4000:]}")
    return time.perf_counter() - start


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
