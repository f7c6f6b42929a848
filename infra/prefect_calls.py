"""The few questions the supervisor asks a Prefect server, without Prefect in a process that must stay small."""

from __future__ import annotations

import base64
import json
import os
import urllib.request
from typing import Any
from urllib.parse import urlsplit

_GOING_ON = ("PENDING", "RUNNING", "CANCELLING")


def healthy(api: str) -> bool:
    """Whether a Prefect server answers at this API address."""
    try:
        _call(f"{api.rstrip('/')}/health")
    except (OSError, ValueError):
        return False
    return True


def worker_is_online(api: str, pool: str, worker: str) -> bool:
    """Whether the server has heard from the pool's worker lately."""
    wanted = {"workers": {"status": {"any_": ["ONLINE"]}}}
    try:
        found = _call(f"{api}/work_pools/{pool}/workers/filter", wanted)
    except (OSError, ValueError):
        return False
    return any(one.get("name") == worker for one in found)


def runs_going_on(api: str, *, nested: bool = False) -> dict[str, str]:
    """Names, by id, of the flow runs that are going on; {} if nobody answers.

    Args:
        api: the server.
        nested: include those that belong to another flow run.
    """
    wanted: dict[str, Any] = {"state": {"type": {"any_": list(_GOING_ON)}}}
    if not nested:
        wanted["parent_task_run_id"] = {"is_null_": True}
    try:
        found = _call(f"{api}/flow_runs/filter", {"flow_runs": wanted, "limit": 200})
        return {str(run["id"]): str(run["name"]) for run in found}
    except (OSError, ValueError, KeyError):
        return {}


def set_state(api: str, run: str, kind: str, message: str) -> bool:
    """Put a flow run into a state, whatever the server's rules say of it; False if that failed."""
    state = {"type": kind, "name": kind.capitalize(), "message": message}
    try:
        _call(f"{api}/flow_runs/{run}/set_state", {"state": state, "force": True})
    except (OSError, ValueError):
        return False
    return True


def _call(url: str, body: dict[str, Any] | None = None) -> Any:
    headers = {"Content-Type": "application/json"}
    if key := os.environ.get("PREFECT_API_KEY"):
        headers["Authorization"] = f"Bearer {key}"
    elif auth := os.environ.get("PREFECT_API_AUTH_STRING"):
        headers["Authorization"] = f"Basic {base64.b64encode(auth.encode()).decode()}"
    request = urllib.request.Request(  # noqa: S310 - a configured address
        url, data=None if body is None else json.dumps(body).encode(), headers=headers
    )
    # A proxy for the outside world must not be asked for what runs here.
    handlers = [urllib.request.ProxyHandler({})] if urlsplit(url).hostname in ("127.0.0.1", "localhost") else []
    with urllib.request.build_opener(*handlers).open(request, timeout=2) as reply:
        return json.load(reply)
