"""Open a database and work in transactions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import Engine, create_engine
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session, sessionmaker

from db.errors import shown
from db.migrate import upgrade
from tasks.errors import InputError


@dataclass(frozen=True)
class Database:
    """A migrated database; safe to use from several threads.

    Attributes:
        engine: the connections.
        sessions: makes sessions whose objects stay readable after the commit.
    """

    engine: Engine
    sessions: sessionmaker[Session]

    @contextmanager
    def session(self) -> Iterator[Session]:
        """One transaction: committed at the end, rolled back on any exception."""
        with self.sessions.begin() as session:
            yield session

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()


def open_database(url: str) -> Database:
    """Connect and apply missing migrations.

    Args:
        url: SQLAlchemy URL with the driver psycopg (postgresql+psycopg://…).

    Raises:
        InputError: unreachable, newer than this version, or without the right to create tables.
    """
    # Fan-outs write from many threads for milliseconds each; a small pool with a patient queue serves them.
    engine = create_engine(
        url,
        pool_pre_ping=True,
        pool_size=4,
        max_overflow=16,
        pool_timeout=60,
        connect_args={"application_name": "beyond-iid", "connect_timeout": 10},
    )
    try:
        upgrade(engine)
    except OperationalError as error:
        engine.dispose()
        raise InputError(
            f"The database {shown(engine.url)} is not reachable: "
            f"{str(error.orig).strip().splitlines()[0]}. Start it, or correct BEYOND_IID_DATABASE_URL."
        ) from error
    except BaseException:
        engine.dispose()
        raise
    return Database(engine, sessionmaker(engine, expire_on_commit=False))
