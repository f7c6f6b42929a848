"""The judgment: did an arm beat its control on fresh seeds and fresh held-out data, by more than chance?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import special

from tasks.effects.matrix import RunTable
from tasks.errors import InputError
from tasks.validation.arm_table import ArmTable, arm_table
from tasks.validation.arms import BASELINE, RANDOM_STEP, Comparison, is_random_step
from tasks.validation.power import detectable_difference
from tasks.validation.verdict import Outcome, Prediction, Verdict
from tasks.validation.wording import Setting, verdict_text


def judge(
    runs: RunTable,
    weights: Mapping[str, float],
    comparisons: Sequence[Comparison],
    predicted: Mapping[str, Prediction],
    confidence: float = 0.95,
    notes: Mapping[str, str] | None = None,
) -> tuple[Verdict, ...]:
    """Judge each arm against its control.

    Performance of a run is Σ_i α_i P_i. Differences are paired by seed. One variance serves all comparisons: the
    residual mean square of the arm × seed table, (A − 1)(N − 1) degrees of freedom; two arms make it the paired t test.
    It takes all arms to vary alike between seeds, which small changes of one mixture do; whole categories are not
    removed here.

    The control "random step" is the mean over all random steps. The question is about random steps in general, so the
    spread between the steps (or, if that is larger, the noise of their means) adds to the error, with Satterthwaite's
    degrees of freedom. A single random step speaks for itself only.

    False verdicts among arms that are alike (any in a whole experiment of 5 to 9 comparisons, simulated at 5%): 2 to 5%
    in general; up to 10% where 2 or 3 random steps differ by more than the seeds do (take 5 or more), and up to 11%
    where one arm is twice as noisy as the others.

    p-values are corrected over all comparisons after Holm; the outcome uses the corrected ones, the intervals are each
    comparison's own. `detectable` is at the level divided by the number of comparisons, the first step of Holm's
    correction: what is found at least 4 times in 5 whatever the other comparisons show.

    Args:
        runs: the validation runs, all arms at the same seeds; only their arms, seeds and performances matter.
        weights: α_i per target, sum 1.
        comparisons: (arm, control) pairs (`default_comparisons`).
        predicted: gain over the baseline that was predicted, by arm.
        confidence: level of intervals and outcomes.
        notes: by arm, a sentence to end the text of its verdict against the baseline.

    Raises:
        InputError: one seed; missing, repeated or NaN results; weights that do not fit; unknown arms; no variation.
    """
    if not 0 < confidence < 1:
        raise InputError(f"confidence is {confidence}; expected a level between 0 and 1, e.g. 0.95")
    table = arm_table(runs, weights)
    _check_comparisons(comparisons, table.arms)
    found = [_compare(comparison, table) for comparison in comparisons]
    adjusted = holm([f.p_value for f in found])
    verdicts = []
    for (arm, control), f, p_adjusted in zip(comparisons, found, adjusted, strict=True):
        verdict = _verdict(f, table, p_adjusted, confidence, len(comparisons))
        note = ""
        if control == BASELINE:
            note = (notes or {}).get(arm, "")
            verdict = _with_prediction(verdict, predicted.get(arm))
        verdicts.append(verdict_text(verdict, Setting(len(comparisons), len(f.rows), note)))
    return tuple(verdicts)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's (1979) step-down adjustment: family-wise error control whatever the dependence."""
    p = np.asarray(p_values, dtype=float)
    order = np.argsort(p, kind="stable")
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(1, np.maximum.accumulate((len(p) - np.arange(len(p))) * p[order]))
    return adjusted.tolist()


def _check_comparisons(comparisons: Sequence[Comparison], arms: tuple[str, ...]) -> None:
    known = {*arms, *([RANDOM_STEP] if any(is_random_step(arm) for arm in arms) else [])}
    problems = [
        f"{arm!r} against {control!r}: there are no runs of {name!r}"
        for arm, control in comparisons
        for name in (arm, control)
        if name not in (arms if name == arm else known)
    ]
    problems += [f"{arm!r} against itself" for arm, control in comparisons if arm == control]
    if problems:
        raise InputError(f"Comparisons: {'; '.join(problems)}. Arms that ran: {', '.join(arms)}.")


@dataclass(frozen=True)
class _Found:
    """One comparison: its names, rows of the arm and of the control's arms, difference, its error and test."""

    comparison: Comparison
    arm: int
    rows: list[int]
    difference: float
    error: float
    df: float
    p_value: float


def _compare(comparison: Comparison, table: ArmTable) -> _Found:
    arms, control = table.arms, comparison[1]
    arm, pooled = arms.index(comparison[0]), control == RANDOM_STEP
    rows = [k for k, name in enumerate(arms) if (is_random_step(name) if pooled else name == control)]
    means = table.overall.mean(axis=1)
    own = table.variance / len(table.seeds)
    variance, df = own * (1 + 1 / len(rows)), float(table.df)
    if len(rows) > 1:
        steps = max(own, float(means[rows].var(ddof=1))) / len(rows)
        variance = own + steps
        df = variance**2 / (own**2 / table.df + steps**2 / (len(rows) - 1))
    difference, error = float(means[arm] - means[rows].mean()), float(np.sqrt(variance))
    p_value = float(2 * special.stdtr(df, -abs(difference) / error))
    return _Found(comparison, arm, rows, difference, error, df, p_value)


def _verdict(f: _Found, table: ArmTable, p_adjusted: float, confidence: float, comparisons: int) -> Verdict:
    """The verdict without prediction and words."""
    half = float(special.stdtrit(f.df, (1 + confidence) / 2)) * f.error
    outcome = Outcome.NO_DIFFERENCE
    if p_adjusted <= 1 - confidence:
        outcome = Outcome.BETTER if f.difference > 0 else Outcome.WORSE
    per_target = table.by_target[f.arm].mean(axis=0) - table.by_target[f.rows].mean(axis=(0, 1))
    return Verdict(
        arm=f.comparison[0],
        control=f.comparison[1],
        seeds=len(table.seeds),
        unit=table.unit,
        difference=f.difference,
        low=f.difference - half,
        high=f.difference + half,
        confidence=confidence,
        p_value=f.p_value,
        p_adjusted=p_adjusted,
        predicted=None,
        outcome=outcome,
        text="",
        by_category=tuple(zip(table.targets, per_target.tolist(), strict=True)),
        detectable=detectable_difference(f.error, f.df, (1 - confidence) / comparisons),
    )


def _with_prediction(verdict: Verdict, prediction: Prediction | None) -> Verdict:
    if prediction is None:
        return verdict
    return replace(verdict, predicted=prediction.value, predicted_low=prediction.low, predicted_high=prediction.high)
