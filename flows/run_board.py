"""One run on the cluster: what a waiting Prefect task does, and which runs are under way."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from prefect import get_run_logger

from db import runs as run_store
from db.session import Database
from flows.cancellation import RunCancelledError
from flows.config import Resources
from flows.monitor_log import LogTail, without_secrets
from flows.planning import PlannedRun
from flows.remote import RunTimeoutError, result_of
from flows.retention import store_scores
from flows.worker import WorkerProgress, execute_run, forget_progress, read_progress
from tasks.benchmarks.run import RunRecord
from tasks.errors import RunError

LAST_FINISHED = 10
"""How many of the finished runs the board still knows in detail."""

_POLL_SECONDS = 0.5
_LOG_SECONDS, _LOG_LINES = 2.0, 30


@dataclass(frozen=True)
class Running:
    """A run on the cluster.

    Attributes:
        run: which.
        since: `time.monotonic()` of its submission.
    """

    run: PlannedRun
    since: float


@dataclass(frozen=True)
class Finished:
    """A run that this fan-out finished.

    Attributes:
        run: which.
        record: what its worker reported.
    """

    run: PlannedRun
    record: RunRecord
    progress: WorkerProgress | None


@dataclass(frozen=True)
class BoardState:
    """A fan-out at one moment.

    Attributes:
        running: on the cluster, longest first.
        failed: (run, reason) whose last attempt failed, latest last; those tried again at the moment are running.
        last_finished: the last `LAST_FINISHED`, latest last.
        finished: how many this fan-out finished.
        attempts: by fingerprint, where there was more than one.
    """

    running: tuple[Running, ...]
    failed: tuple[tuple[PlannedRun, str], ...]
    last_finished: tuple[Finished, ...]
    finished: int
    attempts: dict[str, int]


class RunBoard:
    """The runs of one fan-out and which of them run at the moment; shared by the waiting threads."""

    def __init__(self, runs: dict[str, PlannedRun], resources: Resources, database: Database) -> None:
        """Start with nothing under way.

        Args:
            runs: by fingerprint.
            resources: what each run takes.
            database: where scores go.
        """
        self.runs, self.resources, self.database = runs, resources, database
        self._running: dict[str, Running] = {}
        self._failed: dict[str, str] = {}
        self._last_finished: deque[Finished] = deque(maxlen=LAST_FINISHED)
        self._finished: set[str] = set()
        self._attempts: dict[str, int] = {}
        self._lock = threading.Lock()
        self._stop = threading.Event()

    def state(self) -> BoardState:
        """How things stand now."""
        with self._lock:
            return BoardState(
                tuple(self._running.values()),
                tuple((self.runs[identity], reason) for identity, reason in self._failed.items()),
                tuple(self._last_finished),
                len(self._finished),
                {identity: n for identity, n in self._attempts.items() if n > 1},
            )

    def finished(self) -> frozenset[str]:
        """Fingerprints of the runs this fan-out finished."""
        with self._lock:
            return frozenset(self._finished)

    @contextmanager
    def stopping_on_exit(self) -> Iterator[None]:
        """When the flow ends for whatever reason, let every waiting thread cancel its Ray task."""
        try:
            yield
        finally:
            self._stop.set()

    def execute(self, identity: str, label: str) -> None:
        """Do one run on the cluster and store its scores: the body of the Prefect task."""
        if self._stop.is_set():
            raise RunCancelledError(f"{label}: cancelled before it started")
        run = self.runs[identity]
        run.write()
        forget_progress(run.folder)
        with self.database.session() as session:
            run_store.mark_running(session, identity)
        self._enter(identity)
        try:
            self._on_cluster(run)
            record = store_scores(self.database, identity, run.folder)
            if record is None:
                raise RunError(f"{label}: the worker ended without a record in {run.folder}")
            self._leave(identity, Finished(run, record, read_progress(run.folder)))
        except Exception as error:
            reason = _one_line(error)
            self._leave(identity, reason)
            with self.database.session() as session:
                run_store.mark_failed(session, identity, reason)
            raise
        finally:
            with self._lock:
                self._running.pop(identity, None)

    def _enter(self, identity: str) -> None:
        with self._lock:
            self._failed.pop(identity, None)
            self._attempts[identity] = self._attempts.get(identity, 0) + 1
            self._running[identity] = Running(self.runs[identity], time.monotonic())

    def _leave(self, identity: str, outcome: Finished | str) -> None:
        with self._lock:
            self._running.pop(identity, None)
            if isinstance(outcome, str):
                self._failed[identity] = outcome
            else:
                self._finished.add(identity)
                self._last_finished.append(outcome)

    def _on_cluster(self, run: PlannedRun) -> None:
        import ray

        remote = ray.remote(**ray_options(self.resources))(execute_run)
        watch = _Watch(run, self.resources.run_timeout_minutes)
        # Whether the weights stay is decided with the scores, see `flows.retention`.
        reference = remote.remote(str(run.folder), True)
        finished = False
        try:
            while not finished:
                finished = bool(ray.wait([reference], timeout=_POLL_SECONDS)[0])
                if not finished and self._stop.is_set():
                    raise RunCancelledError(f"{run.label}: cancelled")
                watch.look(finished)
            result_of(reference, run.label, run.folder)
        finally:
            if not finished:
                ray.cancel(reference, force=True)


def ray_options(resources: Resources) -> dict[str, Any]:
    """What a run's Ray task takes, and where it may run: never on a driver's node, beside the drivers' secrets.

    With several workers Ray Train places them; the task that waits for them takes nothing itself.
    """
    several = resources.workers_per_run > 1
    return {
        "num_cpus": 0 if several else resources.cpus_per_run,
        "num_gpus": 0 if several else resources.gpus_per_run,
        "max_retries": 0,
        "max_calls": 0,
        "label_selector": {"role": "!driver"},
    }


class _Watch:
    """Follows a run from outside: passes its log on to the Prefect task's, and cuts it when its time is up."""

    def __init__(self, run: PlannedRun, limit_minutes: float | None) -> None:
        self._run, self._limit = run, limit_minutes
        self._tail = LogTail(run.folder)
        self._logger: Any = get_run_logger()
        self._next_log = 0.0
        self._started: float | None = None

    def look(self, ended: bool) -> None:
        now = time.monotonic()
        if ended or now >= self._next_log:
            self._next_log = now + _LOG_SECONDS
            self._pass_on()
        if self._limit is not None and not ended:
            self._check_time(now, self._limit)

    def _pass_on(self) -> None:
        try:
            for level, text in self._tail.lines(_LOG_LINES):
                self._logger.log(level, "%s", text)
        except OSError as error:
            self._logger.log(logging.WARNING, "The worker's log cannot be read: %s", error)

    def _check_time(self, now: float, limit: float) -> None:
        """The clock starts with the worker: waiting for a place on the cluster does not count."""
        progress = read_progress(self._run.folder)
        if progress is None:
            return
        self._started = now if self._started is None else self._started
        if now - self._started > 60 * limit:
            self._pass_on()
            raise RunTimeoutError(
                f"{self._run.label}: cut after {limit:g} minutes (resources.run_timeout_minutes); it was last heard of "
                f"at step {progress.step} of {progress.steps or '?'} ({progress.stage}) on {progress.host}, pid "
                f"{progress.pid}. If runs need longer than this, raise the limit"
            )


def _one_line(error: BaseException) -> str:
    """The class that people and metrics tell failures apart by, then the first line of the text."""
    kind = getattr(error, "reason", type(error).__name__)
    text = str(error).strip().splitlines()
    return without_secrets(f"{kind}: {text[0] if text else ''}")[:1000]
