"""Events that set off other flows: what happened, to which data set or experiment, told to the Prefect server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tasks.errors import RunError

DATASET_LANDED = "beyond-iid.dataset.landed"
EXPERIMENT_MEASURED = "beyond-iid.experiment.measured"
EXPERIMENT_OPTIMIZED = "beyond-iid.experiment.optimized"
VALIDATION_LABEL = "beyond-iid.validation"
"""On an optimized experiment: "yes" where its settings call for a validation, else "no"."""


KIND_LABEL = "beyond-iid.event"
"""On every event: its own name. Automations that wait for the end of a burst gather by it: without a label to gather
by, Prefect's proactive triggers fire again and again although nothing has happened."""


def announce(event: str, name: str, labels: Mapping[str, str] | None = None) -> bool:
    """Tell the server of PREFECT_API_URL; an automation there may start a flow.

    Args:
        event: one of this module's events.
        name: the data set or the experiment.
        labels: what an automation may match besides.

    Returns:
        Whether the server took it. Where it did not, nothing is lost: what happened is in the database.
    """
    from httpx import HTTPError
    from prefect.client.orchestration import get_client
    from prefect.events import Event

    kind = event.rpartition(".")[0]
    resource = {"prefect.resource.id": f"{kind}.{name}", "prefect.resource.name": name, KIND_LABEL: event}
    told = Event(event=event, resource={**resource, **(labels or {})})
    try:
        with get_client(sync_client=True) as client:
            client.request("POST", "/events", json=[told.model_dump(mode="json")])
    except (HTTPError, OSError, RuntimeError):
        # RuntimeError is what the client says of a server that it does not reach.
        return False
    return True


def hand_on(event: str, name: str, following: str, labels: Mapping[str, str] | None = None) -> None:
    """Tell the server that a phase of an experiment is done, where a deployment goes on from there.

    Args:
        event: one of this module's events.
        name: the experiment.
        following: the deployment that an automation starts.
        labels: what an automation may match besides.

    Raises:
        RunError: the server did not take it, so that nothing would start; says what to start by hand.
    """
    if not announce(event, name, labels):
        raise RunError(
            f"The results of {name} are stored, but the Prefect server did not take the event {event}, so the next "
            f"phase does not start by itself. Start the deployment {following} with name={name} by hand (prefect "
            f"deployment run {following} --param name={name}), or this one again: what has finished is not repeated."
        )


def is_answered(event: str) -> bool:
    """Whether an automation that is switched on, on the server of PREFECT_API_URL, waits for the event.

    True where the server does not say.
    """
    from httpx import HTTPError
    from prefect.client.orchestration import get_client

    try:
        with get_client(sync_client=True) as client:
            found = client.request("POST", "/automations/filter", json={"limit": 200}).json()
    except (HTTPError, OSError, RuntimeError):
        return True
    return any(one["enabled"] and event in _expected(one["trigger"]) for one in found)


def _expected(trigger: Mapping[str, Any]) -> set[str]:
    """Events that a trigger, or one inside it, counts."""
    inside = (_expected(one) for one in trigger.get("triggers", ()))
    return set(trigger.get("expect", ())).union(*inside)
