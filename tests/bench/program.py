"""The linear program beside scipy's HiGHS on the same instances: agreement and time."""

from __future__ import annotations

import time

import numpy as np
from scipy.optimize import linprog

from tasks.proportions.program import solve
from tasks.proportions.proposal import Baseline, Coefficients, Limits

INSTANCES = {8: 50, 28: 50, 100: 20, 500: 3}
SHIFT, BOX = 0.03, 0.5


def main() -> None:
    """Print the largest difference of the optima and the ratio of the times."""
    print("\n| categories | instances | largest difference of the optimum | ours, s | scipy, s | ratio |")
    print("| --- | --- | --- | --- | --- | --- |")
    for size, count in INSTANCES.items():
        generator = np.random.default_rng(size)
        difference, ours, theirs = 0.0, 0.0, 0.0
        for _ in range(count):
            gamma, alpha = generator.normal(0, 0.4, (size, size)), generator.dirichlet(np.full(size, 5.0))
            np.fill_diagonal(gamma, 1)
            found, seconds = _ours(gamma, alpha)
            expected, other = _scipy(gamma, alpha)
            difference, ours, theirs = max(difference, abs(found - expected)), ours + seconds, theirs + other
        print(
            f"| {size} | {count} | {difference:.1e} | {ours / count:.3f} | {theirs / count:.3f} | {ours / theirs:.1f} |"
        )


def _ours(gamma: np.ndarray, alpha: np.ndarray) -> tuple[float, float]:
    names = tuple(f"c{i}" for i in range(len(alpha)))
    unlimited = (None,) * len(alpha)
    baseline = Baseline(names, tuple(alpha.tolist()), unlimited, (0.0,) * len(alpha), (1.0,) * len(alpha))
    start = time.perf_counter()
    proposal = solve(Coefficients(names, names, gamma), baseline, Limits(10_000, SHIFT, BOX))
    return proposal.objective, time.perf_counter() - start


def _scipy(gamma: np.ndarray, alpha: np.ndarray) -> tuple[float, float]:
    """Shares w and excess u ≥ w − α: maximize αᵀΓw with Σw = 1, Σu ≤ ρ, box."""
    size = len(alpha)
    start = time.perf_counter()
    result = linprog(
        np.concatenate([-(gamma.T @ alpha), np.zeros(size)]),
        A_ub=np.vstack([np.hstack([np.eye(size), -np.eye(size)]), np.concatenate([np.zeros(size), np.ones(size)])]),
        b_ub=np.concatenate([alpha, [SHIFT]]),
        A_eq=np.concatenate([np.ones(size), np.zeros(size)])[None, :],
        b_eq=[1.0],
        bounds=[*zip((1 - BOX) * alpha, (1 + BOX) * alpha, strict=True), *[(0, None)] * size],
    )
    return -result.fun, time.perf_counter() - start
