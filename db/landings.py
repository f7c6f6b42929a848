"""Tables of what data sets that landed set off: reruns of experiments, and the files of watched folders."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import ForeignKey, text
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, check, one_of, sha256


class FileState(StrEnum):
    """What became of a file in a watched folder."""

    SEEN = "seen"
    """Once, in this form: it may still be written to."""
    LANDED = "landed"
    REJECTED = "rejected"


class DatasetRerun(Base):
    """How an experiment answers a data set that landed; a row appears with the first attempt.

    An answer stays one where the experiment itself is forgotten later.
    """

    __tablename__ = "dataset_rerun"
    __table_args__ = (
        check("experiment_not_empty", "experiment <> ''"),
        check("attempts_positive", "attempts > 0"),
        check("answered_by_experiment", "experiment_id IS NULL OR answered IS NOT NULL"),
    )

    event_id: Mapped[int] = mapped_column(ForeignKey("dataset_event.id"), primary_key=True)
    experiment: Mapped[str] = mapped_column(primary_key=True)
    attempts: Mapped[int]
    attempted: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))
    failure: Mapped[str | None]
    answered: Mapped[datetime | None]
    experiment_id: Mapped[int | None] = mapped_column(ForeignKey("experiment.id", ondelete="SET NULL"))


class WatchedFile(Base):
    """The last look at one file of a watched folder."""

    __tablename__ = "watched_file"
    __table_args__ = (
        one_of("state", FileState),
        sha256("content_hash"),
        check("landed_has_hash", "(state = 'landed') = (content_hash IS NOT NULL)"),
    )

    place: Mapped[str] = mapped_column(primary_key=True)
    path: Mapped[str] = mapped_column(primary_key=True)
    signature: Mapped[str]
    state: Mapped[str]
    content_hash: Mapped[str | None]
    reason: Mapped[str | None]
    looked: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))
