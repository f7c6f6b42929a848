"""One flow at a time per experiment, over all processes and machines that share the database.

Prefect's concurrency limits count the runs of a deployment, or hold leases that outlive a killed process. A lock of the
database's session is the experiment's own, and ends with its holder.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

from prefect import get_run_logger
from prefect.exceptions import MissingContextError
from sqlalchemy import Connection, func, select
from sqlalchemy.exc import SQLAlchemyError

from db.experiment_locks import lock_key
from db.session import Database
from flows.cancellation import Cancellation

_LOOK_SECONDS = 1.0


@contextmanager
def alone(database: Database, name: str) -> Iterator[None]:
    """Wait until no other flow works on the experiment `name`, and keep others waiting meanwhile.

    Call inside a flow; never nested for the same experiment.

    Raises:
        RunCancelledError: a person cancelled the flow run while it waited.
    """
    key = lock_key(name)
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        _wait(connection, key, name)
        try:
            yield
        finally:
            try:
                connection.execute(select(func.pg_advisory_unlock(key)))
            except SQLAlchemyError:
                # The server went away, and the lock with it; whoever needs the database will say so.
                connection.invalidate()


def _wait(connection: Connection, key: int, name: str) -> None:
    cancellation: Cancellation | None = None
    while not connection.scalar(select(func.pg_try_advisory_lock(key))):
        if cancellation is None:
            cancellation = Cancellation()
            _log().info("Another run of experiment %s is under way: waiting for its end.", name)
        cancellation.check()
        time.sleep(_LOOK_SECONDS)


def _log() -> logging.Logger | logging.LoggerAdapter[logging.Logger]:
    try:
        return get_run_logger()
    except MissingContextError:
        return logging.getLogger(__name__)
