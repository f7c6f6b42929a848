"""Designs that change one category, or a pair: leave-one-out, dose, pair-out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations

from tasks.errors import InputError
from tasks.interventions.designs.changes import (
    Counts,
    changed_counts,
    check_available,
    check_counts,
    quoted,
    scaled,
    with_baseline,
)
from tasks.interventions.intervention import Arm, Intervention

MOST_PAIRS = 10_000
"""Pairs that a design without a list of its own may have: every one is a fine-tune."""


def leave_one_out(counts: Counts, available: Counts, arms: Iterable[Arm]) -> tuple[Intervention, ...]:
    """The baseline, then each category with examples removed, in each arm.

    size-reduced: the other categories keep their counts. size-matched: the removed examples are replaced from the
    others' reserves, pro rata (`changed_counts`).

    Args:
        counts: baseline examples per category.
        available: training examples per category.
        arms: at least one; the interventions come arm by arm, categories sorted.

    Raises:
        InputError: categories do not agree, a count is above what is available, fewer than two categories have
            examples, no arm is given, or the reserves are too small for a size-matched arm.
    """
    present = check_counts(counts, available, "leave-one-out")
    removals = [_removal(counts, available, (c,), arm) for arm in _distinct(arms, "leave-one-out") for c in present]
    return with_baseline(counts, removals)


def dose(counts: Counts, available: Counts, arms: Iterable[Arm], doses: Iterable[float]) -> tuple[Intervention, ...]:
    """The baseline, then each category at each dose d: n'_j = d·n_j, in whole examples, halves rounded up.

    A dose of 0 is leave-one-out, and is named so. In the size-matched arm the other categories bring the total back,
    pro rata (`changed_counts`).

    Args:
        counts: baseline examples per category.
        available: training examples per category.
        arms: at least one; the interventions come arm by arm, dose by dose, categories sorted.
        doses: at least one, each ≥ 0 and not 1.

    Raises:
        InputError: see `leave_one_out`; an impossible dose, one above what is available, or one that changes nothing.
    """
    present = check_counts(counts, available, "dose")
    factors = list(dict.fromkeys(float(d) for d in doses))
    if not factors:
        raise InputError("dose: no dose given; expected factors such as 0.5 and 1.5.")
    for factor in factors:
        _check_dose(factor, counts, available, present)
    changed = []
    for arm in _distinct(arms, "dose"):
        for factor in factors:
            changed += [_dosed(counts, available, category, factor, arm) for category in present]
    return with_baseline(counts, changed)


def pair_out(
    counts: Counts, available: Counts, arms: Iterable[Arm], pairs: Iterable[Sequence[str]] | None = None
) -> tuple[Intervention, ...]:
    """The baseline, each category removed alone, and pairs removed together.

    Args:
        counts: baseline examples per category.
        available: training examples per category.
        arms: at least one.
        pairs: pairs of categories; None = all, of which `MOST_PAIRS` are allowed.

    Raises:
        InputError: see `leave_one_out`; a pair that is none, names an unknown or empty category or comes twice; too
            many pairs; only the pair's two categories in the baseline.
    """
    present = check_counts(counts, available, "pair-out")
    chosen = _all_pairs(present) if pairs is None else _checked_pairs(pairs, present)
    removals = []
    for arm in _distinct(arms, "pair-out"):
        removals += [_removal(counts, available, (category,), arm) for category in present]
        removals += [_removal(counts, available, pair, arm) for pair in chosen]
    return with_baseline(counts, removals)


def _distinct(arms: Iterable[Arm], design: str) -> tuple[Arm, ...]:
    chosen = tuple(dict.fromkeys(arms))
    if not chosen:
        raise InputError(f"{design}: no arm given; expected {' or '.join(Arm)}, or both.")
    return chosen


def _removal(counts: Counts, available: Counts, removed: Sequence[str], arm: Arm) -> Intervention:
    name = f"without {' and '.join(removed)} ({arm})"
    changed = changed_counts(counts, available, dict.fromkeys(removed, 0), arm, name)
    return Intervention(name, tuple(changed.items()), tuple(removed), arm)


def _dosed(counts: Counts, available: Counts, category: str, factor: float, arm: Arm) -> Intervention:
    if factor == 0:
        return _removal(counts, available, (category,), arm)
    name = f"{category} × {factor:g} ({arm})"
    changed = changed_counts(counts, available, {category: scaled(counts[category], factor)}, arm, name)
    return Intervention(name, tuple(changed.items()), (), arm)


def _check_dose(factor: float, counts: Counts, available: Counts, present: Sequence[str]) -> None:
    if not (0 <= factor < float("inf")) or factor == 1:
        raise InputError(f"dose: {factor:g} is no dose; expected factors of 0 or more, and not 1 (the baseline).")
    wanted = {c: scaled(counts[c], factor) for c in present}
    check_available(wanted, available, factor, f"dose {factor:g}")
    unchanged = [c for c in present if wanted[c] == counts[c] or (factor and not wanted[c])]
    if unchanged:
        raise InputError(
            f"dose {factor:g}: {quoted(unchanged)} have too few examples: in whole examples the dose is the baseline's "
            "count, or 0. Take a dose farther from 1, or more examples of these categories."
        )


def _all_pairs(present: Sequence[str]) -> list[tuple[str, str]]:
    number = len(present) * (len(present) - 1) // 2
    if len(present) == 2:
        raise InputError("pair-out: with two categories, removing both leaves nothing. Use leave-one-out.")
    if number > MOST_PAIRS:
        raise InputError(
            f"pair-out: {len(present)} categories have {number} pairs, each of which is a fine-tune per seed. "
            "List the pairs to remove together (pairs), e.g. those that leave-one-out finds to interact."
        )
    return list(combinations(present, 2))


def _checked_pairs(pairs: Iterable[Sequence[str]], present: Sequence[str]) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for pair in pairs:
        unknown = [name for name in pair if name not in present]
        if unknown:
            raise InputError(f"pair-out: {quoted(unknown)} is no category of the baseline; it has {quoted(present)}.")
        if len(set(pair)) != 2 or len(pair) != 2:
            raise InputError(f"pair-out: {list(pair)} is no pair; expected two different categories.")
        ordered = tuple(sorted(pair))
        if ordered in found:
            raise InputError(f"pair-out: the pair {quoted(ordered)} is listed twice.")
        found.append((ordered[0], ordered[1]))
    if not found:
        raise InputError("pair-out: the list of pairs is empty. List some, leave it out for all, or use leave-one-out.")
    if len(present) == 2:
        raise InputError("pair-out: with two categories, removing both leaves nothing. Use leave-one-out.")
    return found
