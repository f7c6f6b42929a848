"""Stopping an experiment reaches its workers, loses nothing, and the next start goes on."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Cancelling

from tests.flows.command import NAME, Command, busy_workers, small_experiment


def interrupt(command: Command, driver: int) -> None:
    """What Ctrl-C in the terminal does."""
    os.kill(driver, signal.SIGINT)


def cancel_on_the_server(command: Command, driver: int) -> None:
    """What the Cancel button of the UI does."""
    url = json.loads((command.home / "prefect" / "server.json").read_text())["url"]
    with temporary_settings({PREFECT_API_URL: url}), get_client(sync_client=True) as client:
        (run,) = [run for run in client.read_flow_runs() if run.name == NAME]
        client.set_flow_run_state(run.id, Cancelling(), force=True)


@pytest.mark.parametrize("stop", [interrupt, cancel_on_the_server])
def test_stopped_experiment_ends_its_workers_and_goes_on_with_the_next_start(
    stop: Callable[[Command, int], None], command: Command, tmp_path: Path
) -> None:
    experiment = small_experiment(tmp_path, validation=None)
    first = command.start("run", str(experiment))
    command.wait_for(lambda: command.finished() >= 1 and bool(busy_workers(first.pid)), first)
    workers = busy_workers(first.pid)

    stop(command, first.pid)
    out, err = first.communicate(timeout=120)

    assert first.returncode not in (0, None)
    assert "Traceback" not in out + err
    assert "again" in err, "the message says how to go on"
    assert not any(worker.is_running() and worker.status() != "zombie" for worker in workers)
    done = [run for run in command.overview()["phases"]["measure"]["runs"] if run["state"] == "finished"]
    assert 1 <= len(done) < 8

    again = command.run("run", str(experiment))

    assert again.returncode == 0, again.stderr
    assert f": {8 - len(done)} runs trained, {len(done)} reused" in again.stdout
