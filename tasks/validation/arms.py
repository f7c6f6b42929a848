"""Names of the validation arms, and which arm is judged against which control."""

from __future__ import annotations

import re
from collections.abc import Iterable

BASELINE = "baseline"
UNIFORM = "uniform"
"""All categories alike, as far as their examples reach."""
PROPOSAL = "proposal"
SIGN_RULE = "sign-rule"
CURRICULUM = "curriculum"
"""The baseline's examples in the order of the analysis' schedule."""
TILTED_CURRICULUM = "tilted curriculum"
STRICT_CURRICULUM = "strict curriculum"
REVERSED_CURRICULUM = "reversed curriculum"
SHUFFLED_CURRICULUM = "shuffled curriculum"
"""The curricula's exact control: the same examples, equally often, in random order."""
PROPOSAL_CURRICULUM = "proposal + curriculum"
"""The proposal's examples in the order of the analysis' schedule."""
SHUFFLED_PROPOSAL = "shuffled proposal"
"""Its exact control: the proposal's examples, equally often, in random order."""
RANDOM_STEP = "random step"
"""As a control: all arms "random step 1", "random step 2", … taken together."""

CURRICULA = (CURRICULUM, TILTED_CURRICULUM, STRICT_CURRICULUM, REVERSED_CURRICULUM)
"""Arms that order the baseline's examples."""

Comparison = tuple[str, str]
"""(arm, control)."""

_CONTROLS = {BASELINE, SHUFFLED_CURRICULUM, SHUFFLED_PROPOSAL}
_NUMBERED = re.compile(rf"{RANDOM_STEP}( \d+)?")


def is_random_step(arm: str) -> bool:
    """Whether this is one of the random steps."""
    return _NUMBERED.fullmatch(arm) is not None


def default_comparisons(arms: Iterable[str]) -> tuple[Comparison, ...]:
    """Judge every arm but the pure controls against the baseline, and each kind of arm against its control.

    Proposal and sign rule also face the random steps; curricula the shuffled order of the same examples; the proposal
    in the curriculum's order the proposal itself and the shuffled order of the proposal's examples.

    Args:
        arms: arm names that ran, the baseline among them; repetitions are fine.
    """
    names = tuple(dict.fromkeys(arms))
    wanted = [(a, BASELINE) for a in names if a not in _CONTROLS and not is_random_step(a)]
    wanted += [(a, RANDOM_STEP) for a in (PROPOSAL, SIGN_RULE)]
    wanted += [(a, SHUFFLED_CURRICULUM) for a in CURRICULA]
    wanted += [(PROPOSAL_CURRICULUM, control) for control in (PROPOSAL, SHUFFLED_PROPOSAL)]
    there = {*names, *([RANDOM_STEP] if any(is_random_step(a) for a in names) else [])}
    return tuple((arm, control) for arm, control in wanted if arm in there and control in there)
