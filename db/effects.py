"""Store of effect matrices."""

from __future__ import annotations

from typing import Any

import numpy as np
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from db.columns import from_null, to_null
from db.conclusions import EffectMatrixRow, EffectRow, EffectSource, EffectTarget
from tasks.effects.matrix import EffectMatrix

_CELL_FIELDS = ("delta", "standard_error", "low", "high", "p_value", "q_value", "marginal", "marginal_error")
_CELL_FIELDS_OR_NULL = ("gamma", "gamma_low", "gamma_high", "asymmetry_p")


def store_effects(session: Session, analysis_id: int, metric: str, arm: str, matrix: EffectMatrix) -> EffectMatrix:
    """Store the effects of one metric and arm once; what the analysis already has stays, and is what is returned.

    Args:
        session: the transaction.
        analysis_id: the analysis.
        metric: what was measured.
        arm: the interventions' arm, or another name of the design.
        matrix: the effects.
    """
    header = {
        "analysis_id": analysis_id,
        "metric": metric,
        "arm": str(arm),
        "unit": matrix.unit,
        "seeds": matrix.seeds,
        "confidence": matrix.confidence,
        "estimator": matrix.estimator,
    }
    key = session.scalar(insert(EffectMatrixRow).values(header).on_conflict_do_nothing().returning(EffectMatrixRow.id))
    if key is not None:
        _add(session, key, matrix)
    stored = load_effects(session, analysis_id, metric, arm)
    assert stored is not None  # noqa: S101 - added above or there before
    return stored


def load_effects(session: Session, analysis_id: int, metric: str, arm: str) -> EffectMatrix | None:
    """The effects as they were given, bit by bit, without error draws and degrees of freedom, which are not stored.

    None where the analysis has none of this metric and arm.
    """
    header = session.scalars(
        select(EffectMatrixRow).filter_by(analysis_id=analysis_id, metric=metric, arm=str(arm))
    ).one_or_none()
    if header is None:
        return None
    targets = session.scalars(select(EffectTarget).filter_by(matrix_id=header.id).order_by(EffectTarget.position)).all()
    sources = session.scalars(select(EffectSource).filter_by(matrix_id=header.id).order_by(EffectSource.position)).all()
    cells = {
        (cell.target, cell.source): cell
        for cell in session.scalars(select(EffectRow).where(EffectRow.matrix_id == header.id))
    }
    grid = [[cells[t.category, s.category] for s in sources] for t in targets]
    columns: dict[str, Any] = {
        name: np.array([[from_null(getattr(cell, name)) for cell in row] for row in grid], dtype=np.float64)
        for name in (*_CELL_FIELDS, *_CELL_FIELDS_OR_NULL)
    }
    by_seed = [[[from_null(value) for value in cell.seed_delta] for cell in row] for row in grid]
    return EffectMatrix(
        estimator=header.estimator,
        targets=tuple(t.category for t in targets),
        sources=tuple(s.category for s in sources),
        unit=header.unit,
        seeds=header.seeds,
        confidence=header.confidence,
        amounts=np.array([s.amount for s in sources], dtype=np.float64),
        identified=np.array([t.identified for t in targets], dtype=np.bool_),
        seed_delta=np.ascontiguousarray(np.array(by_seed, dtype=np.float64).transpose(2, 0, 1)),
        **columns,
    )


def effect_arms(session: Session, analysis_id: int) -> list[tuple[str, str]]:
    """(metric, arm) of every effect matrix of an analysis, in the order they were recorded."""
    rows = session.execute(
        select(EffectMatrixRow.metric, EffectMatrixRow.arm)
        .where(EffectMatrixRow.analysis_id == analysis_id)
        .order_by(EffectMatrixRow.id)
    )
    return [(metric, arm) for metric, arm in rows]


def _add(session: Session, key: int, matrix: EffectMatrix) -> None:
    session.execute(
        insert(EffectTarget),
        [
            {"matrix_id": key, "category": name, "position": i, "identified": bool(matrix.identified[i])}
            for i, name in enumerate(matrix.targets)
        ],
    )
    session.execute(
        insert(EffectSource),
        [
            {"matrix_id": key, "category": name, "position": j, "amount": float(matrix.amounts[j])}
            for j, name in enumerate(matrix.sources)
        ],
    )
    rows = []
    for i, target in enumerate(matrix.targets):
        for j, source in enumerate(matrix.sources):
            numbers = {name: float(getattr(matrix, name)[i, j]) for name in _CELL_FIELDS}
            unsure = {name: to_null(getattr(matrix, name)[i, j]) for name in _CELL_FIELDS_OR_NULL}
            differences = [to_null(value) for value in matrix.seed_delta[:, i, j]]
            rows.append(
                {"matrix_id": key, "target": target, "source": source, "seed_delta": differences, **numbers, **unsure}
            )
    session.execute(insert(EffectRow), rows)
