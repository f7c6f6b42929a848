"""Errors that Ray pushes to a driver stay off its terminal; the task's own error still reaches its caller."""

from __future__ import annotations

import os
import subprocess
import sys

DRIVER = """
import sys, time
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
        print("caller:", error.cause, file=sys.stderr)
    time.sleep(3)
"""


def test_pushed_error_is_not_printed() -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    ended = subprocess.run(
        [sys.executable, "-c", DRIVER], env=environment, capture_output=True, text=True, timeout=180, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == ""
    assert "planted" not in ended.stderr
    assert "caller: the task's own error" in ended.stderr
