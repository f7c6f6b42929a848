"""Names of the validation arms, and which arm is judged against which control."""

from __future__ import annotations

import re
from collections.abc import Iterable

BASELINE = "baseline"
PROPOSAL = "proposal"
SIGN_RULE = "sign-rule"
CURRICULUM = "curriculum"
REVERSED_CURRICULUM = "reversed curriculum"
SHUFFLED_CURRICULUM = "shuffled curriculum"
"""The curriculum's exact control: the same examples, equally often, in random order."""
RANDOM_STEP = "random step"
"""As a control: all arms "random step 1", "random step 2", … taken together."""

Comparison = tuple[str, str]
"""(arm, control)."""

_NUMBERED = re.compile(rf"{RANDOM_STEP}( \d+)?")


def is_random_step(arm: str) -> bool:
    """Whether this is one of the random steps."""
    return _NUMBERED.fullmatch(arm) is not None


def default_comparisons(arms: Iterable[str]) -> tuple[Comparison, ...]:
    """Judge every arm but the pure controls against the baseline, and each kind of arm against its control.

    Proposal and sign rule also face the random steps; curricula also face the shuffled order of the same examples.

    Args:
        arms: arm names that ran, the baseline among them; repetitions are fine.
    """
    names = tuple(dict.fromkeys(arms))
    judged = [a for a in names if a not in {BASELINE, SHUFFLED_CURRICULUM} and not is_random_step(a)]
    comparisons = [(arm, BASELINE) for arm in judged if BASELINE in names]
    if any(is_random_step(arm) for arm in names):
        comparisons += [(arm, RANDOM_STEP) for arm in (PROPOSAL, SIGN_RULE) if arm in names]
    if SHUFFLED_CURRICULUM in names:
        comparisons += [(arm, SHUFFLED_CURRICULUM) for arm in (CURRICULUM, REVERSED_CURRICULUM) if arm in names]
    return tuple(comparisons)
