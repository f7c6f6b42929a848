"""The fan-out: one Prefect task run per fine-tune, one Ray task under it.

Prefect owns states and retries, Ray owns placement: a worker's death is an exception in the waiting Prefect task and
so an ordinary retry; ending the flow cancels its Ray tasks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.futures import PrefectFuture, wait
from prefect.task_runners import ThreadPoolTaskRunner

from db import runs as run_store
from db.session import Database
from flows.cancellation import Cancellation, RunCancelledError
from flows.config import Resources
from flows.planning import PlannedRun
from flows.progress import FanOutProgress, fan_out_progress
from flows.run_board import RunBoard
from flows.workspace import Workspace
from tasks.benchmarks.run import read_run_record
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
    @flow(name="fan-out", flow_run_name=title, task_runner=runner)
    def fan() -> list[tuple[str, str]]:
        with fan_out_progress(title, len(by_fingerprint), len(reused)) as progress:
            return _do_all(board, [run.fingerprint for run in open_runs], progress, len(reused))

    failed = fan()
    trained = {run.fingerprint for run in open_runs} - {identity for identity, _ in failed}
    return FanOutResult(
        tuple(reused),
        tuple(sorted(trained)),
        tuple((by_fingerprint[identity].label, reason) for identity, reason in failed),
    )


def _take_in(runs: dict[str, PlannedRun], database: Database) -> list[str]:
    with database.session() as session:
        done = set(run_store.finished(session, runs))
    for identity, run in runs.items():
        if identity in done:
            continue
        record = read_run_record(run.folder)
        if record and record.training.fingerprint == identity:
            with database.session() as session:
                run_store.record_finished(session, identity, record.training, record.scores, record.evaluation_seconds)
            done.add(identity)
    return [identity for identity in runs if identity in done]


def _do_all(
    board: RunBoard, identities: list[str], progress: FanOutProgress, done_before: int
) -> list[tuple[str, str]]:
    fine_tune = task(
        name="fine-tune",
        task_run_name="{label}",
        retries=board.resources.retries,
        retry_delay_seconds=2,
        retry_condition_fn=_worth_retrying,
        cache_policy=NO_CACHE,
        persist_result=False,
    )(board.execute)
    with board.stopping_on_exit():
        futures: dict[PrefectFuture[Any], str] = {
            fine_tune.submit(identity=identity, label=board.runs[identity].label): identity for identity in identities
        }
        pending = set(futures)
        cancellation = Cancellation()
        while pending:
            pending = set(wait(list(pending), timeout=_POLL_SECONDS).not_done)
            progress.update(done_before + len(futures) - len(pending), board.running())
            cancellation.check()
    return [
        (identity, str(future.state.message or "failed"))
        for future, identity in futures.items()
        if not future.state.is_completed()
    ]


def _worth_retrying(_task: Any, _run: Any, state: Any) -> bool:
    """Retry whatever may pass the next time; wrong input and a cancelled run will not."""
    error = state.result(raise_on_failure=False)
    return not isinstance(error, InputError | RunCancelledError)
