"""Store of proposals."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from db.conclusions import ProposalRange, ProposalRow, ProposalShadowPrice, ProposalShare
from tasks.proportions.proposal import Gain, Proposal, ShadowPrice, ShareRange

PROPOSAL = "proposal"
"""Name of an analysis' main proposal."""

_GAIN_COLUMNS = {
    "value": "gain", "low": "gain_low", "high": "gain_high", "confidence": "gain_confidence", "unit": "gain_unit",
    "draws": "gain_draws",
}  # fmt: skip


def store_proposal(session: Session, analysis_id: int, proposal: Proposal, name: str = PROPOSAL) -> Proposal:
    """Store a proposal once; what the analysis already has under this name stays, and is what is returned."""
    header = {
        "analysis_id": analysis_id,
        "name": name,
        "status": proposal.status,
        "solver": proposal.solver,
        "total": proposal.total,
        "objective": proposal.objective,
        "baseline_objective": proposal.baseline_objective,
        "max_residual": proposal.max_residual,
        "duality_gap": proposal.duality_gap,
        "binding": list(proposal.binding),
        "unidentified": list(proposal.unidentified),
        "count_excess": list(proposal.count_excess),
        "unit": proposal.unit,
        "decision": proposal.decision,
        "reason": proposal.reason,
        "warnings": list(proposal.warnings),
        "slack": proposal.slack,
        "robustness": proposal.robustness,
        "protection": proposal.protection,
        "curve_gap": proposal.curve_gap,
        **_gain_columns(proposal.gain),
    }
    key = session.scalar(insert(ProposalRow).values(header).on_conflict_do_nothing().returning(ProposalRow.id))
    if key is not None:
        columns = (proposal.categories, proposal.baseline_shares, proposal.shares, proposal.counts)
        shares = [
            {"proposal_id": key, "position": i, "category": c, "baseline_share": before, "share": after, "count": n}
            for i, (c, before, after, n) in enumerate(zip(*columns, strict=True))
        ]
        session.execute(insert(ProposalShare), shares)
        prices = [
            {"proposal_id": key, "position": i, "limit": price.limit, "value": price.value, "text": price.text}
            for i, price in enumerate(proposal.shadow_prices)
        ]
        ranges = [{"proposal_id": key, "position": i, **asdict(one)} for i, one in enumerate(proposal.sensitivity)]
        for table, rows in ((ProposalShadowPrice, prices), (ProposalRange, ranges)):
            if rows:
                session.execute(insert(table), rows)
    stored = load_proposal(session, analysis_id, name)
    assert stored is not None  # noqa: S101 - added above or there before
    return stored


def load_proposal(session: Session, analysis_id: int, name: str = PROPOSAL) -> Proposal | None:
    """The proposal exactly as it was given; None where the analysis has none of this name."""
    row = session.scalars(select(ProposalRow).filter_by(analysis_id=analysis_id, name=name)).one_or_none()
    if row is None:
        return None
    shares = session.scalars(select(ProposalShare).filter_by(proposal_id=row.id).order_by(ProposalShare.position)).all()
    prices = session.scalars(
        select(ProposalShadowPrice).filter_by(proposal_id=row.id).order_by(ProposalShadowPrice.position)
    )
    ranges = session.scalars(select(ProposalRange).filter_by(proposal_id=row.id).order_by(ProposalRange.position))
    return Proposal(
        status=row.status,
        solver=row.solver,
        categories=tuple(share.category for share in shares),
        baseline_shares=tuple(share.baseline_share for share in shares),
        shares=tuple(share.share for share in shares),
        counts=tuple(share.count for share in shares),
        total=row.total,
        objective=row.objective,
        baseline_objective=row.baseline_objective,
        shadow_prices=tuple(ShadowPrice(price.limit, price.value, price.text) for price in prices),
        binding=tuple(row.binding),
        unidentified=tuple(row.unidentified),
        max_residual=row.max_residual,
        duality_gap=row.duality_gap,
        count_excess=tuple(row.count_excess),
        unit=row.unit,
        gain=_gain(row),
        decision="keep" if row.decision == "keep" else "change",
        reason=row.reason,
        warnings=tuple(row.warnings),
        sensitivity=tuple(
            ShareRange(one.category, one.optimal_low, one.optimal_high, one.near_low, one.near_high) for one in ranges
        ),
        slack=row.slack,
        robustness=row.robustness,
        protection=row.protection,
        curve_gap=row.curve_gap,
    )


def proposal_names(session: Session, analysis_id: int) -> list[str]:
    """Names of an analysis' proposals in the order they were recorded."""
    rows = select(ProposalRow.name).where(ProposalRow.analysis_id == analysis_id).order_by(ProposalRow.id)
    return list(session.scalars(rows))


def _gain_columns(gain: Gain | None) -> dict[str, Any]:
    if gain is None:
        return dict.fromkeys(_GAIN_COLUMNS.values())
    return {column: getattr(gain, name) for name, column in _GAIN_COLUMNS.items()}


def _gain(row: ProposalRow) -> Gain | None:
    if row.gain is None:
        return None
    return Gain(**{name: getattr(row, column) for name, column in _GAIN_COLUMNS.items()})
