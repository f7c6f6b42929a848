"""Flow `on-dataset`: what has landed since is answered by the experiments that use it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from prefect import flow, get_run_logger
from prefect.client.schemas.objects import State
from prefect.states import Completed

from db import events
from db.experiments import get_experiment
from flows.cancellation import RunCancelledError, close_cancelled
from flows.experiment import experiment
from flows.landing import adopt_unrecorded
from flows.recorded import experiments_using, valid_config
from flows.workspace import Workspace, workspace
from tasks.errors import RunError


@flow(name="on-dataset", flow_run_name="on-dataset", persist_result=False, on_cancellation=[close_cancelled])
def on_dataset(retry_now: bool = False) -> State[None]:
    """Ask the database which landed data sets wait for an answer, and run the experiments that use them.

    The experiments run one after another as flows inside this one: it needs no second place at the work pool, stops
    them when it is stopped, and learns directly how they ended. What an experiment has trained before is not trained
    again. What lands meanwhile is left to the next run.

    Args:
        retry_now: Try again also where a rerun failed a short while ago; else each failure doubles the pause, from 5
            minutes to a day.

    Raises:
        RunError: naming the experiments that failed; what they should have answered stays open.
    """
    log = get_run_logger()
    with workspace() as opened:
        adopted, damaged = adopt_unrecorded(opened)
        for dataset in adopted:
            log.warning("%s: found a snapshot that was not recorded (its landing was cut short); recorded now", dataset)
        waiting = _by_dataset(opened)
        done, pending, failed = [], [], list(damaged)
        users = {dataset: experiments_using(opened, dataset) for dataset in waiting}
        for name, (config, event_ids) in _work(waiting, users).items():
            due, later = _due(opened, name, event_ids, retry_now)
            if later:
                pending.append(later)
            if not due:
                continue
            failure = _rerun(opened, name, config, due)
            if failure:
                failed.append(f"{name}: {failure}")
            else:
                done.append(name)
        for dataset, event_ids in waiting.items():
            _close(opened, event_ids, tuple(users[dataset]))
            if not users[dataset]:
                pending.append(f"no experiment uses {dataset}")
    if failed:
        raise RunError(f"{len(failed)} failed, and the next run tries again:\n" + "\n".join(failed))
    told = "; ".join(pending)
    return Completed(message=f"Rerun: {', '.join(done) or 'nothing'}" + (f" ({told})" if told else ""))


def _by_dataset(opened: Workspace) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    with opened.database.session() as session:
        for event in events.unprocessed(session):
            found.setdefault(event.dataset, []).append(event.id)
    return found


def _work(
    waiting: Mapping[str, list[int]], users: Mapping[str, Mapping[str, Mapping[str, Any]]]
) -> dict[str, tuple[Mapping[str, Any], list[int]]]:
    """Configuration and events by experiment."""
    return {name: (config, waiting[dataset]) for dataset in waiting for name, config in users[dataset].items()}


def _due(opened: Workspace, name: str, event_ids: list[int], retry_now: bool) -> tuple[list[int], str]:
    """All that the experiment has not answered, if any of it may be tried now; else nothing, and why."""
    with opened.database.session() as session:
        waiting = events.waiting(session, event_ids, name)
    if not waiting or retry_now or any(one.due is None or one.due <= datetime.now(UTC) for one in waiting):
        return [one.event_id for one in waiting], ""
    first = min(waiting, key=lambda one: one.due or datetime.max.replace(tzinfo=UTC))
    reason = (first.failure or "its process ended").strip().splitlines()[0]
    return [], f"{name} waits until {first.due:%Y-%m-%d %H:%M} UTC after attempt {first.attempts}: {reason}"


def _rerun(opened: Workspace, name: str, config: Mapping[str, Any], event_ids: list[int]) -> str:
    """Run the experiment; why it failed, empty where it did not."""
    with opened.database.session() as session:
        events.start_attempt(session, event_ids, name)
    try:
        experiment(valid_config(name, config))
    except Exception as error:
        with opened.database.session() as session:
            events.record_failure(session, event_ids, name, str(error) or type(error).__name__)
        if isinstance(error, RunCancelledError):
            raise
        return str(error) or type(error).__name__
    with opened.database.session() as session:
        events.record_answer(session, event_ids, name, get_experiment(session, name).id)
    return ""


def _close(opened: Workspace, event_ids: list[int], experiments: tuple[str, ...]) -> None:
    """Set the events processed that every experiment which uses them has answered."""
    if not experiments:
        return
    with opened.database.session() as session:
        open_ids = {one.event_id for name in experiments for one in events.waiting(session, event_ids, name)}
        events.mark_processed(session, set(event_ids) - open_ids)
