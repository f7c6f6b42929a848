"""Effect-equivalence category proportions (EE-CPO) as a linear program, checked by its own duals.

Source: Zhao et al., arXiv 2409.07045, section on EE-CPO; the limits are this product's (the paper's optimum without
limits is a single category).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from importlib.metadata import version
from typing import TYPE_CHECKING

import numpy as np

from tasks.proportions import advice
from tasks.proportions.coefficients import Equivalence, aligned, in_order
from tasks.proportions.conflict import explain
from tasks.proportions.counts import round_counts
from tasks.proportions.decision import decide
from tasks.proportions.limits import named_limits, residuals
from tasks.proportions.objective import Objective, objective
from tasks.proportions.optimum import optimize
from tasks.proportions.prices import shadow_prices
from tasks.proportions.proposal import EQUIVALENT_SHARE, Baseline, Coefficients, Limits, Options, Proposal
from tasks.proportions.region import not_empty, region

if TYPE_CHECKING:
    from tasks.effects.slopes import Slopes

BINDING_TOLERANCE = 1e-8


def solve(
    gamma: Coefficients,
    baseline: Baseline,
    limits: Limits,
    unidentified: Collection[str] = frozenset(),
    options: Options | None = None,
) -> Proposal:
    """Maximize αᵀΓw over the shares w, within the limits: `solve_slopes` with s = Γᵀα per unit of share.

    Args:
        gamma: coefficients; its sources must be the baseline's categories (in any order), its targets some of
            them. The objective sums over the targets, each weighted with its baseline share.
        baseline: α and the limits on single categories.
        limits: total, total shift, box, repeats, no-harm.
        unidentified: targets whose row is not identified, besides those whose row is NaN apart from its diagonal.
            They enter with γ_ii = 1 and 0 elsewhere.
        options: as `solve_slopes`; nothing is known about errors here.

    Returns:
        As `solve_slopes`.

    Raises:
        InputError: labels that do not match, NaN in an identified row, values no limit can have.
        InfeasibleLimitsError: no shares keep all limits (an EvidenceError).
        EvidenceError: the available examples allow no whole numbers that sum to the total.
        SolverError: the solver's answer fails its check.
    """
    found = aligned(gamma, baseline, unidentified)
    options = options or Options()
    return _propose(objective(found.gains, None, EQUIVALENT_SHARE, options, found, baseline), baseline, limits, options)


def solve_slopes(
    slopes: Slopes,
    baseline: Baseline,
    limits: Limits,
    options: Options | None = None,
    equivalence: Equivalence | None = None,
) -> Proposal:
    """Maximize the predicted gain Σ_j s_j (n'_j − n_j), n' = amount · w, over the shares w, within the limits.

    With a budget of uncertainty the worst case within it is taken off the gain. Of several optimal points the one with
    the smallest total shift is taken: nothing moves without a gain.

    Args:
        slopes: s, gain per unit of each source's amount, with error draws where they are known; its sources must be
            the baseline's categories (in any order).
        baseline: α and the limits on single categories.
        limits: total, total shift, box, repeats, no-harm.
        options: amount per share, budget of uncertainty, confidence, diminishing returns, sensitivity.
        equivalence: equivalent amounts for no-harm limits and diminishing returns.

    Returns:
        The proposal; its residuals, its sum and its duality gap have been recomputed and passed.

    Raises:
        InputError: labels that do not match, slopes that are not finite, values no limit or option can have, a budget
            of uncertainty without error draws, no-harm limits or diminishing returns without `equivalence`.
        InfeasibleLimitsError: no shares keep all limits (an EvidenceError).
        EvidenceError: the available examples allow no whole numbers that sum to the total.
        SolverError: the solver's answer fails its check.
    """
    options = options or Options()
    amount = float(limits.total) if options.amount is None else options.amount
    gains = in_order(slopes.value, slopes.sources, baseline) * amount
    errors = None if slopes.errors is None else in_order(slopes.errors, slopes.sources, baseline) * amount
    if equivalence is not None:
        equivalence = replace(equivalence, worth=equivalence.worth * amount)
    return _propose(objective(gains, errors, slopes.unit, options, equivalence, baseline), baseline, limits, options)


def _propose(goal: Objective, baseline: Baseline, limits: Limits, options: Options) -> Proposal:
    equivalence = goal.equivalence
    named = named_limits(baseline, limits, None if equivalence is None else equivalence.gamma)
    alpha = np.array(baseline.shares, dtype=np.float64)
    optimum = optimize(goal, alpha, named) if not_empty(region(alpha, named)) else None
    if optimum is None:
        raise explain(baseline, limits, named)
    shares = optimum.shares
    counts, count_excess = round_counts(shares, baseline, limits, named)
    gain, decision, reason = decide(goal, shares, alpha, named, options.confidence)
    sensitivity, problems = advice.ranges(goal, baseline, named, optimum, options)
    vertex = advice.limits_decide(shares, alpha, named)
    over = residuals(shares, alpha, named)
    return Proposal(
        status="optimal",
        solver=f"OR-Tools MathOpt GLOP {version('ortools')}",
        categories=baseline.categories,
        baseline_shares=baseline.shares,
        shares=tuple(shares.tolist()),
        counts=counts,
        total=limits.total,
        objective=goal.value(shares),
        baseline_objective=goal.value(alpha),
        shadow_prices=shadow_prices(named, optimum.prices, goal.scale, goal.unit, baseline, limits),
        binding=tuple(limit.name for limit, r in zip(named, over, strict=True) if r >= -BINDING_TOLERANCE),
        unidentified=() if equivalence is None else equivalence.unidentified,
        max_residual=optimum.worst,
        duality_gap=optimum.gap,
        count_excess=count_excess,
        unit=goal.unit,
        gain=gain,
        decision=decision,
        reason=reason,
        warnings=(*goal.warnings, *([vertex] if vertex else []), *problems),
        sensitivity=sensitivity,
        slack=options.slack if sensitivity else 0.0,
        robustness=goal.budget,
        protection=goal.protection(shares, alpha),
        curve_gap=-optimum.gap if goal.curves is not None else 0.0,
    )
