"""Designs that change all categories at once: two-level factorials and random mixtures."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite

import numpy as np

from tasks.errors import InputError
from tasks.interventions.design import mixture
from tasks.interventions.designs.changes import Counts, check_available, check_counts, quoted, scaled, with_baseline
from tasks.interventions.hadamard import orthogonal_array
from tasks.interventions.intervention import Intervention
from tasks.interventions.rounding import fill_pro_rata, largest_remainder

_DRAWS_PER_MIXTURE = 200


@dataclass(frozen=True)
class Levels:
    """A two-level design.

    Attributes:
        low: factor on the baseline's count, 0 < low < 1: with 0, a row could be empty.
        high: factor on the baseline's count, above 1.
        matched: bring each row's total to the baseline's, pro rata.
        foldover: append the mirrored rows: twice the runs, strength 3.
        runs: rows; None = the smallest array there is.
        draw: seed of the choice among equally good arrays.
    """

    low: float = 0.5
    high: float = 1.5
    matched: bool = False
    foldover: bool = False
    runs: int | None = None
    draw: int = 0


def factorial(counts: Counts, available: Counts, levels: Levels | None = None) -> tuple[Intervention, ...]:
    """The baseline, then one training set per row of a two-level orthogonal array: each category at low·n or high·n.

    In the rows every two categories meet in all four combinations equally often, so that each category's effect is
    estimated from all runs at once. With `matched` levels are shares relative to each other, and orthogonality holds
    up to the constraint that shares sum to 1.

    Args:
        counts: baseline examples per category.
        available: training examples per category.
        levels: the two levels and the array; default `Levels()`.

    Raises:
        InputError: see `leave_one_out`; levels that do not enclose 1, that round to the baseline's count or
            0, or that need more than is available; a number of runs that no array has.
    """
    chosen = levels or Levels()
    present = check_counts(counts, available, "factorial")
    if not (0 < chosen.low < 1 < chosen.high and isfinite(chosen.high)):
        raise InputError(
            f"factorial: low is {chosen.low:g} and high is {chosen.high:g}; expected 0 < low < 1 < high, "
            "so that the baseline lies between the levels."
        )
    low = {c: scaled(counts[c], chosen.low) for c in present}
    high = {c: scaled(counts[c], chosen.high) for c in present}
    small = [c for c in present if not 0 < low[c] < counts[c] < high[c]]
    if small:
        raise InputError(
            f"factorial: the levels {chosen.low:g} and {chosen.high:g} of {quoted(small)} round to 0 or to the "
            "baseline's own count. Take other levels, or more examples of these categories."
        )
    if not chosen.matched:
        check_available(high, available, chosen.high, f"factorial: high = {chosen.high:g}")
    array = orthogonal_array(len(present), chosen.runs, chosen.foldover, chosen.draw)
    names = _row_names(len(array), chosen.foldover)
    rows = []
    for name, signs in zip(names, array.tolist(), strict=True):
        row = {c: high[c] if sign > 0 else low[c] for c, sign in zip(present, signs, strict=True)}
        if chosen.matched:
            row = _matched(row, sum(counts.values()), available, name)
        rows.append(mixture(name, {**dict.fromkeys(counts, 0), **row}))
    return with_baseline(counts, rows)


@dataclass(frozen=True)
class RandomMixtures:
    """Random mixtures, and how many draws they took.

    Attributes:
        interventions: the baseline, then the mixtures.
        redrawn: draws that asked for more than is available and were drawn again.
    """

    interventions: tuple[Intervention, ...]
    redrawn: int


def mixtures(
    counts: Counts, available: Counts, number: int, concentration: float = 4.0, draw: int = 0
) -> tuple[Intervention, ...]:
    """The interventions of `random_mixtures`."""
    return random_mixtures(counts, available, number, concentration, draw).interventions


def random_mixtures(
    counts: Counts, available: Counts, number: int, concentration: float = 4.0, draw: int = 0
) -> RandomMixtures:
    """The baseline, then random mixtures of the same total, whose shares are Dirichlet around the baseline's.

    The Dirichlet parameters are concentration·K·α_k for K categories with shares α_k: a category of average share
    varies by about ±1/√concentration of its share. A draw that asks for more than is available is drawn again, so that
    the mixtures follow the distribution *given* that they are possible: shares of scarce categories are pulled down.

    Args:
        counts: baseline examples per category.
        available: training examples per category.
        number: mixtures besides the baseline.
        concentration: > 0; higher = closer to the baseline.
        draw: seed of the random numbers.

    Raises:
        InputError: see `leave_one_out`; an impossible number or concentration; nearly all draws ask for more than is
            available.
    """
    present = check_counts(counts, available, "mixtures")
    if number < 1:
        raise InputError(f"mixtures: number is {number}; expected at least 1.")
    if not 0 < concentration < float("inf"):
        raise InputError(f"mixtures: concentration is {concentration}; expected a number above 0, e.g. 4.")
    total = sum(counts.values())
    parameters = np.array([counts[c] for c in present]) * (concentration * len(present) / total)
    generator = np.random.default_rng(draw)
    found: list[Intervention] = []
    scarce: dict[str, int] = {}
    for attempt in range(number * _DRAWS_PER_MIXTURE):
        drawn = largest_remainder(generator.dirichlet(parameters).tolist(), total)
        above = [c for c, n in zip(present, drawn, strict=True) if n > available[c]]
        for category in above:
            scarce[category] = scarce.get(category, 0) + 1
        if above:
            continue
        row = dict.fromkeys(counts, 0) | dict(zip(present, drawn, strict=True))
        found.append(mixture(f"mixture {len(found) + 1:0{len(str(number))}d}", row))
        if len(found) == number:
            return RandomMixtures(with_baseline(counts, found), attempt + 1 - number)
    worst = sorted(scarce, key=lambda c: -scarce[c])
    raise InputError(
        f"mixtures: of {number * _DRAWS_PER_MIXTURE} draws only {len(found)} of {number} needed are possible with what "
        f"is available; most often {quoted(worst, 3)} would run out. Lower the baseline's total, raise concentration, "
        "or add data."
    )


def _row_names(rows: int, foldover: bool) -> list[str]:
    if not foldover:
        return [f"factorial {row:0{len(str(rows))}d}" for row in range(1, rows + 1)]
    half = [f"factorial {row:0{len(str(rows // 2))}d}" for row in range(1, rows // 2 + 1)]
    return half + [f"{name} mirrored" for name in half]


def _matched(row: dict[str, int], total: int, available: Counts, name: str) -> dict[str, int]:
    amounts = fill_pro_rata(list(row.values()), total, [total] * len(row))
    short = [f'"{c}" needs {n} and has {available[c]}' for c, n in zip(row, amounts, strict=True) if n > available[c]]
    if short:
        raise InputError(
            f"{name} (matched): {', '.join(short[:8])}. Lower high, raise low, lower the baseline's total, or add data."
        )
    return dict(zip(row, amounts, strict=True))
