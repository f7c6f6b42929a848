"""Designs, estimators and decisions on analytic worlds: coverage, false positives, dependencies, errors."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterable, Sequence

from tasks.worlds.drawing import WorldSpec
from tasks.worlds.simulation import Simulation, simulate
from tasks.worlds.summary import Rate, Summary, summarize

REFERENCE = ("leave-one-out", "paired")
PAIRS = (REFERENCE, ("factorial", "surface"), ("factorial-and-removals", "surface"))
RUNS = 36
ERRORS = {8: (36, 0.2, "surface"), 28: (116, 0.01, "surface"), 100: (202, 0.001, "surface-law")}
"""Categories → runs, part of the worlds, estimator. At 100 categories a world takes a minute with the law alone."""


def main(worlds: int = 1000, workers: int | None = None) -> None:
    """Print the tables: coverage and decisions at 8 categories, errors by size."""
    processes = workers or os.cpu_count() or 1
    coverage(worlds, processes)
    errors(worlds, processes)


def coverage(worlds: int, workers: int) -> None:
    """Intervals, dependencies and decisions of every possible combination at 8 categories."""
    found = _simulated([Simulation(worlds, designs=(d,), estimators=(e,), budgets=(RUNS,)) for d, e in PAIRS], workers)
    columns = ("Δ others", "Δ own", "γ as estimated", "γ at baseline", "unseen mixtures")
    _table(columns, found, lambda s: (s.delta_others, s.delta_own, s.gamma, s.gamma_local, s.prediction))
    columns = ("edge precision", "edge recall", "false share of edges")
    _table(columns, found, lambda s: (s.precision, s.recall, f"{s.false_discoveries:.2%}"))
    columns = ("changes in null worlds", "changes elsewhere", "harmful changes", "regret", "refused")
    _table(columns, found, lambda s: (s.false_changes, s.changes, s.harmful, f"{s.regret:.1%}", str(s.refused)))


def errors(worlds: int, workers: int) -> None:
    """Relative error of marginal effects with the same number of runs, by number of categories."""
    for size, (runs, part, estimator) in ERRORS.items():
        simulations = [
            Simulation(max(round(worlds * part), 1), WorldSpec(size), (d,), (e,), (runs,), null_share=0.0)
            for d, e in (REFERENCE, ("factorial", estimator))
        ]
        found = _simulated(simulations, workers)
        columns = ("error, others", "own", "all", "all, against paired leave-one-out")
        _table(columns, found, lambda s, reference=found[0]: _errors(s, reference))


def _errors(summary: Summary, reference: Summary) -> tuple[str, ...]:
    values = (summary.error_others, summary.error_own, summary.error_all, summary.error_all / reference.error_all)
    return tuple(f"{value:.3f}" for value in values)


def _simulated(simulations: Sequence[Simulation], workers: int) -> tuple[Summary, ...]:
    start = time.perf_counter()
    found = summarize(trial for one in simulations for trials in simulate(one, workers) for trial in trials)
    seconds = time.perf_counter() - start
    worlds, spec = simulations[0].worlds, simulations[0].spec
    print(
        f"\n{worlds} worlds of {spec.categories} categories, noise {spec.noise:g}, {workers} processes: {seconds:.0f} s"
    )
    return found


def _table(
    columns: Sequence[str], summaries: Iterable[Summary], cells: Callable[[Summary], Iterable[Rate | str]]
) -> None:
    header = ("design", "estimator", "runs", *columns)
    print(f"\n| {' | '.join(header)} |\n|{' --- |' * len(header)}")
    for one in summaries:
        row = (one.design, one.estimator, f"{one.runs:.0f}", *map(_text, cells(one)))
        print(f"| {' | '.join(row)} |")


def _text(cell: Rate | str) -> str:
    if isinstance(cell, str):
        return cell
    return f"{cell.value:.1%} ({cell.low:.1%}–{cell.high:.1%}; {cell.cells})" if cell.cells else "–"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worlds", type=int, default=1000)
    parser.add_argument("--workers", type=int)
    chosen = parser.parse_args()
    main(chosen.worlds, chosen.workers)
