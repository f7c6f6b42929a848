"""Prometheus metrics of the product, computed from Postgres at every scrape.

Postgres is the one source of truth: a single exporter covers every driver on every machine, nothing is lost when a
driver ends or is killed between two scrapes, and drivers open no port.
"""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import InstrumentedAttribute, Session

from db.base import Phase, RunState
from db.models import Run
from db.monitoring import (
    abandoned_counts,
    abandoned_in_plans,
    events_waiting,
    failure_reasons,
    histogram,
    latest_experiments,
    run_counts,
    states_in_plans,
    totals,
)
from db.session import Database

MOST_EXPERIMENTS = 100
"""Experiments with series of their own: those recorded last."""
MOST_REASONS = 20
"""Failure reasons with series of their own: the most frequent ones; the rest is "other"."""

_TOKEN_BOUNDS = tuple(10.0**k for k in range(3, 11))
_SECOND_BOUNDS = (1.0, 3.0, 10.0, 30.0, 60.0, 180.0, 600.0, 1800.0, 3600.0, 10800.0, 36000.0)
_HISTOGRAMS: tuple[tuple[str, str, InstrumentedAttribute[int | None] | InstrumentedAttribute[float | None]], ...] = (
    ("beyond_iid_run_tokens", "Tokens that a finished run saw in training.", Run.tokens),
    ("beyond_iid_run_training_seconds", "Wall-clock seconds of a finished run's training.", Run.seconds),
    ("beyond_iid_run_evaluation_seconds", "Wall-clock seconds of a finished run's scoring.", Run.evaluation_seconds),
)


class RunCollector(Collector):
    """All metrics of one database; where it does not answer, only `beyond_iid_database_up`, which is 0 then."""

    def __init__(self, database: Database) -> None:
        """Collect from this database."""
        self._database = database

    def describe(self) -> list[Metric]:
        """Nothing in advance: registering must not need the database."""
        return []

    def collect(self) -> Iterator[Metric]:
        """The metrics now."""
        try:
            with self._database.session() as session:
                found = [*_of_runs(session), *_sums(session), *_distributions(session)]
        except SQLAlchemyError:
            found = []
        up = "1 where the results database answers, 0 where it does not (all other metrics are absent then)."
        yield GaugeMetricFamily("beyond_iid_database_up", up, value=float(bool(found)))
        yield from found


def _of_runs(session: Session) -> Iterator[Metric]:
    runs = GaugeMetricFamily(
        "beyond_iid_runs",
        f"Runs of an experiment's current plan (the {MOST_EXPERIMENTS} experiments recorded last); abandoned: marked "
        "as running, but nothing works on the experiment.",
        labels=["experiment", "phase", "state"],
    )
    names = dict(latest_experiments(session, MOST_EXPERIMENTS))
    counts, lost = run_counts(session, names), abandoned_counts(session, names)
    for key, name in names.items():
        for phase in Phase:
            if any((key, phase, state) in counts for state in RunState):
                without_driver = lost.get((key, phase), 0)
                for state in RunState:
                    number = counts.get((key, phase, state), 0) - without_driver * (state is RunState.RUNNING)
                    runs.add_metric([name, phase.value, state.value], number)
                runs.add_metric([name, phase.value, "abandoned"], without_driver)
    yield runs
    states, without_driver = states_in_plans(session), abandoned_in_plans(session)
    yield GaugeMetricFamily(
        "beyond_iid_queue_length", "Runs planned and not started, over all experiments.", value=states[RunState.PLANNED]
    )
    yield GaugeMetricFamily(
        "beyond_iid_running_runs",
        "Runs under way, over all experiments.",
        value=states[RunState.RUNNING] - without_driver,
    )
    yield GaugeMetricFamily(
        "beyond_iid_abandoned_runs",
        "Runs marked as running whose driver is gone, over all experiments; the experiment's next start repeats them.",
        value=without_driver,
    )
    failed = GaugeMetricFamily(
        "beyond_iid_failed_runs", "Runs whose last attempt failed, by the class of its error.", labels=["reason"]
    )
    reasons = list(failure_reasons(session).items())
    for reason, number in reasons[:MOST_REASONS]:
        failed.add_metric([reason], number)
    if len(reasons) > MOST_REASONS:
        failed.add_metric(["other"], sum(number for _, number in reasons[MOST_REASONS:]))
    yield failed
    yield GaugeMetricFamily(
        "beyond_iid_dataset_events_waiting", "Data sets that landed and wait for a run.", value=events_waiting(session)
    )


def _sums(session: Session) -> Iterator[Metric]:
    found = totals(session)
    for name, text, value in (
        ("beyond_iid_attempts", "Starts of runs.", found.attempts),
        ("beyond_iid_retries", "Starts of runs after their first.", found.retries),
        ("beyond_iid_tokens", "Tokens seen in the training of finished runs.", found.tokens),
        ("beyond_iid_training_seconds", "Seconds of training of finished runs.", found.training_seconds),
        ("beyond_iid_evaluation_seconds", "Seconds of scoring of finished runs.", found.evaluation_seconds),
        (
            "beyond_iid_gpu_seconds",
            "Seconds of training and scoring times workers, of the finished runs on a GPU; runs that share one count "
            "in full.",
            found.gpu_seconds,
        ),
    ):
        yield CounterMetricFamily(name, text, value=float(value))


def _distributions(session: Session) -> Iterator[Metric]:
    for name, text, column in _HISTOGRAMS:
        bounds = _TOKEN_BOUNDS if column is Run.tokens else _SECOND_BOUNDS
        found = histogram(session, column, bounds)
        below, buckets = 0, []
        for bound, count in zip((*map(_number, bounds), "+Inf"), found.counts, strict=True):
            below += count
            buckets.append((bound, below))
        yield HistogramMetricFamily(name, text, buckets=buckets, sum_value=found.total)


def _number(bound: float) -> str:
    return f"{bound:.1f}"
