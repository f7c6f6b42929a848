"""What designs say about themselves: runs counted, and the sentences that depend on the choice made."""

from __future__ import annotations

import numpy as np
import pytest

from tasks.interventions.designs.mixes import Levels, factorial, random_mixtures
from tasks.interventions.designs.removals import dose, leave_one_out, pair_out
from tasks.interventions.designs.summary import (
    DesignSummary,
    dose_summary,
    factorial_summary,
    leave_one_out_summary,
    mixtures_summary,
    pair_out_summary,
    sequential_summary,
)
from tasks.interventions.intervention import Arm

COUNTS = {"a": 100, "b": 40, "c": 200, "d": 60}
PLENTY = dict.fromkeys(COUNTS, 1000)
ARMS = (Arm.SIZE_MATCHED,)


def text(summary: DesignSummary) -> tuple[str, str]:
    return " ".join(summary.estimates), " ".join(summary.cannot)


def test_leave_one_out_summary_counts_runs_of_both_arms_and_explains_them() -> None:
    summary = leave_one_out_summary(leave_one_out(COUNTS, PLENTY, Arm), seeds=3)
    assert (summary.interventions, summary.runs, summary.most_runs) == (9, 27, 27)
    assert [note.split(":")[0] for note in summary.notes] == ["Size-reduced", "Size-matched"]
    assert "3 seeds" in text(summary)[0]


def test_dose_summary_of_one_dose_states_the_price_of_a_small_step() -> None:
    """Error of (difference / amount): with |1 − d| of the amount, 1/|1 − d| times the error."""
    rng = np.random.default_rng(0)
    differences = rng.standard_normal(1000)
    full, quarter = np.std(differences / 100), np.std(differences / 25)
    summary = dose_summary(dose(COUNTS, PLENTY, ARMS, [0.75]), 3, [0.75])
    assert quarter / full == pytest.approx(4)
    assert "standard error of the effect per example 4 times" in text(summary)[1]
    assert "surface" not in text(summary)[0]


def test_dose_summary_of_several_doses_promises_a_curve() -> None:
    summary = dose_summary(dose(COUNTS, PLENTY, ARMS, [0.5, 1.5]), 3, [0.5, 1.5])
    assert summary.runs == 27
    assert "bends with its amount (0.5 and 1.5 times" in text(summary)[0]


def test_pair_out_summary_says_whether_all_pairs_are_in() -> None:
    every = pair_out_summary(pair_out(COUNTS, PLENTY, ARMS), 2)
    some = pair_out_summary(pair_out(COUNTS, PLENTY, ARMS, [("a", "b")]), 2)
    assert (every.runs, some.runs) == (22, 12)
    assert "For all 6 pairs" in text(every)[0]
    assert "of pairs that are not listed" in text(some)[1]


@pytest.mark.parametrize(("levels", "rows"), [(Levels(), 8), (Levels(foldover=True), 8), (Levels(runs=12), 12)])
def test_factorial_summary_counts_degrees_of_freedom_left(levels: Levels, rows: int) -> None:
    designs = factorial(COUNTS, PLENTY, levels)
    summary = factorial_summary(designs, 2, levels)
    # Least squares on 2 copies of the rows, with a level per seed: what the residuals keep.
    x = np.array([[d.count(c) for c in COUNTS] for d in designs[1:]] * 2, dtype=np.float64)
    seeds = np.repeat(np.eye(2), rows, axis=0)
    left = 2 * rows - np.linalg.matrix_rank(np.column_stack([x, seeds]))
    assert summary.runs == 2 * (rows + 1)
    assert f"{left} degrees of freedom" in " ".join(summary.notes)
    assert ("strength 3" in text(summary)[0]) == levels.foldover
    assert ("strength 2" in text(summary)[1]) != levels.foldover


def test_factorial_summary_without_degrees_of_freedom_says_that_noise_is_unknown() -> None:
    counts = {"a": 100, "b": 40, "c": 200}
    designs = factorial(counts, dict.fromkeys(counts, 1000))
    assert "The noise" in text(factorial_summary(designs, 1, Levels()))[1]
    assert "The noise" not in text(factorial_summary(designs, 2, Levels()))[1]


def test_factorial_summary_matched_or_free_says_what_becomes_of_size() -> None:
    free, matched = Levels(), Levels(matched=True)
    assert "totals go from" in text(factorial_summary(factorial(COUNTS, PLENTY, free), 2, free))[0]
    assert "larger training set" in text(factorial_summary(factorial(COUNTS, PLENTY, matched), 2, matched))[1]


def test_mixtures_summary_admits_redraws_and_too_few_mixtures() -> None:
    scarce = {c: int(1.2 * n) for c, n in COUNTS.items()}
    found = random_mixtures(COUNTS, scarce, 10)
    assert found.redrawn > 0
    notes = " ".join(mixtures_summary(found, 1, 4.0).notes)
    assert f"{found.redrawn} of {found.redrawn + 10} draws" in notes
    few = random_mixtures(COUNTS, PLENTY, 2)
    assert "too few" in text(mixtures_summary(few, 5, 4.0))[1]
    assert "too few" not in text(mixtures_summary(random_mixtures(COUNTS, PLENTY, 3), 1, 4.0))[1]


def test_sequential_summary_has_a_first_block_and_a_budget() -> None:
    designs = leave_one_out(COUNTS, PLENTY, ARMS)
    open_end, budget = sequential_summary(designs, 2, 5, None), sequential_summary(designs, 2, 5, 18)
    assert (open_end.runs, open_end.most_runs) == (10, 25)
    assert (budget.runs, budget.most_runs) == (10, 18)
