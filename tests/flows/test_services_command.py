"""`up`, `status`, `down` from the command line, and experiments that use what is up."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import psutil
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL, temporary_settings

from infra.services import driver_environment
from tests.flows.command import LONG_DESIGN, LONG_RUNS, NAME, Command, processes, small_experiment


def flow_run_states(api: str) -> dict[str, str]:
    """State of each flow run that belongs to no other, by name."""
    with temporary_settings({PREFECT_API_URL: api}), get_client(sync_client=True) as client:
        runs = client.read_flow_runs()
    return {run.name: run.state_name or "" for run in runs if run.parent_task_run_id is None}


def ray_workers() -> list[psutil.Process]:
    return processes(lambda line: "ray::execute_run" in line)


def test_experiment_uses_the_services_and_down_stops_it_cleanly(command: Command, tmp_path: Path) -> None:
    try:
        started = command.run("up")
        assert started.returncode == 0, started.stderr
        api = driver_environment(command.home)["PREFECT_API_URL"]
        shown = json.loads(command.run("status", "--json").stdout)
        assert [one["state"] for one in shown] == ["healthy"] * 4
        table = command.run("status")
        assert table.returncode == 0
        assert all(one["address"] in table.stdout for one in shown)

        # The first of its runs is enough to see where it works; `down` then comes in its middle.
        others = {worker.pid for worker in ray_workers()}
        experiment = small_experiment(tmp_path, validation=None, design=LONG_DESIGN)
        driver = command.start("run", str(experiment))
        command.wait_for(
            lambda: command.finished() >= 1 and any(worker.pid not in others for worker in ray_workers()), driver
        )
        assert flow_run_states(api) == {NAME: "Running"}
        mine = [worker for worker in ray_workers() if worker.pid not in others]
        assert all(driver.pid not in [parent.pid for parent in worker.parents()] for worker in mine)

        stopped = command.run("down")
        out, err = driver.communicate(timeout=60)

        assert stopped.returncode == 0, stopped.stderr
        assert f"  {NAME}\n" in stopped.stdout
        assert driver.returncode not in (0, None)
        assert "Traceback" not in out + err
        assert f"Watch it in the Prefect UI: {api.removesuffix('/api')}" in err
        assert not any(worker.is_running() and worker.status() != psutil.STATUS_ZOMBIE for worker in mine)
        assert processes(lambda line: str(command.home) in line) == []
        done = [run for run in command.overview()["phases"]["measure"]["runs"] if run["state"] == "finished"]
        assert 1 <= len(done) < LONG_RUNS
    finally:
        command.run("down")


def test_status_and_down_without_services_say_so(command: Command) -> None:
    status = command.run("status")
    assert status.returncode == 0
    assert "beyond-iid up" in status.stdout
    assert "No services are up" in command.run("down").stdout
    assert json.loads(command.run("status", "--json").stdout) == []


def test_up_with_a_port_in_use_ends_with_2_and_one_message(command: Command) -> None:
    with socket.socket() as blocker:
        blocker.bind(("127.0.0.1", 0))
        blocker.listen()
        port = blocker.getsockname()[1]
        refused = command.run("up", "--prefect-port", str(port))
    assert refused.returncode == 2
    assert refused.stderr.startswith(f"beyond-iid: Port {port} for prefect is in use")
    assert "Traceback" not in refused.stderr
    assert command.run("status", "--json").stdout.strip() == "[]"


def test_up_in_a_bad_home_ends_with_2_and_one_message(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    refused = Command(tmp_path / "file" / "home").run("up")
    assert refused.returncode == 2
    assert "BEYOND_IID_HOME" in refused.stderr
    assert "Traceback" not in refused.stderr
