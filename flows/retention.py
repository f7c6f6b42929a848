"""Storing a run's scores, and with them the decision whether its weights stay.

The database decides, not the flow at hand: runs are shared by experiments, and one that keeps weights outvotes those
that do not. Every step may be repeated, and a kill between two of them leaves at most weights that `gc` finds.
"""

from __future__ import annotations

import logging
from pathlib import Path

from db import retention, runs
from db.session import Database
from tasks.benchmarks.run import RunRecord, forget_weights, read_run_record

_log = logging.getLogger(__name__)


def store_scores(database: Database, identity: str, folder: Path) -> RunRecord | None:
    """Take a run's record into the database; weights that no experiment wants are deleted first.

    Args:
        database: where scores go.
        identity: the run's fingerprint; it is planned.
        folder: the run's folder, as the worker left it.

    Returns:
        The record as stored; None where there is none of this run, and nothing was done.

    Raises:
        InputError: the record is not valid.
    """
    record = read_run_record(folder)
    if record is None or record.training.fingerprint != identity:
        return None
    with database.session() as session:
        wanted = retention.may_be_wanted(session, identity)
    if not wanted:
        record = _forget(folder) or record
    with database.session() as session:
        runs.record_finished(session, identity, record.training, record.scores, record.evaluation_seconds)
    if wanted:
        settle(database, identity, folder.parent)
    return record


def settle(database: Database, identity: str, folder: Path) -> tuple[str, ...]:
    """Delete the weights of runs that lost against others of the same validation, where the best ones are kept.

    Does nothing for runs of experiments that keep all weights or none.

    Args:
        database: what was scored so far.
        identity: a run of the validation.
        folder: the folder of all runs.

    Returns:
        Fingerprints of the runs whose weights went.
    """
    with database.session() as session:
        lost = retention.unwanted(session, identity)
        for one in lost:  # the row first: it must not name weights that are gone
            retention.clear_checkpoint(session, one)
    for one in lost:
        _forget(folder / one)
    return tuple(lost)


def _forget(folder: Path) -> RunRecord | None:
    """`forget_weights`, but a folder that cannot be changed costs disk space and not the run."""
    try:
        return forget_weights(folder)
    except OSError as error:
        _log.warning("The weights in %s cannot be deleted (%s); `beyond-iid gc` tries again.", folder, error)
        return None
