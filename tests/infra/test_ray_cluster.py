"""A local cluster prints nothing on its driver's terminal, and leaves no process behind, even without its head."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass

import psutil
import pytest

DRIVER = """
import json, os, sys, time
import psutil
from infra.ray_cluster import ray_cluster
with ray_cluster(None):
    import ray
    from ray._private import utils, worker
    utils.push_error_to_driver(worker.global_worker, "planted", "Traceback: a planted error")
    @ray.remote(max_retries=0)
    def fails():
        raise ValueError("the task's own error")
    try:
        ray.get(fails.remote())
    except ray.exceptions.RayTaskError as error:
        caught = str(error.cause)
    @ray.remote
    def busy(path):
        open(path, "w").write(str(os.getpid()))
        time.sleep(600)
    busy.remote(sys.argv[1])
    while not (os.path.exists(sys.argv[1]) and open(sys.argv[1]).read()):
        time.sleep(0.1)
    time.sleep(2)  # the pushed error arrives
    children = psutil.Process().children(recursive=True)
    next(one for one in children if "gcs_server" in one.name()).kill()
    time.sleep(1)
print(json.dumps({"caught": caught, "processes": [one.pid for one in children]}), file=sys.stderr)
"""


@dataclass
class Ended:
    """A driver that ended, and the processes it had."""

    stdout: str
    stderr: str
    processes: list[int]
    caught: str


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Ended:
    note = tmp_path_factory.mktemp("worker") / "pid"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    process = subprocess.run(
        [sys.executable, "-c", DRIVER, str(note)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    return Ended(process.stdout, process.stderr, **json.loads(process.stderr.splitlines()[-1]))


def test_pushed_error_is_not_printed_and_the_tasks_own_reaches_its_caller(ended: Ended) -> None:
    assert ended.stdout == ""
    assert "planted" not in ended.stderr
    assert ended.caught == "the task's own error"


def test_workers_and_agents_end_with_their_driver_although_the_head_was_killed(ended: Ended) -> None:
    assert len(ended.processes) > 4, "GCS, raylet, agents, workers"
    deadline = time.monotonic() + 5
    while (left := [pid for pid in ended.processes if psutil.pid_exists(pid)]) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not left
