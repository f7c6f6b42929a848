"""Means with their errors against the textbook, and metrics that must agree."""

from __future__ import annotations

import statistics

import pytest

from tasks.benchmarks.scores import Metric, Score, agreed, mean_score
from tasks.errors import InputError


@pytest.mark.parametrize("values", [[1.0, 0.0, 1.0, 1.0], [0.0] * 5, [1.0] * 3, [0.1, -2.5, 7.25], [1e8, 1e8 + 1]])
def test_mean_score_has_the_error_of_a_mean(values: list[float]) -> None:
    found = mean_score("add", "accuracy", values)
    assert (found.category, found.metric, found.n) == ("add", "accuracy", len(values))
    assert found.value == pytest.approx(statistics.mean(values), rel=1e-15)
    assert found.standard_error == pytest.approx(statistics.stdev(values) / len(values) ** 0.5, rel=1e-12)


def test_mean_score_of_one_example_has_no_error_and_of_none_no_value() -> None:
    assert mean_score("add", "loss", [2.5]) == Score("add", "loss", 2.5, 1, None)
    with pytest.raises(ValueError, match="loss of add"):
        mean_score("add", "loss", [])


def test_agreed_keeps_one_of_each_name_in_order() -> None:
    share, points = Metric("b", True, "share"), Metric("a", True, "points of 10")
    assert list(agreed([share, points, share]).values()) == [share, points]


@pytest.mark.parametrize("other", [Metric("a", False, "share"), Metric("a", True, "points of 10")])
def test_agreed_name_with_two_meanings_is_refused_with_both(other: Metric) -> None:
    with pytest.raises(InputError, match=r"two measures are called 'a'.*share, higher is better.* and a \(.*`metric`"):
        agreed([Metric("a", True, "share"), other])
