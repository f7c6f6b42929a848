"""From runs to paired differences: which run changed which source, and against which baseline run it stands."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks.effects.matrix import Matrix, RunTable
from tasks.errors import InputError

BASELINE = "baseline"


@dataclass(frozen=True)
class Unused:
    """A run that took no part, and why."""

    run: str
    reason: str


@dataclass(frozen=True)
class PairedDifferences:
    """What each source's data gave to each target, seed by seed.

    Legend: N seeds, T targets, S changed sources.

    Attributes:
        targets: T names.
        sources: S names: only those that some run removed, lowered or raised.
        unit: unit of the differences.
        amounts: [S] amount of the source in the baseline minus in its runs (mean over seeds, never 0); negative for a
            source that its runs raised.
        difference: [N, T, S] P_i(baseline) − P_i(without j) at the same seed, with the opposite sign for a raised
            source; positive = the data helps. NaN, for all targets alike, where the seed has no run of the source.
        unused: runs that took no part.
    """

    targets: tuple[str, ...]
    sources: tuple[str, ...]
    unit: str
    amounts: Matrix
    difference: Matrix
    unused: tuple[Unused, ...] = ()

    @property
    def cost(self) -> Matrix:
        """[N, T, S] P_i(baseline) − P_i(run that changes j), whatever the direction of the change."""
        return np.asarray(self.difference * np.sign(self.amounts))

    @property
    def present(self) -> NDArray[np.bool_]:
        """[N, S] whether the seed has a run of the source."""
        return np.asarray(np.isfinite(self.difference).all(axis=1))

    @property
    def counts(self) -> NDArray[np.int64]:
        """[S] seeds of each source."""
        return np.asarray(self.present.sum(axis=0))


def pair_leave_one_out(runs: RunTable, allow_missing: bool = False) -> PairedDifferences:
    """Pair every run that changes one source with the baseline run of its seed.

    The changed source is the one whose amount is 0 where the baseline's is positive (others may rise: size-matched);
    without such a source, the only one whose amount is lower than the baseline's (a reduced dose); without such, the
    only one whose amount is higher, while the others stay or fall in proportion (a raised dose).

    An arm whose runs all change several sources (pair-out, mixtures) is not used, and is returned as such.

    Args:
        runs: the runs.
        allow_missing: accept sources that lack some of the baseline's seeds, each having at least 2. A table with
            marks of adaptively chosen runs is accepted like that anyway: there the seeds differ on purpose.

    Raises:
        InputError: naming, all at once, NaN or missing performances, repeated runs, runs without a baseline of their
            seed, runs that change no source or (in part of an arm) several, sources changed by several arms, missing
            seeds.
    """
    problems = value_problems(runs)
    baselines = baseline_rows(runs, problems)
    several = _arms_that_change_several(runs, baselines)
    unused = [Unused(run, several[arm]) for run, arm in zip(runs.runs, runs.arms, strict=True) if arm in several]
    found = _runs_of_one_source(runs, baselines, several, problems)
    if not found and not problems:
        problems.append("no run removes a source: nothing to compare with the baseline")
        if several:
            problems[-1] += "; runs that change several at once need --estimator surface"
    problems += _missing(runs, baselines, found, allow_missing or bool(runs.adaptive))
    if problems:
        raise InputError("The runs cannot be paired:\n" + "\n".join(f"- {p}" for p in problems))
    for seed in sorted(set(baselines) - {seed for _, seed in found}):
        unused.append(Unused(runs.runs[baselines.pop(seed)], f"no other run has its seed {seed}"))
    return _differences(runs, baselines, found, tuple(unused))


def _runs_of_one_source(
    runs: RunTable, baselines: dict[int, int], several: dict[str, str], problems: list[str]
) -> dict[tuple[int, int], int]:
    """Row of each (source, seed), leaving out the arms that change several sources."""
    found: dict[tuple[int, int], int] = {}
    arms: dict[int, set[str]] = defaultdict(set)
    signs: dict[int, set[bool]] = defaultdict(set)
    for row, (run, seed, arm) in enumerate(zip(runs.runs, runs.seeds, runs.arms, strict=True)):
        if arm == BASELINE or arm in several:
            continue
        if seed not in baselines:
            problems.append(f"run {run!r}: no baseline run with its seed {seed}")
            continue
        base = runs.amounts[baselines[seed]]
        changed = changed_sources(runs.amounts[row], base)
        if len(changed) != 1:
            names = ", ".join(runs.sources[j] for j in changed) or "no source"
            problems.append(f"run {run!r}: removes {names}; a leave-one-out run removes exactly one")
            continue
        source = changed[0]
        arms[source].add(arm)
        signs[source].add(bool(runs.amounts[row, source] > base[source]))
        if (source, seed) in found:
            other = runs.runs[found[source, seed]]
            problems.append(f"runs {other!r} and {run!r}: both remove {runs.sources[source]!r} at seed {seed}")
        found[source, seed] = row
    for j, names_of_arms in sorted(arms.items()):
        if len(names_of_arms) > 1:
            problems.append(
                f"source {runs.sources[j]!r}: removed by several arms ({', '.join(sorted(names_of_arms))}); "
                "give one arm at a time, or all doses at once with --estimator surface"
            )
        elif len(signs[j]) > 1:
            problems.append(f"source {runs.sources[j]!r}: lowered at some seeds and raised at others")
    return found


def _missing(runs: RunTable, baselines: dict[int, int], found: dict[tuple[int, int], int], allowed: bool) -> list[str]:
    problems = []
    for j in sorted({j for j, _ in found}):
        lacking = [seed for seed in sorted(baselines) if (j, seed) not in found]
        if allowed and len(baselines) - len(lacking) < 2:
            problems.append(f"source {runs.sources[j]!r}: runs at one seed only; expected at least 2 seeds")
        elif not allowed:
            problems += [
                f"source {runs.sources[j]!r}: no run without it at seed {seed}, which the baseline has"
                for seed in lacking
            ]
    return problems


def _differences(
    runs: RunTable, baselines: dict[int, int], found: dict[tuple[int, int], int], unused: tuple[Unused, ...]
) -> PairedDifferences:
    sources, seeds = sorted({j for j, _ in found}), sorted(baselines)
    difference = np.full((len(seeds), len(runs.targets), len(sources)), np.nan)
    change = np.full((len(seeds), len(sources)), np.nan)
    for k, j in enumerate(sources):
        for n, seed in enumerate(seeds):
            if (j, seed) in found:
                base, run = baselines[seed], found[j, seed]
                difference[n, :, k] = runs.performance[base] - runs.performance[run]
                change[n, k] = runs.amounts[base, j] - runs.amounts[run, j]
    amounts = np.nanmean(change, axis=0)
    names = tuple(runs.sources[j] for j in sources)
    return PairedDifferences(runs.targets, names, runs.unit, amounts, difference * np.sign(amounts), unused)


def value_problems(runs: RunTable) -> list[str]:
    """What is wrong with a table's numbers and names: NaN, negative amounts, repeated names."""
    problems = [
        f"run {runs.runs[r]!r}: performance on {runs.targets[t]!r} is {runs.performance[r, t]}"
        for r, t in np.argwhere(~np.isfinite(runs.performance))
    ]
    problems += [
        f"run {runs.runs[r]!r}: amount of {runs.sources[s]!r} is {runs.amounts[r, s]}, expected a number ≥ 0"
        for r, s in np.argwhere(~(np.isfinite(runs.amounts) & (runs.amounts >= 0)))
    ]
    problems += [f"run {name!r}: appears {k} times" for name, k in _repeated(runs.runs)]
    problems += [f"target {name!r}: appears {k} times" for name, k in _repeated(runs.targets)]
    problems += [f"source {name!r}: appears {k} times" for name, k in _repeated(runs.sources)]
    return problems


def _repeated(names: tuple[str, ...]) -> list[tuple[str, int]]:
    return [(name, names.count(name)) for name in sorted(set(names)) if names.count(name) > 1]


def baseline_rows(runs: RunTable, problems: list[str]) -> dict[int, int]:
    """Row of the baseline run of each seed; several at a seed, or none at all, are added to the problems."""
    rows: dict[int, int] = {}
    for row, (run, seed, arm) in enumerate(zip(runs.runs, runs.seeds, runs.arms, strict=True)):
        if arm != BASELINE:
            continue
        if seed in rows:
            problems.append(f"runs {runs.runs[rows[seed]]!r} and {run!r}: both are the baseline at seed {seed}")
        rows[seed] = row
    if not rows:
        problems.append(f"no run has the arm {BASELINE!r}")
    return rows


def changed_sources(amounts: Matrix, baseline: Matrix) -> list[int]:
    """Positions of the sources that a run removes; failing that, lowers; failing that (or in proportion), raises."""
    gone = np.flatnonzero((amounts == 0) & (baseline > 0))
    lowered, raised = np.flatnonzero(amounts < baseline), np.flatnonzero(amounts > baseline)
    if gone.size or lowered.size == 1:
        return (gone if gone.size else lowered).tolist()
    if raised.size == 1 and (not lowered.size or _in_proportion(amounts, baseline, raised[0])):
        return raised.tolist()
    return sorted({*lowered.tolist(), *raised.tolist()})


def _in_proportion(amounts: Matrix, baseline: Matrix, raised: int) -> bool:
    """Whether all others fall by one factor, up to rounding to whole numbers where all amounts are whole."""
    run, base = np.delete(amounts, raised), np.delete(baseline, raised)
    slack = 1.0 if (amounts % 1 == 0).all() else 1e-6 * base.max()
    return bool((np.abs(run - base * (run.sum() / base.sum())) <= slack).all())


def _arms_that_change_several(runs: RunTable, baselines: dict[int, int]) -> dict[str, str]:
    """Reason by arm, of arms each of whose runs changes the same several sources."""
    changed: dict[str, set[tuple[int, ...]]] = defaultdict(set)
    for row, (seed, arm) in enumerate(zip(runs.seeds, runs.arms, strict=True)):
        if arm != BASELINE and seed in baselines:
            changed[arm].add(tuple(changed_sources(runs.amounts[row], runs.amounts[baselines[seed]])))
    return {
        arm: f"changes {', '.join(runs.sources[j] for j in next(iter(sets)))} together"
        for arm, sets in changed.items()
        if len(sets) == 1 and len(next(iter(sets))) > 1
    }
