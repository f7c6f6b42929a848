"""Designs that change all categories at once: levels, orthogonality of the counts, the distribution of mixtures."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from tasks.errors import InputError
from tasks.interventions.designs.mixes import Levels, factorial, mixtures, random_mixtures
from tasks.interventions.intervention import BASELINE, Intervention

COUNTS = {"a": 100, "b": 40, "c": 200, "empty": 0, "d": 60}
AVAILABLE = {"a": 200, "b": 80, "c": 400, "empty": 9, "d": 120}


def matrix(designs: tuple[Intervention, ...], categories: list[str]) -> np.ndarray:
    counts = [dict(design.counts) for design in designs]
    return np.array([[row[c] for c in categories] for row in counts], dtype=np.float64)


@pytest.mark.parametrize("levels", [Levels(), Levels(foldover=True), Levels(low=0.1, high=2.0, runs=12, draw=3)])
def test_factorial_counts_are_the_two_levels_of_an_orthogonal_array(levels: Levels) -> None:
    designs = factorial(COUNTS, AVAILABLE, levels)
    assert designs[0] == Intervention(BASELINE, tuple(sorted(COUNTS.items())))
    rows = matrix(designs[1:], ["a", "b", "c", "d"])
    base = np.array([100, 40, 200, 60])
    coded = (rows / base - (levels.low + levels.high) / 2) / ((levels.high - levels.low) / 2)
    x = np.column_stack([np.ones(len(rows)), coded])
    np.testing.assert_allclose(x.T @ x, len(rows) * np.eye(5), atol=1e-9)
    assert all(design.count("empty") == 0 for design in designs)
    assert all(set(dict(design.counts)) == set(COUNTS) for design in designs)
    assert len({design.name for design in designs}) == len(designs)


@pytest.mark.parametrize("categories", [2, 3, 28, 100, 1000])
def test_factorial_of_any_number_of_categories_is_orthogonal(categories: int) -> None:
    counts = {f"c{k:03d}": 2 * (k % 9 + 1) for k in range(categories)}
    designs = factorial(counts, {c: 2 * n for c, n in counts.items()}, Levels())
    rows = matrix(designs[1:], sorted(counts))
    coded = 2 * (rows / np.array([counts[c] for c in sorted(counts)]) - 1)
    np.testing.assert_array_equal(coded.T @ coded, len(rows) * np.eye(categories))
    np.testing.assert_array_equal(coded.sum(axis=0), 0)


def test_factorial_foldover_mirrors_every_row() -> None:
    designs = {d.name: d for d in factorial(COUNTS, AVAILABLE, Levels(foldover=True))}
    halves = [name for name in designs if name.endswith("mirrored")]
    assert len(halves) == 4
    for name in halves:
        pair = designs[name], designs[name.removesuffix(" mirrored")]
        assert [sum(n) for n in zip(*(([n for _, n in d.counts]) for d in pair), strict=True)] == [
            2 * n for _, n in sorted(COUNTS.items())
        ]


def test_factorial_matched_has_the_baselines_total_and_the_levels_ratios() -> None:
    plenty = dict.fromkeys(COUNTS, 1000)
    free, matched = (factorial(COUNTS, plenty, Levels(matched=choice)) for choice in (False, True))
    for one, other in zip(free[1:], matched[1:], strict=True):
        assert other.total == 400
        for category, n in other.counts:
            assert abs(n - one.count(category) * 400 / one.total) < 1


def test_factorial_rounds_halves_up() -> None:
    counts = {"a": 3, "b": 5}
    designs = factorial(counts, {"a": 9, "b": 9}, Levels())
    assert {(d.count("a"), d.count("b")) for d in designs[1:]} == {(2, 3), (2, 8), (5, 3), (5, 8)}


@pytest.mark.parametrize(
    ("available", "levels", "message"),
    [
        (
            AVAILABLE | {"a": 120},
            Levels(),
            r'high = 1\.5: "a" needs 150 and has 120\. Lower it to about 1\.2,.* 80% of',
        ),
        (AVAILABLE, Levels(matched=True), r'factorial 2 \(matched\): "b" needs 100 and has 80\. Lower'),
        (AVAILABLE, Levels(low=0.995, high=1.5), 'levels 0.995 and 1.5 of "a", "b", "d" round to 0 or to the baseline'),
        (AVAILABLE, Levels(low=0.01), 'levels 0.01 and 1.5 of "b" round to 0 or'),
        (AVAILABLE, Levels(low=0.5, high=0.9), "expected 0 < low < 1 < high"),
        (AVAILABLE, Levels(low=0.0), "expected 0 < low < 1 < high"),
        (AVAILABLE, Levels(high=float("inf")), "expected 0 < low < 1 < high"),
        (AVAILABLE, Levels(runs=10), "nearest possible number is 8 or 12"),
    ],
)
def test_factorial_impossible_request_is_explained(available: dict, levels: Levels, message: str) -> None:
    with pytest.raises(InputError, match=message):
        factorial(COUNTS, available, levels)


def test_mixtures_keep_the_total_within_what_is_available() -> None:
    designs = mixtures(COUNTS, AVAILABLE, 200, concentration=1.0)
    assert designs[0].name == BASELINE
    assert Counter(d.total for d in designs) == {400: 201}
    assert all(n <= AVAILABLE[c] for d in designs for c, n in d.counts)
    assert len({d.name for d in designs}) == 201
    assert all(d.count("empty") == 0 for d in designs)


def test_mixtures_with_room_have_the_dirichlets_mean_and_variance() -> None:
    concentration, number = 5.0, 4000
    plenty = dict.fromkeys(COUNTS, 10_000)
    found = random_mixtures(COUNTS, plenty, number, concentration, draw=1)
    assert found.redrawn == 0
    categories = ["a", "b", "c", "d"]
    shares = matrix(found.interventions[1:], categories) / 400
    expected = np.array([COUNTS[c] for c in categories]) / 400
    variance = expected * (1 - expected) / (concentration * 4 + 1)
    np.testing.assert_allclose(shares.mean(axis=0), expected, atol=4 * np.sqrt(variance.max() / number))
    np.testing.assert_allclose(shares.var(axis=0), variance, rtol=0.1)


def test_mixtures_redraws_are_counted_and_are_the_plain_draws_that_fit() -> None:
    """Rejection by hand: the plain draws of the same seed, those that fit, in order."""
    scarce = AVAILABLE | {"a": 110, "c": 230}
    plain = mixtures(COUNTS, dict.fromkeys(COUNTS, 10_000), 300, draw=7)[1:]
    fitting = [d.counts for d in plain if all(n <= scarce[c] for c, n in d.counts)][:20]
    found = random_mixtures(COUNTS, scarce, 20, draw=7)
    assert [d.counts for d in found.interventions[1:]] == fitting
    drawn = [d.counts for d in plain].index(fitting[-1]) + 1
    assert found.redrawn == drawn - 20 > 0


def test_mixtures_repeat_with_the_same_draw_and_differ_with_another() -> None:
    first, again, other = (mixtures(COUNTS, AVAILABLE, 3, draw=draw) for draw in (0, 0, 1))
    assert first == again != other


def test_mixtures_of_a_thousand_categories_keep_the_total() -> None:
    counts = {f"c{k:03d}": 20 for k in range(1000)}
    designs = mixtures(counts, dict.fromkeys(counts, 200), 3)
    assert [d.total for d in designs] == [20_000] * 4


@pytest.mark.parametrize(
    ("available", "arguments", "message"),
    [
        (AVAILABLE, (0,), "number is 0"),
        (AVAILABLE, (3, 0.0), "concentration is 0"),
        (AVAILABLE, (3, float("nan")), "concentration is nan"),
        (
            COUNTS | {"empty": 9},
            (3, 0.5),
            "only 0 of 3 needed are possible .*Lower the baseline's total, raise concentr",
        ),
    ],
)
def test_mixtures_impossible_request_is_explained(available: dict, arguments: tuple, message: str) -> None:
    with pytest.raises(InputError, match=message):
        mixtures(COUNTS, available, *arguments)
