"""What data sets that landed set off: reruns of experiments with their attempts, and the files of watched folders.

Revision: 0006, after 0005
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

NOW = sa.text("clock_timestamp()")


def upgrade() -> None:
    op.create_table(
        "dataset_rerun",
        sa.Column("event_id", sa.Integer(), nullable=False),
        sa.Column("experiment", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("attempted", sa.DateTime(timezone=True), server_default=NOW, nullable=False),
        sa.Column("failure", sa.Text(), nullable=True),
        sa.Column("answered", sa.DateTime(timezone=True), nullable=True),
        sa.Column("experiment_id", sa.Integer(), nullable=True),
        sa.CheckConstraint("experiment <> ''", name=op.f("ck_dataset_rerun_experiment_not_empty")),
        sa.CheckConstraint("attempts > 0", name=op.f("ck_dataset_rerun_attempts_positive")),
        sa.CheckConstraint(
            "experiment_id IS NULL OR answered IS NOT NULL", name=op.f("ck_dataset_rerun_answered_by_experiment")
        ),
        sa.ForeignKeyConstraint(["event_id"], ["dataset_event.id"], name=op.f("fk_dataset_rerun_event_id")),
        sa.ForeignKeyConstraint(
            ["experiment_id"], ["experiment.id"], name=op.f("fk_dataset_rerun_experiment_id"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("event_id", "experiment", name=op.f("pk_dataset_rerun")),
    )
    op.create_table(
        "watched_file",
        sa.Column("place", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("signature", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("content_hash", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("looked", sa.DateTime(timezone=True), server_default=NOW, nullable=False),
        sa.CheckConstraint(
            "state IN ('seen', 'landed', 'rejected')", name=op.f("ck_watched_file_state_known")
        ),
        sa.CheckConstraint("content_hash ~ '^[0-9a-f]{64}$'", name=op.f("ck_watched_file_content_hash_sha256")),
        sa.CheckConstraint(
            "(state = 'landed') = (content_hash IS NOT NULL)", name=op.f("ck_watched_file_landed_has_hash")
        ),
        sa.PrimaryKeyConstraint("place", "path", name=op.f("pk_watched_file")),
    )


def downgrade() -> None:
    op.drop_table("watched_file")
    op.drop_table("dataset_rerun")
