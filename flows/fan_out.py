"""The fan-out: one Prefect task run per fine-tune, one Ray task under it.

Prefect owns states and retries, Ray owns placement: a worker's death is an exception in the waiting Prefect task and
so an ordinary retry; ending the flow cancels its Ray tasks.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, wait
from dataclasses import dataclass
from typing import Any

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.futures import PrefectConcurrentFuture
from prefect.task_runners import ThreadPoolTaskRunner

from db import runs as run_store
from db.session import Database
from flows.cancellation import Cancellation, RunCancelledError, close_cancelled
from flows.config import Resources
from flows.monitor import Monitor, monitored
from flows.planning import PlannedRun
from flows.retention import settle, store_scores
from flows.run_board import RunBoard
from flows.workspace import Workspace
from infra.ray_head import connected_head
from tasks.errors import InputError

_POLL_SECONDS = 0.5


@dataclass(frozen=True)
class FanOutResult:
    """What became of the planned runs.

    Attributes:
        reused: fingerprints whose scores were in the database (or in the artifact store) already.
        trained: fingerprints trained now.
        failed: (label, reason) of the runs that failed for good.
    """

    reused: tuple[str, ...]
    trained: tuple[str, ...]
    failed: tuple[tuple[str, str], ...]


def fan_out(title: str, runs: Sequence[PlannedRun], resources: Resources, workspace: Workspace) -> FanOutResult:
    """Do every run that has no scores yet; call inside a Prefect flow.

    A record on disk without a row (its driver died in between) is taken in instead of trained again.
    """
    by_fingerprint = {run.fingerprint: run for run in runs}
    reused = _take_in(by_fingerprint, workspace.database)
    open_runs = [run for identity, run in by_fingerprint.items() if identity not in reused]
    if not open_runs:
        return FanOutResult(tuple(reused), (), ())
    workers = resources.workers_per_run
    slots = workspace.cluster().slots(resources.cpus_per_run * workers, resources.gpus_per_run * workers)
    slots = min(slots, resources.max_parallel or slots, len(open_runs))
    board = RunBoard(by_fingerprint, resources, workspace.database)
    runner: Any = ThreadPoolTaskRunner(max_workers=slots)

    # A subflow of its own, because its task runner is sized to the cluster, which is known only now; without
    # parameters, because Prefect would serialize them.
    @flow(name="fan-out", flow_run_name=title, task_runner=runner, on_cancellation=[close_cancelled])
    def fan() -> list[tuple[str, str]]:
        with monitored(title, board, reused) as monitor:
            return _do_all(board, [run.fingerprint for run in open_runs], monitor, len(reused))

    reasons = dict(fan())
    # Prefect's states say what a person sees; what is there, the database and the records say.
    trained = set(_take_in({run.fingerprint: run for run in open_runs}, workspace.database))
    return FanOutResult(
        tuple(reused),
        tuple(sorted(trained)),
        tuple(
            (run.label, reasons.get(run.fingerprint, "ended without scores"))
            for run in open_runs
            if run.fingerprint not in trained
        ),
    )


def _take_in(runs: dict[str, PlannedRun], database: Database) -> list[str]:
    with database.session() as session:
        done = set(run_store.finished(session, runs))
    for identity, run in runs.items():
        if identity in done:
            continue
        if store_scores(database, identity, run.folder):
            done.add(identity)
    for identity in sorted(done)[:1]:  # what an earlier start was killed before
        settle(database, identity, runs[identity].folder.parent)
    return [identity for identity in runs if identity in done]


def _do_all(board: RunBoard, identities: list[str], monitor: Monitor, done_before: int) -> list[tuple[str, str]]:
    fine_tune = task(
        name="fine-tune",
        task_run_name="{label}",
        retries=board.resources.retries,
        retry_delay_seconds=2,
        retry_condition_fn=_worth_retrying,
        cache_policy=NO_CACHE,
        persist_result=False,
    )(board.execute)
    submit: Any = fine_tune.submit
    cancellation, head = Cancellation(), connected_head()
    with board.stopping_on_exit():
        futures: dict[PrefectConcurrentFuture[Any], str] = {  # of a thread pool, see `fan_out`
            submit(identity=identity, label=board.runs[identity].label): identity for identity in identities
        }
        pending = set(futures)
        while pending:
            # Not Prefect's wait: in the main thread its timeout is an alarm, which may go off inside a held lock.
            threads = [future.wrapped_future for future in pending]
            finished = wait(threads, timeout=_POLL_SECONDS, return_when=FIRST_COMPLETED).done
            pending = {future for future in pending if future.wrapped_future not in finished}
            monitor.update(done_before + len(futures) - len(pending))
            cancellation.check()
            head.check()
    reasons = {identity: _why_failed(future) for future, identity in futures.items()}
    return [(identity, reason) for identity, reason in reasons.items() if reason]


def _why_failed(future: PrefectConcurrentFuture[Any]) -> str:
    """Why a task run that has ended failed; empty where it did not."""
    crash = future.wrapped_future.exception()
    if crash is not None:  # Prefect's own machinery broke
        return f"{type(crash).__name__}: {crash}"
    future.wait()  # has ended: takes its state
    return "" if future.state.is_completed() else str(future.state.message or "failed")


def _worth_retrying(_task: Any, _run: Any, state: Any) -> bool:
    """Retry whatever may pass the next time; wrong input and a cancelled run will not."""
    error = state.result(raise_on_failure=False)
    return not isinstance(error, InputError | RunCancelledError)
