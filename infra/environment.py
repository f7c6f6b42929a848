"""What the processes that are started for the product find in their environment: its packages, and choices for Ray."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

RAY_DEFAULTS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # A run that asks for no GPU must not see one: on a GPU machine all runs would pile up on the first.
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1",
    # Ray ends idle workers beyond the number of CPUs after one second. Where runs share a CPU or a GPU, every pause
    # between two of them would cost the next one its imports again.
    "RAY_idle_worker_killing_time_threshold_ms": "60000",
}
"""Of every Ray cluster that is started here."""

RAY_ON_LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
"""Despite its name: keeps all ports of a cluster that is this machine's alone on loopback, on Linux too."""

RAY_DRIVER = {"RAY_DEDUP_LOGS_SKIP_REGEX": "."}
"""Of the process that connects. Whatever `log_to_driver` says, Ray prints errors that workers push to it (tracebacks)
on its standard output, but for those that match; what failed is told by the task that waits for it."""

_ROOT = str(Path(__file__).resolve().parent.parent)


def with_project(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment with this project's packages on the import path, wherever a process is started."""
    path = os.pathsep.join(filter(None, [_ROOT, environment.get("PYTHONPATH")]))
    return {**environment, "PYTHONPATH": path}
