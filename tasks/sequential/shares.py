"""Whether the recommended proportions would change with the runs that the full design still has to come."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from tasks.effects.matrix import EffectMatrix, Matrix
from tasks.proportions.coefficients import in_order
from tasks.proportions.conflict import explain
from tasks.proportions.gain import Noise, largest_error
from tasks.proportions.goal import ObjectiveName, goal_from_effects
from tasks.proportions.limits import named_limits
from tasks.proportions.proposal import Baseline, Limits
from tasks.proportions.region import best_shares, contains, not_empty, region, room_used
from tasks.sequential.edges import degrees_of_freedom, growth, seeds_done
from tasks.sequential.truths import draw_true_slopes

MOVED = 0.01
"""A share has changed when it moves by more than one point."""
DRAWS = 200


@dataclass(frozen=True)
class Program:
    """What the proportions are decided by.

    Attributes:
        baseline: α and the limits on single categories.
        limits: total shift, box, repeats; no-harm limits are left out of the forecast.
        objective: "performance" or "equivalence".
        confidence: of the gain, below which the baseline is kept.
    """

    baseline: Baseline
    limits: Limits
    objective: ObjectiveName
    confidence: float


def shares_now(matrix: EffectMatrix, program: Program) -> Matrix:
    """[K] recommended shares by the effects as they are, in the baseline's order: the best ones, or the baseline's.

    Raises:
        As `share_chances`.
    """
    rule = _Rule(program)
    gains, errors = _slopes(matrix, program)
    return rule.shares(gains, rule.doubt(errors))


def share_chances(matrix: EffectMatrix, seeds: int, program: Program) -> Matrix:
    """[S] chance that the source's recommended share moves by more than a point once every source has all its seeds.

    For up to 200 of the effects' joint error draws the true slopes are drawn (`draw_true_slopes`), then what the full
    design would estimate: n of N seeds known, the mean of the remaining runs around the truth. The program is solved
    for it, exactly (`best_shares`), with its refusal to move where the gain is not distinguishable from none.

    Approximations: slopes that are normal around a common mean; errors of the gain's interval that shrink with √(n/N),
    their tails with the degrees of freedom; targets that are identified stay so; no no-harm limits, robustness,
    diminishing returns, or refusal of a change that gains in equivalent amounts and loses in performance.

    Raises:
        InputError: sources that are not the baseline's categories, values that no limit can have, too few error draws.
        InfeasibleLimitsError: no shares keep all limits (an EvidenceError).
        ValueError: effects without error draws.
    """
    rule = _Rule(program)
    gains, errors = _slopes(matrix, program)
    done = in_order(seeds_done(matrix).astype(np.float64), matrix.sources, program.baseline)
    known = np.minimum(done / seeds, 1.0)
    doubt = rule.doubt(errors * np.sqrt(known)) * _lighter_tails(matrix, seeds)
    truths = draw_true_slopes(gains, errors)
    noise = np.roll(errors, 1, axis=0) * np.sqrt(known * (1 - known))
    future = (known * gains + (1 - known) * truths + noise)[:DRAWS]
    after = np.array([rule.shares(drawn, doubt) for drawn in future])
    now = rule.shares(gains, rule.doubt(errors))
    moved = (np.abs(after - now) > MOVED).mean(axis=0) * (done < seeds)
    place = {name: k for k, name in enumerate(program.baseline.categories)}
    return np.asarray(moved[[place[name] for name in matrix.sources]])


def _slopes(matrix: EffectMatrix, program: Program) -> tuple[Matrix, Matrix]:
    """[K] gains per unit of each category's amount and [B, K] draws of their errors, in the baseline's order."""
    slopes = goal_from_effects(matrix, program.baseline, program.objective).slopes
    if slopes.errors is None:
        raise ValueError("the effects carry no error draws")
    gains = in_order(slopes.value, slopes.sources, program.baseline)
    return gains, in_order(slopes.errors, slopes.sources, program.baseline)


def _lighter_tails(matrix: EffectMatrix, seeds: int) -> float:
    """Quantile of a typical cell's t distribution with all seeds over the present one."""
    df = degrees_of_freedom(matrix)
    after = df * growth(seeds_done(matrix), seeds)
    ratio = stats.t.ppf(matrix.confidence, after) / stats.t.ppf(matrix.confidence, df)
    return float(np.median(ratio))


class _Rule:
    """The program without no-harm limits, and its refusal, from gains per share; their unit does not matter."""

    def __init__(self, program: Program) -> None:
        limits = replace(program.limits, no_harm=None)
        self._named = named_limits(program.baseline, limits)
        self._alpha = np.array(program.baseline.shares)
        self._confidence = program.confidence
        self._area = region(self._alpha, self._named)
        if not not_empty(self._area):
            raise explain(program.baseline, limits, self._named)
        self._may_keep = contains(self._area, self._alpha)

    def doubt(self, errors: Matrix) -> float:
        """How good the best of all allowed changes looks by chance."""
        return largest_error(self._alpha, self._named, Noise(errors, self._confidence, ""))

    def shares(self, gains: Matrix, doubt: float) -> Matrix:
        """[K] the best shares, or the baseline's."""
        shares = best_shares(self._area, gains)
        step = shares - self._alpha
        if self._may_keep and gains @ step <= room_used(self._area, step) * doubt:
            return self._alpha
        return shares
