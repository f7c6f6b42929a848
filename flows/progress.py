"""Progress that people watch: live bars in the terminal, a progress artifact on the Prefect server."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from uuid import UUID

from prefect.artifacts import create_progress_artifact, update_progress_artifact
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from flows.planning import PlannedRun
from flows.worker import read_progress

_ARTIFACT_SECONDS = 5.0
_SHOWN_RUNS = 8


def artifact_key(text: str) -> str:
    """A key as Prefect's artifacts take it: lowercase letters, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


class FanOutProgress:
    """Shows how many runs are done and how far the running ones are; call `update` from one thread."""

    def __init__(self, title: str, total: int, done: int) -> None:
        """Start the bars; `done` of `total` runs are there already."""
        self._title, self._total = title, total
        # A log file gets one line per change instead of bars.
        self._console = Console(file=sys.stderr)
        self._bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=28),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            TimeElapsedColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
            transient=False,
        )
        self._main = self._bars.add_task(title, total=total, completed=done, note="")
        self._runs: dict[str, TaskID] = {}
        self._artifact: UUID | None = None
        self._next_artifact = 0.0
        self._done = done

    def start(self) -> None:
        """Show the bars and create the artifact."""
        self._bars.start()
        created = create_progress_artifact(
            progress=self._percent(), key=artifact_key(f"{self._title}-progress"), description=self._text(0)
        )
        self._artifact = created if isinstance(created, UUID) else None

    def update(self, done: int, running: Iterable[PlannedRun]) -> None:
        """Bring the bars (always) and the artifact (every few seconds) up to date."""
        running = tuple(running)
        if done != self._done and not self._console.is_terminal:
            self._console.print(f"{self._title}: {done} of {self._total} runs", highlight=False, markup=False)
        self._done = done
        self._bars.update(self._main, completed=done, note=f"{len(running)} running")
        shown = {run.fingerprint: run for run in running[:_SHOWN_RUNS]}
        for identity in set(self._runs) - set(shown):
            self._bars.remove_task(self._runs.pop(identity))
        for identity, run in shown.items():
            self._show(identity, run)
        if time.monotonic() >= self._next_artifact:
            self._next_artifact = time.monotonic() + _ARTIFACT_SECONDS
            self._publish(len(running))

    def stop(self) -> None:
        """Take the running ones off, leave the overall bar, publish the final state."""
        for identity in list(self._runs):
            self._bars.remove_task(self._runs.pop(identity))
        self._bars.update(self._main, note="")
        self._bars.stop()
        self._publish(0)

    def _show(self, identity: str, run: PlannedRun) -> None:
        if identity not in self._runs:
            self._runs[identity] = self._bars.add_task(f"  {run.label}", total=None, note="starting")
        progress = read_progress(run.folder)
        if progress:
            self._bars.update(
                self._runs[identity],
                total=progress["steps"],
                completed=progress["step"],
                note=f"loss {progress['loss']:.3f}",
            )

    def _publish(self, running: int) -> None:
        if self._artifact:
            update_progress_artifact(self._artifact, progress=self._percent(), description=self._text(running))

    def _percent(self) -> float:
        return 100.0 * self._done / self._total if self._total else 100.0

    def _text(self, running: int) -> str:
        return f"{self._title}: {self._done} of {self._total} runs done, {running} running"


@contextmanager
def fan_out_progress(title: str, total: int, done: int) -> Iterator[FanOutProgress]:
    """`FanOutProgress` that is stopped whatever happens."""
    progress = FanOutProgress(title, total, done)
    progress.start()
    try:
        yield progress
    finally:
        progress.stop()
