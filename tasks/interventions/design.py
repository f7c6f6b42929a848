"""Baseline counts, and the interventions on them: leave-one-out in two arms, and any mixture."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction
from math import isfinite
from typing import Literal

from tasks.errors import InputError
from tasks.interventions.intervention import BASELINE, Arm, Intervention
from tasks.interventions.rounding import SHARE_TOLERANCE, fill_pro_rata, largest_remainder

Shares = Literal["pool", "uniform"] | Mapping[str, float]
"""A category's part of the baseline: as in the pool, all alike, or written out (fractions that sum to 1)."""


def baseline_counts(available: Mapping[str, int], total: int | None, shares: Shares) -> dict[str, int]:
    """Examples per category of the baseline, by largest remainder.

    Args:
        available: training examples per category.
        total: examples per epoch; None takes as many as these shares allow.
        shares: "pool", "uniform", or a fraction for every category (0 leaves it out).

    Returns:
        Count per category, sorted by category, summing to `total` exactly.

    Raises:
        InputError: unknown or missing categories, shares that do not sum to 1, or a category with too few examples.
    """
    categories = sorted(available)
    exact = _exact_shares({category: available[category] for category in categories}, shares)
    largest = int(min(Fraction(available[c]) / share for c, share in zip(categories, exact, strict=True) if share))
    wanted = largest if total is None else total
    if wanted < 1:
        empty = [c for c, share in zip(categories, exact, strict=True) if share and not available[c]]
        reason = f"{_quoted(empty)} has no examples" if empty else f"total is {wanted}"
        raise InputError(f"baseline: {reason}; expected a training set of at least 1 example.")
    counts = dict(zip(categories, largest_remainder(exact, wanted), strict=True))
    short = [f'"{c}" needs {n} and has {available[c]}' for c, n in counts.items() if n > available[c]]
    if short:
        raise InputError(
            f"baseline of {wanted} examples: {', '.join(short)}. "
            f"Lower total to at most {largest}, change shares, or add data."
        )
    return counts


def leave_one_out(
    counts: Mapping[str, int], available: Mapping[str, int], arms: Iterable[Arm]
) -> tuple[Intervention, ...]:
    """The baseline, then each category with examples removed, in each arm.

    size-reduced: the other categories keep their counts. size-matched: the removed examples are replaced from the
    others' reserves (available − baseline count) in proportion to their baseline counts, so that these keep their
    proportions; what an exhausted reserve cannot give, the others give likewise.

    Args:
        counts: baseline examples per category.
        available: training examples per category.
        arms: at least one; the interventions come arm by arm, categories sorted.

    Raises:
        InputError: categories do not agree, a count is above what is available, fewer than two categories have
            examples, no arm is given, or the reserves are too small for a size-matched arm.
    """
    _check_counts(counts, available)
    present = [category for category in sorted(counts) if counts[category]]
    if len(present) < 2:
        raise InputError(f"leave-one-out needs two categories with examples, the baseline has {len(present)}.")
    chosen = tuple(dict.fromkeys(arms))
    if not chosen:
        raise InputError(f"leave-one-out: no arm given; expected {' or '.join(Arm)}, or both.")
    designs = [mixture(BASELINE, counts)]
    for arm in chosen:
        for category in present:
            rest = _without(counts, available, category) if arm is Arm.SIZE_MATCHED else {**counts, category: 0}
            name = f"without {category} ({arm})"
            designs.append(Intervention(name, tuple(sorted(rest.items())), (category,), arm))
    return tuple(designs)


def mixture(name: str, counts: Mapping[str, int]) -> Intervention:
    """A training set with the given counts, compared with the baseline as it is: a validation arm, or the baseline.

    Raises:
        InputError: a count is negative, or there are no examples at all.
    """
    negative = [category for category, n in counts.items() if n < 0]
    if negative:
        raise InputError(f"{name}: negative number of examples for {_quoted(negative)}; expected 0 or more.")
    if not sum(counts.values()):
        raise InputError(f"{name}: no examples at all; expected at least 1.")
    return Intervention(name, tuple(sorted(counts.items())))


def _without(counts: Mapping[str, int], available: Mapping[str, int], removed: str) -> dict[str, int]:
    others = [category for category in sorted(counts) if category != removed]
    weights = [counts[category] for category in others]
    reserve = [available[category] - counts[category] for category in others]
    usable = sum(spare for spare, weight in zip(reserve, weights, strict=True) if weight)
    need = counts[removed]
    if usable < need:
        raise InputError(
            f'without "{removed}" (size-matched): {need} examples must be replaced from the reserves of the other '
            f"categories, which hold {usable}: {need - usable} short. Take a smaller baseline (total), add data, "
            f"or use only the arm {Arm.SIZE_REDUCED}."
        )
    extra = fill_pro_rata(weights, need, reserve)
    return {removed: 0, **{c: counts[c] + more for c, more in zip(others, extra, strict=True)}}


def _exact_shares(available: Mapping[str, int], shares: Shares) -> list[Fraction]:
    pool = sum(available.values())
    if not pool:
        raise InputError("baseline: the pool holds no training examples.")
    if shares == "pool":
        return [Fraction(n, pool) for n in available.values()]
    if shares == "uniform":
        return [Fraction(1, len(available))] * len(available)
    if isinstance(shares, str):
        raise InputError(f'shares is "{shares}"; expected "pool", "uniform" or a fraction for each category.')
    unknown, missing = sorted(set(shares) - set(available)), sorted(set(available) - set(shares))
    if unknown:
        raise InputError(f"shares: unknown category {_quoted(unknown)}; the pool has {_quoted(available)}.")
    if missing:
        raise InputError(f"shares: no share for {_quoted(missing)}; write 0 to leave a category out.")
    bad = [category for category, share in shares.items() if not isfinite(share) or share < 0]
    if bad:
        raise InputError(f'shares: "{bad[0]}" has {shares[bad[0]]}; expected a fraction from 0 to 1.')
    # As written: 0.29 of 100 is 29 examples, not the 28.999… of its binary form.
    exact = [Fraction(repr(float(shares[category]))) for category in available]
    if abs(float(sum(exact) - 1)) > SHARE_TOLERANCE:
        raise InputError(
            f"shares sum to {float(sum(exact)):.6g}; expected 1 (within {SHARE_TOLERANCE:g}). "
            "They are not rescaled: correct them."
        )
    return exact


def _check_counts(counts: Mapping[str, int], available: Mapping[str, int]) -> None:
    if set(counts) != set(available):
        differing = sorted(set(counts) ^ set(available))
        raise InputError(f"baseline counts and available examples name different categories: {_quoted(differing)}.")
    above = [f'"{c}" takes {n} of {available[c]}' for c, n in sorted(counts.items()) if not 0 <= n <= available[c]]
    if above:
        raise InputError(f"baseline: {', '.join(above)} examples; expected from 0 to what is available.")


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)
