"""Pools, experiments, interventions, runs, scores.

Revision: 0001, after nothing
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "category",
        sa.Column("name", sa.Text(), nullable=False),
        sa.CheckConstraint("name <> ''", name=op.f("ck_category_name_not_empty")),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_category")),
    )
    op.create_table(
        "metric",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("higher_is_better", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_metric")),
    )
    op.create_table(
        "pool_snapshot",
        sa.Column("id", sa.Integer(), sa.Identity(always=True), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("content_hash", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("rejected", sa.Integer(), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("content_hash ~ '^[0-9a-f]{64}$'", name=op.f("ck_pool_snapshot_content_hash_sha256")),
        sa.CheckConstraint("rejected >= 0", name=op.f("ck_pool_snapshot_rejected_counted")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pool_snapshot")),
        sa.UniqueConstraint("name", "content_hash", name=op.f("uq_pool_snapshot_name_content_hash")),
    )
    op.create_table(
        "run",
        sa.Column("id", sa.Integer(), sa.Identity(always=True), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), server_default="planned", nullable=False),
        sa.Column("spec", sa.JSON(), nullable=True),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("planned", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("started", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished", sa.DateTime(timezone=True), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("host", sa.Text(), nullable=True),
        sa.Column("device", sa.Text(), nullable=True),
        sa.Column("engine", sa.Text(), nullable=True),
        sa.Column("steps", sa.Integer(), nullable=True),
        sa.Column("tokens", sa.BigInteger(), nullable=True),
        sa.Column("seconds", sa.Double(), nullable=True),
        sa.Column("evaluation_seconds", sa.Double(), nullable=True),
        sa.Column("checkpoint", sa.Text(), nullable=True),
        sa.Column("record", sa.JSON(), nullable=True),
        sa.Column("record_hash", sa.Text(), nullable=True),
        sa.Column("score_count", sa.Integer(), nullable=True),
        sa.CheckConstraint(
            "CASE WHEN state = 'finished' THEN error IS NULL AND score_count > 0 AND num_nulls(finished, host, device, engine, steps, tokens, seconds, checkpoint, record, record_hash, score_count) = 0 ELSE num_nonnulls(record, record_hash, score_count, checkpoint) = 0 END",
            name=op.f("ck_run_finished_complete"),
        ),
        sa.CheckConstraint(
            "abs(seconds) < 'Infinity'::float8 AND abs(evaluation_seconds) < 'Infinity'::float8",
            name=op.f("ck_run_finite"),
        ),
        sa.CheckConstraint("fingerprint ~ '^[0-9a-f]{64}$'", name=op.f("ck_run_fingerprint_sha256")),
        sa.CheckConstraint("record_hash ~ '^[0-9a-f]{64}$'", name=op.f("ck_run_record_hash_sha256")),
        sa.CheckConstraint("state <> 'failed' OR error IS NOT NULL", name=op.f("ck_run_failed_explained")),
        sa.CheckConstraint("state <> 'running' OR started IS NOT NULL", name=op.f("ck_run_running_started")),
        sa.CheckConstraint("state IN ('planned', 'running', 'finished', 'failed')", name=op.f("ck_run_state_known")),
        sa.CheckConstraint("attempts >= 0", name=op.f("ck_run_attempts_counted")),
        sa.CheckConstraint(
            "steps >= 0 AND tokens >= 0 AND seconds >= 0 AND evaluation_seconds >= 0",
            name=op.f("ck_run_amounts_counted"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_run")),
        sa.UniqueConstraint("fingerprint", name=op.f("uq_run_fingerprint")),
    )
    op.create_index(op.f("ix_run_state"), "run", ["state"], unique=False)
    op.create_table(
        "dataset_event",
        sa.Column("id", sa.Integer(), sa.Identity(always=True), nullable=False),
        sa.Column("dataset", sa.Text(), nullable=False),
        sa.Column("snapshot_id", sa.Integer(), nullable=False),
        sa.Column("payload", sa.JSON(), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("processed", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("dataset <> ''", name=op.f("ck_dataset_event_dataset_not_empty")),
        sa.ForeignKeyConstraint(["snapshot_id"], ["pool_snapshot.id"], name=op.f("fk_dataset_event_snapshot_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_dataset_event")),
        sa.UniqueConstraint("snapshot_id", name=op.f("uq_dataset_event_snapshot_id")),
    )
    op.create_index(
        "ix_dataset_event_unprocessed",
        "dataset_event",
        ["id"],
        unique=False,
        postgresql_where=sa.text("processed IS NULL"),
    )
    op.create_table(
        "experiment",
        sa.Column("id", sa.Integer(), sa.Identity(always=True), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("config", sa.JSON(), nullable=False),
        sa.Column("config_hash", sa.Text(), nullable=False),
        sa.Column("snapshot_id", sa.Integer(), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("recorded", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.CheckConstraint("config_hash ~ '^[0-9a-f]{64}$'", name=op.f("ck_experiment_config_hash_sha256")),
        sa.CheckConstraint("name <> ''", name=op.f("ck_experiment_name_not_empty")),
        sa.ForeignKeyConstraint(["snapshot_id"], ["pool_snapshot.id"], name=op.f("fk_experiment_snapshot_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_experiment")),
        sa.UniqueConstraint(
            "name", "config_hash", "snapshot_id", name=op.f("uq_experiment_name_config_hash_snapshot_id")
        ),
    )
    op.create_index("ix_experiment_name_recorded", "experiment", ["name", "recorded"], unique=False)
    op.create_index(op.f("ix_experiment_snapshot_id"), "experiment", ["snapshot_id"], unique=False)
    op.create_table(
        "pool_category",
        sa.Column("snapshot_id", sa.Integer(), nullable=False),
        sa.Column("category", sa.Text(), nullable=False),
        sa.Column("examples", sa.Integer(), nullable=False),
        sa.CheckConstraint("examples >= 0", name=op.f("ck_pool_category_examples_counted")),
        sa.ForeignKeyConstraint(["category"], ["category.name"], name=op.f("fk_pool_category_category")),
        sa.ForeignKeyConstraint(["snapshot_id"], ["pool_snapshot.id"], name=op.f("fk_pool_category_snapshot_id")),
        sa.PrimaryKeyConstraint("snapshot_id", "category", name=op.f("pk_pool_category")),
    )
    op.create_table(
        "score",
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("category", sa.Text(), nullable=False),
        sa.Column("metric", sa.Text(), nullable=False),
        sa.Column("value", sa.Double(), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.CheckConstraint("abs(value) < 'Infinity'::float8", name=op.f("ck_score_finite")),
        sa.CheckConstraint("n > 0", name=op.f("ck_score_n_positive")),
        sa.ForeignKeyConstraint(["category"], ["category.name"], name=op.f("fk_score_category")),
        sa.ForeignKeyConstraint(["metric"], ["metric.name"], name=op.f("fk_score_metric")),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("fk_score_run_id")),
        sa.PrimaryKeyConstraint("run_id", "category", "metric", name=op.f("pk_score")),
    )
    op.create_table(
        "analysis",
        sa.Column("id", sa.Integer(), sa.Identity(always=True), nullable=False),
        sa.Column("experiment_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("parameters", sa.JSON(), nullable=False),
        sa.Column("parameters_hash", sa.Text(), nullable=False),
        sa.Column("inputs_hash", sa.Text(), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("inputs_hash ~ '^[0-9a-f]{64}$'", name=op.f("ck_analysis_inputs_hash_sha256")),
        sa.CheckConstraint("kind IN ('optimize', 'validate')", name=op.f("ck_analysis_kind_known")),
        sa.CheckConstraint("parameters_hash ~ '^[0-9a-f]{64}$'", name=op.f("ck_analysis_parameters_hash_sha256")),
        sa.ForeignKeyConstraint(["experiment_id"], ["experiment.id"], name=op.f("fk_analysis_experiment_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_analysis")),
        sa.UniqueConstraint(
            "experiment_id",
            "kind",
            "inputs_hash",
            "parameters_hash",
            name=op.f("uq_analysis_experiment_id_kind_inputs_hash_parameters_hash"),
        ),
    )
    op.create_table(
        "analysis_run",
        sa.Column("analysis_id", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["analysis_id"], ["analysis.id"], name=op.f("fk_analysis_run_analysis_id")),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("fk_analysis_run_run_id")),
        sa.PrimaryKeyConstraint("analysis_id", "run_id", name=op.f("pk_analysis_run")),
    )
    op.create_index(op.f("ix_analysis_run_run_id"), "analysis_run", ["run_id"], unique=False)
    op.create_table(
        "intervention",
        sa.Column("id", sa.Integer(), sa.Identity(always=True), nullable=False),
        sa.Column("experiment_id", sa.Integer(), nullable=False),
        sa.Column("analysis_id", sa.Integer(), nullable=True),
        sa.Column("phase", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("arm", sa.Text(), nullable=True),
        sa.CheckConstraint("arm <> ''", name=op.f("ck_intervention_arm_not_empty")),
        sa.CheckConstraint("name <> ''", name=op.f("ck_intervention_name_not_empty")),
        sa.CheckConstraint(
            "phase = 'validate' OR analysis_id IS NULL", name=op.f("ck_intervention_measured_before_analyzed")
        ),
        sa.CheckConstraint("phase IN ('measure', 'validate')", name=op.f("ck_intervention_phase_known")),
        sa.ForeignKeyConstraint(["analysis_id"], ["analysis.id"], name=op.f("fk_intervention_analysis_id")),
        sa.ForeignKeyConstraint(["experiment_id"], ["experiment.id"], name=op.f("fk_intervention_experiment_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_intervention")),
    )
    op.create_index(op.f("ix_intervention_analysis_id"), "intervention", ["analysis_id"], unique=False)
    op.create_index(
        "uq_intervention_analyzed",
        "intervention",
        ["experiment_id", "phase", "analysis_id", "name"],
        unique=True,
        postgresql_where=sa.text("analysis_id IS NOT NULL"),
    )
    op.create_index(
        "uq_intervention_measured",
        "intervention",
        ["experiment_id", "phase", "name"],
        unique=True,
        postgresql_where=sa.text("analysis_id IS NULL"),
    )
    op.create_table(
        "intervention_category",
        sa.Column("intervention_id", sa.Integer(), nullable=False),
        sa.Column("category", sa.Text(), nullable=False),
        sa.Column("examples", sa.Integer(), nullable=False),
        sa.Column("removed_position", sa.Integer(), nullable=True),
        sa.CheckConstraint("examples >= 0", name=op.f("ck_intervention_category_examples_counted")),
        sa.CheckConstraint(
            "removed_position IS NULL OR examples = 0", name=op.f("ck_intervention_category_removed_is_empty")
        ),
        sa.ForeignKeyConstraint(["category"], ["category.name"], name=op.f("fk_intervention_category_category")),
        sa.ForeignKeyConstraint(
            ["intervention_id"],
            ["intervention.id"],
            name=op.f("fk_intervention_category_intervention_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("intervention_id", "category", name=op.f("pk_intervention_category")),
    )
    op.create_table(
        "planned_run",
        sa.Column("intervention_id", sa.Integer(), nullable=False),
        sa.Column("seed", sa.BigInteger(), nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["intervention_id"], ["intervention.id"], name=op.f("fk_planned_run_intervention_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("fk_planned_run_run_id")),
        sa.PrimaryKeyConstraint("intervention_id", "seed", name=op.f("pk_planned_run")),
        sa.UniqueConstraint("intervention_id", "run_id", name=op.f("uq_planned_run_intervention_id_run_id")),
    )
    op.create_index(op.f("ix_planned_run_run_id"), "planned_run", ["run_id"], unique=False)


def downgrade() -> None:
    op.drop_table("planned_run")
    op.drop_table("intervention_category")
    op.drop_table("intervention")
    op.drop_table("analysis_run")
    op.drop_table("analysis")
    op.drop_table("score")
    op.drop_table("pool_category")
    op.drop_table("experiment")
    op.drop_table("dataset_event")
    op.drop_table("run")
    op.drop_table("pool_snapshot")
    op.drop_table("metric")
    op.drop_table("category")
