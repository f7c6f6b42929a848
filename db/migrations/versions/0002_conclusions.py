"""Effects, proposals, taxonomies, curricula, verdicts.

Revision: 0002, after 0001
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "curriculum",
        sa.Column("id", sa.Integer(), sa.Identity(always=True), nullable=False),
        sa.Column("analysis_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("schedule", sa.Text(), nullable=False),
        sa.Column("seed", sa.BigInteger(), nullable=False),
        sa.Column("tilt", sa.Integer(), nullable=False),
        sa.Column("tilt_requested", sa.Integer(), nullable=False),
        sa.Column("repeats", sa.Integer(), nullable=False),
        sa.Column("stages", sa.Integer(), nullable=False),
        sa.Column("examples", sa.Integer(), nullable=False),
        sa.Column("manifest_sha256", sa.Text(), nullable=False),
        sa.Column("manifest_path", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.CheckConstraint("manifest_sha256 ~ '^[0-9a-f]{64}$'", name=op.f("ck_curriculum_manifest_sha256_sha256")),
        sa.CheckConstraint(
            "schedule IN ('paper', 'tilted', 'strict', 'reversed', 'shuffled')",
            name=op.f("ck_curriculum_schedule_known"),
        ),
        sa.CheckConstraint(
            "tilt >= 0 AND tilt_requested >= tilt AND repeats > 0 AND stages > 0 AND examples >= 0",
            name=op.f("ck_curriculum_counted"),
        ),
        sa.ForeignKeyConstraint(["analysis_id"], ["analysis.id"], name=op.f("fk_curriculum_analysis_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_curriculum")),
        sa.UniqueConstraint("analysis_id", "name", name=op.f("uq_curriculum_analysis_id_name")),
    )
    op.create_table(
        "effect_matrix",
        sa.Column("id", sa.Integer(), sa.Identity(always=True), nullable=False),
        sa.Column("analysis_id", sa.Integer(), nullable=False),
        sa.Column("metric", sa.Text(), nullable=False),
        sa.Column("arm", sa.Text(), nullable=False),
        sa.Column("unit", sa.Text(), nullable=False),
        sa.Column("seeds", sa.Integer(), nullable=False),
        sa.Column("confidence", sa.Double(), nullable=False),
        sa.CheckConstraint("confidence > 0 AND confidence < 1", name=op.f("ck_effect_matrix_confidence_share")),
        sa.CheckConstraint("seeds > 0", name=op.f("ck_effect_matrix_seeds_positive")),
        sa.ForeignKeyConstraint(["analysis_id"], ["analysis.id"], name=op.f("fk_effect_matrix_analysis_id")),
        sa.ForeignKeyConstraint(["metric"], ["metric.name"], name=op.f("fk_effect_matrix_metric")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_effect_matrix")),
        sa.UniqueConstraint("analysis_id", "metric", "arm", name=op.f("uq_effect_matrix_analysis_id_metric_arm")),
    )
    op.create_table(
        "proposal",
        sa.Column("id", sa.Integer(), sa.Identity(always=True), nullable=False),
        sa.Column("analysis_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("solver", sa.Text(), nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("objective", sa.Double(), nullable=False),
        sa.Column("baseline_objective", sa.Double(), nullable=False),
        sa.Column("max_residual", sa.Double(), nullable=False),
        sa.Column("duality_gap", sa.Double(), nullable=False),
        sa.Column("binding", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("unidentified", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("count_excess", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.CheckConstraint(
            "abs(objective) < 'Infinity'::float8 AND abs(baseline_objective) < 'Infinity'::float8 AND abs(max_residual) < 'Infinity'::float8 AND abs(duality_gap) < 'Infinity'::float8",
            name=op.f("ck_proposal_finite"),
        ),
        sa.CheckConstraint("status <> ''", name=op.f("ck_proposal_status_not_empty")),
        sa.CheckConstraint("total > 0", name=op.f("ck_proposal_total_positive")),
        sa.ForeignKeyConstraint(["analysis_id"], ["analysis.id"], name=op.f("fk_proposal_analysis_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_proposal")),
        sa.UniqueConstraint("analysis_id", "name", name=op.f("uq_proposal_analysis_id_name")),
    )
    op.create_table(
        "taxonomy",
        sa.Column("id", sa.Integer(), sa.Identity(always=True), nullable=False),
        sa.Column("analysis_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("removed_exactly", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["analysis_id"], ["analysis.id"], name=op.f("fk_taxonomy_analysis_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_taxonomy")),
        sa.UniqueConstraint("analysis_id", "name", name=op.f("uq_taxonomy_analysis_id_name")),
    )
    op.create_table(
        "verdict",
        sa.Column("id", sa.Integer(), sa.Identity(always=True), nullable=False),
        sa.Column("analysis_id", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("arm", sa.Text(), nullable=False),
        sa.Column("control", sa.Text(), nullable=False),
        sa.Column("unit", sa.Text(), nullable=False),
        sa.Column("seeds", sa.Integer(), nullable=False),
        sa.Column("difference", sa.Double(), nullable=False),
        sa.Column("low", sa.Double(), nullable=True),
        sa.Column("high", sa.Double(), nullable=True),
        sa.Column("confidence", sa.Double(), nullable=False),
        sa.Column("p_value", sa.Double(), nullable=True),
        sa.Column("p_adjusted", sa.Double(), nullable=True),
        sa.Column("predicted", sa.Double(), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "abs(difference) < 'Infinity'::float8 AND abs(low) < 'Infinity'::float8 AND abs(high) < 'Infinity'::float8 AND abs(p_value) < 'Infinity'::float8 AND abs(p_adjusted) < 'Infinity'::float8 AND abs(predicted) < 'Infinity'::float8",
            name=op.f("ck_verdict_finite"),
        ),
        sa.CheckConstraint(
            "outcome IN ('better', 'worse', 'no better than chance')", name=op.f("ck_verdict_outcome_known")
        ),
        sa.CheckConstraint("confidence > 0 AND confidence < 1", name=op.f("ck_verdict_confidence_share")),
        sa.CheckConstraint("low <= high", name=op.f("ck_verdict_interval_ordered")),
        sa.CheckConstraint(
            "p_value BETWEEN 0 AND 1 AND p_adjusted BETWEEN 0 AND 1", name=op.f("ck_verdict_probabilities")
        ),
        sa.CheckConstraint("seeds > 0", name=op.f("ck_verdict_seeds_positive")),
        sa.ForeignKeyConstraint(["analysis_id"], ["analysis.id"], name=op.f("fk_verdict_analysis_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_verdict")),
        sa.UniqueConstraint("analysis_id", "arm", "control", name=op.f("uq_verdict_analysis_id_arm_control")),
        sa.UniqueConstraint("analysis_id", "position", name=op.f("uq_verdict_analysis_id_position")),
    )
    op.create_table(
        "curriculum_stage",
        sa.Column("curriculum_id", sa.Integer(), nullable=False),
        sa.Column("stage", sa.Integer(), nullable=False),
        sa.Column("category", sa.Text(), nullable=False),
        sa.Column("examples", sa.Integer(), nullable=False),
        sa.CheckConstraint("stage >= 0 AND examples >= 0", name=op.f("ck_curriculum_stage_counted")),
        sa.ForeignKeyConstraint(["category"], ["category.name"], name=op.f("fk_curriculum_stage_category")),
        sa.ForeignKeyConstraint(["curriculum_id"], ["curriculum.id"], name=op.f("fk_curriculum_stage_curriculum_id")),
        sa.PrimaryKeyConstraint("curriculum_id", "stage", "category", name=op.f("pk_curriculum_stage")),
    )
    op.create_table(
        "effect_source",
        sa.Column("matrix_id", sa.Integer(), nullable=False),
        sa.Column("category", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("amount", sa.Double(), nullable=False),
        sa.CheckConstraint("abs(amount) < 'Infinity'::float8", name=op.f("ck_effect_source_finite")),
        sa.CheckConstraint("amount > 0", name=op.f("ck_effect_source_amount_positive")),
        sa.ForeignKeyConstraint(["category"], ["category.name"], name=op.f("fk_effect_source_category")),
        sa.ForeignKeyConstraint(["matrix_id"], ["effect_matrix.id"], name=op.f("fk_effect_source_matrix_id")),
        sa.PrimaryKeyConstraint("matrix_id", "category", name=op.f("pk_effect_source")),
        sa.UniqueConstraint("matrix_id", "position", name=op.f("uq_effect_source_matrix_id_position")),
    )
    op.create_table(
        "effect_target",
        sa.Column("matrix_id", sa.Integer(), nullable=False),
        sa.Column("category", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("identified", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["category"], ["category.name"], name=op.f("fk_effect_target_category")),
        sa.ForeignKeyConstraint(["matrix_id"], ["effect_matrix.id"], name=op.f("fk_effect_target_matrix_id")),
        sa.PrimaryKeyConstraint("matrix_id", "category", name=op.f("pk_effect_target")),
        sa.UniqueConstraint("matrix_id", "position", name=op.f("uq_effect_target_matrix_id_position")),
    )
    op.create_table(
        "proposal_shadow_price",
        sa.Column("proposal_id", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("limit", sa.Text(), nullable=False),
        sa.Column("value", sa.Double(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.CheckConstraint("abs(value) < 'Infinity'::float8", name=op.f("ck_proposal_shadow_price_finite")),
        sa.ForeignKeyConstraint(["proposal_id"], ["proposal.id"], name=op.f("fk_proposal_shadow_price_proposal_id")),
        sa.PrimaryKeyConstraint("proposal_id", "position", name=op.f("pk_proposal_shadow_price")),
    )
    op.create_table(
        "proposal_share",
        sa.Column("proposal_id", sa.Integer(), nullable=False),
        sa.Column("category", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("baseline_share", sa.Double(), nullable=False),
        sa.Column("share", sa.Double(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.CheckConstraint(
            "baseline_share >= 0 AND baseline_share < 1.000001 AND share > -1e-9 AND share < 1.000001",
            name=op.f("ck_proposal_share_shares"),
        ),
        sa.CheckConstraint("count >= 0", name=op.f("ck_proposal_share_count_counted")),
        sa.ForeignKeyConstraint(["category"], ["category.name"], name=op.f("fk_proposal_share_category")),
        sa.ForeignKeyConstraint(["proposal_id"], ["proposal.id"], name=op.f("fk_proposal_share_proposal_id")),
        sa.PrimaryKeyConstraint("proposal_id", "category", name=op.f("pk_proposal_share")),
        sa.UniqueConstraint("proposal_id", "position", name=op.f("uq_proposal_share_proposal_id_position")),
    )
    op.create_table(
        "taxonomy_node",
        sa.Column("taxonomy_id", sa.Integer(), nullable=False),
        sa.Column("category", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("level", sa.Integer(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.CheckConstraint("role IN ('base', 'middle', 'dependent')", name=op.f("ck_taxonomy_node_role_known")),
        sa.CheckConstraint("level >= 0", name=op.f("ck_taxonomy_node_level_counted")),
        sa.ForeignKeyConstraint(["category"], ["category.name"], name=op.f("fk_taxonomy_node_category")),
        sa.ForeignKeyConstraint(["taxonomy_id"], ["taxonomy.id"], name=op.f("fk_taxonomy_node_taxonomy_id")),
        sa.PrimaryKeyConstraint("taxonomy_id", "category", name=op.f("pk_taxonomy_node")),
        sa.UniqueConstraint("taxonomy_id", "position", name=op.f("uq_taxonomy_node_taxonomy_id_position")),
    )
    op.create_table(
        "verdict_category",
        sa.Column("verdict_id", sa.Integer(), nullable=False),
        sa.Column("category", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("difference", sa.Double(), nullable=False),
        sa.CheckConstraint("abs(difference) < 'Infinity'::float8", name=op.f("ck_verdict_category_finite")),
        sa.ForeignKeyConstraint(["category"], ["category.name"], name=op.f("fk_verdict_category_category")),
        sa.ForeignKeyConstraint(["verdict_id"], ["verdict.id"], name=op.f("fk_verdict_category_verdict_id")),
        sa.PrimaryKeyConstraint("verdict_id", "category", name=op.f("pk_verdict_category")),
        sa.UniqueConstraint("verdict_id", "position", name=op.f("uq_verdict_category_verdict_id_position")),
    )
    op.create_table(
        "effect",
        sa.Column("matrix_id", sa.Integer(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("delta", sa.Double(), nullable=False),
        sa.Column("standard_error", sa.Double(), nullable=False),
        sa.Column("low", sa.Double(), nullable=False),
        sa.Column("high", sa.Double(), nullable=False),
        sa.Column("p_value", sa.Double(), nullable=False),
        sa.Column("q_value", sa.Double(), nullable=False),
        sa.Column("marginal", sa.Double(), nullable=False),
        sa.Column("gamma", sa.Double(), nullable=True),
        sa.Column("gamma_low", sa.Double(), nullable=True),
        sa.Column("gamma_high", sa.Double(), nullable=True),
        sa.Column("asymmetry_p", sa.Double(), nullable=True),
        sa.Column("seed_delta", postgresql.ARRAY(sa.Double()), nullable=False),
        sa.CheckConstraint(
            "NOT seed_delta && ARRAY['NaN', 'Infinity', '-Infinity']::float8[]",
            name=op.f("ck_effect_seed_delta_finite"),
        ),
        sa.CheckConstraint(
            "abs(delta) < 'Infinity'::float8 AND abs(standard_error) < 'Infinity'::float8 AND abs(low) < 'Infinity'::float8 AND abs(high) < 'Infinity'::float8 AND abs(p_value) < 'Infinity'::float8 AND abs(q_value) < 'Infinity'::float8 AND abs(marginal) < 'Infinity'::float8 AND abs(gamma) < 'Infinity'::float8 AND abs(gamma_low) < 'Infinity'::float8 AND abs(gamma_high) < 'Infinity'::float8 AND abs(asymmetry_p) < 'Infinity'::float8",
            name=op.f("ck_effect_finite"),
        ),
        sa.CheckConstraint("array_position(seed_delta, NULL) IS NULL", name=op.f("ck_effect_seed_delta_numbers")),
        sa.CheckConstraint("num_nulls(gamma, gamma_low, gamma_high) IN (0, 3)", name=op.f("ck_effect_gamma_complete")),
        sa.CheckConstraint(
            "p_value BETWEEN 0 AND 1 AND q_value BETWEEN 0 AND 1 AND asymmetry_p BETWEEN 0 AND 1",
            name=op.f("ck_effect_probabilities"),
        ),
        sa.CheckConstraint("standard_error >= 0 AND low <= high", name=op.f("ck_effect_interval_ordered")),
        sa.ForeignKeyConstraint(
            ["matrix_id", "source"],
            ["effect_source.matrix_id", "effect_source.category"],
            name=op.f("fk_effect_matrix_id_source"),
        ),
        sa.ForeignKeyConstraint(
            ["matrix_id", "target"],
            ["effect_target.matrix_id", "effect_target.category"],
            name=op.f("fk_effect_matrix_id_target"),
        ),
        sa.ForeignKeyConstraint(["source"], ["category.name"], name=op.f("fk_effect_source")),
        sa.ForeignKeyConstraint(["target"], ["category.name"], name=op.f("fk_effect_target")),
        sa.PrimaryKeyConstraint("matrix_id", "target", "source", name=op.f("pk_effect")),
    )
    op.create_table(
        "taxonomy_edge",
        sa.Column("taxonomy_id", sa.Integer(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("removed", sa.Boolean(), nullable=False),
        sa.Column("reduced_position", sa.Integer(), nullable=True),
        sa.Column("delta", sa.Double(), nullable=False),
        sa.Column("q_value", sa.Double(), nullable=False),
        sa.Column("asymmetry_p", sa.Double(), nullable=True),
        sa.Column("stability", sa.Double(), nullable=True),
        sa.CheckConstraint(
            "abs(delta) < 'Infinity'::float8 AND abs(q_value) < 'Infinity'::float8 AND abs(asymmetry_p) < 'Infinity'::float8 AND abs(stability) < 'Infinity'::float8",
            name=op.f("ck_taxonomy_edge_finite"),
        ),
        sa.CheckConstraint("NOT removed OR reduced_position IS NULL", name=op.f("ck_taxonomy_edge_removed_not_drawn")),
        sa.CheckConstraint("delta > 0", name=op.f("ck_taxonomy_edge_delta_positive")),
        sa.CheckConstraint(
            "q_value BETWEEN 0 AND 1 AND asymmetry_p BETWEEN 0 AND 1 AND stability BETWEEN 0 AND 1",
            name=op.f("ck_taxonomy_edge_probabilities"),
        ),
        sa.CheckConstraint("source <> target", name=op.f("ck_taxonomy_edge_not_to_itself")),
        sa.ForeignKeyConstraint(["source"], ["category.name"], name=op.f("fk_taxonomy_edge_source")),
        sa.ForeignKeyConstraint(["target"], ["category.name"], name=op.f("fk_taxonomy_edge_target")),
        sa.ForeignKeyConstraint(
            ["taxonomy_id", "source"],
            ["taxonomy_node.taxonomy_id", "taxonomy_node.category"],
            name=op.f("fk_taxonomy_edge_taxonomy_id_source"),
        ),
        sa.ForeignKeyConstraint(
            ["taxonomy_id", "target"],
            ["taxonomy_node.taxonomy_id", "taxonomy_node.category"],
            name=op.f("fk_taxonomy_edge_taxonomy_id_target"),
        ),
        sa.ForeignKeyConstraint(["taxonomy_id"], ["taxonomy.id"], name=op.f("fk_taxonomy_edge_taxonomy_id")),
        sa.PrimaryKeyConstraint("taxonomy_id", "source", "target", name=op.f("pk_taxonomy_edge")),
        sa.UniqueConstraint(
            "taxonomy_id", "removed", "position", name=op.f("uq_taxonomy_edge_taxonomy_id_removed_position")
        ),
    )


def downgrade() -> None:
    op.drop_table("taxonomy_edge")
    op.drop_table("effect")
    op.drop_table("verdict_category")
    op.drop_table("taxonomy_node")
    op.drop_table("proposal_share")
    op.drop_table("proposal_shadow_price")
    op.drop_table("effect_target")
    op.drop_table("effect_source")
    op.drop_table("curriculum_stage")
    op.drop_table("verdict")
    op.drop_table("taxonomy")
    op.drop_table("proposal")
    op.drop_table("effect_matrix")
    op.drop_table("curriculum")
