"""A step that takes hours, such as tagging, notices a cancellation and survives a server that is gone."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from uuid import UUID

from prefect import flow, task
from prefect.client.orchestration import get_client
from prefect.runtime import flow_run
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Cancelling

from flows.cancellation import RunCancelledError
from flows.progress import step_progress

ROWS = 100


def worked_through(hurdle: Callable[[UUID], None]) -> list[int]:
    """Rows done by a step in a task of a flow, as `prepare` has them; the hurdle comes after the first."""
    done: list[int] = []

    @task
    def step() -> None:
        with step_progress("tagging") as steps:
            for number in range(1, ROWS + 1):
                steps("rows", number, ROWS)
                done.append(number)
                if number == 1:
                    hurdle(UUID(str(flow_run.get_id())))
                time.sleep(0.05)

    @flow
    def prepare() -> None:
        step()

    try:
        prepare()
    except RunCancelledError:
        done.append(-1)
    return done


def cancel(identity: UUID) -> None:
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(identity, Cancelling(), force=True)


def test_cancelled_step_ends_within_seconds(prefect_server: str) -> None:
    with temporary_settings({PREFECT_API_URL: prefect_server}):
        done = worked_through(cancel)
    assert done[-1] == -1, "the flow ends with a cancellation"
    assert len(done) < ROWS


def test_progress_that_cannot_be_published_does_not_stop_the_step() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        gone = f"http://127.0.0.1:{probe.getsockname()[1]}/api"
    with temporary_settings({PREFECT_API_URL: gone}), step_progress("tagging") as steps:
        start = time.monotonic()
        for number in range(ROWS):
            steps("rows", number, ROWS)
        steps("rows", ROWS, ROWS)
    assert time.monotonic() - start < 20
