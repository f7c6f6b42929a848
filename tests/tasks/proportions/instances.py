"""Random programs with every kind of limit, and the same program in scipy's form, written down independently."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linprog

from tasks.proportions.proposal import Baseline, Coefficients, Limits


def make_baseline(shares, available=None, minimum=None, maximum=None):
    size = len(shares)
    return Baseline(
        tuple(f"c{k}" for k in range(size)),
        tuple(float(s) for s in shares),
        tuple(available) if available is not None else (None,) * size,
        tuple(minimum) if minimum is not None else (0.0,) * size,
        tuple(maximum) if maximum is not None else (1.0,) * size,
    )


def square(values):
    values = np.asarray(values, dtype=float)
    names = tuple(f"c{k}" for k in range(len(values)))
    return Coefficients(names, names, values)


def random_instance(seed, largest=30, no_harm=None):
    """A feasible instance with every kind of limit: the limits are laid around a point near the baseline."""
    rng = np.random.default_rng(seed)
    size = int(rng.integers(2, largest))
    alpha = rng.dirichlet(np.full(size, 2.0))
    gamma = rng.uniform(-1.2, 1.2, (size, size))
    np.fill_diagonal(gamma, 1.0)
    box, total = float(rng.uniform(0.1, 0.9)), 10_000
    inside = alpha * (1 + box * rng.uniform(-0.9, 0.9, size))
    inside /= inside.sum()
    inside = alpha + 0.5 * (inside - alpha)
    rho = float(0.5 * np.abs(inside - alpha).sum() + rng.uniform(0, 0.05))
    pick = rng.random((3, size)) < 0.3
    if no_harm is not None:
        before, after = gamma @ alpha, gamma @ inside
        no_harm *= float(max(((before - after) / np.abs(before)).max(), 1e-3))
    baseline = make_baseline(
        alpha,
        [float(np.ceil(inside[k] * total * 1.02 / 1.5)) if pick[0, k] else None for k in range(size)],
        [float(inside[k] * 0.98) if pick[1, k] else 0.0 for k in range(size)],
        [float(min(1.0, inside[k] * 1.03)) if pick[2, k] else 1.0 for k in range(size)],
    )
    return square(gamma), baseline, Limits(total, rho, box, 1.5, no_harm)


class Oracle:
    """{w, t: t ≥ |w − α|, all limits} for scipy's HiGHS; further variables and rows may be added."""

    def __init__(self, baseline, limits, gamma=None, extra=0):
        alpha = np.array(baseline.shares)
        size = self.size = len(alpha)
        self.columns = 2 * size + extra
        self.bounds = []
        for k in range(size):
            low, high = baseline.minimum[k], baseline.maximum[k]
            if limits.box is not None:
                low, high = max(low, (1 - limits.box) * alpha[k]), min(high, (1 + limits.box) * alpha[k])
            if baseline.available[k] is not None:
                high = min(high, baseline.available[k] * limits.max_repeats / limits.total)
            self.bounds.append((low, high))
        self.bounds += [(0, None)] * size + [(None, None)] * extra
        self.rows, self.right = [], []
        eye = np.eye(size)
        for k in range(size):
            self.add(np.concatenate([eye[k], -eye[k]]), alpha[k])
            self.add(np.concatenate([-eye[k], -eye[k]]), -alpha[k])
        if limits.max_shift is not None:
            self.add(np.concatenate([np.zeros(size), np.full(size, 0.5)]), limits.max_shift)
        if limits.no_harm is not None:
            for row in gamma:
                before = float(row @ alpha)
                self.add(-row, -(before - limits.no_harm * abs(before)))

    def add(self, row, right):
        """row · variables ≤ right; the row may be shorter than the variables."""
        self.rows.append(np.concatenate([row, np.zeros(self.columns - len(row))]))
        self.right.append(right)

    def maximize(self, costs):
        """(optimum, w), or (None, None) where it is infeasible."""
        result = linprog(
            -np.concatenate([costs, np.zeros(self.columns - len(costs))]),
            np.array(self.rows),
            np.array(self.right),
            np.concatenate([np.ones(self.size), np.zeros(self.columns - self.size)])[None],
            [1.0],
            self.bounds,
            method="highs",
        )
        return (None, None) if result.status == 2 else (-result.fun, result.x[: self.size])


def check_limits(proposal, baseline, limits, gamma=None):
    shares, alpha = np.array(proposal.shares), np.array(baseline.shares)
    assert abs(shares.sum() - 1) < 1e-9
    if limits.max_shift is not None:
        assert np.abs(shares - alpha).sum() / 2 <= limits.max_shift + 1e-7
    if limits.box is not None:
        assert np.all(shares >= (1 - limits.box) * alpha - 1e-7)
        assert np.all(shares <= (1 + limits.box) * alpha + 1e-7)
    assert np.all(shares >= np.array(baseline.minimum) - 1e-7)
    assert np.all(shares <= np.array(baseline.maximum) + 1e-7)
    for share, available in zip(shares, baseline.available, strict=True):
        assert available is None or limits.total * share <= available * limits.max_repeats + 1e-7 * limits.total
    if limits.no_harm is not None:
        before = gamma @ alpha
        assert np.all(gamma @ shares >= before - limits.no_harm * np.abs(before) - 1e-7)
