"""One run on the cluster: what a waiting Prefect task does, and which runs are under way."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from db import runs as run_store
from db.session import Database
from flows.cancellation import RunCancelledError
from flows.config import Resources
from flows.planning import PlannedRun
from flows.remote import result_of
from flows.worker import execute_run
from tasks.benchmarks.run import read_run_record
from tasks.errors import RunError

_POLL_SECONDS = 0.5


class RunBoard:
    """The runs of one fan-out and which of them run at the moment; shared by the waiting threads."""

    def __init__(self, runs: dict[str, PlannedRun], resources: Resources, database: Database) -> None:
        """Start with nothing under way.

        Args:
            runs: by fingerprint.
            resources: what each run takes.
            database: where scores go.
        """
        self.runs, self.resources, self._database = runs, resources, database
        self._running: dict[str, PlannedRun] = {}
        self._lock = threading.Lock()
        self._stop = threading.Event()

    def running(self) -> tuple[PlannedRun, ...]:
        """Runs on the cluster now, longest first."""
        with self._lock:
            return tuple(self._running.values())

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
        with self._database.session() as session:
            run_store.mark_running(session, identity)
        with self._lock:
            self._running[identity] = run
        try:
            self._on_cluster(run)
            record = read_run_record(run.folder)
            if record is None:
                raise RunError(f"{label}: the worker ended without a record in {run.folder}")
            with self._database.session() as session:
                run_store.record_finished(session, identity, record.training, record.scores, record.evaluation_seconds)
        except Exception as error:
            with self._database.session() as session:
                run_store.mark_failed(session, identity, _one_line(error))
            raise
        finally:
            with self._lock:
                self._running.pop(identity, None)

    def _on_cluster(self, run: PlannedRun) -> None:
        import ray

        several = self.resources.workers_per_run > 1
        # With several workers Ray Train places them; the task that waits for them takes nothing itself.
        remote = ray.remote(
            num_cpus=0 if several else self.resources.cpus_per_run,
            num_gpus=0 if several else self.resources.gpus_per_run,
            max_retries=0,
            max_calls=0,
        )(execute_run)
        reference = remote.remote(str(run.folder), self.resources.keep_checkpoints)
        finished = False
        try:
            while not finished:
                finished = bool(ray.wait([reference], timeout=_POLL_SECONDS)[0])
                if not finished and self._stop.is_set():
                    raise RunCancelledError(f"{run.label}: cancelled")
            result_of(reference, run.label)
        finally:
            if not finished:
                ray.cancel(reference, force=True)


def _one_line(error: BaseException) -> str:
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0] if text else ''}"[:1000]
