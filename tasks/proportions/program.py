"""Effect-equivalence category proportions (EE-CPO) as a linear program, checked by its own duals.

Source: Zhao et al., arXiv 2409.07045, section on EE-CPO; the limits are this product's (the paper's optimum without
limits is a single category).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from importlib.metadata import version

import numpy as np
from ortools.math_opt.python import mathopt

from tasks.errors import InputError
from tasks.proportions.conflict import explain
from tasks.proportions.counts import round_counts
from tasks.proportions.limits import NamedLimit, Vector, feasible, named_limits, residuals
from tasks.proportions.linear_model import LinearModel, SolverError, linear_model, solve_glop
from tasks.proportions.proposal import Baseline, Coefficients, Limits, Proposal, ShadowPrice

CHECK_TOLERANCE = 1e-7
SUM_TOLERANCE = 1e-9
TIE_TOLERANCE = 1e-10
BINDING_TOLERANCE = 1e-8
PRICE_TOLERANCE = 1e-9


def solve(
    gamma: Coefficients, baseline: Baseline, limits: Limits, unidentified: Collection[str] = frozenset()
) -> Proposal:
    """Maximize αᵀΓw over the shares w, within the limits.

    Of several optimal points the one with the smallest total shift is taken: nothing moves without a gain.

    Args:
        gamma: coefficients; its sources must be the baseline's categories (in any order), its targets some of
            them. The objective sums over the targets, each weighted with its baseline share.
        baseline: α and the limits on single categories.
        limits: total, total shift, box, repeats.
        unidentified: targets whose row is not identified, besides those whose row is NaN apart from its diagonal.
            They enter with γ_ii = 1 and 0 elsewhere.

    Returns:
        The proposal; its residuals, its sum and its duality gap have been recomputed and passed.

    Raises:
        InputError: labels that do not match, NaN in an identified row, values no limit can have.
        InfeasibleLimitsError: no shares keep all limits (an EvidenceError).
        EvidenceError: the available examples allow no whole numbers that sum to the total.
        SolverError: the solver's answer fails its check.
    """
    named = named_limits(baseline, limits)
    gains, not_identified = category_gains(gamma, baseline, unidentified)
    alpha = np.array(baseline.shares, dtype=np.float64)
    if not feasible(alpha, named):
        raise explain(baseline, limits)
    answer = _optimize(gains, alpha, named)
    worst = _checked(answer, gains, alpha, named)
    counts, count_excess = round_counts(answer.shares, baseline, limits)
    over = residuals(answer.shares, alpha, named)
    return Proposal(
        status="optimal",
        solver=f"OR-Tools MathOpt GLOP {version('ortools')}",
        categories=baseline.categories,
        baseline_shares=baseline.shares,
        shares=tuple(answer.shares.tolist()),
        counts=counts,
        total=limits.total,
        objective=float(gains @ answer.shares),
        baseline_objective=float(gains @ alpha),
        shadow_prices=_shadow_prices(answer, baseline, limits, named),
        binding=tuple(limit.name for limit, r in zip(named, over, strict=True) if r >= -BINDING_TOLERANCE),
        unidentified=not_identified,
        max_residual=worst,
        duality_gap=answer.gap,
        count_excess=count_excess,
    )


def category_gains(
    gamma: Coefficients, baseline: Baseline, unidentified: Collection[str] = frozenset()
) -> tuple[Vector, tuple[str, ...]]:
    """[K] s = Γᵀα in the baseline's order, and the names of the targets that are not identified.

    s_j is the gain in share-weighted equivalent share per unit of share of category j.

    Raises:
        InputError: labels that do not match the baseline, or a value that is not finite in an identified row.
    """
    _check_labels(gamma, baseline, unidentified)
    column = {source: j for j, source in enumerate(gamma.sources)}
    alpha = dict(zip(baseline.categories, baseline.shares, strict=True))
    values = np.array(gamma.values, dtype=np.float64)
    not_identified, problems = [], []
    for i, target in enumerate(gamma.targets):
        others = [j for j in range(len(gamma.sources)) if j != column[target]]
        if target in unidentified or (others and np.isnan(values[i, others]).all()):
            values[i] = 0.0
            values[i, column[target]] = 1.0
            not_identified.append(target)
            continue
        problems += [
            f"row {target!r}, column {gamma.sources[j]!r} is {values[i, j]}"
            for j in np.flatnonzero(~np.isfinite(values[i]))
        ]
    if problems:
        raise InputError(f"effects: {'; '.join(problems)}: expected finite numbers, or a whole row left empty")
    gains = np.array([alpha[target] for target in gamma.targets]) @ values
    return gains[[column[name] for name in baseline.categories]], tuple(not_identified)


@dataclass(frozen=True)
class _Answer:
    shares: Vector
    prices: tuple[float, ...]
    gap: float
    scale: float


def _optimize(gains: Vector, alpha: Vector, named: Sequence[NamedLimit]) -> _Answer:
    # Σw = 1, so a constant may be taken off every gain: the solver's absolute tolerances then fit any unit.
    center = float(gains.mean())
    scale = float(np.abs(gains - center).max()) or 1.0
    program = linear_model(alpha, named)
    objective = mathopt.fast_sum(
        float(c) * w for c, w in zip((gains - center) / scale, program.shares, strict=True) if c != 0
    )
    program.model.maximize(objective)
    result = solve_glop(program.model)
    if result.termination.reason != mathopt.TerminationReason.OPTIMAL:
        raise SolverError(f"the solver ended {result.termination.reason.name.lower()}: {result.termination.detail}")
    prices, bound = _dual_bound(result, program, (gains - center) / scale, alpha, named)
    values = result.variable_values()
    program.model.add_linear_constraint(objective >= result.objective_value() - TIE_TOLERANCE)
    program.model.minimize(mathopt.fast_sum(program.moves))
    nearest = solve_glop(program.model)
    if nearest.termination.reason == mathopt.TerminationReason.OPTIMAL:
        values = nearest.variable_values()
    shares = np.array([values[w] for w in program.shares])
    gap = float(gains @ shares) - (bound * scale + center)
    return _Answer(shares, tuple(price * scale for price in prices), gap, scale)


def _checked(answer: _Answer, gains: Vector, alpha: Vector, named: Sequence[NamedLimit]) -> float:
    """The largest violation of a limit, once the answer has passed; SolverError otherwise."""
    worst = max(0.0, float(residuals(answer.shares, alpha, named).max(initial=0.0)), -float(answer.shares.min()))
    missing = abs(float(answer.shares.sum()) - 1)
    largest = float(np.abs(gains).max()) or 1.0
    if worst > CHECK_TOLERANCE or missing > SUM_TOLERANCE or abs(answer.gap) > CHECK_TOLERANCE * largest:
        raise SolverError(
            f"the solver's proportions fail their check and are not returned: largest violation {worst:.3g}, "
            f"sum of shares off by {missing:.3g}, duality gap {answer.gap:.3g}"
        )
    return worst


def _dual_bound(
    result: mathopt.SolveResult, program: LinearModel, gains: Vector, alpha: Vector, named: Sequence[NamedLimit]
) -> tuple[list[float], float]:
    """Prices of the limits, and an upper bound of the objective that holds for any duals (weak duality).

    Σ_k c_k w_k ≤ y0 + Σ π_l b_l (signed) + Σ λ_k α_k + what is left of the reduced costs on w ≤ 1 and u, v ≤ 1.
    """
    duals = result.dual_values()
    y0 = duals[program.simplex]
    links = np.array([duals[row] for row in program.links])
    signed = [
        max(duals[row], 0.0) if limit.upper else min(duals[row], 0.0)
        for row, limit in zip(program.rows, named, strict=True)
    ]
    reduced, shift = gains - y0 - links, 0.0
    for dual, limit in zip(signed, named, strict=True):
        if limit.category is None:
            shift += dual
        else:
            reduced[limit.category] -= dual
    bound = y0 + float(links @ alpha) + sum(d * limit.bound for d, limit in zip(signed, named, strict=True))
    bound += float(np.maximum(reduced, 0.0).sum())
    bound += float(np.maximum(np.abs(links) - shift / 2, 0.0).sum())
    return [abs(d) for d in signed], bound


def _check_labels(gamma: Coefficients, baseline: Baseline, unidentified: Collection[str]) -> None:
    problems = []
    if gamma.values.shape != (len(gamma.targets), len(gamma.sources)):
        problems.append(
            f"effects have shape {gamma.values.shape} but {len(gamma.targets)} targets and {len(gamma.sources)} sources"
        )
    for what, names in (("targets", gamma.targets), ("sources", gamma.sources)):
        if len(set(names)) != len(names):
            problems.append(f"effects: {what} contain a name twice: {sorted({n for n in names if names.count(n) > 1})}")
    known = set(baseline.categories)
    for text, strangers in (
        ("effects: source columns that the baseline does not have", set(gamma.sources) - known),
        ("effects: target rows that the baseline does not have", set(gamma.targets) - known),
        ("baseline: categories without a source column in the effects", known - set(gamma.sources)),
        ("unidentified targets that the effects do not have", set(unidentified) - set(gamma.targets)),
    ):
        if strangers:
            problems.append(f"{text}: {', '.join(sorted(strangers))}")
    if problems:
        raise InputError("; ".join(problems))


def _shadow_prices(
    answer: _Answer, baseline: Baseline, limits: Limits, named: Sequence[NamedLimit]
) -> tuple[ShadowPrice, ...]:
    return tuple(
        ShadowPrice(limit.name, price, _price_text(limit, price, baseline, limits))
        for limit, price in zip(named, answer.prices, strict=True)
        if price > PRICE_TOLERANCE * answer.scale
    )


def _price_text(limit: NamedLimit, price: float, baseline: Baseline, limits: Limits) -> str:
    point = f"is worth {price / 100:+.4g} equivalent share"
    if limit.category is None:
        return f"one more percentage point of total shift {point}"
    name = baseline.categories[limit.category]
    if limit.kind == "available":
        worth = price * 100 * limits.max_repeats / limits.total
        return f"100 more available examples of {name!r} are worth {worth:+.4g} equivalent share"
    if limit.kind == "minimum":
        return f"lowering the minimum of {name!r} by one percentage point {point}"
    if limit.kind == "maximum":
        return f"raising the maximum of {name!r} by one percentage point {point}"
    side = "above" if limit.upper else "below"
    return f"one more percentage point of room {side} the baseline for {name!r} (box) {point}"
