"""Forgetting an experiment: its rows and its files, as far as no other experiment shares them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.exc import ProgrammingError
from sqlalchemy.orm import Session

from db import housekeeping
from db.base import RunState
from db.experiments import get_experiment
from db.housekeeping import Forgotten, References
from flows.housekeeping import YOUNGEST_SECONDS, Removal, Waste
from flows.housekeeping_files import remove, size_and_age, unlocked
from flows.workspace import Workspace
from tasks.errors import InputError


@dataclass(frozen=True)
class Forgetting:
    """What forgetting an experiment removes.

    Attributes:
        rows: what goes from the database, and how many runs stay because others share them.
        files: what goes from disk.
    """

    rows: Forgotten
    files: tuple[Waste, ...]


def plan_forgetting(workspace: Workspace, name: str) -> Forgetting:
    """What `forget` would remove: done in a transaction that is rolled back.

    Raises:
        InputError: there is no such experiment, it is under way, or the database's user may not delete.
    """
    session = workspace.database.sessions()
    try:
        return _forget(session, workspace, name)
    finally:
        session.rollback()
        session.close()


def forget(workspace: Workspace, name: str) -> tuple[Forgetting, Removal]:
    """Remove the experiment's rows in one transaction, then its files; a kill in between leaves what `gc` finds.

    Raises:
        InputError: as `plan_forgetting`.
    """
    with workspace.database.session() as session:
        done = _forget(session, workspace, name)
    removed: list[Waste] = []
    left: list[tuple[Path, str]] = []
    for waste in done.files:
        try:
            if waste.path.parent == workspace.reports:
                waste.path.unlink()
            else:
                remove(waste.path, workspace.artifacts)
            removed.append(waste)
        except (OSError, ValueError) as error:
            left.append((waste.path, str(error)))
    return done, Removal(tuple(removed), tuple(left))


def _forget(session: Session, workspace: Workspace, name: str) -> Forgetting:
    get_experiment(session, name)
    _require_rest(session, workspace, name)
    before = housekeeping.references(session)
    try:
        rows = housekeeping.forget_experiment(session, name)
    except ProgrammingError as error:
        if getattr(error.orig, "sqlstate", None) != "42501":
            raise
        raise InputError(
            f"The database's user may not delete results: {str(error.orig).splitlines()[0]}. "
            "Forget an experiment with the URL of the tables' owner in BEYOND_IID_DATABASE_URL."
        ) from error
    after = housekeeping.references(session)
    files = []
    for path in _paths(workspace, before, after, name):
        if path.exists() and not path.is_symlink():
            size, age = size_and_age(path)
            files.append(Waste(path, size, age / 86400, f"only of {name}"))
    return Forgetting(rows, tuple(sorted(files, key=lambda waste: waste.path)))


def _paths(workspace: Workspace, before: References, after: References, name: str) -> Iterator[Path]:
    store = workspace.artifacts
    for run in before.runs.keys() - after.runs.keys():
        yield store / "runs" / run
    for kind in ("pools", "bases", "curricula"):
        for gone in getattr(before, kind) - getattr(after, kind):
            yield store / kind / gone
    yield workspace.reports / f"{name}.html"


def _require_rest(session: Session, workspace: Workspace, name: str) -> None:
    """Refuse while a worker holds one of the runs, or one that is running has changed lately."""
    for run, state in housekeeping.runs_of(session, name).items():
        folder = workspace.artifacts / "runs" / run
        if not folder.is_dir():
            continue
        with unlocked(folder) as free:
            if not free or (state is RunState.RUNNING and size_and_age(folder)[1] < YOUNGEST_SECONDS):
                raise InputError(
                    f"{name} is under way: run {run[:12]} is being worked on, or was within the last hour. "
                    "Let it end or stop it, then try again."
                )
