"""Store of dataset events: which snapshots landed, which still wait, and how experiments answered them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from db.columns import among
from db.experiments import current_experiments
from db.landings import DatasetRerun
from db.models import DatasetEvent, Experiment, PoolSnapshot

_FIRST_PAUSE = timedelta(minutes=5)
_LONGEST_PAUSE = timedelta(days=1)


@dataclass(frozen=True)
class Waiting:
    """A landing that an experiment has not answered.

    Attributes:
        event_id: the landing.
        attempts: reruns that were started for it and did not end well.
        failure: why the last of them failed; None where there was none or its process died.
        due: when the next attempt is allowed; None: at once.
    """

    event_id: int
    attempts: int
    failure: str | None
    due: datetime | None


def record_event(
    session: Session, dataset: str, snapshot_id: int, payload: Mapping[str, Any] | None = None
) -> DatasetEvent:
    """Note that a snapshot landed; once per snapshot, since the same content again changes nothing."""
    row = {"dataset": dataset, "snapshot_id": snapshot_id, "payload": dict(payload or {})}
    session.execute(insert(DatasetEvent).values(row).on_conflict_do_nothing())
    return session.scalars(select(DatasetEvent).where(DatasetEvent.snapshot_id == snapshot_id)).one()


def find_event(session: Session, dataset: str, content_hash: str) -> DatasetEvent | None:
    """The landing of this content under this name, if there was one."""
    found = select(DatasetEvent).join(PoolSnapshot)
    return session.scalars(
        found.where(DatasetEvent.dataset == dataset, PoolSnapshot.content_hash == content_hash)
    ).one_or_none()


def landed_hashes(session: Session, dataset: str) -> list[str]:
    """Content hashes of everything that landed under a name, in the order in which it landed."""
    rows = select(PoolSnapshot.content_hash).join(DatasetEvent).where(DatasetEvent.dataset == dataset)
    return list(session.scalars(rows.order_by(DatasetEvent.id)))


def experiments_on(session: Session, dataset: str) -> dict[str, dict[str, Any]]:
    """Configurations by name of the experiments whose pool is this data set, as recorded last."""
    latest = current_experiments().with_only_columns(Experiment.name, Experiment.config).subquery()
    pool = latest.c.config["pool"]
    rows = select(latest.c.name, latest.c.config).where(
        pool["kind"].as_string() == "landed", pool["dataset"].as_string() == dataset
    )
    return {row.name: row.config for row in session.execute(rows)}


def unprocessed(session: Session) -> list[DatasetEvent]:
    """Events that not every experiment using their data set has answered yet, oldest first."""
    return list(session.scalars(select(DatasetEvent).where(DatasetEvent.processed.is_(None)).order_by(DatasetEvent.id)))


def mark_processed(session: Session, event_ids: Collection[int]) -> int:
    """Set the time of processing where there is none yet; how many were set."""
    done = session.scalars(
        update(DatasetEvent)
        .where(among(DatasetEvent.id, event_ids), DatasetEvent.processed.is_(None))
        .values(processed=func.clock_timestamp())
        .returning(DatasetEvent.id)
        .execution_options(synchronize_session="fetch")
    )
    return len(done.all())


def waiting(session: Session, event_ids: Collection[int], experiment: str) -> list[Waiting]:
    """Which of these events the experiment has yet to answer, oldest first; later attempts wait longer."""
    rows = session.execute(
        select(DatasetEvent.id, DatasetRerun)
        .outerjoin(DatasetRerun, (DatasetRerun.event_id == DatasetEvent.id) & (DatasetRerun.experiment == experiment))
        .where(among(DatasetEvent.id, event_ids), DatasetRerun.answered.is_(None))
        .order_by(DatasetEvent.id)
    )
    return [
        Waiting(event, rerun.attempts, rerun.failure, rerun.attempted + _pause(rerun.attempts))
        if rerun
        else Waiting(event, 0, None, None)
        for event, rerun in rows
    ]


def start_attempt(session: Session, event_ids: Collection[int], experiment: str) -> None:
    """Count an attempt before it starts, so that one whose process dies counts too."""
    for event in event_ids:
        row = insert(DatasetRerun).values(event_id=event, experiment=experiment, attempts=1)
        session.execute(
            row.on_conflict_do_update(
                index_elements=["event_id", "experiment"],
                set_={
                    "attempts": DatasetRerun.attempts + 1,
                    "attempted": func.clock_timestamp(),
                    "failure": None,
                },
            )
        )


def record_failure(session: Session, event_ids: Collection[int], experiment: str, failure: str) -> None:
    """Keep why the attempt failed; the events stay open."""
    # Postgres takes every character but this one.
    _set(session, event_ids, experiment, failure=failure.replace("\x00", "�"))


def record_answer(session: Session, event_ids: Collection[int], experiment: str, experiment_id: int) -> None:
    """The experiment's row `experiment_id` contains these landings."""
    _set(
        session,
        event_ids,
        experiment,
        failure=None,
        answered=func.clock_timestamp(),
        experiment_id=experiment_id,
    )


def _set(session: Session, event_ids: Collection[int], experiment: str, **values: Any) -> None:
    session.execute(
        update(DatasetRerun)
        .where(among(DatasetRerun.event_id, event_ids), DatasetRerun.experiment == experiment)
        .values(**values)
    )


def _pause(attempts: int) -> timedelta:
    return min(_FIRST_PAUSE * 2 ** min(attempts - 1, 20), _LONGEST_PAUSE)
