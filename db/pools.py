"""Store of pool snapshots and their categories."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from db.errors import RecordError
from db.models import Category, PoolCategory, PoolSnapshot


def record_snapshot(
    session: Session, name: str, content_hash: str, counts: Mapping[str, int], path: str, rejected: int
) -> PoolSnapshot:
    """Record a state of a pool once per name and content hash; a later call only moves its path.

    Args:
        session: the transaction.
        name: the pool's name.
        content_hash: SHA-256 of its content.
        counts: examples per category.
        path: where the snapshot lies (file or fsspec URL).
        rejected: rows that did not enter the pool.

    Raises:
        RecordError: the same content hash was recorded with other counts.
    """
    record_categories(session, counts)
    row = {"name": name, "content_hash": content_hash, "path": path, "rejected": rejected}
    made = insert(PoolSnapshot).values(row).on_conflict_do_nothing().returning(PoolSnapshot.id)
    identifier = session.scalar(made)
    if identifier is not None and counts:
        rows = [{"snapshot_id": identifier, "category": c, "examples": n} for c, n in counts.items()]
        session.execute(insert(PoolCategory), rows)
    snapshot = session.scalars(
        select(PoolSnapshot).where(PoolSnapshot.name == name, PoolSnapshot.content_hash == content_hash)
    ).one()
    if snapshot_counts(session, snapshot.id) != dict(counts):
        raise RecordError(f"Pool {name!r} ({content_hash[:12]}…) was recorded with other counts per category before.")
    if snapshot.path != path:
        snapshot.path = path
        session.flush()
    return snapshot


def record_categories(session: Session, names: Mapping[str, int] | tuple[str, ...]) -> None:
    """Make category names known; sorted, so that two writers never wait for each other in a circle."""
    if names:
        rows = [{"name": name} for name in sorted(names)]
        session.execute(insert(Category).on_conflict_do_nothing(), rows)


def snapshot_counts(session: Session, snapshot_id: int) -> dict[str, int]:
    """Examples per category of a snapshot, categories sorted."""
    rows = session.execute(
        select(PoolCategory.category, PoolCategory.examples).where(PoolCategory.snapshot_id == snapshot_id)
    )
    return dict(sorted((category, examples) for category, examples in rows))
