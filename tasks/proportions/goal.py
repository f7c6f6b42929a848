"""From measured effects to the program: which gain is maximized, and what is known about its errors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from tasks.effects.matrix import EffectMatrix
from tasks.effects.prediction import weight_vector
from tasks.effects.slopes import Slopes, equivalence_slopes, performance_slopes
from tasks.errors import InputError
from tasks.proportions.coefficients import Equivalence, aligned
from tasks.proportions.decision import certain
from tasks.proportions.limits import Vector
from tasks.proportions.performance_check import heed_performance
from tasks.proportions.program import solve_slopes
from tasks.proportions.proposal import EQUIVALENT_SHARE, Baseline, Coefficients, Limits, Options, Proposal

ObjectiveName = Literal["equivalence", "performance"]
DRAWS = 2000
"""Draws of independent errors: the 95 % quantile of 2000 lies between the 94 % and the 96 % one."""
_OTHER_SCALE = 10.0
_SHARES = 0.01
"""A measured baseline within 1 % of 1 is in shares or weights, and the whole training set is as much."""
_AVERAGES = (
    "paired slopes are averages between the baseline and what was measured; where categories were left out altogether, "
    "the next examples matter less than that, and the gain is overstated: doses near the baseline, a factorial design, "
    "or the estimator 'surface' measure slopes at the baseline"
)


_AVERAGED = "slopes averaged over all that the runs changed (leave-one-out: a whole removal) held at the baseline"


@dataclass(frozen=True)
class Goal:
    """What the program is to maximize.

    Attributes:
        slopes: gain per unit of each source's amount.
        equivalence: the equivalent amounts behind it (for no-harm limits and diminishing returns), or None where a
            target is no category of the baseline.
        amount: what the whole training set amounts to in the slopes' unit of amount; None = the total, in examples.
        measured: what the baseline of the runs amounted to (the sum of what was removed), where known.
        performance: beside another objective, what the same effects say about weighted performance; a change that
            they predict to do harm is refused.
        caution: what a reader should know about these slopes; empty = nothing.
        premise: what has to hold, besides the errors, for the gain's interval to; empty = nothing.
    """

    slopes: Slopes
    equivalence: Equivalence | None
    amount: float | None
    measured: float | None = None
    performance: Slopes | None = None
    caution: str = ""
    premise: str = ""


def propose(goal: Goal, baseline: Baseline, limits: Limits, options: Options | None = None) -> Proposal:
    """Solve the program for this goal; see `tasks.proportions.program.solve_slopes`.

    `options.amount`, where given, has precedence over the goal's; without either, effects measured on shares apply to
    the whole set as measured, others to the total. A given amount of another order of magnitude than the one the
    effects were measured on is warned of: slopes do not carry that far. A change that gains in equivalent amounts while
    weighted performance is predicted to fall is refused.

    Raises:
        InputError: as `solve_slopes`; effects measured on another scale than the total, and no amount given.
    """
    options = options or Options()
    amount = _amount(goal, limits, options)
    proposal = solve_slopes(goal.slopes, baseline, limits, replace(options, amount=amount), goal.equivalence)
    if goal.measured and goal.amount is None and not 1 / _OTHER_SCALE < amount / goal.measured < _OTHER_SCALE:
        warning = (
            f"what the runs changed, source by source, sums to {goal.measured:.6g} in their unit, and the training set "
            f"is taken to be {amount:.6g} of that unit: slopes may not carry that far"
        )
        proposal = replace(proposal, warnings=(*proposal.warnings, warning))
    if goal.premise and proposal.gain is not None and proposal.reason == certain(proposal.gain):
        proposal = replace(proposal, reason=certain(proposal.gain, goal.premise))
    if goal.caution:
        proposal = replace(proposal, warnings=(*proposal.warnings, goal.caution))
    if goal.performance is not None and goal.measured:
        return heed_performance(proposal, goal.performance, goal.measured, options.confidence)
    return proposal


def _amount(goal: Goal, limits: Limits, options: Options) -> float:
    """What the whole training set amounts to in the slopes' unit."""
    given, measured, total = goal.amount if options.amount is None else options.amount, goal.measured, limits.total
    if given is not None:
        return given
    if not measured:
        return float(total)
    if abs(measured - 1) <= _SHARES:
        return measured
    if 1 / _OTHER_SCALE < total / measured < _OTHER_SCALE:
        return float(total)
    raise InputError(
        f"what the runs changed, source by source, sums to {measured:.6g} in their unit, and the training set holds "
        f"{total} examples: another unit, or another size. Give --amount, what the whole training set amounts to in "
        "the runs' unit: 1 where they hold shares, 100 for percent, the number of tokens for tokens."
    )


def goal_from_effects(
    matrix: EffectMatrix, baseline: Baseline, objective: ObjectiveName, weights: Mapping[str, float] | None = None
) -> Goal:
    """The goal that measured effects define, with their joint error draws.

    Args:
        matrix: the effects.
        baseline: α.
        objective: "equivalence" (αᵀΓw, in equivalent shares: the paper's) or "performance" (weighted performance, in
            its own unit).
        weights: per target, sum 1; default: the targets' baseline shares.

    Raises:
        InputError: no weights where the targets are not the baseline's categories; weights that do not fit.
    """
    given = _weights(matrix.targets, baseline, weights)
    gamma = Coefficients(matrix.targets, matrix.sources, matrix.gamma)
    unidentified = {t for t, known in zip(matrix.targets, matrix.identified.tolist(), strict=True) if not known}
    alpha = weight_vector(given, matrix.targets)
    if objective == "equivalence":
        slopes = replace(equivalence_slopes(matrix, given), unit=EQUIVALENT_SHARE)
        performance = performance_slopes(matrix, given)
        equivalent = replace(aligned(gamma, baseline, unidentified), worth=alpha)
        return Goal(slopes, equivalent, 1.0, float(np.abs(matrix.amounts).sum()), performance)
    column = {name: j for j, name in enumerate(matrix.sources)}
    own = [
        float(matrix.marginal[i, column[t]]) if t in column and matrix.identified[i] else 0.0
        for i, t in enumerate(matrix.targets)
    ]
    equivalence = None
    if set(matrix.targets) <= set(baseline.categories) and set(matrix.sources) == set(baseline.categories):
        equivalence = replace(aligned(gamma, baseline, unidentified), worth=alpha * np.array(own))
    caution, premise = (_AVERAGES, _AVERAGED) if matrix.estimator == "paired" else ("", "")
    measured = float(np.abs(matrix.amounts).sum())
    return Goal(performance_slopes(matrix, given), equivalence, None, measured, caution=caution, premise=premise)


def goal_from_file(
    effects: Coefficients,
    baseline: Baseline,
    objective: ObjectiveName,
    weights: Mapping[str, float] | None = None,
    standard_errors: Vector | None = None,
) -> Goal:
    """The goal that a single matrix of effects defines.

    Args:
        effects: coefficients γ for "equivalence"; marginal effects (performance per unit of amount) for "performance".
        baseline: α.
        objective: which of the two.
        weights: per target, sum 1; default: the targets' baseline shares.
        standard_errors: [T, S] of the effects, whose errors are taken as normal and independent of one another; NaN
            only in rows of γ that are not identified. None = not known.

    Raises:
        InputError: labels or weights that do not fit, effects that are not finite.
    """
    if objective == "equivalence":
        equivalence = aligned(effects, baseline)
        if weights is not None:
            equivalence = replace(equivalence, worth=weight_vector(weights, effects.targets))
        errors = _independent(standard_errors, equivalence.worth, effects, equivalence.unidentified)
        if errors is not None:
            column = {name: j for j, name in enumerate(effects.sources)}
            errors = errors[:, [column[name] for name in baseline.categories]]
        return Goal(Slopes(baseline.categories, equivalence.gains, errors, EQUIVALENT_SHARE), equivalence, 1.0)
    alpha = weight_vector(_weights(effects.targets, baseline, weights), effects.targets)
    wrong = [f"row {effects.targets[i]!r}, column {effects.sources[j]!r}" for i, j in _not_finite(effects.values)]
    if wrong:
        raise InputError(f"marginal effects: {'; '.join(wrong[:6])}: expected a finite number")
    errors = _independent(standard_errors, alpha, effects, ())
    slopes = Slopes(effects.sources, alpha @ effects.values, errors, "performance")
    if not set(effects.targets) <= set(baseline.categories) or set(effects.sources) != set(baseline.categories):
        return Goal(slopes, None, None)
    own = effects.values[range(len(effects.targets)), [effects.sources.index(name) for name in effects.targets]]
    # Where own data do not help there is no yardstick, as in `effects`.
    gamma = np.divide(effects.values, own[:, None], out=np.full(effects.values.shape, np.nan), where=own[:, None] > 0)
    equivalence = aligned(replace(effects, values=gamma), baseline)
    return Goal(slopes, replace(equivalence, worth=alpha * np.where(own > 0, own, 0.0)), None)


def _weights(targets: tuple[str, ...], baseline: Baseline, weights: Mapping[str, float] | None) -> Mapping[str, float]:
    if weights is not None:
        return weights
    if set(targets) != set(baseline.categories):
        differing = sorted(set(targets) ^ set(baseline.categories))
        raise InputError(
            f"the targets are not the baseline's categories (they differ in {', '.join(map(repr, differing[:6]))}): "
            "give the targets' weights (--weights)"
        )
    return dict(zip(baseline.categories, baseline.shares, strict=True))


def _independent(
    standard_errors: Vector | None, weights: Vector, effects: Coefficients, unidentified: tuple[str, ...]
) -> Vector | None:
    """[B, S] draws of the weighted column sums' errors: normal, with the variances Σ_i weights_i² se_ij²."""
    if standard_errors is None:
        return None
    known = np.array([name not in unidentified for name in effects.targets])
    errors = np.where(known[:, None], standard_errors, 0.0)
    wrong = [f"row {effects.targets[i]!r}, column {effects.sources[j]!r}" for i, j in _not_finite(errors)]
    wrong += [f"row {effects.targets[i]!r}, column {effects.sources[j]!r}" for i, j in np.argwhere(errors < 0).tolist()]
    if wrong:
        raise InputError(f"standard errors: {'; '.join(wrong[:6])}: expected a finite number of 0 or more")
    scale = np.sqrt(weights**2 @ errors**2)
    return np.asarray(np.random.default_rng(0).standard_normal((DRAWS, len(scale))) * scale)


def _not_finite(values: Vector) -> list[list[int]]:
    found: list[list[int]] = np.argwhere(~np.isfinite(values)).tolist()
    return found
