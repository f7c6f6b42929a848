"""The dependency taxonomy: which categories' data are preliminary to which, from effects and their asymmetry."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations_with_replacement

import networkx as nx
import numpy as np
from numpy.typing import NDArray
from scipy import stats

from tasks.effects.matrix import EffectMatrix, Matrix
from tasks.effects.paired import effects_from_differences
from tasks.effects.pairing import PairedDifferences
from tasks.errors import InputError
from tasks.taxonomy.feedback import Arc, minimum_feedback_arcs
from tasks.taxonomy.taxonomy import Edge, Role, Taxonomy

ASYMMETRY_LEVEL = 0.05

_ENUMERATED_SEEDS = 5
_RESAMPLES = 200


def induce(
    matrix: EffectMatrix, fdr: float = 0.05, asymmetry_level: float = ASYMMETRY_LEVEL, minimum_effect: float = 0.0
) -> Taxonomy:
    """Induce the taxonomy from measured effects.

    Edge j → i when Δ_ij > 0 is significant (q ≤ fdr), Δ_ij ≥ minimum_effect, and Δ_ij exceeds Δ_ji significantly
    (asymmetry_p ≤ asymmetry_level); a category that nobody removed can be no edge's end, as its own effect is unknown.
    The q-values are Benjamini and Hochberg's over the off-diagonal cells only: what a category's data give to itself is
    no claim about dependencies, and so many sure discoveries would let false edges through.

    Stability is the share of bootstrap resamples of the seeds from which effects, estimated anew, give the same edge
    (before cycles are broken): all resamples with their exact probabilities for 3 to 5 seeds, 200 drawn ones above; NaN
    below 3 seeds. Those that repeat one seed throughout carry no variance and are left out.

    Args:
        matrix: the effects.
        fdr: false discovery rate of the edges.
        asymmetry_level: level of the one-sided asymmetry test.
        minimum_effect: smallest effect of interest, in the effects' unit; 0 = any significant one.

    Raises:
        InputError: levels outside (0, 1), a negative minimum effect.
    """
    rule = _Rule(fdr, asymmetry_level, minimum_effect)
    rule.check()
    evidence = _measured(matrix)
    return _taxonomy(evidence, rule.candidates(evidence), _stability(matrix, rule))


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
    rule = _Rule(fdr, ASYMMETRY_LEVEL, 0.0 if threshold is None else threshold)
    rule.check()
    gap = delta - _transposed(targets, sources, delta)
    if standard_error is None:
        if not rule.minimum_effect:
            raise InputError(
                "Effects without standard errors say nothing about chance: give their standard errors, "
                "or the smallest effect that counts as a positive threshold."
            )
        unknown = np.full(delta.shape, np.nan)
        evidence = _Evidence(targets, sources, delta, unknown, unknown)
        return _taxonomy(evidence, (delta >= rule.minimum_effect) & (gap >= rule.minimum_effect))
    bad = [
        f"{targets[t]!r} from {sources[s]!r}: {standard_error[t, s]:g}"
        for t, s in np.argwhere(~(np.isfinite(standard_error) & (standard_error > 0)))
    ]
    if bad:
        raise InputError("Standard errors must be positive numbers: " + "; ".join(bad))
    p_value = 2 * stats.norm.sf(np.abs(delta) / standard_error)
    asymmetry = stats.norm.sf(gap / np.hypot(standard_error, _transposed(targets, sources, standard_error)))
    evidence = _Evidence(targets, sources, delta, _off_diagonal_q(targets, sources, p_value), asymmetry)
    return _taxonomy(evidence, rule.candidates(evidence))


@dataclass(frozen=True)
class _Rule:
    fdr: float
    asymmetry_level: float
    minimum_effect: float

    def check(self) -> None:
        problems = [
            f"{name} is {value}, expected a level between 0 and 1"
            for name, value in (("fdr", self.fdr), ("asymmetry_level", self.asymmetry_level))
            if not 0 < value < 1
        ]
        if not 0 <= self.minimum_effect < math.inf:
            problems.append(f"the smallest effect is {self.minimum_effect}, expected a number ≥ 0")
        if problems:
            raise InputError("Taxonomy: " + "; ".join(problems) + ".")

    def candidates(self, evidence: _Evidence) -> NDArray[np.bool_]:
        """[T, S] cells that are edges before cycles are broken; comparisons with NaN are False."""
        return (
            (evidence.delta > 0)
            & (evidence.delta >= self.minimum_effect)
            & (evidence.q_value <= self.fdr)
            & (evidence.asymmetry_p <= self.asymmetry_level)
        )


@dataclass(frozen=True)
class _Evidence:
    """[T, S] arrays with their labels; q-values of the off-diagonal cells, NaN on the diagonal."""

    targets: tuple[str, ...]
    sources: tuple[str, ...]
    delta: Matrix
    q_value: Matrix
    asymmetry_p: Matrix


def _measured(matrix: EffectMatrix) -> _Evidence:
    q_value = _off_diagonal_q(matrix.targets, matrix.sources, matrix.p_value)
    return _Evidence(matrix.targets, matrix.sources, matrix.delta, q_value, matrix.asymmetry_p)


def _off_diagonal_q(targets: tuple[str, ...], sources: tuple[str, ...], p_value: Matrix) -> Matrix:
    off = np.array(targets)[:, None] != np.array(sources)[None, :]
    q_value = np.full(p_value.shape, np.nan)
    if off.any():
        q_value[off] = stats.false_discovery_control(p_value[off])
    return q_value


def _transposed(targets: tuple[str, ...], sources: tuple[str, ...], values: Matrix) -> Matrix:
    """[T, S] value of the opposite cell (target j, source i); NaN on the diagonal and where there is none."""
    row = {name: i for i, name in enumerate(targets)}
    column = {name: j for j, name in enumerate(sources)}
    opposite = np.full(values.shape, np.nan)
    for i, target in enumerate(targets):
        for j, source in enumerate(sources):
            if target != source and target in column and source in row:
                opposite[i, j] = values[row[source], column[target]]
    return opposite


def _cells(evidence: _Evidence, candidates: NDArray[np.bool_]) -> dict[Arc, tuple[int, int]]:
    """Cell of each candidate arc (source, target)."""
    return {(evidence.sources[j], evidence.targets[i]): (int(i), int(j)) for i, j in np.argwhere(candidates)}


def _taxonomy(
    evidence: _Evidence, candidates: NDArray[np.bool_], stability: dict[Arc, float] | None = None
) -> Taxonomy:
    cells = _cells(evidence, candidates)
    removed, exact = minimum_feedback_arcs({arc: float(evidence.delta[cell]) for arc, cell in cells.items()})
    edges = {
        arc: Edge(
            source=arc[0],
            target=arc[1],
            delta=float(evidence.delta[cell]),
            q_value=float(evidence.q_value[cell]),
            asymmetry_p=float(evidence.asymmetry_p[cell]),
            stability=math.nan if stability is None else stability.get(arc, 0.0),
        )
        for arc, cell in sorted(cells.items())
    }
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


def _stability(matrix: EffectMatrix, rule: _Rule) -> dict[Arc, float] | None:
    """Share of resamples that keep each arc, 0 for those not named; None below 3 seeds."""
    if matrix.seeds < 3:
        return None
    share: dict[Arc, float] = {}
    total = 0.0
    for chosen, weight in _resamples(matrix.seeds):
        total += weight
        drawn = matrix.seed_delta[list(chosen)]
        if not (drawn.var(axis=0) > 0).any():
            continue
        paired = PairedDifferences(matrix.targets, matrix.sources, matrix.unit, matrix.amounts, drawn)
        evidence = _measured(effects_from_differences(paired, matrix.confidence))
        for arc in _cells(evidence, rule.candidates(evidence)):
            share[arc] = share.get(arc, 0.0) + weight
    return {arc: value / total for arc, value in share.items()}


def _resamples(seeds: int) -> Iterator[tuple[tuple[int, ...], float]]:
    """Resamples of the seeds with at least two different ones, and their weights."""
    if seeds <= _ENUMERATED_SEEDS:
        for chosen in combinations_with_replacement(range(seeds), seeds):
            if len(set(chosen)) > 1:
                repeats = [math.factorial(chosen.count(k)) for k in set(chosen)]
                yield chosen, math.factorial(seeds) / math.prod(repeats)
        return
    generator = np.random.default_rng(0)
    for row in generator.integers(seeds, size=(_RESAMPLES, seeds)).tolist():
        if len(set(row)) > 1:
            yield tuple(row), 1.0
