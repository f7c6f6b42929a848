"""Change the proportions or keep the baseline, with the reason in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from tasks.proportions.gain import Noise, gain_interval, kept_by
from tasks.proportions.limits import NamedLimit, Vector, residuals
from tasks.proportions.objective import Objective
from tasks.proportions.proposal import Gain

NO_STEP = 1e-9
"""Total shift (share) below which the proportions are the baseline."""
UNKNOWN = "the gain's uncertainty is unknown"
UNTESTED = (
    f"{UNKNOWN}, and without it a gain cannot be told from none: give the effects' standard errors "
    "(--standard-errors), or the folder that `beyond-iid effects` wrote"
)

Decision = tuple[Gain | None, Literal["change", "keep"], str]


def decide(
    objective: Objective, shares: Vector, alpha: Vector, limits: Sequence[NamedLimit], confidence: float
) -> Decision:
    """The gain with its interval where errors are known, the decision, the reason.

    The baseline is kept where its limits allow it and the lower end of the interval is not above 0, or not known.

    Raises:
        InputError: too few error draws for this confidence.
    """
    value, gain = objective.gain(shares, alpha), None
    if objective.errors is not None:
        noise = Noise(objective.errors, confidence, objective.unit)
        gain = gain_interval(value, shares, alpha, limits, noise)
    if not kept_by(alpha, alpha, limits):
        over = residuals(alpha, alpha, limits)
        broken = [limit.name for limit, amount in zip(limits, over, strict=True) if amount > NO_STEP]
        return gain, "change", f"the baseline itself breaks {_some(broken)}, so it cannot be kept{_judged(gain)}"
    if float(np.abs(shares - alpha).sum()) / 2 <= NO_STEP + abs(1 - float(alpha.sum())):
        doubt = f" when {objective.budget:g} sources may be at their worst" if objective.budget else ""
        return gain, "keep", f"no change within the limits promises a gain{doubt}"
    if gain is None:
        return gain, "keep", UNTESTED
    if gain.low > 0:
        return gain, "change", certain(gain)
    return (
        gain,
        "keep",
        f"the predicted gain of {gain.value:.4g} {gain.unit} is not distinguishable from none: with "
        f"{100 * gain.confidence:.4g} % confidence it is only known to be above {gain.low:.4g}, since the best of all "
        "allowed changes looks this good by chance as well",
    )


def certain(gain: Gain, premise: str = "") -> str:
    """That the gain is above the lower end of its interval; only under the premise, where there is one."""
    above = f"with {100 * gain.confidence:.4g} % confidence the gain"
    end = f"above {gain.low:.4g} {gain.unit}"
    return f"if {premise}, {above} would be {end}" if premise else f"{above} is {end}"


def decision_text(decision: str, reason: str) -> str:
    """The decision ("change" or "keep") as advice, with its reason; no full stop."""
    advice = "keep the baseline" if decision == "keep" else "train on the proposal"
    return f"{advice}, because {reason}" if reason else advice


def _judged(gain: Gain | None) -> str:
    if gain is None:
        return f"; {UNKNOWN}"
    if gain.low > 0:
        return ""
    return f"; whether the change gains anything is not known (above {gain.low:.4g} {gain.unit})"


def _some(names: Sequence[str], shown: int = 4) -> str:
    rest = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + rest
