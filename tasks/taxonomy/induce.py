"""The dependency taxonomy: which categories' data are preliminary to which, from effects and their asymmetry."""

from __future__ import annotations

import math
from dataclasses import replace

import networkx as nx
import numpy as np
from numpy.typing import NDArray
from scipy import stats

from tasks.effects.matrix import EffectMatrix, Matrix
from tasks.effects.pair_out import PairInteractions
from tasks.errors import InputError
from tasks.taxonomy.evidence import Evidence, Rule, arc_cells, measured, off_diagonal_q, transposed
from tasks.taxonomy.feedback import Arc, minimum_feedback_arcs
from tasks.taxonomy.stability import edge_stability
from tasks.taxonomy.taxonomy import Edge, Role, Taxonomy

ASYMMETRY_LEVEL = 0.05


def induce(
    matrix: EffectMatrix,
    fdr: float = 0.05,
    asymmetry_level: float = ASYMMETRY_LEVEL,
    minimum_effect: float = 0.0,
    interactions: PairInteractions | None = None,
    require_pair_out: bool = False,
) -> Taxonomy:
    """Induce the taxonomy from measured effects.

    Edge j → i when Δ_ij > 0 is significant (q ≤ fdr), Δ_ij ≥ minimum_effect, and Δ_ij exceeds Δ_ji significantly
    (asymmetry_p ≤ asymmetry_level); a category that nobody removed can be no edge's end, as its own effect is unknown.
    The q-values are Benjamini and Hochberg's over the off-diagonal cells only: what a category's data give to itself is
    no claim about dependencies, and so many sure discoveries would let false edges through.

    Pair-out runs confirm an edge when i's own gain is significantly smaller without j (pair_out_p ≤ asymmetry_level).
    By default that is only reported: with few seeds an interaction, a difference of four runs, is often too uncertain
    to be found. With `require_pair_out`, edges that are not confirmed, or have no pair-out runs, are taken out before
    cycles are broken, and returned as `unconfirmed`.

    Stability: see `stability.edge_stability`; it asks for the two conditions above, not for pair-out runs.

    Args:
        matrix: the effects.
        fdr: false discovery rate of the edges.
        asymmetry_level: level of the one-sided tests of asymmetry and of pair-out interactions.
        minimum_effect: smallest effect of interest, in the effects' unit; 0 = any significant one.
        interactions: what pair-out runs say.
        require_pair_out: keep confirmed edges only.

    Raises:
        InputError: levels outside (0, 1), a negative minimum effect, confirmation required without pair-out runs.
    """
    rule = Rule(fdr, asymmetry_level, minimum_effect)
    rule.check()
    if require_pair_out and (interactions is None or not interactions.sources):
        raise InputError("Edges are to be confirmed by pair-out runs, but there are none; add pair-out runs.")
    evidence = measured(matrix)
    edges = _edges(evidence, rule.candidates(evidence), edge_stability(matrix, rule))
    if interactions is not None:
        p_value = interactions.p_by_pair
        edges = [_judged(edge, p_value.get((edge.source, edge.target)), asymmetry_level) for edge in edges]
    if not require_pair_out:
        return _taxonomy(evidence, edges)
    confirmed = [edge for edge in edges if edge.confirmed]
    return replace(_taxonomy(evidence, confirmed), unconfirmed=tuple(edge for edge in edges if not edge.confirmed))


def _judged(edge: Edge, pair_out_p: float | None, level: float) -> Edge:
    return edge if pair_out_p is None else replace(edge, pair_out_p=pair_out_p, confirmed=pair_out_p <= level)


def induce_from_values(
    targets: tuple[str, ...],
    sources: tuple[str, ...],
    delta: Matrix,
    standard_error: Matrix | None = None,
    fdr: float = 0.05,
    threshold: float | None = None,
) -> Taxonomy:
    """Induce a taxonomy from effects without their seeds; stability is NaN.

    With standard errors: as `induce`, with normal approximations, independent cells, asymmetry level 0.05, and
    `threshold` as the smallest effect of interest. Without them significance cannot be judged, so the user must say
    what counts: edge j → i when both Δ_ij and Δ_ij − Δ_ji reach `threshold`; q-values and asymmetry are NaN.

    Args:
        targets: T row names.
        sources: S column names.
        delta: [T, S], positive = the source's data helps the target.
        standard_error: [T, S] or None.
        fdr: false discovery rate of the edges.
        threshold: in delta's unit; required without standard errors.

    Raises:
        InputError: neither standard errors nor a threshold; standard errors that are not positive; bad levels.
    """
    rule = Rule(fdr, ASYMMETRY_LEVEL, 0.0 if threshold is None else threshold)
    rule.check()
    gap = delta - transposed(targets, sources, delta)
    if standard_error is None:
        if not rule.minimum_effect:
            raise InputError(
                "Effects without standard errors say nothing about chance: give their standard errors, "
                "or the smallest effect that counts as a positive threshold."
            )
        unknown = np.full(delta.shape, np.nan)
        evidence = Evidence(targets, sources, delta, unknown, unknown)
        return _taxonomy(evidence, _edges(evidence, (delta >= rule.minimum_effect) & (gap >= rule.minimum_effect)))
    bad = [
        f"{targets[t]!r} from {sources[s]!r}: {standard_error[t, s]:g}"
        for t, s in np.argwhere(~(np.isfinite(standard_error) & (standard_error > 0)))
    ]
    if bad:
        raise InputError("Standard errors must be positive numbers: " + "; ".join(bad))
    p_value = 2 * stats.norm.sf(np.abs(delta) / standard_error)
    asymmetry = stats.norm.sf(gap / np.hypot(standard_error, transposed(targets, sources, standard_error)))
    evidence = Evidence(targets, sources, delta, off_diagonal_q(targets, sources, p_value), asymmetry)
    return _taxonomy(evidence, _edges(evidence, rule.candidates(evidence)))


def _edges(evidence: Evidence, candidates: NDArray[np.bool_], stability: dict[Arc, float] | None = None) -> list[Edge]:
    """The candidate cells as edges, sorted by (source, target)."""
    return [
        Edge(
            source=arc[0],
            target=arc[1],
            delta=float(evidence.delta[cell]),
            q_value=float(evidence.q_value[cell]),
            asymmetry_p=float(evidence.asymmetry_p[cell]),
            stability=math.nan if stability is None else stability.get(arc, 0.0),
        )
        for arc, cell in sorted(arc_cells(evidence, candidates).items())
    ]


def _taxonomy(evidence: Evidence, found: list[Edge]) -> Taxonomy:
    edges = {(edge.source, edge.target): edge for edge in found}
    removed, exact = minimum_feedback_arcs({arc: edge.delta for arc, edge in edges.items()})
    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_nodes_from(sorted({*evidence.targets, *evidence.sources}))
    graph.add_edges_from(arc for arc in edges if arc not in set(removed))
    return Taxonomy(
        categories=tuple(graph.nodes),
        edges=tuple(edges[arc] for arc in sorted(graph.edges)),
        reduced=tuple(sorted(nx.transitive_reduction(graph).edges)),
        removed=tuple(edges[arc] for arc in removed),
        levels=tuple(levels(graph).items()),
        roles=tuple((name, _role(graph.out_degree(name) > 0, graph.in_degree(name) > 0)) for name in graph.nodes),
        removed_exactly=exact,
    )


def levels(graph: nx.DiGraph[str]) -> dict[str, int]:
    """Edges on the longest path to each node of an acyclic graph, in the graph's node order; roots have 0."""
    level: dict[str, int] = {}
    for node in nx.topological_sort(graph):
        level[node] = max((level[before] + 1 for before in graph.predecessors(node)), default=0)
    return {node: level[node] for node in graph.nodes}


def _role(supports: bool, depends: bool) -> Role:
    if supports == depends:
        return Role.MIDDLE
    return Role.BASE if supports else Role.DEPENDENT
