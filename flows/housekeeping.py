"""What nothing refers to any more in the artifact store, and its removal.

Known by the database: a plan names runs, runs name pools and bases, analyses name curricula. What is at work is known
by the lock that a worker holds in its run's folder and, where a file system keeps no locks, by recent changes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from db import housekeeping, retention
from db.base import RunState
from db.housekeeping import References
from flows.housekeeping_files import TRASH, children, remove, size_and_age, unlocked
from flows.material import STEPS_FILE
from flows.workspace import Workspace
from tasks.benchmarks.run import TRAINING_FOLDER, forget_weights
from tasks.errors import InputError
from tasks.finetune.spec_file import RECORD_NAME

YOUNGEST_SECONDS = 3600.0
"""Nothing that changed more recently is touched, whatever is asked for: somebody may be about to record it."""
DEFAULT_DAYS = 1.0

_RUN = re.compile(r"[0-9a-f]{64}")
_POOL = re.compile(r"[0-9a-f]{16}")
_CURRICULUM = re.compile(r"[0-9a-f]{64}\.jsonl")
# Hidden files and folders are those of atomic writing: renamed to their final name when complete.
_TEMPORARY = re.compile(r"\..+|.+\.tmp")
_POSTGRES_LOG = "postgres.log.1"


@dataclass(frozen=True)
class Waste:
    """Something to remove.

    Attributes:
        path: file or folder.
        bytes: what it takes on disk.
        days: since it last changed.
        reason: why nothing needs it.
        run: fingerprint, where these are a run's weights, which its row and its record name.
    """

    path: Path
    bytes: int
    days: float
    reason: str
    run: str | None = None


@dataclass(frozen=True)
class Removal:
    """What a removal did.

    Attributes:
        removed: is gone.
        left: (path, why) of what stayed.
    """

    removed: tuple[Waste, ...]
    left: tuple[tuple[Path, str], ...]


def find_waste(workspace: Workspace, older_than_days: float = DEFAULT_DAYS) -> tuple[Waste, ...]:
    """Everything in the artifact store that nothing refers to and nobody works on, sorted by path; removes nothing.

    Args:
        workspace: database and folders.
        older_than_days: only what has not changed for this long; never less than an hour.
    """
    with workspace.database.session() as session:
        known = housekeeping.references(session)
        with_weights = retention.with_weights(session)
        unkept = with_weights - retention.wanted(session, with_weights)
    oldest = max(older_than_days * 86400, YOUNGEST_SECONDS)
    found = []
    for path, reason, run in _candidates(workspace, known, with_weights, unkept):
        try:
            size, age = size_and_age(path)
        except FileNotFoundError:
            continue
        if age >= oldest:
            found.append(Waste(path, size, age / 86400, reason, run))
    return tuple(sorted(found, key=lambda waste: waste.path))


def remove_waste(workspace: Workspace, found: Sequence[Waste], older_than_days: float = DEFAULT_DAYS) -> Removal:
    """Remove what `find_waste` found, as far as it still is waste.

    Each thing is judged again right before: what was planned, touched or locked meanwhile stays.
    """
    removed: list[Waste] = []
    left: list[tuple[Path, str]] = []
    still = {waste.path for waste in find_waste(workspace, older_than_days)}
    for waste in found:
        reason = "in use again" if waste.path not in still else _remove_one(workspace, waste)
        if reason is None:
            removed.append(waste)
        else:
            left.append((waste.path, reason))
    return Removal(tuple(removed), tuple(left))


def _remove_one(workspace: Workspace, waste: Waste) -> str | None:
    """Remove it; or why not."""
    if waste.path.name == _POSTGRES_LOG:
        waste.path.unlink(missing_ok=True)
        return None
    folder = _run_folder(waste.path, workspace.artifacts)
    try:
        if waste.run is not None:
            with workspace.database.session() as session:  # the row first: it must not name weights that are gone
                retention.clear_checkpoint(session, waste.run)
            forget_weights(workspace.artifacts / "runs" / waste.run)
        elif folder is None:
            remove(waste.path, workspace.artifacts)
        else:
            with unlocked(folder) as free:
                if not free:
                    return "a process is at work on the run"
                if waste.path == folder and not _give_up(workspace, folder.name):
                    return "planned meanwhile"
                remove(waste.path, workspace.artifacts)
    except (OSError, ValueError, InputError) as error:
        return str(error)
    return None


def _give_up(workspace: Workspace, run: str) -> bool:
    """Take a run's weights off its row, unless an experiment plans the run."""
    with workspace.database.session() as session:
        if housekeeping.is_planned(session, run):
            return False
        retention.clear_checkpoint(session, run)
        return True


def _run_folder(path: Path, store: Path) -> Path | None:
    runs = store / "runs"
    return runs / path.relative_to(runs).parts[0] if path.is_relative_to(runs) and path != runs else None


def _candidates(
    workspace: Workspace, known: References, with_weights: set[str], unkept: set[str]
) -> Iterator[tuple[Path, str, str | None]]:
    """(path, reason, run whose weights these are), whatever its age."""
    store = workspace.artifacts
    steps = _steps_of(store, known.pools)
    for path in children(store / TRASH):
        yield path, "rest of an interrupted removal", None
    for name, pattern, needed, kind in (
        ("pools", _POOL, known.pools, "pool"),
        ("bases", _RUN, known.bases, "base checkpoint"),
        ("curricula", _CURRICULUM, known.curricula, "curriculum"),
        ("cleaned", _RUN, steps, "cleaned rows"),
        # Answers of language models, beside these folders, stay: they were paid for.
        ("tagged", _RUN, steps, "tagged rows"),
        ("selections", _RUN, steps, "selection"),
        ("hub", _CURRICULUM, set(), "copy of a hub's rows"),
    ):
        for path in children(store / name):
            if _TEMPORARY.fullmatch(path.name):
                yield path, "interrupted writing", None
            elif pattern.fullmatch(path.name) and path.name not in needed:
                yield path, f"{kind} of no experiment", None
            elif path.is_dir():
                yield from _temporary(path)
    for folder in children(store / "runs"):
        if _RUN.fullmatch(folder.name) and folder.is_dir():
            with unlocked(folder) as free:
                if free:
                    yield from _of_run(folder, known, with_weights, unkept)
    log = workspace.reports.parent / _POSTGRES_LOG
    if log.is_file() and not log.is_symlink():
        yield log, "rotated log of the embedded PostgreSQL", None


def _steps_of(store: Path, pools: Collection[str]) -> set[str]:
    """What the pools of experiments were made from: names of folders with cleaned, tagged and selected rows."""
    found: set[str] = set()
    for pool in pools:
        path = store / "pools" / pool / STEPS_FILE
        if path.is_file():
            for one in json.loads(path.read_text(encoding="utf-8"))["identity"].values():
                found.update([one] if isinstance(one, str) else one)
    return found


def _of_run(
    folder: Path, known: References, with_weights: set[str], unkept: set[str]
) -> Iterator[tuple[Path, str, str | None]]:
    run, training = folder.name, folder / TRAINING_FOLDER
    if run not in known.planned:
        reason = "run of no experiment's plan" if run in known.runs else "run without a row in the database"
        yield folder, reason, None
        return
    yield from _temporary(folder)
    if (
        known.runs[run] is not RunState.FINISHED
        or not (folder / RECORD_NAME).is_file()
        or not _is_real_folder(training)
    ):
        return
    if run in unkept:
        yield training, "weights that no experiment keeps (resources.keep)", run
    elif run not in with_weights:
        yield training, "rest of weights that were deleted", run
    else:
        for path in children(training):
            if path.name in ("checkpoints", "ray") or _TEMPORARY.fullmatch(path.name):
                yield path, "partial checkpoints of a finished run", None


def _temporary(folder: Path) -> Iterator[tuple[Path, str, str | None]]:
    for path in children(folder):
        if _TEMPORARY.fullmatch(path.name):
            yield path, "interrupted writing", None


def _is_real_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()
