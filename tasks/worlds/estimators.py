"""Estimators by name, behind one interface."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tasks.effects.matrix import EffectMatrix, Matrix, RunTable
from tasks.effects.paired import paired_effects
from tasks.effects.surface import SurfaceKind, fit_surface
from tasks.errors import InputError
from tasks.worlds.trials import Design

Intervals = tuple[Matrix, Matrix]
"""[M, T] lower and [M, T] upper ends at M mixtures."""


@dataclass(frozen=True)
class Estimate:
    """What an estimator makes of runs.

    Attributes:
        matrix: the effects.
        matched: whether effects are of j instead of the others, pro rata; otherwise of j in addition to them.
        predict: intervals of new runs' scores at [M, S] amounts; None where the estimator predicts no mixtures.
    """

    matrix: EffectMatrix
    matched: bool = False
    predict: Callable[[Matrix], Intervals] | None = None


@dataclass(frozen=True)
class Estimator:
    """One way to estimate effects.

    Attributes:
        name: as on the command line.
        estimate: from runs and a level of confidence.
        needs_pairs: whether it takes only runs that change one source each.
        local: whether its γ are ratios of slopes at the baseline; otherwise of what whole removals take away.
    """

    name: str
    estimate: Callable[[RunTable, float], Estimate]
    needs_pairs: bool
    local: bool


def find_estimator(name: str) -> Estimator:
    """The estimator of this name; InputError lists those there are."""
    if name not in ESTIMATORS:
        raise InputError(f"no estimator {name!r}; there are {', '.join(ESTIMATORS)}")
    return ESTIMATORS[name]


def misfit(estimator: Estimator, design: Design) -> str:
    """Why an estimator can make nothing of a design's runs; empty where it can."""
    if design.paired or not estimator.needs_pairs:
        return ""
    return (
        f"{estimator.name} cannot estimate from {design.name}: it compares runs that change one category at one dose "
        "with the baseline. Take another estimator, or the design leave-one-out."
    )


def _paired(runs: RunTable, confidence: float) -> Estimate:
    return Estimate(paired_effects(runs, confidence))


def _surface(kind: SurfaceKind) -> Callable[[RunTable, float], Estimate]:
    def estimate(runs: RunTable, confidence: float) -> Estimate:
        surface = fit_surface(runs, confidence, kind)

        def intervals(amounts: Matrix) -> Intervals:
            prediction = surface.predict(amounts)
            return prediction.low, prediction.high

        return Estimate(surface.effects(), surface.shares, intervals)

    return estimate


_ALL = (
    Estimator("paired", _paired, needs_pairs=True, local=False),
    Estimator("surface", _surface("combined"), needs_pairs=False, local=True),
    Estimator("surface-law", _surface("law"), needs_pairs=False, local=True),
    Estimator("surface-gp", _surface("gp"), needs_pairs=False, local=True),
)
ESTIMATORS = {estimator.name: estimator for estimator in _ALL}
