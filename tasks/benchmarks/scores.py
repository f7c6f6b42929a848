"""The score's value type and each metric's direction."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Metric(StrEnum):
    """What is measured on held-out examples."""

    LOSS = "loss"
    """Mean over examples of the answer's negative log-likelihood per token; nats per token, lower is better."""
    EXACT_MATCH = "exact_match"
    """Share of examples whose greedy decoding equals the reference answer; 0…1, higher is better."""


HIGHER_IS_BETTER = {Metric.LOSS: False, Metric.EXACT_MATCH: True}


@dataclass(frozen=True)
class Score:
    """One number about one checkpoint.

    Attributes:
        category: the evaluated (target) category.
        metric: what was measured.
        value: the mean over `n` held-out examples, in the metric's own unit and direction.
        n: held-out examples behind the mean.
    """

    category: str
    metric: Metric
    value: float
    n: int
