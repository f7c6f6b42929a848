"""Stopping an experiment reaches its workers, loses nothing, and the next start goes on."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Cancelling

from tests.bench.prefect_records import flow_runs
from tests.flows.command import LONG_DESIGN, LONG_RUNS, NAME, Command, busy_workers, small_experiment


def interrupt(command: Command, driver: int) -> None:
    """What Ctrl-C in the terminal does."""
    os.kill(driver, signal.SIGINT)


def cancel_on_the_server(command: Command, driver: int) -> None:
    """What the Cancel button of the UI does."""
    url = json.loads((command.home / "prefect" / "server.json").read_text())["url"]
    with temporary_settings({PREFECT_API_URL: url}), get_client(sync_client=True) as client:
        (run,) = [run for run in client.read_flow_runs() if run.name == NAME and run.state.is_running()]
        client.set_flow_run_state(run.id, Cancelling(), force=True)


def test_stopped_experiment_ends_its_workers_and_goes_on_with_the_next_start(command: Command, tmp_path: Path) -> None:
    experiment = small_experiment(tmp_path, validation=None, design=LONG_DESIGN)
    sealed = 0
    for stop in (interrupt, cancel_on_the_server):
        driver = command.start("run", str(experiment))
        command.wait_for(lambda: command.finished() > sealed and bool(busy_workers(driver.pid)), driver)  # noqa: B023
        workers = busy_workers(driver.pid)

        stop(command, driver.pid)
        out, err = driver.communicate(timeout=120)

        assert driver.returncode not in (0, None)
        assert "Traceback" not in out + err
        assert "again" in err, "the message says how to go on"
        assert not any(worker.is_running() and worker.status() != "zombie" for worker in workers)
        done = [run for run in command.overview()["phases"]["measure"]["runs"] if run["state"] == "finished"]
        assert sealed < len(done) < LONG_RUNS
        # A worker may seal its record in the moment between the stop and its end: such a run is not trained again
        # either.
        sealed = len(list((command.home / "artifacts" / "runs").glob("*/record.json")))
        assert len(done) <= sealed < LONG_RUNS

    states = [run.state for run in flow_runs(command.home) if run.name == NAME]
    assert states[-1] == "Cancelled", "no Prefect worker closes the run of a command"

    again = command.run("run", str(experiment))

    assert again.returncode == 0, again.stderr
    assert f": {LONG_RUNS - sealed} runs trained, {sealed} reused" in again.stdout
