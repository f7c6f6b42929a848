"""Interventions that try categories which the baseline leaves out, such as data that landed later."""

from __future__ import annotations

from collections.abc import Iterable

from tasks.errors import InputError
from tasks.interventions.designs.changes import Counts, changed_counts, scaled
from tasks.interventions.intervention import Arm, Intervention


def additions(counts: Counts, available: Counts, arms: Iterable[Arm], share: float) -> tuple[Intervention, ...]:
    """Each category that the pool has and the baseline does not, added to the baseline; arm by arm, categories sorted.

    The baseline and every intervention on its own categories stay what they were, so their runs stay valid when a new
    category comes. A paired difference then says what the added examples give: amount 0 against n.

    Args:
        counts: baseline examples per category, 0 for those that it leaves out.
        available: training examples per category.
        arms: size-matched makes room pro rata in the other categories; size-reduced leaves them as they are, so that
            the training set is larger by the added examples.
        share: added examples as a part of the baseline's total, above 0 and below 1; a category with fewer examples
            is added whole.

    Returns:
        As many interventions as there are such categories and arms; none where the baseline has them all.

    Raises:
        InputError: an impossible share, or one that leaves the other categories no room.
    """
    if not 0 < share < 1:
        raise InputError(f"addition is {share:g}; expected a part of the baseline's total, above 0 and below 1.")
    wanted = max(1, scaled(sum(counts.values()), share))
    absent = [category for category in sorted(counts) if not counts[category] and available[category]]
    return tuple(
        _added(counts, available, category, min(wanted, available[category]), arm)
        for arm in dict.fromkeys(arms)
        for category in absent
    )


def added_category(intervention: Intervention) -> str | None:
    """The category that an intervention of `additions` adds; None for any other intervention."""
    if intervention.arm is None or intervention.removed:
        return None
    found = [c for c, n in intervention.counts if n and intervention.name == _name(c, intervention.arm)]
    return found[0] if found else None


def _added(counts: Counts, available: Counts, category: str, examples: int, arm: Arm) -> Intervention:
    name = _name(category, arm)
    changed = changed_counts(counts, available, {category: examples}, arm, name)
    return Intervention(name, tuple(changed.items()), (), arm)


def _name(category: str, arm: Arm) -> str:
    return f"with {category} ({arm})"
