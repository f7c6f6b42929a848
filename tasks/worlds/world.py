"""A world whose performance is a formula: effects, dependencies and the best mixture are known exactly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks.errors import InputError

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class AnalyticWorld:
    """P_i(n') = a_i − b_i · A_i(n')^(−c_i) with the equivalent amount A_i(n') = e_i + n'_i + Σ_{j≠i} γ_ij n'_j.

    Training is replaced by this law plus noise, so that thousands of experiments take a minute. Performance is in
    nats per token (minus a loss), higher is better. Conflicts (γ < 0) could make A_i negative: it is floored at
    `floor`, where performance stops falling. `draw_world` chooses e_i such that no mixture with at most twice the
    baseline's amount of every conflicting source reaches the floor, so there the law is smooth and concave in n'.

    Legend: K categories, each a source and a target.

    Attributes:
        seed: what it was drawn from; also starts its noise.
        null: planted without any interaction and without any gain (see `draw_world`).
        categories: K names, sorted.
        counts: [K] baseline examples per category, n.
        ceiling: [K] a, performance with endless data.
        scale: [K] b > 0.
        exponent: [K] c > 0.
        prior: [K] e > 0, what the base model already knows, in examples of the category.
        floor: [K] smallest equivalent amount, > 0.
        gamma: [K, K] γ; rows are targets, columns are sources, the diagonal is 1.
        run_noise: [K] standard deviation of what differs from run to run.
        seed_noise: [K] standard deviation of what all runs of one seed share.
        correlation: ρ in [0, 1), correlation of the run noise between targets.
    """

    seed: int
    null: bool
    categories: tuple[str, ...]
    counts: Vector
    ceiling: Vector
    scale: Vector
    exponent: Vector
    prior: Vector
    floor: Vector
    gamma: Matrix
    run_noise: Vector
    seed_noise: Vector
    correlation: float

    @property
    def shares(self) -> Vector:
        """[K] baseline shares α, sum 1; also the weights of the categories in a gain."""
        return self.counts / self.counts.sum()

    @property
    def true_edges(self) -> frozenset[tuple[str, str]]:
        """(source, target) of every dependency: γ > 0 off the diagonal, never in both directions."""
        return frozenset(
            (self.categories[j], self.categories[i]) for i, j in np.argwhere(self.gamma > 0).tolist() if i != j
        )

    def vector(self, counts: Mapping[str, float]) -> Vector:
        """[K] amounts in the world's category order.

        Raises:
            InputError: a category without an amount, or an unknown one.
        """
        if set(counts) != set(self.categories):
            differing = ", ".join(sorted(set(counts) ^ set(self.categories)))
            raise InputError(f"amounts and the world's categories differ in: {differing}")
        return np.array([counts[name] for name in self.categories], dtype=np.float64)

    def equivalent(self, amounts: Matrix) -> Matrix:
        """[..., K] equivalent amounts A of [..., K] amounts, floored."""
        return np.maximum(self.prior + amounts @ self.gamma.T, self.floor)

    def performance(self, amounts: Matrix) -> Matrix:
        """[..., K] performance without noise after training on [..., K] amounts."""
        return self.ceiling - self.scale * self.equivalent(amounts) ** -self.exponent

    def marginal(self, amounts: Matrix | None = None) -> Matrix:
        """[K, K] m_ij = ∂P_i/∂n_j at `amounts` [K], by default the baseline: b c A^(−c−1) γ_ij; 0 on the floor."""
        at = self.counts if amounts is None else amounts
        above = self.prior + self.gamma @ at > self.floor
        slope = self.scale * self.exponent * self.equivalent(at) ** (-self.exponent - 1) * above
        return slope[:, None] * self.gamma

    def slopes(self) -> Vector:
        """[K] s_j = Σ_i α_i m_ij at the baseline: share-weighted performance per example of each source."""
        return self.shares @ self.marginal()

    def removal(self, amounts: Vector | None = None, matched: bool = False) -> Matrix:
        """[K, K] Δ_ij = P_i(n) − P_i(n without `amounts`_j of j); by default all of j.

        Args:
            amounts: [K] what is removed.
            matched: whether the other categories make up for it, pro rata (size-matched).
        """
        taken = self.counts if amounts is None else amounts
        without = self.counts + taken[:, None] * (self._paid_by_others() if matched else -np.eye(len(taken)))
        return (self.performance(self.counts) - self.performance(without)).T

    def removal_gamma(self, amounts: Vector | None = None, matched: bool = False) -> Matrix:
        """[K, K] (Δ_ij / n_j) / (Δ_ii / n_i): the coefficients that removals can know; the diagonal is 1.

        They differ from `gamma`: taking all of a category away is far from a small step, and the law is concave.
        """
        taken = self.counts if amounts is None else amounts
        return _equivalent_to_own(self.removal(taken, matched) / taken)

    def exchange(self) -> Matrix:
        """[K, K] what one more example of j gives i at the baseline where the others pay for it, pro rata."""
        return -self.marginal() @ self._paid_by_others().T

    def exchange_gamma(self) -> Matrix:
        """[K, K] `exchange` in units of each target's own; the diagonal is 1."""
        return _equivalent_to_own(self.exchange())

    def _paid_by_others(self) -> Matrix:
        """[K, K] row j: the change of all amounts when one example of j goes and the others refill it, pro rata."""
        others = self.counts * (1 - np.eye(len(self.counts)))
        return np.asarray(others / others.sum(axis=1, keepdims=True) - np.eye(len(self.counts)))

    def gain(self, amounts: Vector) -> float:
        """Σ_i α_i (P_i(n') − P_i(n)): what training on `amounts` [K] instead of the baseline truly brings."""
        return float(self.shares @ (self.performance(amounts) - self.performance(self.counts)))


def _equivalent_to_own(effects: Matrix) -> Matrix:
    return np.asarray(effects / np.diag(effects)[:, None])
