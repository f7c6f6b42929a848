from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from tasks.validation.regret import Regret
from tasks.validation.verdict import Outcome, Verdict
from tasks.validation.wording import Setting, difference_text, regret_text, skipped_text, verdict_text

GOOD = Verdict(
    arm="proposal",
    control="baseline",
    seeds=5,
    unit="nats per token",
    difference=0.0312,
    low=0.0110,
    high=0.0514,
    confidence=0.95,
    p_value=0.0005,
    p_adjusted=0.004,
    predicted=0.027,
    outcome=Outcome.BETTER,
    text="",
    by_category=(),
    predicted_low=0.012,
    predicted_high=0.042,
    detectable=0.0353,
)
NOTHING = replace(
    GOOD,
    difference=-0.0121,
    low=-0.0322,
    high=0.0080,
    p_adjusted=1.0,
    outcome=Outcome.NO_DIFFERENCE,
    predicted=None,
    predicted_low=None,
    predicted_high=None,
)


def test_text_of_a_better_arm_says_what_by_how_much_how_sure_and_how_the_prediction_did() -> None:
    assert verdict_text(GOOD, Setting(comparisons=9)).text == (
        "The proposal was better than the baseline by 0.031 nats per token (correct tokens 3.2% more likely); the "
        "true difference is between 0.011 and 0.051 with 95% confidence. Both were retrained 5 times, with random "
        "starts and test data that nothing before had used; if they were in truth equally good, a result this clear "
        "would come up at most once in 250 times, all 9 comparisons counted. The prediction had been +0.027 nats per "
        "token, between +0.012 and +0.042: the measured difference lies inside this range."
    )


def test_text_of_no_difference_says_what_it_does_not_mean() -> None:
    assert verdict_text(NOTHING, Setting(comparisons=9)).text == (
        "No better than chance: the proposal came out 0.012 nats per token (correct tokens 1.2% less likely) behind "
        "the baseline, a gap that equally good ones show by chance alone (true difference between -0.032 and +0.008 "
        "with 95% confidence). This does not prove them equal: after 5 retrainings of each, with random starts and "
        "test data that nothing before had used, a true difference below 0.035 nats per token would be missed more "
        "than 1 time in 5."
    )


def test_text_of_a_difference_that_only_the_number_of_comparisons_explains_says_so() -> None:
    near = replace(NOTHING, difference=-0.0202, low=-0.0402, high=-0.0002, p_adjusted=0.281)
    assert (
        "Taken alone this would count (-0.040 to -0.000 with 95% confidence), but among 9 comparisons one as clear "
        "comes up by chance at most 29 times in 100."
    ) in verdict_text(near, Setting(comparisons=9)).text
    certain = verdict_text(replace(near, p_adjusted=1.0), Setting(comparisons=20)).text
    assert "among 20 comparisons one as clear comes up by chance nearly always." in certain


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (0.060, 0.100, "lies below this range, by more than chance explains."),
        (0.050, 0.100, "lies below this range, though chance may explain the gap."),
        (-0.050, 0.020, "lies above this range, though chance may explain the gap."),
        (-0.050, -0.010, "lies above this range, by more than chance explains."),
    ],
)
def test_text_of_a_missed_prediction_says_on_which_side_and_whether_chance_explains_it(
    low: float, high: float, words: str
) -> None:
    text = verdict_text(replace(GOOD, predicted_low=low, predicted_high=high), Setting()).text
    assert text.endswith(words)


def test_text_of_a_share_counts_answers() -> None:
    fewer = replace(GOOD, unit="share", outcome=Outcome.WORSE, difference=-0.0312, low=-0.0514, high=-0.011)
    text = verdict_text(fewer, Setting()).text
    assert text.startswith("The proposal was worse than the baseline by 0.031 share (3.1 fewer right of 100 answers);")
    assert "between 0.011 and 0.051" in text
    assert "comparisons counted" not in text


def test_text_ends_with_the_note_that_must_not_be_missed() -> None:
    assert verdict_text(NOTHING, Setting(note="The program advised against it.")).text.endswith(
        "1 time in 5. The program advised against it."
    )


@pytest.mark.parametrize("verdict", [GOOD, NOTHING, replace(GOOD, control="random step"), replace(NOTHING, low=-3e-7)])
def test_text_has_no_word_that_needs_statistics(verdict: Verdict) -> None:
    text = verdict_text(verdict, Setting(comparisons=9, controls=3, note="")).text
    words = r"\bp\b|p-value|Holm|interval|null|significan|hypothes|paired|standard error|power|seed|degrees"
    assert not re.search(words, text, re.IGNORECASE)
    assert len(re.findall(r"\.(?: |$)", text)) <= 3


def test_text_likelihood_is_that_of_the_mean_log_probability() -> None:
    """Mean log-probabilities of the same tokens 0.5 apart: their geometric mean probability is 65% higher."""
    before = np.log([0.2, 0.5, 0.9])
    after = before + 0.5
    ratio = np.exp(after.mean()) / np.exp(before.mean())
    text = verdict_text(replace(GOOD, difference=0.5, low=0.4, high=0.6), Setting()).text
    assert f"correct tokens {100 * (ratio - 1):.0f}% more likely" in text


def test_regret_text_names_the_best_the_gaps_and_what_luck_makes_of_them() -> None:
    regrets = [
        Regret("proposal", "proposal", 0.0, 0.0074, "nats per token"),
        Regret("curriculum", "proposal", 0.0031, 0.0074, "nats per token"),
        Regret("baseline", "proposal", 0.0121, 0.0074, "nats per token"),
    ]
    assert regret_text(regrets) == (
        "Best as measured: the proposal; behind it, in nats per token: curriculum 0.0031, baseline 0.0121. The best "
        "of 3 is partly the luckiest: were all equally good, the average one would still be 0.0074 behind it, so gaps "
        "of that size mean nothing."
    )
    assert regret_text([]) == ""


def test_difference_text_shows_two_digits_of_the_uncertainty() -> None:
    assert difference_text(0.00159, -0.00736, 0.01054) == ("+0.0016", "-0.0074 to +0.0105")
    assert difference_text(12.3, 2.0, 22.6) == ("+12", "+2 to +23")


def test_skipped_text_gives_each_reason_once() -> None:
    assert skipped_text(
        [("proposal", "it is refused"), ("curriculum", "no order"), ("random step", "it is refused")]
    ) == (
        "Not tried: proposal, random step, because it is refused.",
        "Not tried: curriculum, because no order.",
    )
