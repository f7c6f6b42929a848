"""Store of taxonomies: nodes with level and role, kept edges, and the edges removed from cycles."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from db.columns import from_null, to_null
from db.conclusions import TaxonomyEdge, TaxonomyNode, TaxonomyRow
from tasks.taxonomy.taxonomy import Edge, Role, Taxonomy

TAXONOMY = "taxonomy"
"""Name of an analysis' main taxonomy."""


def store_taxonomy(session: Session, analysis_id: int, taxonomy: Taxonomy, name: str = TAXONOMY) -> Taxonomy:
    """Store a taxonomy once; what the analysis already has under this name stays, and is what is returned.

    Levels and roles come back in the order of `categories`.
    """
    header = {"analysis_id": analysis_id, "name": name, "removed_exactly": taxonomy.removed_exactly}
    key = session.scalar(insert(TaxonomyRow).values(header).on_conflict_do_nothing().returning(TaxonomyRow.id))
    if key is not None:
        levels, roles = dict(taxonomy.levels), dict(taxonomy.roles)
        nodes = [
            {"taxonomy_id": key, "position": i, "category": c, "level": levels[c], "role": roles[c].value}
            for i, c in enumerate(taxonomy.categories)
        ]
        session.execute(insert(TaxonomyNode), nodes)
        drawn = {pair: position for position, pair in enumerate(taxonomy.reduced)}
        edges = [_row(key, i, e) for i, e in enumerate(taxonomy.edges)]
        edges = [{**row, "reduced_position": drawn.get((row["source"], row["target"]))} for row in edges]
        edges += [{**_row(key, i, e), "removed": True} for i, e in enumerate(taxonomy.removed)]
        edges += [{**_row(key, i, e), "unconfirmed": True} for i, e in enumerate(taxonomy.unconfirmed)]
        if edges:
            session.execute(insert(TaxonomyEdge), edges)
    stored = load_taxonomy(session, analysis_id, name)
    assert stored is not None  # noqa: S101 - added above or there before
    return stored


def load_taxonomy(session: Session, analysis_id: int, name: str = TAXONOMY) -> Taxonomy | None:
    """The taxonomy as it was given; None where the analysis has none of this name."""
    row = session.scalars(select(TaxonomyRow).filter_by(analysis_id=analysis_id, name=name)).one_or_none()
    if row is None:
        return None
    nodes = session.scalars(select(TaxonomyNode).filter_by(taxonomy_id=row.id).order_by(TaxonomyNode.position)).all()
    edges = session.scalars(select(TaxonomyEdge).filter_by(taxonomy_id=row.id).order_by(TaxonomyEdge.position)).all()
    drawn = sorted((r.reduced_position, r.source, r.target) for r in edges if r.reduced_position is not None)
    return Taxonomy(
        categories=tuple(node.category for node in nodes),
        edges=tuple(_edge(edge) for edge in edges if not (edge.removed or edge.unconfirmed)),
        reduced=tuple((source, target) for _, source, target in drawn),
        removed=tuple(_edge(edge) for edge in edges if edge.removed),
        levels=tuple((node.category, node.level) for node in nodes),
        roles=tuple((node.category, Role(node.role)) for node in nodes),
        removed_exactly=row.removed_exactly,
        unconfirmed=tuple(_edge(edge) for edge in edges if edge.unconfirmed),
    )


def taxonomy_names(session: Session, analysis_id: int) -> list[str]:
    """Names of an analysis' taxonomies in the order they were recorded."""
    rows = select(TaxonomyRow.name).where(TaxonomyRow.analysis_id == analysis_id).order_by(TaxonomyRow.id)
    return list(session.scalars(rows))


def _row(key: int, position: int, edge: Edge) -> dict[str, Any]:
    return {
        "taxonomy_id": key,
        "source": edge.source,
        "target": edge.target,
        "position": position,
        "removed": False,
        "unconfirmed": False,
        "reduced_position": None,
        "delta": edge.delta,
        "q_value": edge.q_value,
        "asymmetry_p": to_null(edge.asymmetry_p),
        "stability": to_null(edge.stability),
        "pair_out_p": to_null(edge.pair_out_p),
        "confirmed": edge.confirmed,
    }


def _edge(row: TaxonomyEdge) -> Edge:
    return Edge(
        source=row.source,
        target=row.target,
        delta=row.delta,
        q_value=row.q_value,
        asymmetry_p=from_null(row.asymmetry_p),
        stability=from_null(row.stability),
        pair_out_p=from_null(row.pair_out_p),
        confirmed=row.confirmed,
    )
