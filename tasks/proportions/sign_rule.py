"""The control arm "sign-rule": what the paper's released script means to do, without a program."""

from __future__ import annotations

from collections.abc import Collection
from math import floor

from tasks.interventions.rounding import fill_pro_rata
from tasks.proportions.coefficients import category_gains
from tasks.proportions.counts import baseline_counts
from tasks.proportions.limits import check_values
from tasks.proportions.proposal import Baseline, Coefficients, ControlStep, Limits

MOVED_SHARE = 0.03
FLOOR = 5


def sign_rule(
    gamma: Coefficients, baseline: Baseline, limits: Limits, unidentified: Collection[str] = frozenset()
) -> ControlStep:
    """Move 3% of N from the categories below the average gain to those above it, in equal counts.

    With s = Γᵀα, category j goes up iff s_j > αᵀΓα, otherwise down. The categories going down lose the same count
    each, those going up gain the same count each. At least 5 examples stay in a category; a category gains at most
    its reserve (available × max-repeats − baseline count). Where a category cannot move its whole part, the others
    of its side take over the rest; where a side is full, less is moved. Of `limits` only total and repeats count:
    the script knows neither box nor other limits.

    Source: behavior of the code released with arXiv 2409.07045.

    Raises:
        InputError: as `tasks.proportions.program.solve`.
    """
    check_values(baseline, limits)
    gains, _ = category_gains(gamma, baseline, unidentified)
    average = sum(s * a for s, a in zip(gains, baseline.shares, strict=True))
    before = baseline_counts(baseline, limits.total)
    requested = round(MOVED_SHARE * limits.total)
    # A gain equal to the average must not count as above it because of the last bit of a float.
    slack = 1e-12 * max(abs(float(s)) for s in gains)
    up = [float(s) > average + slack for s in gains]
    give = [0 if rises else max(0, n - FLOOR) for rises, n in zip(up, before, strict=True)]
    take = [
        min(requested, _reserve(available, n, limits)) if rises else 0
        for rises, n, available in zip(up, before, baseline.available, strict=True)
    ]
    moved = min(requested, sum(give), sum(take))
    loss = fill_pro_rata([int(room > 0) for room in give], moved, give)
    gain = fill_pro_rata([int(room > 0) for room in take], moved, take)
    counts = tuple(n - lost + won for n, lost, won in zip(before, loss, gain, strict=True))
    return ControlStep(baseline.categories, counts, moved, requested)


def _reserve(available: float | None, count: int, limits: Limits) -> int:
    if available is None:
        return limits.total
    return max(0, floor(available * limits.max_repeats + 1e-6) - count)
