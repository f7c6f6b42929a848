"""The stage's value types: effects, baseline and limits in; proposal out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


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
    """

    total: int
    max_shift: float | None = 0.03
    box: float | None = 0.5
    max_repeats: float = 1.0


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
        objective: αᵀΓw.
        baseline_objective: αᵀΓα.
        shadow_prices: one per limit that has a nonzero dual.
        binding: names of the limits that hold with equality.
        unidentified: target categories whose γ row was not identified and entered as "only its own data count".
        max_residual: largest violation of any limit by `shares`, recomputed after solving (share).
        duality_gap: objective minus the bound that the duals prove, recomputed after solving.
        count_excess: one sentence per limit that no whole numbers summing to `total` can keep; empty as a rule.
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
