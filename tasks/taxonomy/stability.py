"""How often an edge would be found again: the bootstrap over seeds, or over the estimate's joint errors."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from itertools import combinations_with_replacement

import numpy as np
from scipy import stats

from tasks.effects.matrix import EffectMatrix, Matrix
from tasks.effects.paired import effects_from_differences
from tasks.effects.pairing import PairedDifferences
from tasks.taxonomy.evidence import Evidence, Rule, arc_cells, measured, off_diagonal_q, transposed
from tasks.taxonomy.feedback import Arc

_ENUMERATED_SEEDS = 5
_RESAMPLES = 200


def edge_stability(matrix: EffectMatrix, rule: Rule) -> dict[Arc, float] | None:
    """Share of bootstrap worlds in which each arc is an edge before cycles are broken; 0 for those not named.

    Where every seed has a run of every source, the seeds are resampled and the effects estimated anew: all resamples
    with their exact probabilities for 3 to 5 seeds, 200 drawn ones above. Those that repeat one seed throughout carry
    no variance and are left out. Otherwise (a surface, or sources with different seeds), the bootstrap is parametric:
    up to 200 draws of the joint errors are added to the effects, and the edges decided anew with the same standard
    errors.

    Returns:
        None below 3 seeds, or where neither complete seeds nor draws are at hand.
    """
    if np.isfinite(matrix.seed_delta).all() and len(matrix.seed_delta) > 0:
        return _over_seeds(matrix, rule) if matrix.seeds >= 3 else None
    if matrix.errors is None or matrix.df is None:
        return None
    return _over_errors(matrix, matrix.errors.delta, matrix.df, rule)


def _over_seeds(matrix: EffectMatrix, rule: Rule) -> dict[Arc, float]:
    share: dict[Arc, float] = {}
    total = 0.0
    for chosen, weight in _resamples(matrix.seeds):
        total += weight
        drawn = matrix.seed_delta[list(chosen)]
        if not (drawn.var(axis=0) > 0).any():
            continue
        paired = PairedDifferences(matrix.targets, matrix.sources, matrix.unit, matrix.amounts, drawn)
        evidence = measured(effects_from_differences(paired, matrix.confidence, draws=0))
        for arc in arc_cells(evidence, rule.candidates(evidence)):
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


def _over_errors(matrix: EffectMatrix, errors: Matrix, df: Matrix, rule: Rule) -> dict[Arc, float]:
    known = matrix.standard_error > 0
    gap_df = np.fmin(df, transposed(matrix.targets, matrix.sources, df))
    gap_error = _gap_error(matrix, errors, gap_df)
    found: Counter[Arc] = Counter()
    worlds = errors[:_RESAMPLES]
    for error in worlds:
        delta = matrix.delta + error
        gap = delta - transposed(matrix.targets, matrix.sources, delta)
        t = np.divide(np.abs(delta), matrix.standard_error, out=np.zeros_like(delta), where=known)
        q_value = off_diagonal_q(matrix.targets, matrix.sources, 2 * stats.t.sf(t, df))
        asymmetry = stats.t.sf(np.divide(gap, gap_error, out=np.full_like(gap, np.nan), where=gap_error > 0), gap_df)
        evidence = Evidence(matrix.targets, matrix.sources, delta, q_value, asymmetry)
        found.update(list(arc_cells(evidence, rule.candidates(evidence))))
    return {arc: number / len(worlds) for arc, number in found.items()}  # counted: a sum of 200 parts may exceed 1


def _gap_error(matrix: EffectMatrix, errors: Matrix, gap_df: Matrix) -> Matrix:
    """[T, S] standard error of Δ_ij − Δ_ji, as the estimator's own `asymmetry_p` has it.

    A surface takes the two cells as independent; paired ones share the baseline's noise, which only the draws hold.
    """
    if matrix.estimator == "surface":
        return np.hypot(matrix.standard_error, transposed(matrix.targets, matrix.sources, matrix.standard_error))
    level = (1 + matrix.confidence) / 2
    ends = np.quantile(errors - transposed(matrix.targets, matrix.sources, errors), [1 - level, level], axis=0)
    return np.asarray((ends[1] - ends[0]) / 2 / stats.t.ppf(level, gap_df))
