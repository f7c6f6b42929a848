"""Store of watched folders: what was seen of each file, and what became of it."""

from __future__ import annotations

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from db.landings import FileState, WatchedFile


def watched_files(session: Session, place: str) -> dict[str, WatchedFile]:
    """The last look at every file of a watched folder, by path."""
    return {row.path: row for row in session.scalars(select(WatchedFile).where(WatchedFile.place == place))}


def record_look(
    session: Session,
    file: tuple[str, str, str],
    state: FileState,
    content_hash: str | None = None,
    reason: str | None = None,
) -> None:
    """Replace what is known of a file.

    Args:
        session: the transaction.
        file: the watched folder, the file's path, and what tells its states apart (size, times, tag).
        state: what became of it.
        content_hash: of the snapshot that landed; given with that state only.
        reason: why it did not land.
    """
    place, path, signature = file
    values = {"signature": signature, "state": state.value, "content_hash": content_hash, "reason": reason}
    row = insert(WatchedFile).values(place=place, path=path, **values)
    session.execute(
        row.on_conflict_do_update(index_elements=["place", "path"], set_={**values, "looked": func.clock_timestamp()})
    )
