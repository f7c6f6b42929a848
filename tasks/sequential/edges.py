"""Whether the taxonomy's edges would change with the runs that the full design still has to come."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

from tasks.effects.matrix import EffectMatrix, Matrix
from tasks.sequential.truths import draw_truths
from tasks.taxonomy.induce import ASYMMETRY_LEVEL

DRAWS = 400

_MOST_NUMBERS = 8_000_000
_DF = np.geomspace(0.5, 1e9, 600)

Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class EdgeRule:
    """What makes a cell an edge, as `tasks.taxonomy.induce` has it before cycles are broken.

    Attributes:
        fdr: false discovery rate over the off-diagonal cells.
        minimum_effect: smallest effect of interest, in the effects' unit.
    """

    fdr: float
    minimum_effect: float


def edges_now(matrix: EffectMatrix, rule: EdgeRule) -> Flags:
    """[T, S] cells that are edges by the effects as they are."""
    off = _off_diagonal(matrix)
    return _edges(matrix.delta, matrix.p_value, matrix.asymmetry_p <= ASYMMETRY_LEVEL, off, rule)


def edge_chances(matrix: EffectMatrix, seeds: int, rule: EdgeRule) -> Matrix:
    """[S] chance that an edge from or to the source changes once every source has all its seeds.

    For each of 400 draws of the true effects (module `truths`) the mean of the remaining runs is drawn, and the edges
    of the full design are decided anew. What changes in cell (i, j) counts for source j, and for source i as well where
    the comparison with the opposite effect changes, as both sources' runs decide that.

    Approximations, so that nothing is fitted again: the true effects and the noise of the remaining runs are
    independent between cells, but for the baseline runs, which carry half of a difference's variance and are shared
    within a row; the full design's variance is the present estimate and the drawn truth, weighted by their degrees of
    freedom, which grow as the number of seeds less one; the two effects of a pair are compared as if independent.

    Args:
        matrix: paired effects of the runs so far.
        seeds: N, seeds of the full design.
        rule: what makes an edge.
    """
    off = _off_diagonal(matrix)
    if not off.any():
        return np.zeros(len(matrix.sources))
    future = _Future(matrix, seeds, off)
    p_value = future.two_sided_p(rule.fdr)
    asymmetric = future.asymmetric()
    after = _edges(future.delta, p_value, asymmetric, off, rule)
    changed = after != edges_now(matrix, rule)
    compared = changed & (asymmetric != (matrix.asymmetry_p <= ASYMMETRY_LEVEL))
    touched = changed.any(axis=1)
    for i, j in enumerate(_positions(matrix.targets, matrix.sources)):
        if j >= 0:
            touched[:, j] |= compared[:, i].any(axis=1)
    return np.asarray(np.where(seeds_done(matrix) < seeds, touched.mean(axis=0), 0.0))


def seeds_done(matrix: EffectMatrix) -> NDArray[np.int64]:
    """[S] seeds behind each source's effects."""
    return np.asarray(np.isfinite(matrix.seed_delta).all(axis=1).sum(axis=0))


def growth(done: NDArray[np.int64], seeds: int) -> Matrix:
    """[S] factor on the degrees of freedom when every source has all its seeds."""
    return np.asarray(np.maximum((seeds - 1) / (done - 1), 1.0))


class _Future:
    """Draws of the full design's estimates, [B, T, S]."""

    def __init__(self, matrix: EffectMatrix, seeds: int, off: Flags) -> None:
        shape = matrix.delta.shape
        draws = max(20, min(DRAWS, _MOST_NUMBERS // off.size))
        generator = np.random.default_rng(0)
        done = seeds_done(matrix)
        # An error of exactly 0 (a metric that did not move) would have no logarithm.
        error = np.maximum(matrix.standard_error, 1e-9 * matrix.standard_error.max())
        df = degrees_of_freedom(matrix)
        truths = draw_truths(matrix.delta[off], error[off], df[off], draws, generator)
        effect, factor = np.zeros((draws, *shape)), np.ones((draws, *shape))
        effect[:, off], factor[:, off] = truths.effect, truths.variance
        present = error**2 * done
        shared = generator.standard_normal((draws, shape[0], 1))
        own = generator.standard_normal((draws, *shape))
        remaining = np.maximum(seeds - done, 0)
        noise = (shared + own) * np.sqrt(present * factor / 2 / np.maximum(remaining, 1))
        self.delta = np.where(remaining > 0, (done * matrix.delta + remaining * (effect + noise)) / seeds, matrix.delta)
        self.df = df * growth(done, seeds)
        known = df / self.df
        self.variance = present * (known + (1 - known) * factor) / np.maximum(done, seeds)
        self._rows = np.array(_positions(matrix.sources, matrix.targets))
        self._columns = np.array(_positions(matrix.targets, matrix.sources))

    def two_sided_p(self, most: float) -> Matrix:
        """Exact up to `most`; 1 above, where Benjamini and Hochberg's procedure at that level rejects nothing."""
        size = np.abs(self.delta) / np.sqrt(self.variance)
        small = size >= stats.t.isf(most / 2, self.df)
        p_value = np.ones(size.shape)
        p_value[small] = 2 * special.stdtr(np.broadcast_to(self.df, size.shape)[small], -size[small])
        return p_value

    def asymmetric(self) -> Flags:
        """Whether each effect exceeds the opposite one significantly; False where there is none."""
        there = (self._columns[:, None] >= 0) & (self._rows[None, :] >= 0)
        opposite = self._rows[None, :], self._columns[:, None]
        gap = self.delta - self.delta[:, *opposite]
        critical = stats.t.isf(ASYMMETRY_LEVEL, np.minimum(self.df, self.df[opposite]))
        return np.asarray((gap >= critical * np.sqrt(self.variance + self.variance[:, *opposite])) & there)


def _edges(delta: Matrix, p_value: Matrix, asymmetric: Flags, off: Flags, rule: EdgeRule) -> Flags:
    """[..., T, S] the rule, the false discovery rate taken over the off-diagonal cells of each matrix."""
    q_value = np.full(p_value.shape, np.nan)
    if off.any():
        q_value[..., off] = stats.false_discovery_control(p_value[..., off], axis=-1)
    return np.asarray((delta > 0) & (delta >= rule.minimum_effect) & (q_value <= rule.fdr) & asymmetric)


def _off_diagonal(matrix: EffectMatrix) -> Flags:
    return np.asarray(np.array(matrix.targets)[:, None] != np.array(matrix.sources)[None, :])


def _positions(names: tuple[str, ...], among: tuple[str, ...]) -> list[int]:
    """Position of each name among the others; −1 where it is none of them."""
    place = {name: k for k, name in enumerate(among)}
    return [place.get(name, -1) for name in names]


def degrees_of_freedom(matrix: EffectMatrix) -> Matrix:
    """[T, S] degrees of freedom of the t intervals, read off their width; very large where the error is 0."""
    half = (matrix.high - matrix.low) / 2
    critical = np.divide(half, matrix.standard_error, out=np.zeros_like(half), where=matrix.standard_error > 0)
    table = stats.t.ppf((1 + matrix.confidence) / 2, _DF)
    return np.asarray(np.exp(np.interp(-critical, -table, np.log(_DF))))
