"""Tables of what is concluded: effects, proposals, taxonomies, curricula, verdicts. All of them are append-only.

NULL in a number means "not identified" (NaN in the stages' value types).
"""

from __future__ import annotations

from sqlalchemy import BigInteger, ForeignKey, ForeignKeyConstraint, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, CategoryKey, Id, all_finite, check, finite, one_of, sha256
from tasks.curriculum.curriculum import Schedule
from tasks.taxonomy.taxonomy import Role
from tasks.validation.verdict import Outcome


class EffectMatrixRow(Base):
    """Header of one effect matrix: a metric and an arm of an analysis."""

    __tablename__ = "effect_matrix"
    __table_args__ = (
        UniqueConstraint("analysis_id", "metric", "arm"),
        check("seeds_positive", "seeds > 0"),
        check("confidence_share", "confidence > 0 AND confidence < 1"),
        one_of("estimator", ("paired", "surface")),
    )

    id: Mapped[Id]
    analysis_id: Mapped[int] = mapped_column(ForeignKey("analysis.id"))
    metric: Mapped[str] = mapped_column(ForeignKey("metric.name"))
    arm: Mapped[str]
    unit: Mapped[str]
    seeds: Mapped[int]
    confidence: Mapped[float]
    estimator: Mapped[str]


class EffectTarget(Base):
    """A row of an effect matrix: what is measured."""

    __tablename__ = "effect_target"
    __table_args__ = (UniqueConstraint("matrix_id", "position"),)

    matrix_id: Mapped[int] = mapped_column(ForeignKey("effect_matrix.id"), primary_key=True)
    category: Mapped[CategoryKey]
    position: Mapped[int]
    identified: Mapped[bool]


class EffectSource(Base):
    """A column of an effect matrix: the data added, and how much of it the baseline has more than without it."""

    __tablename__ = "effect_source"
    __table_args__ = (
        UniqueConstraint("matrix_id", "position"),
        finite("amount"),
        check("amount_positive", "amount > 0"),
    )

    matrix_id: Mapped[int] = mapped_column(ForeignKey("effect_matrix.id"), primary_key=True)
    category: Mapped[CategoryKey]
    position: Mapped[int]
    amount: Mapped[float]


class EffectRow(Base):
    """A cell of an effect matrix; positive = the source's data helps the target.

    `seed_delta` has an element per seed, NULL where the seed has no paired difference.
    """

    __tablename__ = "effect"
    __table_args__ = (
        ForeignKeyConstraint(["matrix_id", "target"], ["effect_target.matrix_id", "effect_target.category"]),
        ForeignKeyConstraint(["matrix_id", "source"], ["effect_source.matrix_id", "effect_source.category"]),
        finite(
            "delta", "standard_error", "low", "high", "p_value", "q_value", "marginal",
            "gamma", "gamma_low", "gamma_high", "asymmetry_p",
        ),
        check("probabilities", "p_value BETWEEN 0 AND 1 AND q_value BETWEEN 0 AND 1 AND asymmetry_p BETWEEN 0 AND 1"),
        check("interval_ordered", "standard_error >= 0 AND low <= high"),
        check("gamma_complete", "num_nulls(gamma, gamma_low, gamma_high) IN (0, 3)"),
        check("marginal_error_size", "marginal_error >= 0 AND marginal_error < 'Infinity'::float8"),
        check("seed_delta_finite", "NOT seed_delta && ARRAY['NaN', 'Infinity', '-Infinity']::float8[]"),
    )  # fmt: skip

    matrix_id: Mapped[int] = mapped_column(primary_key=True)
    target: Mapped[CategoryKey]
    source: Mapped[CategoryKey]
    delta: Mapped[float]
    standard_error: Mapped[float]
    low: Mapped[float]
    high: Mapped[float]
    p_value: Mapped[float]
    q_value: Mapped[float]
    marginal: Mapped[float]
    gamma: Mapped[float | None]
    gamma_low: Mapped[float | None]
    gamma_high: Mapped[float | None]
    asymmetry_p: Mapped[float | None]
    seed_delta: Mapped[list[float | None]]
    marginal_error: Mapped[float]


class ProposalRow(Base):
    """One solved set of proportions of an analysis."""

    __tablename__ = "proposal"
    __table_args__ = (
        UniqueConstraint("analysis_id", "name"),
        finite("objective", "baseline_objective", "max_residual", "duality_gap"),
        check("total_positive", "total > 0"),
        check("status_not_empty", "status <> ''"),
        one_of("decision", ("change", "keep")),
        check(
            "gain_complete", "num_nulls(gain, gain_low, gain_high, gain_confidence, gain_unit, gain_draws) IN (0, 6)"
        ),
        all_finite("doubts_finite", "gain", "gain_low", "gain_high", "slack", "robustness", "protection", "curve_gap"),
    )

    id: Mapped[Id]
    analysis_id: Mapped[int] = mapped_column(ForeignKey("analysis.id"))
    name: Mapped[str]
    status: Mapped[str]
    solver: Mapped[str]
    total: Mapped[int]
    objective: Mapped[float]
    baseline_objective: Mapped[float]
    max_residual: Mapped[float]
    duality_gap: Mapped[float]
    binding: Mapped[list[str]]
    unidentified: Mapped[list[str]]
    count_excess: Mapped[list[str]]
    unit: Mapped[str]
    decision: Mapped[str]
    reason: Mapped[str]
    warnings: Mapped[list[str]]
    slack: Mapped[float]
    robustness: Mapped[float]
    protection: Mapped[float]
    curve_gap: Mapped[float]
    gain: Mapped[float | None]
    gain_low: Mapped[float | None]
    gain_high: Mapped[float | None]
    gain_confidence: Mapped[float | None]
    gain_unit: Mapped[str | None]
    gain_draws: Mapped[int | None]


class ProposalRange(Base):
    """How far a category's share could lie elsewhere at no loss, or at little."""

    __tablename__ = "proposal_range"
    __table_args__ = (
        UniqueConstraint("proposal_id", "position"),
        finite("optimal_low", "optimal_high", "near_low", "near_high"),
    )

    proposal_id: Mapped[int] = mapped_column(ForeignKey("proposal.id"), primary_key=True)
    category: Mapped[CategoryKey]
    position: Mapped[int]
    optimal_low: Mapped[float]
    optimal_high: Mapped[float]
    near_low: Mapped[float]
    near_high: Mapped[float]


class ProposalShare(Base):
    """A category's proportion before and after."""

    __tablename__ = "proposal_share"
    __table_args__ = (
        UniqueConstraint("proposal_id", "position"),
        check("shares", "baseline_share >= 0 AND baseline_share < 1.000001 AND share > -1e-9 AND share < 1.000001"),
        check("count_counted", "count >= 0"),
    )

    proposal_id: Mapped[int] = mapped_column(ForeignKey("proposal.id"), primary_key=True)
    category: Mapped[CategoryKey]
    position: Mapped[int]
    baseline_share: Mapped[float]
    share: Mapped[float]
    count: Mapped[int]


class ProposalShadowPrice(Base):
    """What relaxing a limit by one unit is worth."""

    __tablename__ = "proposal_shadow_price"
    __table_args__ = (finite("value"),)

    proposal_id: Mapped[int] = mapped_column(ForeignKey("proposal.id"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    limit: Mapped[str]
    value: Mapped[float]
    text: Mapped[str]


class TaxonomyRow(Base):
    """One dependency graph of an analysis."""

    __tablename__ = "taxonomy"
    __table_args__ = (UniqueConstraint("analysis_id", "name"),)

    id: Mapped[Id]
    analysis_id: Mapped[int] = mapped_column(ForeignKey("analysis.id"))
    name: Mapped[str]
    removed_exactly: Mapped[bool]


class TaxonomyNode(Base):
    """A category's place in a taxonomy."""

    __tablename__ = "taxonomy_node"
    __table_args__ = (
        UniqueConstraint("taxonomy_id", "position"),
        one_of("role", Role),
        check("level_counted", "level >= 0"),
    )

    taxonomy_id: Mapped[int] = mapped_column(ForeignKey("taxonomy.id"), primary_key=True)
    category: Mapped[CategoryKey]
    position: Mapped[int]
    level: Mapped[int]
    role: Mapped[str]


class TaxonomyEdge(Base):
    """source → target: kept (in the transitive reduction where `reduced_position` is set), removed from a cycle, or
    taken out because pair-out runs had to confirm it and did not.
    """

    __tablename__ = "taxonomy_edge"
    __table_args__ = (
        ForeignKeyConstraint(["taxonomy_id", "source"], ["taxonomy_node.taxonomy_id", "taxonomy_node.category"]),
        ForeignKeyConstraint(["taxonomy_id", "target"], ["taxonomy_node.taxonomy_id", "taxonomy_node.category"]),
        UniqueConstraint("taxonomy_id", "removed", "unconfirmed", "position"),
        finite("delta", "q_value", "asymmetry_p", "stability"),
        check("not_to_itself", "source <> target"),
        check("delta_positive", "delta > 0"),
        check("probabilities", "q_value BETWEEN 0 AND 1 AND asymmetry_p BETWEEN 0 AND 1 AND stability BETWEEN 0 AND 1"),
        check("removed_not_drawn", "NOT removed OR reduced_position IS NULL"),
        check("one_place", "NOT (unconfirmed AND (removed OR reduced_position IS NOT NULL))"),
        check("pair_out_probability", "pair_out_p BETWEEN 0 AND 1"),
    )

    taxonomy_id: Mapped[int] = mapped_column(ForeignKey("taxonomy.id"), primary_key=True)
    source: Mapped[CategoryKey]
    target: Mapped[CategoryKey]
    position: Mapped[int]
    removed: Mapped[bool]
    reduced_position: Mapped[int | None]
    delta: Mapped[float]
    q_value: Mapped[float]
    asymmetry_p: Mapped[float | None]
    stability: Mapped[float | None]
    unconfirmed: Mapped[bool]
    pair_out_p: Mapped[float | None]
    confirmed: Mapped[bool | None]


class CurriculumRow(Base):
    """A curriculum's header; the ordered manifest itself lies at `manifest_path`."""

    __tablename__ = "curriculum"
    __table_args__ = (
        UniqueConstraint("analysis_id", "name"),
        one_of("schedule", Schedule),
        sha256("manifest_sha256"),
        check("counted", "tilt >= 0 AND tilt_requested >= tilt AND repeats > 0 AND stages > 0 AND examples >= 0"),
    )

    id: Mapped[Id]
    analysis_id: Mapped[int] = mapped_column(ForeignKey("analysis.id"))
    name: Mapped[str]
    schedule: Mapped[str]
    seed: Mapped[int] = mapped_column(BigInteger)
    tilt: Mapped[int]
    tilt_requested: Mapped[int]
    repeats: Mapped[int]
    stages: Mapped[int]
    examples: Mapped[int]
    manifest_sha256: Mapped[str]
    manifest_path: Mapped[str]
    note: Mapped[str]


class CurriculumStage(Base):
    """Examples of a category in one stage of a curriculum."""

    __tablename__ = "curriculum_stage"
    __table_args__ = (check("counted", "stage >= 0 AND examples >= 0"),)

    curriculum_id: Mapped[int] = mapped_column(ForeignKey("curriculum.id"), primary_key=True)
    stage: Mapped[int] = mapped_column(primary_key=True)
    category: Mapped[CategoryKey]
    examples: Mapped[int]


class VerdictRow(Base):
    """One validation arm against its control; positive = the arm is better."""

    __tablename__ = "verdict"
    __table_args__ = (
        UniqueConstraint("analysis_id", "arm", "control"),
        UniqueConstraint("analysis_id", "position"),
        one_of("outcome", Outcome),
        finite("difference", "low", "high", "p_value", "p_adjusted", "predicted"),
        check("seeds_positive", "seeds > 0"),
        check("confidence_share", "confidence > 0 AND confidence < 1"),
        check("interval_ordered", "low <= high"),
        check("probabilities", "p_value BETWEEN 0 AND 1 AND p_adjusted BETWEEN 0 AND 1"),
        all_finite("prediction_finite", "predicted_low", "predicted_high", "detectable"),
    )

    id: Mapped[Id]
    analysis_id: Mapped[int] = mapped_column(ForeignKey("analysis.id"))
    position: Mapped[int]
    arm: Mapped[str]
    control: Mapped[str]
    unit: Mapped[str]
    seeds: Mapped[int]
    difference: Mapped[float]
    low: Mapped[float | None]
    high: Mapped[float | None]
    confidence: Mapped[float]
    p_value: Mapped[float | None]
    p_adjusted: Mapped[float | None]
    predicted: Mapped[float | None]
    outcome: Mapped[str]
    text: Mapped[str]
    predicted_low: Mapped[float | None]
    predicted_high: Mapped[float | None]
    detectable: Mapped[float | None]


class VerdictCategory(Base):
    """A verdict's mean paired difference on one category."""

    __tablename__ = "verdict_category"
    __table_args__ = (UniqueConstraint("verdict_id", "position"), finite("difference"))

    verdict_id: Mapped[int] = mapped_column(ForeignKey("verdict.id"), primary_key=True)
    category: Mapped[CategoryKey]
    position: Mapped[int]
    difference: Mapped[float]
