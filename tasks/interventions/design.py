"""The baseline's counts, and any training set described by its counts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction
from math import isfinite
from typing import Literal

from tasks.errors import InputError
from tasks.interventions.intervention import Intervention
from tasks.interventions.rounding import SHARE_TOLERANCE, largest_remainder

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


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)
