"""Store of dataset events: which snapshots landed, and which still wait for an experiment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from db.models import DatasetEvent


def record_event(
    session: Session, dataset: str, snapshot_id: int, payload: Mapping[str, Any] | None = None
) -> DatasetEvent:
    """Note that a snapshot landed; once per snapshot, since the same content again changes nothing."""
    row = {"dataset": dataset, "snapshot_id": snapshot_id, "payload": dict(payload or {})}
    session.execute(insert(DatasetEvent).values(row).on_conflict_do_nothing())
    return session.scalars(select(DatasetEvent).where(DatasetEvent.snapshot_id == snapshot_id)).one()


def unprocessed(session: Session) -> list[DatasetEvent]:
    """Events that no experiment has answered yet, oldest first."""
    return list(session.scalars(select(DatasetEvent).where(DatasetEvent.processed.is_(None)).order_by(DatasetEvent.id)))


def mark_processed(session: Session, event_ids: Iterable[int]) -> int:
    """Set the time of processing where there is none yet; how many were set."""
    done = session.scalars(
        update(DatasetEvent)
        .where(DatasetEvent.id.in_(list(event_ids)), DatasetEvent.processed.is_(None))
        .values(processed=func.clock_timestamp())
        .returning(DatasetEvent.id)
        .execution_options(synchronize_session="fetch")
    )
    return len(done.all())
