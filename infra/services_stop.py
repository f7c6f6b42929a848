"""Ending what the services still do, and what a killed supervisor has left."""

from __future__ import annotations

import time

from infra.postgres import start_embedded
from infra.postgres_process import Cluster
from infra.prefect_calls import runs_going_on, set_state
from infra.service_processes import Children, members
from infra.services_record import Record, ServicesFolder

_FLOW_RUNS_SECONDS = 20.0
_PATIENCE_SECONDS = 10.0
_MESSAGE = "Stopped by `beyond-iid down`. What has finished is stored; start it again to go on."


def cancel_flow_runs(api: str) -> tuple[str, ...]:
    """Cancel the flow runs that are going on, as the UI's button does, and wait a while until they have ended.

    Returns:
        Their names.
    """
    running = runs_going_on(api)
    for run in running:
        set_state(api, run, "CANCELLING", _MESSAGE)
    deadline = time.monotonic() + _FLOW_RUNS_SECONDS
    while running.keys() & runs_going_on(api).keys() and time.monotonic() < deadline:
        time.sleep(0.2)
    return tuple(running.values())


def settle_flow_runs(api: str) -> None:
    """Mark as cancelled what was ended before it could say so: no run may look as if it were still going on."""
    for run in runs_going_on(api, nested=True):
        set_state(api, run, "CANCELLED", _MESSAGE)


def clear_leftovers(folder: ServicesFolder) -> int:
    """End what a killed supervisor's services have left; the caller holds the lock.

    Returns:
        How many processes.
    """
    record = folder.read()
    if not record.services:
        return 0
    ended = Children().end(record.sessions, _PATIENCE_SECONDS, folder.path)
    if record.postgres_ours and Cluster(folder.home / "postgres").is_alive():
        start_embedded(folder.home).close()  # its last user stops it
        ended += 1
    if not members(record.sessions, folder.path):
        folder.remove_ray_folder()
    folder.write(Record())
    return ended
