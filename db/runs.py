"""Store of runs and their scores: from planned to finished, and what is still missing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from db.base import Phase, RunState
from db.columns import among
from db.errors import RecordError
from db.interventions import of_plan
from db.models import InterventionRow, PlannedRun, Run, ScoreRow
from tasks.benchmarks.scores import Score
from tasks.finetune.spec import TrainingRecord
from tasks.fingerprint import fingerprint as hash_of

SCORE_COLUMNS = (ScoreRow.category, ScoreRow.metric, ScoreRow.value, ScoreRow.n, ScoreRow.standard_error)
"""What `score_of` reads."""


@dataclass(frozen=True)
class MissingRun:
    """A planned intervention × seed without scores.

    Attributes:
        intervention: its name.
        seed: its seed.
        fingerprint: the run that would answer for it.
        state: planned, running or failed.
        error: the last failure's text.
    """

    intervention: str
    seed: int
    fingerprint: str
    state: RunState
    error: str | None

    def __str__(self) -> str:
        reason = f": {self.error.splitlines()[0]}" if self.error else ""
        return f"{self.intervention}, seed {self.seed} ({self.state.value}{reason})"


def mark_running(session: Session, fingerprint: str) -> bool:
    """Count an attempt and set the start; False where the run is finished already and must not be repeated.

    Raises:
        RecordError: the run was never planned.
    """
    return _advance(
        session,
        fingerprint,
        {
            "state": RunState.RUNNING.value,
            "attempts": Run.attempts + 1,
            "started": func.clock_timestamp(),
            "error": None,
        },
    )


def mark_failed(session: Session, fingerprint: str, error: str) -> bool:
    """Note why an attempt failed; False where the run is finished already (by another writer).

    Raises:
        RecordError: the run was never planned.
    """
    text = error.replace("\x00", "").strip() or "no reason given"
    return _advance(session, fingerprint, {"state": RunState.FAILED.value, "error": text})


def record_finished(
    session: Session,
    fingerprint: str,
    record: TrainingRecord,
    scores: Sequence[Score],
    evaluation_seconds: float | None = None,
) -> bool:
    """Store a run's record and scores together; of two writers the first one's stay.

    Args:
        session: the transaction.
        fingerprint: the run.
        record: what happened in its training.
        scores: all its scores.
        evaluation_seconds: wall-clock seconds of scoring.

    Returns:
        True if this call stored them; False where the run was finished already, and nothing changed.

    Raises:
        RecordError: the run was never planned, the record is another run's, it holds what is no finite number, or there
            are no scores.
    """
    if record.fingerprint != fingerprint:
        raise RecordError(f"The record of run {record.fingerprint[:12]}… was given for run {fingerprint[:12]}….")
    if not scores:
        raise RecordError(f"Run {fingerprint[:12]}… has no scores: it is not finished.")
    document = asdict(record)
    try:
        record_hash = hash_of(document)
    except ValueError as error:
        raise RecordError(f"Run {fingerprint[:12]}… is not recorded: in its record {error}.") from error
    run = session.execute(
        select(Run.id, Run.state).where(Run.fingerprint == fingerprint).with_for_update()
    ).one_or_none()
    if run is None:
        raise _unplanned(fingerprint)
    if run.state == RunState.FINISHED:
        return False
    changes: dict[str, Any] = {
        "state": RunState.FINISHED.value,
        "finished": func.clock_timestamp(),
        "error": None,
        "host": record.host,
        "device": record.device,
        "engine": record.engine,
        "steps": record.steps,
        "tokens": record.tokens,
        "seconds": record.seconds,
        "evaluation_seconds": evaluation_seconds,
        "checkpoint": record.checkpoint,
        "record": document,
        "record_hash": record_hash,
        "score_count": len(scores),
    }
    session.execute(update(Run).where(Run.id == run.id).values(changes))
    session.execute(insert(ScoreRow), [{"run_id": run.id, **asdict(score)} for score in scores])
    return True


def states(session: Session, fingerprints: Iterable[str]) -> dict[str, RunState]:
    """State of each run that has a row."""
    rows = session.execute(select(Run.fingerprint, Run.state).where(among(Run.fingerprint, set(fingerprints))))
    return {key: RunState(state) for key, state in rows}


def finished(session: Session, fingerprints: Iterable[str]) -> set[str]:
    """Those of the runs whose results are there."""
    return {key for key, state in states(session, fingerprints).items() if state is RunState.FINISHED}


def missing(session: Session, experiment_id: int, phase: Phase, analysis_id: int | None = None) -> list[MissingRun]:
    """Planned intervention × seed without scores, in the plan's order."""
    rows = session.execute(
        select(InterventionRow.name, PlannedRun.seed, Run.fingerprint, Run.state, Run.error)
        .join(PlannedRun, PlannedRun.intervention_id == InterventionRow.id)
        .join(Run, Run.id == PlannedRun.run_id)
        .where(*of_plan(experiment_id, phase, analysis_id), Run.state != RunState.FINISHED.value)
        .order_by(InterventionRow.position, InterventionRow.id, PlannedRun.seed)
    )
    return [MissingRun(name, seed, key, RunState(state), error) for name, seed, key, state, error in rows]


def load_record(session: Session, fingerprint: str) -> TrainingRecord | None:
    """A finished run's record, exactly as it was given; None where the run is not finished."""
    document = session.scalar(select(Run.record).where(Run.fingerprint == fingerprint))
    return None if document is None else TrainingRecord(**{name: _tuples(value) for name, value in document.items()})


def load_scores(session: Session, fingerprint: str) -> tuple[Score, ...]:
    """A run's scores sorted by metric and category; empty where it is not finished."""
    rows = session.execute(
        select(*SCORE_COLUMNS).join(Run, Run.id == ScoreRow.run_id).where(Run.fingerprint == fingerprint)
    )
    return tuple(sorted(map(score_of, rows), key=lambda s: (s.metric, s.category)))


def score_of(row: Any) -> Score:
    """The score in a result row that has `SCORE_COLUMNS`."""
    return Score(row.category, row.metric, row.value, row.n, row.standard_error)


def _advance(session: Session, fingerprint: str, changes: dict[str, Any]) -> bool:
    moved = session.execute(
        update(Run)
        .where(Run.fingerprint == fingerprint, Run.state != RunState.FINISHED.value)
        .values(changes)
        .returning(Run.id)
        .execution_options(synchronize_session=False)
    ).first()
    if moved is None and session.scalar(select(Run.id).where(Run.fingerprint == fingerprint)) is None:
        raise _unplanned(fingerprint)
    return moved is not None


def _unplanned(fingerprint: str) -> RecordError:
    return RecordError(f"Run {fingerprint[:12]}… was never planned: plan it (db.interventions.set_plan) first.")


def _tuples(value: Any) -> Any:
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value
