"""From runs to paired differences: which run removed what, and against which baseline run it stands."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from tasks.effects.matrix import Matrix, RunTable
from tasks.errors import InputError

BASELINE = "baseline"


@dataclass(frozen=True)
class PairedDifferences:
    """What each removal cost each target, seed by seed.

    Legend: N seeds, T targets, S removed sources.

    Attributes:
        targets: T names.
        sources: S names: only those that some run removed.
        unit: unit of the differences.
        amounts: [S] amount of the source in the baseline minus without it (mean over seeds; > 0).
        difference: [N, T, S] P_i(baseline) − P_i(without j) at the same seed; positive = the data helps.
    """

    targets: tuple[str, ...]
    sources: tuple[str, ...]
    unit: str
    amounts: Matrix
    difference: Matrix


def pair_leave_one_out(runs: RunTable) -> PairedDifferences:
    """Pair every leave-one-out run with the baseline run of its seed.

    The removed source is the one whose amount is 0 where the baseline's is positive (others may rise: size-matched);
    without such a source, the only one whose amount is lower than the baseline's (a reduced dose).

    Raises:
        InputError: naming, all at once, NaN or missing performances, repeated runs, runs without a baseline of their
            seed, runs that remove no source or several, sources removed by runs of several arms, missing seeds.
    """
    problems = _value_problems(runs)
    baselines = _baselines(runs, problems)
    found: dict[tuple[int, int], int] = {}
    arms: dict[int, set[str]] = defaultdict(set)
    for row, (run, seed, arm) in enumerate(zip(runs.runs, runs.seeds, runs.arms, strict=True)):
        if arm == BASELINE:
            continue
        if seed not in baselines:
            problems.append(f"run {run!r}: no baseline run with its seed {seed}")
            continue
        lowered = _removed(runs.amounts[row], runs.amounts[baselines[seed]])
        if len(lowered) != 1:
            names = ", ".join(runs.sources[j] for j in lowered) or "no source"
            problems.append(f"run {run!r}: removes {names}; a leave-one-out run removes exactly one")
            continue
        source = lowered[0]
        arms[source].add(arm)
        if (source, seed) in found:
            other = runs.runs[found[source, seed]]
            problems.append(f"runs {other!r} and {run!r}: both remove {runs.sources[source]!r} at seed {seed}")
        found[source, seed] = row
    problems += [
        f"source {runs.sources[j]!r}: removed by several arms ({', '.join(sorted(names))}); give one arm at a time"
        for j, names in sorted(arms.items())
        if len(names) > 1
    ]
    if not arms and not problems:
        problems.append("no run removes a source: nothing to compare with the baseline")
    problems += [
        f"source {runs.sources[j]!r}: no run without it at seed {seed}, which the baseline has"
        for j in sorted(arms)
        for seed in sorted(baselines)
        if (j, seed) not in found
    ]
    if problems:
        raise InputError("The runs cannot be paired:\n" + "\n".join(f"- {p}" for p in problems))
    return _differences(runs, baselines, found)


def _differences(runs: RunTable, baselines: dict[int, int], found: dict[tuple[int, int], int]) -> PairedDifferences:
    sources, seeds = sorted({j for j, _ in found}), sorted(baselines)
    without = np.array([[found[j, seed] for j in sources] for seed in seeds])
    base = np.array([baselines[seed] for seed in seeds])
    difference = runs.performance[base][:, :, None] - np.moveaxis(runs.performance[without], 2, 1)
    amounts = np.array([np.mean(runs.amounts[base, j] - runs.amounts[without[:, k], j]) for k, j in enumerate(sources)])
    return PairedDifferences(runs.targets, tuple(runs.sources[j] for j in sources), runs.unit, amounts, difference)


def _value_problems(runs: RunTable) -> list[str]:
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


def _baselines(runs: RunTable, problems: list[str]) -> dict[int, int]:
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


def _removed(amounts: Matrix, baseline: Matrix) -> list[int]:
    gone = np.flatnonzero((amounts == 0) & (baseline > 0))
    return (gone if gone.size else np.flatnonzero(amounts < baseline)).tolist()
