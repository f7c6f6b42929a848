"""The judgment: did an arm beat its control on fresh seeds and fresh held-out data, by more than chance?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from tasks.effects.matrix import Matrix, RunTable
from tasks.effects.prediction import weight_vector
from tasks.errors import InputError
from tasks.validation.arms import BASELINE, RANDOM_STEP, Comparison, is_random_step
from tasks.validation.verdict import Outcome, Verdict
from tasks.validation.wording import verdict_text


@dataclass(frozen=True)
class Regret:
    """How far an arm stayed behind the best one.

    Attributes:
        arm: the arm.
        best: the arm with the highest mean performance. It is the best of several noisy means, so regrets lean high.
        regret: best mean performance minus this arm's, ≥ 0, in the performance's unit.
    """

    arm: str
    best: str
    regret: float


def judge(
    runs: RunTable,
    weights: Mapping[str, float],
    comparisons: Sequence[Comparison],
    predicted: Mapping[str, float],
    confidence: float = 0.95,
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
    comparison's own.

    Args:
        runs: the validation runs, all arms at the same seeds; only their arms, seeds and performances matter.
        weights: α_i per target, sum 1.
        comparisons: (arm, control) pairs (`default_comparisons`).
        predicted: gain over the baseline that the effects predicted, by arm, in the performance's unit.
        confidence: level of intervals and outcomes.

    Raises:
        InputError: one seed; missing, repeated or NaN results; weights that do not fit; unknown arms; no variation.
    """
    if not 0 < confidence < 1:
        raise InputError(f"confidence is {confidence}; expected a level between 0 and 1, e.g. 0.95")
    arms, table = _by_arm(runs)
    _check_comparisons(comparisons, arms)
    overall = table @ weight_vector(weights, runs.targets)
    noise = _noise(overall)
    found = [_compare(comparison, arms, overall, noise) for comparison in comparisons]
    adjusted = holm([f.p_value for f in found])
    verdicts = []
    for (arm, control), f, p_adjusted in zip(comparisons, found, adjusted, strict=True):
        half = float(stats.t.ppf((1 + confidence) / 2, f.df)) * f.error
        outcome = Outcome.NO_DIFFERENCE
        if p_adjusted <= 1 - confidence:
            outcome = Outcome.BETTER if f.difference > 0 else Outcome.WORSE
        per_category = table[f.arm].mean(axis=0) - table[f.control].mean(axis=(0, 1))
        verdict = Verdict(
            arm=arm,
            control=control,
            seeds=table.shape[1],
            unit=runs.unit,
            difference=f.difference,
            low=f.difference - half,
            high=f.difference + half,
            confidence=confidence,
            p_value=f.p_value,
            p_adjusted=p_adjusted,
            predicted=predicted.get(arm) if control == BASELINE else None,
            outcome=outcome,
            text="",
            by_category=tuple(zip(runs.targets, per_category.tolist(), strict=True)),
        )
        verdicts.append(verdict_text(verdict, len(f.control)))
    return tuple(verdicts)


def regrets(runs: RunTable, weights: Mapping[str, float]) -> tuple[Regret, ...]:
    """Each arm's regret against the best arm, in the order of the runs.

    Raises:
        InputError: as `judge`.
    """
    arms, table = _by_arm(runs)
    means = (table @ weight_vector(weights, runs.targets)).mean(axis=1)
    best = int(means.argmax())
    return tuple(Regret(arm, arms[best], float(means[best] - mean)) for arm, mean in zip(arms, means, strict=True))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's (1979) step-down adjustment: family-wise error control whatever the dependence."""
    p = np.asarray(p_values, dtype=float)
    order = np.argsort(p, kind="stable")
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(1, np.maximum.accumulate((len(p) - np.arange(len(p))) * p[order]))
    return adjusted.tolist()


def _by_arm(runs: RunTable) -> tuple[tuple[str, ...], Matrix]:
    """A arms in order of appearance and [A, N, T] performances, seeds sorted."""
    arms, seeds = tuple(dict.fromkeys(runs.arms)), sorted(set(runs.seeds))
    row: dict[tuple[str, int], int] = {}
    problems = [
        f"run {runs.runs[r]!r}: performance on {runs.targets[t]!r} is {runs.performance[r, t]}"
        for r, t in np.argwhere(~np.isfinite(runs.performance))
    ]
    for r, key in enumerate(zip(runs.arms, runs.seeds, strict=True)):
        if key in row:
            problems.append(f"runs {runs.runs[row[key]]!r} and {runs.runs[r]!r}: both are {key[0]!r} at seed {key[1]}")
        row[key] = r
    problems += [f"arm {a!r}: no run at seed {s}" for a in arms for s in seeds if (a, s) not in row]
    if len(seeds) < 2:
        problems.append(f"{len(seeds)} seed: at least 2 are needed to tell a difference from chance")
    if problems:
        raise InputError("The validation runs cannot be judged:\n" + "\n".join(f"- {p}" for p in problems))
    return arms, runs.performance[np.array([[row[arm, seed] for seed in seeds] for arm in arms])]


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
class _Noise:
    """Variance of one run around its arm and seed, and its degrees of freedom."""

    variance: float
    df: int


@dataclass(frozen=True)
class _Found:
    """One comparison: rows of the arm and of the control's arms, difference, its error and test."""

    arm: int
    control: list[int]
    difference: float
    error: float
    df: float
    p_value: float


def _noise(overall: Matrix) -> _Noise:
    arms, seeds = overall.shape
    residual = overall - overall.mean(axis=1, keepdims=True) - overall.mean(axis=0) + overall.mean()
    df = (arms - 1) * (seeds - 1)
    square = float((residual**2).sum())
    # cancellation leaves about 1e-16 of the performances themselves where the seeds agree exactly
    if df == 0 or square <= 1e-24 * float((overall**2).sum()):
        raise InputError(
            "The arms differ by the same amount in all seeds (or there is one arm): the seeds look like copies, "
            "and chance cannot be estimated. Give runs of several arms whose seeds differ."
        )
    return _Noise(square / df, df)


def _compare(comparison: Comparison, arms: tuple[str, ...], overall: Matrix, noise: _Noise) -> _Found:
    arm, control = arms.index(comparison[0]), comparison[1]
    pooled = control == RANDOM_STEP
    rows = [k for k, name in enumerate(arms) if (is_random_step(name) if pooled else name == control)]
    means = overall.mean(axis=1)
    own = noise.variance / overall.shape[1]
    variance, df = own * (1 + 1 / len(rows)), float(noise.df)
    if len(rows) > 1:
        steps = max(own, float(means[rows].var(ddof=1))) / len(rows)
        variance = own + steps
        df = variance**2 / (own**2 / noise.df + steps**2 / (len(rows) - 1))
    difference, error = float(means[arm] - means[rows].mean()), float(np.sqrt(variance))
    return _Found(arm, rows, difference, error, df, float(2 * stats.t.sf(abs(difference) / error, df)))
