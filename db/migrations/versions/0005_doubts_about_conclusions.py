"""Proposals keep their gain, decision and share ranges; edges their confirmation; verdicts their prediction's interval.

Revision: 0005, after 0004

What was stored before had none of it: a proposal to change without an interval, edges that no pair-out run confirmed.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

# column -> (type, what stands for it in rows stored before)
PROPOSAL: dict[str, tuple[Any, str]] = {
    "unit": (sa.Text(), "equivalent share"),
    "decision": (sa.Text(), "change"),
    "reason": (sa.Text(), ""),
    "warnings": (postgresql.ARRAY(sa.Text()), "{}"),
    "slack": (sa.Double(), "0"),
    "robustness": (sa.Double(), "0"),
    "protection": (sa.Double(), "0"),
    "curve_gap": (sa.Double(), "0"),
}
GAIN: dict[str, Any] = {
    "gain": sa.Double(),
    "gain_low": sa.Double(),
    "gain_high": sa.Double(),
    "gain_confidence": sa.Double(),
    "gain_unit": sa.Text(),
    "gain_draws": sa.Integer(),
}
VERDICT = ("predicted_low", "predicted_high", "detectable")


def upgrade() -> None:
    for name, (kind, before) in PROPOSAL.items():
        op.add_column("proposal", sa.Column(name, kind, server_default=before, nullable=False))
        op.alter_column("proposal", name, server_default=None)
    for name, kind in GAIN.items():
        op.add_column("proposal", sa.Column(name, kind, nullable=True))
    op.create_check_constraint(op.f("ck_proposal_decision_known"), "proposal", "decision IN ('change', 'keep')")
    op.create_check_constraint(
        op.f("ck_proposal_gain_complete"),
        "proposal",
        "num_nulls(gain, gain_low, gain_high, gain_confidence, gain_unit, gain_draws) IN (0, 6)",
    )
    op.create_check_constraint(
        op.f("ck_proposal_doubts_finite"),
        "proposal",
        "abs(gain) < 'Infinity'::float8 AND abs(gain_low) < 'Infinity'::float8 AND abs(gain_high) < 'Infinity'::float8"
        " AND abs(slack) < 'Infinity'::float8 AND abs(robustness) < 'Infinity'::float8"
        " AND abs(protection) < 'Infinity'::float8 AND abs(curve_gap) < 'Infinity'::float8",
    )
    op.create_table(
        "proposal_range",
        sa.Column("proposal_id", sa.Integer(), nullable=False),
        sa.Column("category", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("optimal_low", sa.Double(), nullable=False),
        sa.Column("optimal_high", sa.Double(), nullable=False),
        sa.Column("near_low", sa.Double(), nullable=False),
        sa.Column("near_high", sa.Double(), nullable=False),
        sa.CheckConstraint(
            "abs(optimal_low) < 'Infinity'::float8 AND abs(optimal_high) < 'Infinity'::float8 AND abs(near_low) < 'Infinity'::float8 AND abs(near_high) < 'Infinity'::float8",
            name=op.f("ck_proposal_range_finite"),
        ),
        sa.ForeignKeyConstraint(["category"], ["category.name"], name=op.f("fk_proposal_range_category")),
        sa.ForeignKeyConstraint(["proposal_id"], ["proposal.id"], name=op.f("fk_proposal_range_proposal_id")),
        sa.PrimaryKeyConstraint("proposal_id", "category", name=op.f("pk_proposal_range")),
        sa.UniqueConstraint("proposal_id", "position", name=op.f("uq_proposal_range_proposal_id_position")),
    )
    op.execute(
        "CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON proposal_range"
        " FOR EACH ROW EXECUTE FUNCTION refuse_change()"
    )
    op.execute(
        "CREATE TRIGGER no_truncate BEFORE TRUNCATE ON proposal_range"
        " FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
    )
    op.add_column("taxonomy_edge", sa.Column("unconfirmed", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.alter_column("taxonomy_edge", "unconfirmed", server_default=None)
    op.add_column("taxonomy_edge", sa.Column("pair_out_p", sa.Double(), nullable=True))
    op.add_column("taxonomy_edge", sa.Column("confirmed", sa.Boolean(), nullable=True))
    op.create_check_constraint(
        op.f("ck_taxonomy_edge_one_place"),
        "taxonomy_edge",
        "NOT (unconfirmed AND (removed OR reduced_position IS NOT NULL))",
    )
    op.create_check_constraint(
        op.f("ck_taxonomy_edge_pair_out_probability"), "taxonomy_edge", "pair_out_p BETWEEN 0 AND 1"
    )
    op.drop_constraint(op.f("uq_taxonomy_edge_taxonomy_id_removed_position"), "taxonomy_edge")
    op.create_unique_constraint(
        op.f("uq_taxonomy_edge_taxonomy_id_removed_unconfirmed_position"),
        "taxonomy_edge",
        ["taxonomy_id", "removed", "unconfirmed", "position"],
    )
    for name in VERDICT:
        op.add_column("verdict", sa.Column(name, sa.Double(), nullable=True))
    op.create_check_constraint(
        op.f("ck_verdict_prediction_finite"),
        "verdict",
        "abs(predicted_low) < 'Infinity'::float8 AND abs(predicted_high) < 'Infinity'::float8"
        " AND abs(detectable) < 'Infinity'::float8",
    )


def downgrade() -> None:
    op.drop_constraint(op.f("ck_verdict_prediction_finite"), "verdict")
    for name in VERDICT:
        op.drop_column("verdict", name)
    op.drop_constraint(op.f("uq_taxonomy_edge_taxonomy_id_removed_unconfirmed_position"), "taxonomy_edge")
    op.create_unique_constraint(
        op.f("uq_taxonomy_edge_taxonomy_id_removed_position"), "taxonomy_edge", ["taxonomy_id", "removed", "position"]
    )
    op.drop_constraint(op.f("ck_taxonomy_edge_pair_out_probability"), "taxonomy_edge")
    op.drop_constraint(op.f("ck_taxonomy_edge_one_place"), "taxonomy_edge")
    for name in ("confirmed", "pair_out_p", "unconfirmed"):
        op.drop_column("taxonomy_edge", name)
    op.drop_table("proposal_range")
    for name in ("doubts_finite", "gain_complete", "decision_known"):
        op.drop_constraint(op.f(f"ck_proposal_{name}"), "proposal")
    for name in (*GAIN, *PROPOSAL):
        op.drop_column("proposal", name)
