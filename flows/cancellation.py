"""Cancelling: a person stops a flow run on the Prefect server, and its runs on the cluster end."""

from __future__ import annotations

import time
from typing import Any
from uuid import UUID

from httpx import TransportError
from prefect import Flow, State
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun
from prefect.runtime import flow_run as current
from prefect.states import Cancelled

from flows.one_try import OneTry
from tasks.errors import RunError

_CHECK_SECONDS = 3.0


class RunCancelledError(RunError):
    """The run was stopped on purpose: from the Prefect UI, or because its flow ended."""


class Cancellation:
    """Notices that somebody cancelled the flow run, or one it belongs to, on the Prefect server.

    A flow started from the command line has no Prefect worker that would stop it.
    """

    def __init__(self) -> None:
        """Remember the current flow run and those above it; call inside a flow."""
        identities = (current.get_id(), current.get_parent_flow_run_id(), current.get_root_flow_run_id())
        self._runs = tuple(dict.fromkeys(UUID(str(identity)) for identity in identities if identity))
        self._prefect = OneTry()
        self._next = 0.0

    def check(self) -> None:
        """Ask the server every few seconds.

        Raises:
            RunCancelledError: a person cancelled one of the flow runs.
        """
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + _CHECK_SECONDS
        try:
            with self._prefect.client() as client:
                states = [client.read_flow_run(identity).state for identity in self._runs]
        except TransportError:  # a server that is gone cancels nothing: what trains goes on
            return
        if any(state is not None and (state.is_cancelling() or state.is_cancelled()) for state in states):
            raise RunCancelledError(
                "Cancelled on the Prefect server. What has finished is stored; start the experiment again to go on."
            )


def close_cancelled(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """Hook `on_cancellation` of a flow: put its run from Cancelling to Cancelled once it has ended.

    A Prefect worker does so for the runs it started; for those of the command line nobody would.
    """
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(flow_run.id, Cancelled(message="Cancelled; what has finished is stored."), force=True)
