"""Effects name their estimator and the slope's error; a seed may lack a source; runs chosen later are marked.

Revision: 0004, after 0003

Effects stored before are those of paired differences, whose slope is delta / amount: its error follows exactly.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("effect_matrix", sa.Column("estimator", sa.Text(), server_default="paired", nullable=False))
    op.alter_column("effect_matrix", "estimator", server_default=None)
    op.create_check_constraint(
        op.f("ck_effect_matrix_estimator_known"), "effect_matrix", "estimator IN ('paired', 'surface')"
    )
    op.add_column("effect", sa.Column("marginal_error", sa.Double(), nullable=True))
    op.execute("ALTER TABLE effect DISABLE TRIGGER append_only")
    op.execute(
        "UPDATE effect e SET marginal_error = e.standard_error / s.amount FROM effect_source s"
        " WHERE s.matrix_id = e.matrix_id AND s.category = e.source"
    )
    op.execute("ALTER TABLE effect ENABLE TRIGGER append_only")
    op.alter_column("effect", "marginal_error", nullable=False)
    op.create_check_constraint(
        op.f("ck_effect_marginal_error_size"),
        "effect",
        "marginal_error >= 0 AND marginal_error < 'Infinity'::float8",
    )
    op.drop_constraint(op.f("ck_effect_seed_delta_numbers"), "effect")
    op.add_column(
        "planned_run", sa.Column("adaptive", sa.Boolean(), server_default=sa.text("false"), nullable=False)
    )


def downgrade() -> None:
    op.drop_column("planned_run", "adaptive")
    op.create_check_constraint(
        op.f("ck_effect_seed_delta_numbers"), "effect", "array_position(seed_delta, NULL) IS NULL"
    )
    op.drop_constraint(op.f("ck_effect_marginal_error_size"), "effect")
    op.drop_column("effect", "marginal_error")
    op.drop_constraint(op.f("ck_effect_matrix_estimator_known"), "effect_matrix")
    op.drop_column("effect_matrix", "estimator")
