"""What a Prefect server remembered, read from its SQLite file: also of a server that has gone."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple


class Remembered(NamedTuple):
    """A flow run or task run.

    Attributes:
        name: its own name.
        state: name of its last state.
        start: seconds since the epoch, None where it never started.
        end: likewise, None where it has not ended.
    """

    name: str
    state: str
    start: float | None
    end: float | None


def flow_runs(home: Path) -> list[Remembered]:
    """All flow runs of a state folder, oldest first."""
    return _remembered(home, "flow_run")


def task_runs(home: Path) -> list[Remembered]:
    """All task runs of a state folder, oldest first."""
    return _remembered(home, "task_run")


def ask(home: Path, sql: str) -> list[tuple[Any, ...]]:
    """Rows of a query on the server's database."""
    with closing(sqlite3.connect(f"file:{home / 'prefect' / 'prefect.db'}?mode=ro", uri=True, timeout=30)) as database:
        return database.execute(sql).fetchall()


def _remembered(home: Path, table: str) -> list[Remembered]:
    rows = ask(home, f"SELECT name, state_name, start_time, end_time FROM {table} ORDER BY created")
    return [Remembered(name, str(state), _seconds(start), _seconds(end)) for name, state, start, end in rows]


def _seconds(text: str | None) -> float | None:
    return None if text is None else datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()
