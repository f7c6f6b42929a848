"""Metrics are open and carry their unit; scores carry their standard error, and so does the view of deltas.

Revision: 0008, after 0007

Whoever records runs declares what they measure: metrics are no longer a list that migrations alone fill. The standard
errors of scores that are there already are not known: they stay NULL.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

# delta = P(baseline) - P(intervention), P higher is better: what the removed data gave.
VIEW = """
CREATE VIEW benchmark_delta AS
SELECT i.experiment_id, i.phase, i.analysis_id, i.id AS intervention_id, i.name AS intervention, i.arm,
       p.seed, s.category, s.metric, b.value AS baseline, s.value,
       CASE WHEN m.higher_is_better THEN b.value - s.value ELSE s.value - b.value END AS delta,
       b.n AS baseline_n, s.n, p.run_id, q.run_id AS baseline_run_id{errors}
FROM intervention i
JOIN planned_run p ON p.intervention_id = i.id
JOIN score s ON s.run_id = p.run_id
JOIN metric m ON m.name = s.metric
JOIN intervention c ON c.experiment_id = i.experiment_id AND c.phase = i.phase
    AND c.analysis_id IS NOT DISTINCT FROM i.analysis_id AND c.name = 'baseline'
JOIN planned_run q ON q.intervention_id = c.id AND q.seed = p.seed
JOIN score b ON b.run_id = q.run_id AND b.category = s.category AND b.metric = s.metric
WHERE i.id <> c.id"""
ERRORS = ", b.standard_error AS baseline_standard_error, s.standard_error"


def upgrade() -> None:
    op.add_column("metric", sa.Column("unit", sa.Text(), nullable=True))
    op.execute("UPDATE metric SET unit = CASE name WHEN 'loss' THEN 'nats per token' ELSE 'share' END")
    op.alter_column("metric", "unit", nullable=False)
    op.create_check_constraint(op.f("ck_metric_name_not_empty"), "metric", "name <> ''")
    op.create_check_constraint(op.f("ck_metric_unit_not_empty"), "metric", "unit <> ''")
    op.add_column("score", sa.Column("standard_error", sa.Double(), nullable=True))
    op.drop_constraint(op.f("ck_score_finite"), "score", type_="check")
    op.create_check_constraint(
        op.f("ck_score_finite"),
        "score",
        "abs(value) < 'Infinity'::float8 AND abs(standard_error) < 'Infinity'::float8",
    )
    op.create_check_constraint(op.f("ck_score_standard_error_not_negative"), "score", "standard_error >= 0")
    op.execute("DROP VIEW benchmark_delta")
    op.execute(VIEW.format(errors=ERRORS))


def downgrade() -> None:
    op.execute("DROP VIEW benchmark_delta")
    op.execute(VIEW.format(errors=""))
    op.drop_constraint(op.f("ck_score_standard_error_not_negative"), "score", type_="check")
    op.drop_constraint(op.f("ck_score_finite"), "score", type_="check")
    op.create_check_constraint(op.f("ck_score_finite"), "score", "abs(value) < 'Infinity'::float8")
    op.drop_column("score", "standard_error")
    op.drop_constraint(op.f("ck_metric_unit_not_empty"), "metric", type_="check")
    op.drop_constraint(op.f("ck_metric_name_not_empty"), "metric", type_="check")
    op.drop_column("metric", "unit")
