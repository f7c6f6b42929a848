"""Progress that people watch: live bars in the terminal, a progress artifact on the Prefect server."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from uuid import UUID

from httpx import HTTPError
from prefect.artifacts import create_progress_artifact
from prefect.client.schemas.actions import ArtifactUpdate
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from flows.cancellation import Cancellation
from flows.one_try import OneTry
from flows.planning import PlannedRun
from flows.worker import read_progress

_SHOWN_RUNS = 8
_SHORTEST_PAUSE, _LONGEST_PAUSE = 5.0, 30.0


class Pace:
    """When to publish again: every 5 seconds at first, ever more rarely, in the end every 30.

    Prefect keeps each update as an event, with all its content.
    """

    def __init__(self) -> None:
        """Due at once."""
        self._start = self._next = time.monotonic()

    def due(self) -> bool:
        """Whether it is time; asking then begins the next pause."""
        now = time.monotonic()
        if now < self._next:
            return False
        self._next = now + min(_LONGEST_PAUSE, max(_SHORTEST_PAUSE, (now - self._start) / 60))
        return True


def artifact_key(text: str) -> str:
    """A key as Prefect's artifacts take it: lowercase letters, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


@contextmanager
def step_progress(title: str) -> Iterator[Callable[[str, int, int], None]]:
    """Progress of one piece of work: a bar for each of its parts, and a progress artifact on the Prefect server.

    Gives a callback for (what is being done, done, of how many); nothing is shown before its first call. What cannot be
    published does not stop the work. Call inside a flow or a task.

    Raises:
        RunCancelledError: from the callback, where a person cancelled the flow run.
    """
    console = Console(file=sys.stderr)
    bars: dict[str, TaskID] = {}
    artifact = _ProgressArtifact(artifact_key(title))
    cancellation = Cancellation()
    pace = Pace()
    columns = (TextColumn("{task.description}", markup=False), BarColumn(bar_width=28), MofNCompleteColumn(),
               TimeElapsedColumn())  # fmt: skip
    with Progress(*columns, console=console, disable=not console.is_terminal) as screen:

        def show(what: str, done: int, total: int) -> None:
            if what not in bars:
                bars[what] = screen.add_task(f"{title}: {what}", total=total)
            screen.update(bars[what], completed=done, total=total)
            cancellation.check()
            if pace.due() or done == total:
                with suppress(HTTPError):
                    artifact.show(100.0 * done / total if total else 100.0, f"{title}: {what}, {done:,} of {total:,}")

        yield show


class _ProgressArtifact:
    """A progress artifact on the Prefect server: made when first shown, then updated in place without retries."""

    def __init__(self, key: str) -> None:
        """Nothing is made yet."""
        self._key = key
        self._identity: UUID | None = None
        self._prefect = OneTry()

    def show(self, percent: float, text: str) -> None:
        """Bring it up to date; a server that is gone is an httpx.HTTPError, at once."""
        with self._prefect.client() as client:
            if self._identity is None:
                created = create_progress_artifact(progress=percent, key=self._key, description=text)
                self._identity = created if isinstance(created, UUID) else None
            else:
                client.update_artifact(self._identity, ArtifactUpdate(data=percent, description=text))


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
        self._artifact = _ProgressArtifact(artifact_key(f"{title}-progress"))
        self._pace = Pace()
        self._done = done

    def start(self) -> None:
        """Show the bars and create the artifact."""
        self._bars.start()
        self._publish(0)

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
        if self._pace.due():
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
        if progress and progress.loss is not None:
            self._bars.update(
                self._runs[identity], total=progress.steps, completed=progress.step, note=f"loss {progress.loss:.3f}"
            )

    def _publish(self, running: int) -> None:
        self._artifact.show(self._percent(), self._text(running))

    def _percent(self) -> float:
        return 100.0 * self._done / self._total if self._total else 100.0

    def _text(self, running: int) -> str:
        return f"{self._title}: {self._done} of {self._total} runs done, {running} running"
