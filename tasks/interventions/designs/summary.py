"""What a design takes and what it can and cannot tell, in plain sentences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tasks.interventions.designs.mixes import Levels, RandomMixtures
from tasks.interventions.intervention import BASELINE, Arm, Intervention

_NO_PAIRS = "Whether two categories replace or need each other: no run changes two of them on purpose."
_NOT_FAR = "The performance of mixtures far from the baseline."
_ALL_IS_NO_SMALL_STEP = (
    "Small steps: taking all of a category away is far from one. For a category that learns much from its own "
    "examples, γ (what others' examples are worth to it) comes out too small."
)
_GAMMA = (
    "Effect-equivalence coefficients γ (how many examples of its own one example of another category is worth to a "
    "category), and dependencies between single categories."
)
_SAME_SIZE = (
    "What a larger training set gives: every one has the baseline's size, so effects are relative to each other."
)
_ARMS = {
    Arm.SIZE_MATCHED: (
        "Size-matched: an effect says what a category's examples give compared with as many examples of the others."
    ),
    Arm.SIZE_REDUCED: (
        "Size-reduced: an effect says what a category's examples give compared with not having them at all; it holds "
        "both what they teach and that the training set is smaller without them."
    ),
}


@dataclass(frozen=True)
class DesignSummary:
    """A design's price and worth.

    Attributes:
        design: its kind.
        interventions: training sets, the baseline included.
        seeds: repetitions of each (at most, where runs are chosen as results come in).
        runs: fine-tunes that are certain to be done.
        most_runs: fine-tunes at most; more than `runs` only where they are chosen as results come in.
        estimates: what it can estimate, one sentence each.
        cannot: what it cannot, one sentence each.
        notes: how to read it, one sentence each.
    """

    design: str
    interventions: int
    seeds: int
    runs: int
    most_runs: int
    estimates: tuple[str, ...]
    cannot: tuple[str, ...]
    notes: tuple[str, ...] = ()


def leave_one_out_summary(interventions: Sequence[Intervention], seeds: int) -> DesignSummary:
    """Of `leave_one_out`."""
    k = _categories(interventions)
    return _fixed(
        "leave-one-out",
        interventions,
        seeds,
        (f"What removing each of the {k} categories costs each category, {_paired(seeds)}.", _GAMMA),
        (_ALL_IS_NO_SMALL_STEP, _NO_PAIRS, _NOT_FAR),
    )


def dose_summary(interventions: Sequence[Intervention], seeds: int, doses: Sequence[float]) -> DesignSummary:
    """Of `dose`."""
    k, listed = _categories(interventions), _listed([f"{d:g}" for d in doses])
    step = min(abs(1 - d) for d in doses)
    if len(set(doses)) == 1:
        can = f"What {listed} times the examples of a category changes for each category, for all {k} of them, "
        can += f"{_paired(seeds)}."
    else:
        can = (
            f"How the gain from each of the {k} categories' data bends with its amount ({listed} times the baseline's "
        )
        can += "count, and 1), fitted over all runs as a response surface."
    weak = f"Weak effects as surely as leave-one-out with as many seeds: a step of {step:.0%} of a category makes the "
    weak += f"standard error of the effect per example {1 / step:.2g} times as large."
    far = (_ALL_IS_NO_SMALL_STEP,) if set(doses) == {0.0} else ()
    cannot = (*far, *((weak,) if step < 1 else ()), _NO_PAIRS, _NOT_FAR)
    return _fixed("dose", interventions, seeds, (can, _GAMMA), cannot)


def pair_out_summary(interventions: Sequence[Intervention], seeds: int) -> DesignSummary:
    """Of `pair_out`."""
    k = _categories(interventions)
    pairs = len({one.removed for one in interventions if len(one.removed) == 2})
    every = pairs == k * (k - 1) // 2
    can = (
        f"What removing each of the {k} categories costs each category, {_paired(seeds)}.",
        _GAMMA,
        f"For {'all ' if every else ''}{pairs} pairs, whether removing both costs more or less than the two removals "
        "added up: it confirms or refutes a dependency.",
    )
    rest = "Interactions of three and more categories" + ("." if every else ", and of pairs that are not listed.")
    return _fixed("pair-out", interventions, seeds, can, (_ALL_IS_NO_SMALL_STEP, rest, _NOT_FAR))


def factorial_summary(interventions: Sequence[Intervention], seeds: int, levels: Levels) -> DesignSummary:
    """Of `factorial`."""
    k, rows = _categories(interventions), interventions[1:]
    totals = sorted(one.total for one in rows)
    free = len(rows) * seeds - k - seeds
    can = [
        f"The effect per example of each of the {k} categories on each category near the baseline, every one from all "
        f"{len(rows) * seeds} runs at once: as precise as comparing {len(rows) * seeds // 2} runs with "
        f"{len(rows) * seeds // 2}.",
        _GAMMA,
    ]
    cannot = [f"What happens without a category: its examples go down to {levels.low:g} times, no further."]
    if levels.matched:
        cannot.append(_SAME_SIZE)
    else:
        can.append(f"What the size of the training set gives: totals go from {totals[0]} to {totals[-1]} examples.")
    if levels.foldover:
        can.append("Effects of single categories that interactions of two categories do not bias (strength 3).")
        cannot.append("Which two categories interact: interactions of pairs are mixed up with each other.")
    else:
        cannot.append(
            "Interactions: one of two categories is mixed up with the effects of others (strength 2). Take foldover "
            "for effects free of them, pair-out for the interactions themselves."
        )
    if free <= 0:
        cannot.append("The noise: no more runs than numbers to estimate. Take more seeds or runs.")
    notes = (_SURFACE, f"After effects and seeds, {max(free, 0)} degrees of freedom per category remain for the noise.")
    return _fixed("factorial", interventions, seeds, tuple(can), tuple(cannot), notes)


def mixtures_summary(found: RandomMixtures, seeds: int, concentration: float) -> DesignSummary:
    """Of `random_mixtures`."""
    k, number = _categories(found.interventions), len(found.interventions) - 1
    can = (
        f"The performance of other mixtures of the same size, by a response surface over {number} random ones; a "
        f"share of average size varies by about ±{1 / concentration**0.5:.0%} of itself.",
        "Its slope at the baseline: effects per example, and γ.",
    )
    cannot = [_SAME_SIZE, "What happens far outside the mixtures drawn, e.g. without a category."]
    if number + 1 < k:  # shares sum to 1: K − 1 slopes and a level
        cannot.insert(
            0,
            f"Each category's effect on its own: {number} mixtures are too few for {k} categories; the surface "
            "then rests on its assumptions. Take more mixtures.",
        )
    redrawn = f"{found.redrawn} of {number + found.redrawn} draws asked for more than is available and were drawn again"
    pulled = ": shares of scarce categories are lower than they would be." if found.redrawn else "."
    return _fixed("mixtures", found.interventions, seeds, can, tuple(cannot), (_SURFACE, redrawn + pulled))


def sequential_summary(
    interventions: Sequence[Intervention], first_seeds: int, seeds: int, max_runs: int | None
) -> DesignSummary:
    """Of a leave-one-out design whose runs beyond the first block are chosen as results come in."""
    k, first, full = _categories(interventions), len(interventions) * first_seeds, len(interventions) * seeds
    most = full if max_runs is None else min(full, max_runs)
    can = (
        f"What leave-one-out with {seeds} seeds ({full} runs) would decide, dependencies and proportions of {k} "
        f"categories, usually with fewer runs: after {first_seeds} seeds of everything, runs go where they can still "
        "change a decision.",
        _GAMMA,
    )
    cannot = (
        "Equally narrow intervals for all categories: where the decision is settled, no more runs are done.",
        _ALL_IS_NO_SMALL_STEP,
        _NO_PAIRS,
        _NOT_FAR,
    )
    note = "Runs chosen after looking at earlier results are marked as adaptive, and left out of what is to confirm."
    return DesignSummary(
        "sequential", len(interventions), seeds, min(first, most), most, can, cannot, (*_arm_notes(interventions), note)
    )


_SURFACE = (
    "All runs are fitted at once by a response surface (estimator: surface); single differences mean nothing here."
)


def _fixed(
    design: str,
    interventions: Sequence[Intervention],
    seeds: int,
    estimates: tuple[str, ...],
    cannot: tuple[str, ...],
    notes: tuple[str, ...] = (),
) -> DesignSummary:
    runs = len(interventions) * seeds
    arms = _arm_notes(interventions)
    return DesignSummary(design, len(interventions), seeds, runs, runs, estimates, cannot, (*arms, *notes))


def _arm_notes(interventions: Sequence[Intervention]) -> tuple[str, ...]:
    return tuple(_ARMS[arm] for arm in dict.fromkeys(one.arm for one in interventions) if arm)


def _categories(interventions: Sequence[Intervention]) -> int:
    baseline = next(one for one in interventions if one.name == BASELINE)
    return sum(n > 0 for _, n in baseline.counts)


def _paired(seeds: int) -> str:
    if seeds < 2:
        return "without any uncertainty, as there is one seed only"
    return f"as differences between runs of the same seed, with intervals from {seeds} seeds"


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
