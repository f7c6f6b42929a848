"""Score an estimate and what is decided on it against a world's truth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks.effects.matrix import RunTable
from tasks.errors import EvidenceError, InputError
from tasks.interventions.designs.mixes import mixtures
from tasks.worlds.decision import Rule, decide, edges_of
from tasks.worlds.estimators import Estimate, Estimator
from tasks.worlds.measuring import measure_runs
from tasks.worlds.optimum import Optimum
from tasks.worlds.trials import pool_counts
from tasks.worlds.world import AnalyticWorld, Matrix

UNSEEN = 20
"""Mixtures at which predictions are scored."""

_UNSEEN = 1 << 40
"""Added to seeds that no design uses."""


@dataclass(frozen=True)
class Covered:
    """How many of some intervals hold the truth."""

    hits: int = 0
    cells: int = 0


@dataclass(frozen=True)
class Scores:
    """One estimate, and the decision on it, against the truth of its world.

    "Others" are the off-diagonal cells: what one category's data do for another. "Own" is the diagonal.

    Estimates from runs of one total are of exchanges (j instead of the others, pro rata), and are compared with those.
    Where runs were chosen after a look at earlier ones, all of them decide (edges, proposal) and give the errors of
    slopes; what intervals cover is that of the planned runs alone, as in the product.

    Attributes:
        delta_others: intervals of Δ off the diagonal.
        delta_own: intervals of Δ on the diagonal.
        gamma: off-diagonal intervals of γ in identified rows, against what the estimator means: `surface` the slopes at
            the baseline, `paired` the removals (`AnalyticWorld.removal_gamma`).
        gamma_local: the same intervals against the slopes at the baseline.
        gamma_distance: root mean square of estimated γ minus γ at the baseline, off the diagonal of identified rows.
        identified: rows with a yardstick.
        prediction: intervals of a new run's score at 20 unseen random mixtures of the baseline's size, each with a seed
            of its own that no other run has.
        error_others: relative error of marginal effects off the diagonal: the root mean square of estimate minus truth
            over these cells, divided by that of the true m_ij over *all* cells (so null worlds have one as well).
        error_own: the same on the diagonal.
        error_all: the same over all cells.
        edges_found: edges of the taxonomy.
        edges_right: of these, true ones.
        edges_true: true ones there are.
        proposed: whether a change was proposed; false = keep the baseline. In a null world, a false positive.
        gain: true gain of the recommended counts, in nats per token.
        best_gain: true gain of the best mixture within the limits.
        predicted_gain: what the program promised for its proportions, whether recommended or not, in the unit of its
            objective.
    """

    delta_others: Covered
    delta_own: Covered
    gamma: Covered
    gamma_local: Covered
    gamma_distance: float
    identified: int
    prediction: Covered
    error_others: float
    error_own: float
    error_all: float
    edges_found: int
    edges_right: int
    edges_true: int
    proposed: bool
    gain: float
    best_gain: float
    predicted_gain: float


def score(world: AnalyticWorld, runs: RunTable, estimator: Estimator, rule: Rule, best: Optimum) -> Scores | str:
    """Estimate, decide, and compare with the truth; intervals are those of the planned runs alone.

    Args:
        world: the truth.
        runs: what was measured.
        estimator: of the effects.
        rule: what decides.
        best: `best_mixture` of this world and the rule's limits.

    Returns:
        The scores, or why the estimator or the program refused these runs.
    """
    try:
        estimate = estimator.estimate(runs, rule.confidence)
        planned = estimator.estimate(runs.confirmatory(), rule.confidence) if any(runs.adaptive) else estimate
        proposal = decide(world, estimate.matrix, rule)
        edges = edges_of(estimate.matrix, rule)
    except (InputError, EvidenceError) as refusal:
        return str(refusal)
    matrix = estimate.matrix
    truth = _truth(world, estimate)
    own = np.array(matrix.targets)[:, None] == np.array(matrix.sources)[None, :]
    error = matrix.marginal - truth["marginal"]
    scale = _root_mean_square(truth["marginal"])
    distance = (matrix.gamma - truth["gamma"])[np.isfinite(matrix.gamma) & ~own]
    return Scores(
        **_intervals(world, planned, own, estimator.local),
        gamma_distance=_root_mean_square(distance) if distance.size else float("nan"),
        identified=int(matrix.identified.sum()),
        error_others=_root_mean_square(error[~own]) / scale,
        error_own=_root_mean_square(error[own]) / scale,
        error_all=_root_mean_square(error) / scale,
        edges_found=len(edges),
        edges_right=len(edges & world.true_edges),
        edges_true=len(world.true_edges),
        proposed=proposal.decision == "change",
        gain=world.gain(world.vector(dict(zip(proposal.categories, proposal.recommended_counts, strict=True)))),
        best_gain=best.gain,
        predicted_gain=proposal.objective - proposal.baseline_objective,
    )


def _intervals(world: AnalyticWorld, estimate: Estimate, own: NDArray[np.bool_], local: bool) -> dict[str, Covered]:
    """What the intervals of an estimate cover."""
    matrix, truth = estimate.matrix, _truth(world, estimate)
    known = np.isfinite(matrix.gamma) & ~own
    hits = (matrix.low <= truth["removal"]) & (truth["removal"] <= matrix.high)
    meant = truth["gamma" if local else "removal_gamma"]
    return {
        "delta_others": _covered(hits, ~own),
        "delta_own": _covered(hits, own),
        "gamma": _covered((matrix.gamma_low <= meant) & (meant <= matrix.gamma_high), known),
        "gamma_local": _covered((matrix.gamma_low <= truth["gamma"]) & (truth["gamma"] <= matrix.gamma_high), known),
        "prediction": _predictions(world, estimate),
    }


def _truth(world: AnalyticWorld, estimate: Estimate) -> Mapping[str, Matrix]:
    """The world's values of what the estimate is of."""
    matrix, matched = estimate.matrix, estimate.matched
    if matrix.targets != world.categories or matrix.sources != world.categories:
        raise ValueError("the estimate's targets and sources are not the world's categories, in its order")
    return {
        "removal": world.removal(matrix.amounts, matched),
        "marginal": world.exchange() if matched else world.marginal(),
        "gamma": world.exchange_gamma() if matched else world.gamma,
        "removal_gamma": world.removal_gamma(matrix.amounts, matched),
    }


def _predictions(world: AnalyticWorld, estimate: Estimate) -> Covered:
    if estimate.predict is None:
        return Covered()
    drawn = mixtures(*pool_counts(world), UNSEEN, draw=world.seed + _UNSEEN)[1:]
    new = measure_runs(world, [(one, _UNSEEN + k) for k, one in enumerate(drawn)])
    low, high = estimate.predict(new.amounts)
    hits = (low <= new.performance) & (new.performance <= high)
    return _covered(hits, np.ones_like(hits))


def _covered(hits: NDArray[np.bool_], cells: NDArray[np.bool_]) -> Covered:
    return Covered(int((hits & cells).sum()), int(cells.sum()))


def _root_mean_square(values: Matrix) -> float:
    return float(np.sqrt(np.mean(values**2)))
