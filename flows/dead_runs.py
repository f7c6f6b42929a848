"""Flow runs whose process was killed: nobody told the Prefect server, so they would stay Running for ever."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from uuid import UUID

from httpx import HTTPError
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterId,
    FlowRunFilterParentFlowRunId,
    FlowRunFilterState,
    FlowRunFilterStateType,
    FlowRunFilterTags,
    TaskRunFilter,
    TaskRunFilterState,
    TaskRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.runtime import flow_run
from prefect.states import Crashed

from flows.one_try import OneTry

_OPEN = [StateType.PENDING, StateType.RUNNING, StateType.CANCELLING]
_MESSAGE = "Its process ended without a word (killed, or its machine was lost); a later start goes on."


@contextmanager
def marked_as_working(experiment: str) -> Iterator[None]:
    """Close what earlier holders of the experiment's lock left open on the server, and be known as its holder.

    Enter inside a flow that holds the lock (`flows.experiment_lock`), and leave before the lock is given back: so a run
    that is open and bears the mark, while another one holds the lock, is dead. It is set to Crashed, with everything
    below it. Runs that wait for the lock, or have given it back, bear no mark.
    """
    own = UUID(str(flow_run.get_id()))
    mark = f"works on {experiment}"
    at_the_end = OneTry()
    with get_client(sync_client=True) as client:
        holders = client.read_flow_runs(
            flow_run_filter=FlowRunFilter(
                tags=FlowRunFilterTags(all_=[mark]),
                state=FlowRunFilterState(type=FlowRunFilterStateType(any_=_OPEN)),
            )
        )
        dead = [run for holder in holders if holder.id != own for run in (holder, *_below(client, holder.id))]
        for run in reversed(dead):
            _close(client, run)
        tags = set(client.read_flow_run(own).tags) - {mark}
        client.update_flow_run(own, tags={*tags, mark})
    try:
        yield
    finally:
        # A server that is gone keeps the mark; the run's end will not reach it either.
        with suppress(HTTPError, OSError, RuntimeError), at_the_end.client() as client:
            client.update_flow_run(own, tags=tags)


def _below(client: SyncPrefectClient, parent: UUID) -> Iterator[FlowRun]:
    """Open flow runs that the parent started, and theirs."""
    children = client.read_flow_runs(
        flow_run_filter=FlowRunFilter(
            parent_flow_run_id=FlowRunFilterParentFlowRunId(any_=[parent]),
            state=FlowRunFilterState(type=FlowRunFilterStateType(any_=_OPEN)),
        )
    )
    for child in children:
        yield child
        yield from _below(client, child.id)


def _close(client: SyncPrefectClient, run: FlowRun) -> None:
    tasks = client.read_task_runs(
        flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[run.id])),
        task_run_filter=TaskRunFilter(state=TaskRunFilterState(type=TaskRunFilterStateType(any_=_OPEN), name=None)),
    )
    for task in tasks:
        client.set_task_run_state(task.id, Crashed(message=_MESSAGE), force=True)
    client.set_flow_run_state(run.id, Crashed(message=_MESSAGE), force=True)
