"""Store of validation verdicts."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from db.columns import among, from_null, to_null
from db.conclusions import VerdictCategory, VerdictRow
from tasks.validation.verdict import Outcome, Verdict


def store_verdicts(session: Session, analysis_id: int, verdicts: Sequence[Verdict]) -> tuple[Verdict, ...]:
    """Store all verdicts of an analysis once; those it already has stay, and are what is returned."""
    for position, verdict in enumerate(verdicts):
        row = {
            "analysis_id": analysis_id,
            "position": position,
            "arm": verdict.arm,
            "control": verdict.control,
            "unit": verdict.unit,
            "seeds": verdict.seeds,
            "difference": verdict.difference,
            "low": to_null(verdict.low),
            "high": to_null(verdict.high),
            "confidence": verdict.confidence,
            "p_value": to_null(verdict.p_value),
            "p_adjusted": to_null(verdict.p_adjusted),
            "predicted": verdict.predicted,
            "outcome": verdict.outcome.value,
            "text": verdict.text,
            "predicted_low": verdict.predicted_low,
            "predicted_high": verdict.predicted_high,
            "detectable": verdict.detectable,
        }
        key = session.scalar(insert(VerdictRow).values(row).on_conflict_do_nothing().returning(VerdictRow.id))
        if key is not None and verdict.by_category:
            cells = [
                {"verdict_id": key, "position": i, "category": category, "difference": difference}
                for i, (category, difference) in enumerate(verdict.by_category)
            ]
            session.execute(insert(VerdictCategory), cells)
    return load_verdicts(session, analysis_id)


def load_verdicts(session: Session, analysis_id: int) -> tuple[Verdict, ...]:
    """The verdicts exactly as they were given, in their order; empty where there are none."""
    rows = session.scalars(select(VerdictRow).filter_by(analysis_id=analysis_id).order_by(VerdictRow.position)).all()
    cells: dict[int, list[tuple[str, float]]] = {row.id: [] for row in rows}
    for cell in session.scalars(
        select(VerdictCategory).where(among(VerdictCategory.verdict_id, cells)).order_by(VerdictCategory.position)
    ):
        cells[cell.verdict_id].append((cell.category, cell.difference))
    return tuple(
        Verdict(
            arm=row.arm,
            control=row.control,
            seeds=row.seeds,
            unit=row.unit,
            difference=row.difference,
            low=from_null(row.low),
            high=from_null(row.high),
            confidence=row.confidence,
            p_value=from_null(row.p_value),
            p_adjusted=from_null(row.p_adjusted),
            predicted=row.predicted,
            outcome=Outcome(row.outcome),
            text=row.text,
            by_category=tuple(cells[row.id]),
            predicted_low=row.predicted_low,
            predicted_high=row.predicted_high,
            detectable=row.detectable,
        )
        for row in rows
    )
