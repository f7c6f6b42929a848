"""The stage's value types: effects, baseline and limits in; proposal out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tasks.interventions.rounding import largest_remainder

EQUIVALENT_SHARE = "equivalent share"


@dataclass(frozen=True)
class Coefficients:
    """Effect-equivalence coefficients Γ with their labels, as `solve` takes them.

    Legend: T targets (rows, measured), S sources (columns, data added). Sign: positive = the source helps.

    Attributes:
        targets: T row names.
        sources: S column names.
        values: [T, S] γ; a row that is NaN apart from its own diagonal is "not identified".
    """

    targets: tuple[str, ...]
    sources: tuple[str, ...]
    values: NDArray[np.float64]


@dataclass(frozen=True)
class Baseline:
    """Baseline shares and what is available, one entry per category, same order everywhere.

    Attributes:
        categories: K names.
        shares: K baseline shares, sum 1.
        available: K examples in the pool's training part, or None where unlimited.
        minimum: K smallest allowed shares (0 where none).
        maximum: K largest allowed shares (1 where none).
    """

    categories: tuple[str, ...]
    shares: tuple[float, ...]
    available: tuple[float | None, ...]
    minimum: tuple[float, ...]
    maximum: tuple[float, ...]


@dataclass(frozen=True)
class Limits:
    """What a proposal may change.

    Attributes:
        total: N, examples per epoch.
        max_shift: ρ, upper limit of ½‖w − α‖₁ (share), None = none.
        box: b, relative box (1 − b)α ≤ w ≤ (1 + b)α, None = none.
        max_repeats: how often one available example may be used per epoch.
        no_harm: h, no target's equivalent amount n_i + Σ_{j≠i} γ_ij n_j may fall by more than this fraction of its
            size; None = none.
        entry: largest share of a category that the baseline gives none, where a box is set (which would allow it none).
    """

    total: int
    max_shift: float | None = 0.03
    box: float | None = 0.5
    max_repeats: float = 1.0
    no_harm: float | None = None
    entry: float = 0.0


@dataclass(frozen=True)
class Options:
    """How much the program distrusts the effects, and what it says besides the proportions.

    Attributes:
        amount: what the whole training set amounts to in the unit that the slopes are per: 1 for slopes per share;
            None = the total, for slopes per example; `goal.propose` knows effects that were measured on shares.
        robustness: budget of uncertainty, how many sources may be at their worst at once (fractions are allowed);
            0 = the estimates are taken as they are. Needs the slopes' error draws.
        deviation: how many standard errors worse than its estimate a source is at its worst.
        confidence: level of the gain's interval and of the decision.
        exponent: diminishing returns: c of the targets' concave value, one number or one per target (0 = logarithm);
            None = linear.
        sensitivity: whether to compute the shares' ranges; None = up to 200 categories, not with diminishing returns.
        slack: fraction of the gain that the wider ranges may cost.
    """

    amount: float | None = None
    robustness: float = 0.0
    deviation: float = 1.96
    confidence: float = 0.95
    exponent: float | Mapping[str, float] | None = None
    sensitivity: bool | None = None
    slack: float = 0.1


@dataclass(frozen=True)
class ShadowPrice:
    """What relaxing one limit by one unit is worth.

    Where several limits meet in the same point (a degenerate vertex) the price is an upper bound of the gain from
    relaxing this limit alone, and a lower bound of the loss from tightening it.

    Attributes:
        limit: e.g. "max-shift", "box-high:algebra", "available:poetry".
        value: increase of the objective per unit of the limit's right-hand side (share), ≥ 0.
        text: the same in words.
    """

    limit: str
    value: float
    text: str


@dataclass(frozen=True)
class Gain:
    """What the proportions promise over the baseline, with an interval that holds although they were chosen by it.

    Attributes:
        value: predicted gain of the shares over the baseline.
        low: lower end: whatever the program chose, the true gain is above it with this confidence.
        high: upper end of the two-sided interval at the chosen shares.
        confidence: of both ends, e.g. 0.95.
        unit: of value, low and high.
        draws: error draws behind the interval.
    """

    value: float
    low: float
    high: float
    confidence: float
    unit: str
    draws: int


@dataclass(frozen=True)
class ShareRange:
    """How far one category's share could lie elsewhere, all others adapting.

    Attributes:
        category: the category.
        optimal_low: smallest share among the optimal proportions.
        optimal_high: largest one.
        near_low: smallest share without losing more than the slack's fraction of the gain.
        near_high: largest one.
    """

    category: str
    optimal_low: float
    optimal_high: float
    near_low: float
    near_high: float


@dataclass(frozen=True)
class Proposal:
    """The solved proportions with everything needed to distrust them.

    Attributes:
        status: "optimal" (always; anything else is raised).
        solver: solver and version.
        categories: K names.
        baseline_shares: K shares α.
        shares: K shares w, sum 1 to 1e-9.
        counts: K integers, sum exactly `total`, within every limit unless `count_excess` says otherwise.
        total: N.
        objective: αᵀΓw, or Σ slope·amount, or the concave value, at the shares.
        baseline_objective: the same at the baseline.
        shadow_prices: one per limit that has a nonzero dual.
        binding: names of the limits that hold with equality.
        unidentified: target categories whose γ row was not identified: in equivalent amounts they enter as "only its
            own data count".
        max_residual: largest violation of any limit by `shares`, recomputed after solving (share).
        duality_gap: objective minus the bound that the duals prove, recomputed after solving.
        count_excess: one sentence per limit that the whole numbers break; empty as a rule.
        unit: of the objective.
        gain: predicted gain with its interval; None where the slopes' errors are not known.
        decision: "keep" = train on the baseline: the gain is not distinguishable from none, or not known well enough
            to tell.
        reason: for the decision, in words.
        warnings: what a reader should know before using the shares.
        sensitivity: one range per category; empty where it was not computed.
        slack: fraction of the gain that the wider ranges may cost.
        robustness: budget of uncertainty.
        protection: what the worst case within that budget takes off the gain, in the objective's unit.
        curve_gap: diminishing returns: how much higher the optimum may lie than the objective.
    """

    status: str
    solver: str
    categories: tuple[str, ...]
    baseline_shares: tuple[float, ...]
    shares: tuple[float, ...]
    counts: tuple[int, ...]
    total: int
    objective: float
    baseline_objective: float
    shadow_prices: tuple[ShadowPrice, ...]
    binding: tuple[str, ...]
    unidentified: tuple[str, ...]
    max_residual: float
    duality_gap: float
    count_excess: tuple[str, ...]
    unit: str = EQUIVALENT_SHARE
    gain: Gain | None = None
    decision: Literal["change", "keep"] = "change"
    reason: str = ""
    warnings: tuple[str, ...] = ()
    sensitivity: tuple[ShareRange, ...] = ()
    slack: float = 0.0
    robustness: float = 0.0
    protection: float = 0.0
    curve_gap: float = 0.0

    @property
    def recommended_counts(self) -> tuple[int, ...]:
        """K integers to train on: `counts`, or the baseline's where the decision is to keep it."""
        return self.counts if self.decision == "change" else largest_remainder(self.baseline_shares, self.total)

    @property
    def shift(self) -> float:
        """Total shift ½‖w − α‖₁ (share)."""
        return sum(abs(w - a) for w, a in zip(self.shares, self.baseline_shares, strict=True)) / 2


@dataclass(frozen=True)
class ControlStep:
    """A change of the baseline that does not come from the program: a control arm.

    Attributes:
        categories: K names.
        counts: K integers with the baseline's total.
        moved: examples that changed category, ½‖counts − baseline counts‖₁.
        requested: examples that were to change category; more than `moved` where limits left no room.
    """

    categories: tuple[str, ...]
    counts: tuple[int, ...]
    moved: int
    requested: int
