"""What designs share: changed counts and their limits, names in messages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from math import floor

from tasks.errors import InputError
from tasks.interventions.design import mixture
from tasks.interventions.intervention import BASELINE, Arm, Intervention
from tasks.interventions.rounding import fill_pro_rata, largest_remainder

Counts = Mapping[str, int]
"""Examples per category."""


def changed_counts(counts: Counts, available: Counts, changes: Counts, arm: Arm, name: str) -> dict[str, int]:
    """Set some categories' counts; in the size-matched arm the others bring the total back to the baseline's.

    Freed examples are replaced from the others' reserves (available − baseline count) in proportion to their baseline
    counts, so that these keep their proportions; what an exhausted reserve cannot give, the others give likewise.
    Room for added ones is made in the same proportions; no category loses its last example to it.

    Args:
        counts: baseline examples per category.
        available: training examples per category.
        changes: new count of each changed category, within what is available.
        arm: whether the others stay as they are (size-reduced) or keep the total (size-matched).
        name: of the intervention, for messages.

    Returns:
        Count per category, sorted by category.

    Raises:
        InputError: the others cannot give, or cannot do without, as many examples as it takes.
    """
    result = {category: changes.get(category, n) for category, n in sorted(counts.items())}
    if arm is Arm.SIZE_REDUCED:
        return result
    others = [category for category in result if category not in changes]
    weights = [counts[category] for category in others]
    need = sum(counts[category] - n for category, n in changes.items())
    if need >= 0:
        moved = _refilled(weights, [available[category] - counts[category] for category in others], need, name)
    else:
        moved = _made_room(weights, -need, name)
    return result | dict(zip(others, moved, strict=True))


def check_counts(counts: Counts, available: Counts, design: str) -> list[str]:
    """The categories that have examples, sorted.

    Raises:
        InputError: categories do not agree, a count is above what is available, or fewer than two have examples.
    """
    if set(counts) != set(available):
        differing = sorted(set(counts) ^ set(available))
        raise InputError(f"baseline counts and available examples name different categories: {quoted(differing)}.")
    above = [f'"{c}" takes {n} of {available[c]}' for c, n in sorted(counts.items()) if not 0 <= n <= available[c]]
    if above:
        raise InputError(f"baseline: {', '.join(above)} examples; expected from 0 to what is available.")
    present = [category for category in sorted(counts) if counts[category]]
    if len(present) < 2:
        raise InputError(f"{design} needs two categories with examples, the baseline has {len(present)}.")
    return present


def check_available(wanted: Counts, available: Counts, factor: float, what: str) -> None:
    """Raise InputError, saying what to lower, where a dose or level needs more examples than there are.

    Args:
        wanted: examples per category at this factor.
        available: training examples per category.
        factor: on the baseline's counts.
        what: what asks for them, for the message.
    """
    short = {c: n for c, n in wanted.items() if n > available[c]}
    if short:
        named = [f'"{c}" needs {n} and has {available[c]}' for c, n in list(short.items())[:8]]
        more = f" and {len(short) - 8} more" if len(short) > 8 else ""
        part = min(available[c] / n for c, n in short.items())
        raise InputError(
            f"{what}: {', '.join(named)}{more}. Lower it to about {floor(100 * factor * part) / 100:g}, lower the "
            f"baseline's total to about {floor(100 * part)}% of what it is, or add data."
        )


def with_baseline(counts: Counts, changed: Sequence[Intervention]) -> tuple[Intervention, ...]:
    """The baseline and what it is compared with.

    Raises:
        InputError: two interventions of one name, which categories named alike ("a", "b", "a and b") could make.
    """
    names = [one.name for one in changed]
    if len(set(names)) < len(names):
        seen = next(name for k, name in enumerate(names) if name in names[:k])
        raise InputError(f'Two interventions would be called "{seen}": rename the categories in it.')
    return (mixture(BASELINE, counts), *changed)


def scaled(count: int, factor: float) -> int:
    """`factor × count` as a whole number, halves up; the factor counts as the decimal number it prints as."""
    return int(Fraction(repr(float(factor))) * count + Fraction(1, 2))


def quoted(names: Iterable[str], most: int = 8) -> str:
    """Names in quotes, for messages; of many the first few."""
    names = list(names)
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(f'"{name}"' for name in names[:most]) + more


def _refilled(weights: list[int], reserve: list[int], need: int, name: str) -> list[int]:
    usable = sum(spare for spare, weight in zip(reserve, weights, strict=True) if weight)
    if usable < need:
        raise InputError(
            f"{name}: {need} examples must be replaced from the reserves of the other categories, which hold {usable}: "
            f"{need - usable} short. Take a smaller baseline (total), add data, or use only the arm {Arm.SIZE_REDUCED}."
        )
    return [n + more for n, more in zip(weights, fill_pro_rata(weights, need, reserve), strict=True)]


def _made_room(weights: list[int], need: int, name: str) -> list[int]:
    left, present = sum(weights) - need, sum(weight > 0 for weight in weights)
    if left < present:
        raise InputError(
            f"{name}: {need} examples of the other categories must make room, and of their {sum(weights)} at least one "
            f"each must stay. Lower the dose, or use only the arm {Arm.SIZE_REDUCED}."
        )
    kept = fill_pro_rata(weights, left, weights)
    if all(bool(n) == bool(weight) for n, weight in zip(kept, weights, strict=True)):
        return list(kept)
    shares = [Fraction(weight, sum(weights)) for weight in weights]
    return list(largest_remainder(shares, left, upper=weights, lower=[min(weight, 1) for weight in weights]))
