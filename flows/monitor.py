"""What people see of a fan-out while it runs: bars in the terminal; progress, runs, effects on the Prefect server."""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from prefect import get_run_logger
from prefect.artifacts import create_link_artifact, create_markdown_artifact, create_table_artifact
from prefect.client.schemas.actions import ArtifactUpdate

from flows.monitor_effects import PreliminaryEffects
from flows.monitor_table import counts_text, table_rows
from flows.one_try import OneTry
from flows.progress import FanOutProgress, Pace, artifact_key
from flows.run_board import RunBoard


class Monitor:
    """Publishes a fan-out's state; call `update` from one thread, inside a Prefect flow.

    Every artifact is made once and updated in place. What cannot be published never stops a run: it is logged once.
    """

    def __init__(self, title: str, board: RunBoard, reused: Collection[str]) -> None:
        """Prepare.

        Args:
            title: the fan-out's, for people; the artifacts' keys come from it.
            board: its runs.
            reused: fingerprints of those that had scores already.
        """
        self._title, self._board, self._reused = title, board, tuple(reused)
        self._total, self._done = len(board.runs), len(self._reused)
        self._bars = FanOutProgress(title, self._total, self._done)
        self._effects = PreliminaryEffects(board.runs, board.database)
        self._table: UUID | None = None
        self._effects_artifact: UUID | None = None
        self._prefect = OneTry()
        self._pace = Pace()
        self._silenced = False
        self._logger: Any = get_run_logger()

    def start(self) -> None:
        """Show the bars and make the artifacts."""
        with self._never_in_the_way():
            self._bars.start()
        with self._never_in_the_way():
            dashboard = ray_dashboard()
            if dashboard:
                create_link_artifact(dashboard, "Ray dashboard", key=artifact_key(f"{self._title}-ray-dashboard"))
            self._table = _identity(
                create_table_artifact(table=[], key=artifact_key(f"{self._title}-runs"), description=self._counts())
            )
            if self._effects.expected:
                self._effects_artifact = _identity(
                    create_markdown_artifact(
                        markdown=self._effects.text(self._finished()),
                        key=artifact_key(f"{self._title}-effects"),
                        description=self._effects_title(),
                    )
                )

    def update(self, done: int) -> None:
        """Bring everything up to date that is due; `done` runs have ended, with those reused."""
        self._done = done
        with self._never_in_the_way():
            self._bars.update(done, [one.run for one in self._board.state().running])
        if self._pace.due():
            self._publish_table()
        if self._effects.due(self._finished()):
            self._publish_effects()

    def stop(self) -> None:
        """Publish the last state and end the bars."""
        with self._never_in_the_way():
            self._bars.stop()
        self._publish_table()
        if self._effects.expected:
            self._publish_effects()

    def _publish_table(self) -> None:
        with self._never_in_the_way():
            rows = table_rows(self._board.state(), self._board.resources)
            self._update(self._table, json.dumps(rows), self._counts())

    def _publish_effects(self) -> None:
        with self._never_in_the_way():
            self._update(self._effects_artifact, self._effects.text(self._finished()), self._effects_title())

    def _counts(self) -> str:
        state = self._board.state()
        return f"{self._title}: {counts_text(state, self._total, len(self._reused) + state.finished)}"

    def _effects_title(self) -> str:
        return f"{self._title}: effects from {len(self._finished())} of {self._total} runs (preliminary)"

    def _finished(self) -> tuple[str, ...]:
        return (*self._reused, *self._board.finished())

    def _update(self, artifact: UUID | None, data: str, description: str) -> None:
        if artifact is None:
            return
        with self._prefect.client() as client:
            client.update_artifact(artifact, ArtifactUpdate(data=data, description=description))

    @contextmanager
    def _never_in_the_way(self) -> Iterator[None]:
        """A table that cannot be shown must not cost a training; the first failure is told, the rest are its like."""
        try:
            yield
        except Exception as error:
            level = logging.DEBUG if self._silenced else logging.WARNING
            self._silenced = True
            self._logger.log(level, "An artifact was not updated: %s: %s", type(error).__name__, error)


@contextmanager
def monitored(title: str, board: RunBoard, reused: Collection[str]) -> Iterator[Monitor]:
    """`Monitor` that is stopped whatever happens."""
    monitor = Monitor(title, board, reused)
    monitor.start()
    try:
        yield monitor
    finally:
        monitor.stop()


def ray_dashboard() -> str | None:
    """Address of the connected Ray cluster's dashboard; None where it has none."""
    import ray

    if not ray.is_initialized():
        return None
    context = ray.init(ignore_reinit_error=True, log_to_driver=False, logging_level=logging.WARNING)
    address = context.dashboard_url
    if not address:
        return None
    return address if "://" in address else f"http://{address}"


def _identity(made: Any) -> UUID | None:
    return made if isinstance(made, UUID) else None
