"""The stage's value types."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Outcome(StrEnum):
    """What the evidence allows to say."""

    BETTER = "better"
    WORSE = "worse"
    NO_DIFFERENCE = "no better than chance"


@dataclass(frozen=True)
class Prediction:
    """A gain over the baseline, as it was predicted before the validation.

    Attributes:
        value: positive = better, in the performance's unit.
        low: lower end of its interval; None where the prediction came without.
        high: upper end, likewise.
    """

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Verdict:
    """One arm against its control on fresh seeds and fresh held-out data.

    Sign: positive = the arm is better. Performance is the share-weighted mean over categories, higher is better.

    Attributes:
        arm: the arm judged.
        control: what it is judged against.
        seeds: paired seeds: how often each was retrained.
        unit: the performance's unit.
        difference: mean paired difference, in `unit`.
        low: lower end of its interval.
        high: upper end.
        confidence: the interval's level.
        p_value: two-sided, before correction.
        p_adjusted: after Holm's correction over all verdicts of the experiment.
        predicted: the gain that was predicted (same unit), None where nothing was predicted.
        outcome: the verdict at 1 − confidence after correction.
        text: the verdict in plain sentences.
        by_category: (category, mean paired difference) pairs.
        predicted_low: lower end of the prediction's interval, None where there is none.
        predicted_high: upper end, likewise.
        detectable: smallest true difference, in `unit`, that this comparison finds 4 times in 5 after the correction;
            None where it was not computed.
    """

    arm: str
    control: str
    seeds: int
    unit: str
    difference: float
    low: float
    high: float
    confidence: float
    p_value: float
    p_adjusted: float
    predicted: float | None
    outcome: Outcome
    text: str
    by_category: tuple[tuple[str, float], ...]
    predicted_low: float | None = None
    predicted_high: float | None = None
    detectable: float | None = None
