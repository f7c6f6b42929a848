"""The intervention's value type: which categories a training set holds, and why."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

BASELINE = "baseline"


class Arm(StrEnum):
    """What happens to the budget that a removal frees (or that a raised dose takes)."""

    SIZE_REDUCED = "size-reduced"
    """The other categories stay as they are: train on less (a raised dose: on more)."""
    SIZE_MATCHED = "size-matched"
    """Refill pro rata from the other categories' reserve (a raised dose: make room, pro rata)."""


@dataclass(frozen=True)
class Intervention:
    """do(n → n'): a training set described by its count per category.

    Attributes:
        name: unique in its experiment: "baseline", "without reverse (size-matched)", "reverse × 0.5 (size-matched)",
            "factorial 03", "mixture 12", a validation arm's name.
        counts: (category, examples per epoch) for every category of the pool, sorted by category; 0 = removed.
        removed: categories taken out on purpose; empty for the baseline, doses above 0, and mixtures.
        arm: how the budget of a removal or dose was treated; None for the baseline and for mixtures.
    """

    name: str
    counts: tuple[tuple[str, int], ...]
    removed: tuple[str, ...] = ()
    arm: Arm | None = None

    @property
    def total(self) -> int:
        """Examples per epoch."""
        return sum(n for _, n in self.counts)

    def count(self, category: str) -> int:
        """Examples per epoch of one category; KeyError for an unknown one."""
        return dict(self.counts)[category]
