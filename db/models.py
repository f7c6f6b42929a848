"""Tables of what is run: pools, experiments, interventions, runs, scores. Conclusions are in `db.conclusions`.

Append-only tables and completeness are enforced by triggers; they and the view `benchmark_delta` are in the migrations.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, UniqueConstraint, false, text
from sqlalchemy.orm import Mapped, mapped_column

from db.base import (
    AnalysisKind,
    Base,
    CategoryKey,
    Created,
    Id,
    Phase,
    RunState,
    check,
    finite,
    one_of,
    sha256,
)


class Category(Base):
    """A category's name; what every other table means by a category."""

    __tablename__ = "category"
    __table_args__ = (check("name_not_empty", "name <> ''"),)

    name: Mapped[str] = mapped_column(primary_key=True)


class MetricRow(Base):
    """What a metric's numbers mean; its direction is the sign of the view's deltas. See `db.metrics`."""

    __tablename__ = "metric"
    __table_args__ = (check("name_not_empty", "name <> ''"), check("unit_not_empty", "unit <> ''"))

    name: Mapped[str] = mapped_column(primary_key=True)
    higher_is_better: Mapped[bool]
    unit: Mapped[str]


class PoolSnapshot(Base):
    """One state of an instruction pool."""

    __tablename__ = "pool_snapshot"
    __table_args__ = (
        UniqueConstraint("name", "content_hash"),
        sha256("content_hash"),
        check("rejected_counted", "rejected >= 0"),
    )

    id: Mapped[Id]
    name: Mapped[str]
    content_hash: Mapped[str]
    path: Mapped[str]
    rejected: Mapped[int]
    created: Mapped[Created]


class PoolCategory(Base):
    """How many examples of a category a snapshot holds."""

    __tablename__ = "pool_category"
    __table_args__ = (check("examples_counted", "examples >= 0"),)

    snapshot_id: Mapped[int] = mapped_column(ForeignKey("pool_snapshot.id"), primary_key=True)
    category: Mapped[CategoryKey]
    examples: Mapped[int]


class Experiment(Base):
    """One configuration on one snapshot; a name may have several, the one recorded last is meant by the name."""

    __tablename__ = "experiment"
    __table_args__ = (
        UniqueConstraint("name", "config_hash", "snapshot_id"),
        Index("ix_experiment_name_recorded", "name", "recorded"),
        sha256("config_hash"),
        check("name_not_empty", "name <> ''"),
    )

    id: Mapped[Id]
    name: Mapped[str]
    config: Mapped[dict[str, Any]] = mapped_column(JSON)
    config_hash: Mapped[str]
    snapshot_id: Mapped[int] = mapped_column(ForeignKey("pool_snapshot.id"), index=True)
    created: Mapped[Created]
    recorded: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))


class Analysis(Base):
    """One set of conclusions from the same inputs with the same parameters; later ones are added, never replaced."""

    __tablename__ = "analysis"
    __table_args__ = (
        UniqueConstraint("experiment_id", "kind", "inputs_hash", "parameters_hash"),
        one_of("kind", AnalysisKind),
        sha256("inputs_hash"),
        sha256("parameters_hash"),
    )

    id: Mapped[Id]
    experiment_id: Mapped[int] = mapped_column(ForeignKey("experiment.id"))
    kind: Mapped[str]
    parameters: Mapped[dict[str, Any]] = mapped_column(JSON)
    parameters_hash: Mapped[str]
    inputs_hash: Mapped[str]
    created: Mapped[Created]


class AnalysisRun(Base):
    """A run whose scores an analysis was drawn from."""

    __tablename__ = "analysis_run"

    analysis_id: Mapped[int] = mapped_column(ForeignKey("analysis.id"), primary_key=True)
    run_id: Mapped[int] = mapped_column(ForeignKey("run.id"), primary_key=True, index=True)


class InterventionRow(Base):
    """One planned training set of an experiment; a validation's belongs to the analysis it validates."""

    __tablename__ = "intervention"
    __table_args__ = (
        Index(
            "uq_intervention_measured", "experiment_id", "phase", "name", unique=True,
            postgresql_where=text("analysis_id IS NULL"),
        ),
        Index(
            "uq_intervention_analyzed", "experiment_id", "phase", "analysis_id", "name", unique=True,
            postgresql_where=text("analysis_id IS NOT NULL"),
        ),
        one_of("phase", Phase),
        check("arm_not_empty", "arm <> ''"),
        check("name_not_empty", "name <> ''"),
        check("measured_before_analyzed", "phase = 'validate' OR analysis_id IS NULL"),
    )  # fmt: skip

    id: Mapped[Id]
    experiment_id: Mapped[int] = mapped_column(ForeignKey("experiment.id"))
    analysis_id: Mapped[int | None] = mapped_column(ForeignKey("analysis.id"), index=True)
    phase: Mapped[str]
    position: Mapped[int]
    name: Mapped[str]
    arm: Mapped[str | None]


class InterventionCategory(Base):
    """A category's examples per epoch in an intervention's training set."""

    __tablename__ = "intervention_category"
    __table_args__ = (
        check("examples_counted", "examples >= 0"),
        check("removed_is_empty", "removed_position IS NULL OR examples = 0"),
    )

    intervention_id: Mapped[int] = mapped_column(ForeignKey("intervention.id", ondelete="CASCADE"), primary_key=True)
    category: Mapped[CategoryKey]
    examples: Mapped[int]
    removed_position: Mapped[int | None]


class Run(Base):
    """One fine-tune with its benchmark, whichever experiments use it; one row per fingerprint."""

    __tablename__ = "run"
    __table_args__ = (
        one_of("state", RunState),
        sha256("fingerprint"),
        sha256("record_hash"),
        finite("seconds", "evaluation_seconds"),
        check("attempts_counted", "attempts >= 0"),
        check("running_started", "state <> 'running' OR started IS NOT NULL"),
        check("failed_explained", "state <> 'failed' OR error IS NOT NULL"),
        check(
            "finished_complete",
            "CASE WHEN state = 'finished' THEN error IS NULL AND score_count > 0 AND num_nulls(finished, host, device, "
            "engine, steps, tokens, seconds, checkpoint, record, record_hash, score_count) = 0 "
            "ELSE num_nonnulls(record, record_hash, score_count, checkpoint) = 0 END",
        ),
        check("amounts_counted", "steps >= 0 AND tokens >= 0 AND seconds >= 0 AND evaluation_seconds >= 0"),
    )

    id: Mapped[Id]
    fingerprint: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    state: Mapped[str] = mapped_column(server_default=RunState.PLANNED.value, index=True)
    spec: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    attempts: Mapped[int] = mapped_column(server_default="0")
    planned: Mapped[Created]
    started: Mapped[datetime | None]
    finished: Mapped[datetime | None]
    error: Mapped[str | None]
    host: Mapped[str | None]
    device: Mapped[str | None]
    engine: Mapped[str | None]
    steps: Mapped[int | None]
    tokens: Mapped[int | None] = mapped_column(BigInteger)
    seconds: Mapped[float | None]
    evaluation_seconds: Mapped[float | None]
    checkpoint: Mapped[str | None]
    record: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    record_hash: Mapped[str | None]
    score_count: Mapped[int | None]


class PlannedRun(Base):
    """Which run answers for an intervention and a seed; adaptive: chosen after earlier results were known."""

    __tablename__ = "planned_run"
    __table_args__ = (UniqueConstraint("intervention_id", "run_id"),)

    intervention_id: Mapped[int] = mapped_column(ForeignKey("intervention.id", ondelete="CASCADE"), primary_key=True)
    seed: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    run_id: Mapped[int] = mapped_column(ForeignKey("run.id"), index=True)
    adaptive: Mapped[bool] = mapped_column(server_default=false())


class ScoreRow(Base):
    """A finished run's mean over n examples of one category, in the metric's own direction. Append-only."""

    __tablename__ = "score"
    __table_args__ = (
        finite("value", "standard_error"),
        check("n_positive", "n > 0"),
        check("standard_error_not_negative", "standard_error >= 0"),
    )

    run_id: Mapped[int] = mapped_column(ForeignKey("run.id"), primary_key=True)
    category: Mapped[CategoryKey]
    metric: Mapped[str] = mapped_column(ForeignKey("metric.name"), primary_key=True)
    value: Mapped[float]
    n: Mapped[int]
    standard_error: Mapped[float | None]


class DatasetEvent(Base):
    """A snapshot that landed and what became of it."""

    __tablename__ = "dataset_event"
    __table_args__ = (
        Index("ix_dataset_event_unprocessed", "id", postgresql_where=text("processed IS NULL")),
        check("dataset_not_empty", "dataset <> ''"),
    )

    id: Mapped[Id]
    dataset: Mapped[str]
    snapshot_id: Mapped[int] = mapped_column(ForeignKey("pool_snapshot.id"), unique=True)
    payload: Mapped[dict[str, Any]] = mapped_column(JSON)
    created: Mapped[Created]
    processed: Mapped[datetime | None]
