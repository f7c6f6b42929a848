"""What a score is: a number about a checkpoint, and the metric that says what it means."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import StringConstraints

from tasks.errors import InputError

LOSS = "loss"
"""Mean over examples of the answer's negative log-likelihood per token."""
EXACT_MATCH = "exact_match"
"""Share of examples whose greedy decoding equals the reference answer."""
ACCURACY = "accuracy"
"""Share of answers that are right by a checker's verdict; what a measure is called unless it says otherwise."""

SHARE = "share"
"""Unit of shares, 0…1."""
NATS_PER_TOKEN = "nats per token"  # noqa: S105 - no password
"""Unit of losses."""

MetricName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
"""A metric's name: lower-case letters, digits, '_'."""


@dataclass(frozen=True)
class Metric:
    """What a number means.

    Attributes:
        name: identifies it, in files and in the database.
        higher_is_better: its direction.
        unit: of its values, e.g. "nats per token" or "share" (0…1).
    """

    name: str
    higher_is_better: bool
    unit: str

    @property
    def sign(self) -> float:
        """Factor that turns a value into a performance, where higher is better."""
        return 1.0 if self.higher_is_better else -1.0

    def __str__(self) -> str:
        return f"{self.name} ({self.unit}, {'higher' if self.higher_is_better else 'lower'} is better)"


HELD_OUT_METRICS = (Metric(LOSS, False, NATS_PER_TOKEN), Metric(EXACT_MATCH, True, SHARE))
"""What is measured of every category, without any generation."""


@dataclass(frozen=True)
class Score:
    """One number about one checkpoint.

    Attributes:
        category: the evaluated (target) category.
        metric: the name of what was measured.
        value: the mean over `n` examples, in the metric's own unit and direction.
        n: examples behind the mean.
        standard_error: of the mean, over examples as independent draws; None where it cannot be told (one example).
    """

    category: str
    metric: str
    value: float
    n: int
    standard_error: float | None = None


def mean_score(category: str, metric: str, values: Sequence[float]) -> Score:
    """The mean of per-example values with its standard error √(Σ(value − mean)² / (n·(n − 1))); sums are exact (fsum).

    Raises:
        ValueError: there are no values.
    """
    n = len(values)
    if not n:
        raise ValueError(f"{metric} of {category}: a mean of nothing has no value")
    mean = math.fsum(values) / n
    error = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n * (n - 1))) if n > 1 else None
    return Score(category, metric, mean, n, error)


def mean_over_runs(scores: Sequence[Score]) -> Score:
    """The mean of one category's and metric's scores over runs that share their examples.

    Its standard error is that of one run (the root of the mean square): it says how far other examples could have led,
    which more runs on the same ones do not lessen. None where a run has none.

    Raises:
        ValueError: there are none, or they are of several categories, metrics or numbers of examples.
    """
    first = scores[0] if scores else None
    if first is None or {(s.category, s.metric, s.n) for s in scores} != {(first.category, first.metric, first.n)}:
        raise ValueError(f"expected scores of one category, metric and number of examples, found {list(scores)}")
    errors = [score.standard_error for score in scores if score.standard_error is not None]
    error = math.hypot(*errors) / math.sqrt(len(errors)) if len(errors) == len(scores) else None
    return Score(first.category, first.metric, math.fsum(s.value for s in scores) / len(scores), first.n, error)


def metric_order(names: Iterable[str]) -> list[str]:
    """Names of metrics as they are shown: what is always measured first, then the others by name; each once."""
    always = [metric.name for metric in HELD_OUT_METRICS]
    return sorted(set(names), key=lambda name: (always.index(name) if name in always else len(always), name))


def agreed(metrics: Iterable[Metric]) -> dict[str, Metric]:
    """The metrics by name, in the order of their first mention.

    Raises:
        InputError: two of one name differ in direction or unit.
    """
    found: dict[str, Metric] = {}
    for metric in metrics:
        first = found.setdefault(metric.name, metric)
        if first != metric:
            raise InputError(
                f"two measures are called {metric.name!r} but mean different things: {first} and {metric}. Give one of "
                "them another name with its key `metric`."
            )
    return found
