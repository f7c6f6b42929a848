"""What is looked at while runs go on: how many are in which state, the interesting ones, and sums over all runs."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import ARRAY, Double, Select, Subquery, and_, cast, func, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from db.base import AnalysisKind, Phase, RunState
from db.columns import among
from db.experiment_locks import abandoned
from db.experiments import current_experiments
from db.models import Analysis, DatasetEvent, Experiment, InterventionRow, PlannedRun, Run, ScoreRow
from db.runs import SCORE_COLUMNS, score_of
from tasks.benchmarks.scores import Score


@dataclass(frozen=True)
class RunLine:
    """One run as people watch it.

    Attributes:
        fingerprint: its identity.
        name: for people.
        phase: what it is for.
        state: where it is.
        attempts: how often it was started.
        seconds: since its last start while it runs, of training and evaluation where it is finished; None else.
        host: where it was trained; None before its end.
        device: e.g. "cpu"; None before its end.
        tokens: seen in training; None before its end.
        error: why its last attempt failed.
    """

    fingerprint: str
    name: str
    phase: Phase
    state: RunState
    attempts: int
    seconds: float | None
    host: str | None
    device: str | None
    tokens: int | None
    error: str | None


@dataclass(frozen=True)
class Histogram:
    """A distribution of one quantity over the finished runs.

    Attributes:
        bounds: upper ends of the buckets, ascending; a last bucket without an end follows.
        counts: runs per bucket (not cumulated), one more than there are bounds.
        total: the sum of all values.
    """

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    total: float


@dataclass(frozen=True)
class Totals:
    """Sums over all runs of the database; only `attempts` counts what is not finished.

    Attributes:
        attempts: starts of runs.
        retries: of them, those after a run's first.
        tokens: seen in training.
        training_seconds: wall-clock seconds of training.
        evaluation_seconds: wall-clock seconds of scoring.
        gpu_seconds: wall-clock seconds of training and scoring × workers, of the runs on a GPU.
    """

    attempts: int
    retries: int
    tokens: int
    training_seconds: float
    evaluation_seconds: float
    gpu_seconds: float


def run_counts(session: Session, experiments: Collection[int]) -> dict[tuple[int, Phase, RunState], int]:
    """Runs by experiment, phase and state, of the current plans (a validation's: the latest analysis'); 0 left out."""
    plans = _current_plans(experiments)
    rows = session.execute(
        select(plans.c.experiment_id, plans.c.phase, Run.state, func.count())
        .join(Run, Run.id == plans.c.run_id)
        .group_by(plans.c.experiment_id, plans.c.phase, Run.state)
    )
    return {(key, Phase(phase), RunState(state)): number for key, phase, state, number in rows}


def states_in_plans(session: Session) -> dict[RunState, int]:
    """Runs by state, each counted once, of the current plans of the experiments that their names mean now."""
    plans = _current_plans(None)
    wanted = select(plans.c.run_id).distinct()
    rows = session.execute(select(Run.state, func.count()).where(Run.id.in_(wanted)).group_by(Run.state))
    found = {RunState(state): number for state, number in rows}
    return {state: found.get(state, 0) for state in RunState}


def abandoned_counts(session: Session, experiments: Collection[int]) -> dict[tuple[int, Phase], int]:
    """Of the running ones among `run_counts`: those on whose experiment nobody works; 0 left out."""
    plans = _current_plans(experiments)
    rows = session.execute(
        select(plans.c.experiment_id, plans.c.phase, func.count())
        .join(Run, Run.id == plans.c.run_id)
        .where(abandoned(session))
        .group_by(plans.c.experiment_id, plans.c.phase)
    )
    return {(key, Phase(phase)): number for key, phase, number in rows}


def abandoned_in_plans(session: Session) -> int:
    """Of the running ones among `states_in_plans`: those on whose experiment nobody works."""
    wanted = select(_current_plans(None).c.run_id)
    return session.scalars(select(func.count()).where(Run.id.in_(wanted), abandoned(session))).one()


def latest_experiments(session: Session, most: int) -> list[tuple[int, str]]:
    """(id, name) of the experiments that their names mean now, recorded last first."""
    rows = session.execute(
        select(Experiment.id, Experiment.name)
        .where(Experiment.id.in_(_current_ids()))
        .order_by(Experiment.recorded.desc(), Experiment.id.desc())
        .limit(most)
    )
    return [(key, name) for key, name in rows]


def run_lines(session: Session, experiment_id: int, state: RunState, most: int) -> list[RunLine]:
    """An experiment's runs in a state: the longest running first, the latest failed or finished first."""
    plans = _current_plans([experiment_id])
    order = Run.started.asc() if state is RunState.RUNNING else func.coalesce(Run.finished, Run.started).desc()
    elapsed = func.extract("epoch", func.clock_timestamp() - Run.started)
    rows = session.execute(
        select(Run, plans.c.phase, elapsed)
        .join(plans, plans.c.run_id == Run.id)
        .where(Run.state == state.value)
        .order_by(order, Run.id)
        .limit(most)
    )
    return [_line(run, Phase(phase), float(since or 0)) for run, phase, since in rows]


def mean_seconds(session: Session, experiment_id: int) -> float | None:
    """Mean seconds of training and evaluation of the experiment's finished runs; None where there is none."""
    plans = _current_plans([experiment_id])
    value = session.scalar(
        select(func.avg(Run.seconds + func.coalesce(Run.evaluation_seconds, 0.0)))
        .join(plans, plans.c.run_id == Run.id)
        .where(Run.state == RunState.FINISHED.value)
    )
    return None if value is None else float(value)


def scores_of(session: Session, fingerprints: Sequence[str]) -> dict[str, tuple[Score, ...]]:
    """Scores of those of the runs that have some."""
    found: dict[str, list[Score]] = {}
    rows = session.execute(
        select(Run.fingerprint, *SCORE_COLUMNS)
        .join(Run, Run.id == ScoreRow.run_id)
        .where(among(Run.fingerprint, fingerprints))
    )
    for row in rows:
        found.setdefault(row.fingerprint, []).append(score_of(row))
    return {key: tuple(scores) for key, scores in found.items()}


def totals(session: Session) -> Totals:
    """Sums over all runs of the database."""
    workers = cast(Run.spec["workers"].as_string(), Double)
    busy = (Run.seconds + func.coalesce(Run.evaluation_seconds, 0)) * func.coalesce(workers, 1)
    row = session.execute(
        select(
            func.coalesce(func.sum(Run.attempts), 0),
            func.coalesce(func.sum(func.greatest(Run.attempts - 1, 0)), 0),
            func.coalesce(func.sum(Run.tokens), 0),
            func.coalesce(func.sum(Run.seconds), 0.0),
            func.coalesce(func.sum(Run.evaluation_seconds), 0.0),
            func.coalesce(func.sum(busy).filter(Run.device != "cpu"), 0.0),
        )
    ).one()
    return Totals(int(row[0]), int(row[1]), int(row[2]), float(row[3]), float(row[4]), float(row[5]))


def histogram(
    session: Session, quantity: InstrumentedAttribute[float | None] | InstrumentedAttribute[int | None],
    bounds: Sequence[float],
) -> Histogram:  # fmt: skip
    """How a column of the finished runs is distributed.

    Args:
        session: the transaction.
        quantity: `Run.tokens`, `Run.seconds` or `Run.evaluation_seconds`.
        bounds: upper ends of the buckets (inclusive), ascending.
    """
    value = cast(quantity, Double)
    # width_bucket puts a value that equals a bound above it; Prometheus' buckets include their upper end.
    bucket = len(bounds) - func.width_bucket(-value, cast([-b for b in reversed(bounds)], ARRAY(Double)))
    rows = session.execute(
        select(bucket, func.count(), func.sum(value))
        .where(Run.state == RunState.FINISHED.value, quantity.is_not(None))
        .group_by(bucket)
    ).all()
    counts = {int(index): int(number) for index, number, _ in rows}
    return Histogram(
        tuple(bounds), tuple(counts.get(i, 0) for i in range(len(bounds) + 1)), sum(float(part) for *_, part in rows)
    )


def failure_reasons(session: Session) -> dict[str, int]:
    """Runs that are failed now, by the word their error begins with (an exception's class), most frequent first."""
    reason = func.coalesce(func.substring(Run.error, "^([A-Za-z_][A-Za-z0-9_]{0,79}):"), "unknown")
    rows = session.execute(
        select(reason, func.count()).where(Run.state == RunState.FAILED.value).group_by(reason).order_by(
            func.count().desc(), reason
        )
    )  # fmt: skip
    return {str(word): int(number) for word, number in rows}


def events_waiting(session: Session) -> int:
    """Data sets that landed and that no experiment has answered yet."""
    return session.scalars(
        select(func.count()).select_from(DatasetEvent).where(DatasetEvent.processed.is_(None))
    ).one()  # fmt: skip


def _line(run: Run, phase: Phase, since: float) -> RunLine:
    state = RunState(run.state)
    seconds = since if state is RunState.RUNNING else None
    if run.seconds is not None:
        seconds = run.seconds + (run.evaluation_seconds or 0.0)
    return RunLine(
        run.fingerprint, run.name, phase, state, run.attempts, seconds, run.host, run.device, run.tokens, run.error
    )


def _current_ids() -> Select[int]:
    return select(current_experiments().with_only_columns(Experiment.id).subquery().c.id)


def _current_plans(experiments: Collection[int] | None) -> Subquery:
    """(experiment, phase, run) of the plans in force; None: of every current experiment."""
    latest = (
        select(func.max(Analysis.id).label("id"))
        .where(Analysis.kind == AnalysisKind.OPTIMIZE.value)
        .group_by(Analysis.experiment_id)
    )
    measured = and_(InterventionRow.phase == Phase.MEASURE.value, InterventionRow.analysis_id.is_(None))
    validated = and_(InterventionRow.phase == Phase.VALIDATE.value, InterventionRow.analysis_id.in_(latest))
    planned_by = InterventionRow.experiment_id
    wanted = planned_by.in_(_current_ids()) if experiments is None else among(planned_by, experiments)
    return (
        select(InterventionRow.experiment_id, InterventionRow.phase, PlannedRun.run_id)
        .join(PlannedRun, PlannedRun.intervention_id == InterventionRow.id)
        .where(or_(measured, validated), wanted)
        .distinct()
        .subquery()
    )
