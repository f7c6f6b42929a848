"""Store of metrics: what a score's name means, the same in every experiment of a database."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from db.models import MetricRow
from tasks.benchmarks.scores import Metric
from tasks.errors import InputError


def declare_metrics(session: Session, metrics: Iterable[Metric]) -> None:
    """Have these metrics in the database, before scores of them are recorded; the same again changes nothing.

    Raises:
        InputError: one of these names stands for another direction or unit there.
    """
    wanted = {metric.name: metric for metric in metrics}
    if not wanted:
        return
    session.execute(insert(MetricRow).values([asdict(m) for m in wanted.values()]).on_conflict_do_nothing())
    for name, known in load_metrics(session).items():
        if name in wanted and wanted[name] != known:
            raise InputError(
                f"the metric {name!r} is {wanted[name]} here, but the database knows it as {known} from earlier runs; "
                "give the measure another name with its key `metric`"
            )


def load_metrics(session: Session) -> dict[str, Metric]:
    """All metrics by name, sorted."""
    rows = session.scalars(select(MetricRow).order_by(MetricRow.name))
    return {row.name: Metric(row.name, row.higher_is_better, row.unit) for row in rows}
