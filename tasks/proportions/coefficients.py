"""Coefficients in the baseline's order: what each share is worth, and the equivalent amounts behind it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from tasks.errors import InputError
from tasks.proportions.limits import Vector
from tasks.proportions.proposal import Baseline, Coefficients


@dataclass(frozen=True)
class Equivalence:
    """Effect-equivalence coefficients that fit a baseline.

    Attributes:
        gamma: [T, K] without NaN, sources = the baseline's categories in its order.
        worth: [T] gain per unit of each target's equivalent amount, in the slopes' unit.
        unidentified: targets that entered with γ_ii = 1 and 0 elsewhere.
    """

    gamma: Coefficients
    worth: Vector
    unidentified: tuple[str, ...]

    @property
    def gains(self) -> Vector:
        """[K] gain per unit of each category's amount."""
        return np.asarray(self.worth @ self.gamma.values)


def aligned(gamma: Coefficients, baseline: Baseline, unidentified: Collection[str] = frozenset()) -> Equivalence:
    """Bring coefficients into the baseline's order; each target is worth its baseline share (the paper's objective).

    Targets that are not identified (named, or NaN apart from their diagonal) enter with γ_ii = 1 and 0 elsewhere.

    Raises:
        InputError: labels that do not match the baseline, or a value that is not finite in an identified row.
    """
    _check_labels(gamma, baseline, unidentified)
    column = {source: j for j, source in enumerate(gamma.sources)}
    alpha = dict(zip(baseline.categories, baseline.shares, strict=True))
    values = np.array(gamma.values, dtype=np.float64)
    own = np.array([column[target] for target in gamma.targets], dtype=np.int64)
    rows = np.arange(len(own))
    missing = np.isnan(values)
    missing[rows, own] = True
    unknown = missing.all(axis=1) & (len(gamma.sources) > 1)
    unknown |= np.array([target in unidentified for target in gamma.targets], dtype=bool)
    values[unknown] = 0.0
    values[rows[unknown], own[unknown]] = 1.0
    problems = [
        f"row {gamma.targets[i]!r}, column {gamma.sources[j]!r} is {values[i, j]}"
        for i, j in np.argwhere(~np.isfinite(values)).tolist()
    ]
    if problems:
        raise InputError(f"effects: {'; '.join(problems)}: expected finite numbers, or a whole row left empty")
    ordered = values[:, [column[name] for name in baseline.categories]]
    return Equivalence(
        Coefficients(gamma.targets, baseline.categories, ordered),
        np.array([alpha[target] for target in gamma.targets]),
        tuple(target for target, flag in zip(gamma.targets, unknown.tolist(), strict=True) if flag),
    )


def category_gains(
    gamma: Coefficients, baseline: Baseline, unidentified: Collection[str] = frozenset()
) -> tuple[Vector, tuple[str, ...]]:
    """[K] s = Γᵀα in the baseline's order, and the names of the targets that are not identified.

    s_j is the gain in share-weighted equivalent share per unit of share of category j.

    Raises:
        InputError: as `aligned`.
    """
    found = aligned(gamma, baseline, unidentified)
    return found.gains, found.unidentified


def in_order(values: Vector, sources: tuple[str, ...], baseline: Baseline) -> Vector:
    """[..., K] values over sources, in the baseline's order.

    Raises:
        InputError: sources that are not the baseline's categories.
    """
    known, given = set(baseline.categories), set(sources)
    problems = [f"{name!r} has no measured slope" for name in sorted(known - given)]
    problems += [f"{name!r} is not in the baseline" for name in sorted(given - known)]
    if problems or values.shape[-1] != len(sources):
        raise InputError(f"slopes and baseline must have the same categories: {'; '.join(problems) or values.shape}")
    column = {name: j for j, name in enumerate(sources)}
    return np.asarray(values[..., [column[name] for name in baseline.categories]])


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
