from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from tasks.effects.matrix import RunTable
from tasks.errors import InputError
from tasks.validation.arms import default_comparisons
from tasks.validation.judge import holm, judge
from tasks.validation.power import detectable_difference
from tasks.validation.verdict import Outcome, Prediction

ARMS = ("baseline", "random step 1", "random step 2", "sign-rule", "proposal", "curriculum", "shuffled curriculum")
WEIGHTS = {"a": 0.75, "b": 0.25}


def table(
    gains: dict[str, float],
    seeds: int = 5,
    noise: float = 0.01,
    rng: np.random.Generator | None = None,
) -> RunTable:
    """Runs whose performance is a seed's level, the arm's gain, and noise."""
    rng = rng or np.random.default_rng(0)
    keys = [(arm, seed) for arm in gains for seed in range(seeds)]
    level = rng.normal(-1, 0.2, (seeds, 2))
    performance = np.array([level[s] + gains[a] for a, s in keys]) + rng.normal(0, noise, (len(keys), 2))
    return RunTable(
        runs=tuple(f"{a}, seed {s}" for a, s in keys),
        seeds=tuple(s for _, s in keys),
        arms=tuple(a for a, _ in keys),
        sources=("a",),
        amounts=np.ones((len(keys), 1)),
        targets=("a", "b"),
        performance=performance,
        n=np.zeros(performance.shape, dtype=np.int64),
        unit="nats per token",
    )


def test_judge_of_two_arms_is_the_paired_t_test_of_the_weighted_performance() -> None:
    runs = table({"baseline": 0, "proposal": 0.01})
    predicted = {"proposal": Prediction(0.02, 0.01, 0.03)}
    (verdict,) = judge(runs, WEIGHTS, [("proposal", "baseline")], predicted, confidence=0.9)
    overall = runs.performance @ [0.75, 0.25]
    test = stats.ttest_rel(overall[5:], overall[:5])
    interval = test.confidence_interval(0.9)
    assert verdict.p_value == pytest.approx(test.pvalue)
    assert verdict.p_adjusted == pytest.approx(test.pvalue)
    assert (verdict.low, verdict.high) == pytest.approx((interval.low, interval.high))
    assert dict(verdict.by_category)["b"] == pytest.approx((runs.performance[5:, 1] - runs.performance[:5, 1]).mean())
    assert (verdict.predicted, verdict.predicted_low, verdict.predicted_high) == (0.02, 0.01, 0.03)


def test_judge_of_a_real_gain_says_better_of_a_real_loss_worse_and_of_nothing_that_it_is_no_better_than_chance() -> (
    None
):
    runs = table(dict.fromkeys(ARMS, 0.0) | {"proposal": 0.1, "sign-rule": -0.1})
    verdicts = judge(runs, WEIGHTS, default_comparisons(ARMS), {"proposal": Prediction(0.0204)})
    by_pair = {(v.arm, v.control): v for v in verdicts}
    better, worse = by_pair["proposal", "baseline"], by_pair["sign-rule", "baseline"]
    assert better.outcome is Outcome.BETTER
    assert better.text.startswith("The proposal was better than the baseline by 0.1")
    assert better.text.endswith("The prediction had been +0.020 nats per token.")
    assert worse.outcome is Outcome.WORSE
    assert worse.text.startswith("The sign-rule was worse than the baseline by 0.")
    steps = by_pair["proposal", "random step"]
    assert steps.outcome is Outcome.BETTER
    assert "a random change of the mixture of the same size (average of 2)" in steps.text
    assert "It and each of the 2 random changes were retrained 5 times" in steps.text
    assert steps.predicted is None
    order = by_pair["curriculum", "shuffled curriculum"]
    assert order.outcome is Outcome.NO_DIFFERENCE
    assert order.text.startswith("No better than chance: the curriculum came out ")
    assert "the same examples in random order" in order.text
    assert all(f"among {len(verdicts)} comparisons" in v.text for v in verdicts if "Taken alone" in v.text)


def test_judge_ends_the_text_against_the_baseline_with_the_arms_note() -> None:
    runs = table({"baseline": 0, "random step 1": 0, "proposal": 0})
    verdicts = judge(
        runs, WEIGHTS, default_comparisons(runs.arms), {}, notes={"proposal": "The program advised against it."}
    )
    assert [v.text.endswith(" The program advised against it.") for v in verdicts] == [True, False]


def test_judge_against_one_random_step_says_that_it_was_one() -> None:
    (verdict,) = judge(
        table({"random step 1": 0, "proposal": 0, "baseline": 0}), WEIGHTS, [("proposal", "random step")], {}
    )
    assert "the one random change of the same size that was tried" in verdict.text


def test_judge_of_an_arm_under_two_names_takes_its_noise_once() -> None:
    """A copy has no noise of its own: were it counted, every interval would be too short."""
    runs = table({"baseline": 0, "proposal": 0, "sign-rule": 0})
    double = [*range(15), *range(5, 10)]
    copied = replace(
        runs,
        runs=(*runs.runs, *(f"copy {s}" for s in range(5))),
        seeds=(*runs.seeds, *range(5)),
        arms=(*runs.arms, *["curriculum"] * 5),
        performance=runs.performance[double],
    )
    pairs = [("proposal", "baseline"), ("sign-rule", "baseline")]
    for alone, beside in zip(judge(runs, WEIGHTS, pairs, {}), judge(copied, WEIGHTS, pairs, {}), strict=True):
        assert (alone.low, alone.high, alone.p_value) == pytest.approx((beside.low, beside.high, beside.p_value))


def test_judge_finds_a_difference_of_the_detectable_size_four_times_in_five() -> None:
    rng = np.random.default_rng(5)
    arms = ("baseline", "proposal", "curriculum", "shuffled curriculum")
    error = 0.01 * np.sqrt((0.75**2 + 0.25**2) * 2 / 5)
    size = detectable_difference(error, (4 - 1) * (5 - 1), 0.05 / 3)
    found, stated = [], []
    for _ in range(600):
        runs = table(dict.fromkeys(arms, 0.0) | {"proposal": size}, rng=rng)
        verdict = judge(runs, WEIGHTS, default_comparisons(arms), {})[0]
        found.append(verdict.outcome is Outcome.BETTER)
        stated.append(verdict.detectable)
    # Holm asks a little less than the level / 3 where another comparison happens to be clear.
    assert abs(np.mean(found) - 0.8) < 3 * np.sqrt(0.8 * 0.2 / 600)
    # The mean of an estimated standard error with 12 degrees of freedom is 2% short.
    assert np.mean(stated) == pytest.approx(0.98 * size, rel=0.02)


def test_judge_against_random_steps_takes_their_mean_at_each_seed() -> None:
    runs = table({"baseline": 0, "random step 1": 0.3, "random step 2": -0.1, "proposal": 0.2})
    (verdict,) = judge(runs, WEIGHTS, [("proposal", "random step")], {})
    p = (runs.performance @ [0.75, 0.25]).reshape(4, 5)
    assert verdict.difference == pytest.approx((p[3] - (p[1] + p[2]) / 2).mean())


def test_judge_of_many_comparisons_corrects_after_holm() -> None:
    runs = table(dict.fromkeys(ARMS, 0.0) | {"proposal": 0.012})
    verdicts = judge(runs, WEIGHTS, default_comparisons(ARMS), {})
    assert [v.p_adjusted for v in verdicts] == pytest.approx(holm([v.p_value for v in verdicts]))


def test_holm_of_a_worked_example_is_as_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def false_verdicts(seeds: int, steps: int, spread: float, experiments: int = 600) -> int:
    """Experiments with any verdict although no arm differs; random steps differ by `spread` around no gain."""
    rng = np.random.default_rng(1)
    arms = [*(f"random step {k}" for k in range(steps)), *(arm for arm in ARMS if not arm.startswith("random"))]
    count = 0
    for _ in range(experiments):
        gains = {arm: rng.normal(0, spread) if arm.startswith("random") else 0.0 for arm in arms}
        verdicts = judge(table(gains, seeds, rng=rng), WEIGHTS, default_comparisons(arms), {})
        count += any(v.outcome is not Outcome.NO_DIFFERENCE for v in verdicts)
    return count


@pytest.mark.parametrize("seeds", [2, 3, 5])
@pytest.mark.parametrize(("steps", "spread"), [(2, 0.0), (8, 0.02)])
def test_judge_of_arms_that_are_alike_finds_a_difference_in_no_more_than_one_experiment_of_twenty(
    seeds: int, steps: int, spread: float
) -> None:
    count = false_verdicts(seeds, steps, spread)
    assert stats.binomtest(count, 600, 0.05, alternative="greater").pvalue > 0.01


def test_judge_against_two_random_steps_of_unlike_worth_errs_as_often_as_documented() -> None:
    assert false_verdicts(seeds=5, steps=2, spread=0.02) <= 0.12 * 600


def test_judge_intervals_cover_the_planted_differences() -> None:
    rng = np.random.default_rng(2)
    gains = dict(zip(ARMS, (0, 0.01, -0.01, 0.02, 0.03, 0.01, 0.0), strict=True))
    covered = []
    for _ in range(250):
        for v in judge(table(gains, 3, rng=rng), WEIGHTS, default_comparisons(ARMS), {}):
            if v.control != "random step":
                covered.append(v.low <= gains[v.arm] - gains[v.control] <= v.high)
    assert 0.93 <= np.mean(covered) <= 0.97


def broken(runs: RunTable, **changes: object) -> RunTable:
    return RunTable(**{**{f: getattr(runs, f) for f in runs.__dataclass_fields__}, **changes})


GOOD = table({"baseline": 0, "proposal": 0}, seeds=2)


@pytest.mark.parametrize(
    ("runs", "message"),
    [
        (table({"baseline": 0, "proposal": 0}, seeds=1), "1 seed: at least 2"),
        (broken(GOOD, seeds=(0, 1, 0, 0)), "both are 'proposal' at seed 0"),
        (broken(GOOD, seeds=(0, 1, 0, 2)), "arm 'proposal': no run at seed 1"),
        (
            broken(GOOD, performance=np.where(np.eye(4, 2) > 0, np.nan, 1.0)),
            "run 'baseline, seed 0': performance on 'a'",
        ),
        (broken(GOOD, performance=np.repeat(np.arange(4.0), 2).reshape(4, 2)), "look like copies"),
        (broken(GOOD, performance=np.full((4, 2), -0.7)), "look like copies"),
    ],
)
def test_judge_of_runs_that_cannot_be_judged_names_them(runs: RunTable, message: str) -> None:
    with pytest.raises(InputError) as error:
        judge(runs, WEIGHTS, [("proposal", "baseline")], {})
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("comparison", "weights", "message"),
    [
        (("proposal", "random step"), WEIGHTS, "no runs of 'random step'"),
        (("uniform", "baseline"), WEIGHTS, "no runs of 'uniform'"),
        (("proposal", "proposal"), WEIGHTS, "against itself"),
        (("proposal", "baseline"), {"a": 1.0}, "no weight for 'b'"),
        (("proposal", "baseline"), {"a": 1.0, "b": 1.0}, "sum to 2"),
    ],
)
def test_judge_with_comparisons_or_weights_that_do_not_fit_is_refused(
    comparison: tuple[str, str], weights: dict[str, float], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        judge(GOOD, weights, [comparison], {})
