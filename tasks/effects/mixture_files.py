"""Mixtures without scores: a baseline, and new mixtures in with predictions out."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path
from typing import Protocol

import numpy as np

from tasks.effects.layouts import DESCRIBING, WEIGHT_TOLERANCE, Layout, runs_in_contract, weight_problems
from tasks.effects.matrix import Matrix, RunTable
from tasks.effects.run_files import read_amounts, read_names, require_columns
from tasks.effects.tables import Table, raise_problems, read_table, text
from tasks.errors import InputError


class Predicted(Protocol):
    """Predicted performance of M mixtures on T targets, higher is better."""

    @property
    def mean(self) -> Matrix:
        """[M, T] expected performance."""

    @property
    def low(self) -> Matrix:
        """[M, T] lower end of the interval."""

    @property
    def high(self) -> Matrix:
        """[M, T] upper end."""


def read_mixtures(path: Path, sources: tuple[str, ...], layout: Layout = "long") -> tuple[tuple[str, ...], Matrix]:
    """Read new mixtures: (M names, [M, S] amounts in the order of the sources).

    Columns: `run` and one per source of the runs, in any order; `seed`, `arm` and `adaptive` may be there and play no
    part. The layout is that of the runs file.

    Raises:
        InputError: naming every missing and unknown column, blank or repeated names, what is no amount ≥ 0; weights
            that do not sum to 1 within 1% in a layout of weights.
    """
    table = runs_in_contract(read_table(path), layout)
    require_columns(table, "run")
    problems = [f"no column {name!r}, a source of the runs" for name in sources if name not in table.header]
    unknown = [name for name in table.header if name not in (*DESCRIBING, *sources)]
    problems += [f"column {name!r}: not a source of the runs" for name in unknown]
    problems += [] if table.rows else ["no mixtures"]
    raise_problems(path, problems)
    names = read_names(table, problems)
    amounts = read_amounts(table, sources, problems)
    problems += [] if problems else weight_problems(table, layout, amounts)
    raise_problems(path, problems)
    return names, amounts


def read_baseline_amounts(path: Path, runs: RunTable) -> Matrix:
    """Read the mixture around which effects are wanted: [S] amounts in the unit and order of the runs.

    Columns: `category` and either `amount` (the runs' unit) or `share`; others play no part. Shares are multiplied by
    the runs' total, which must then be the same in all runs within 1%.

    Raises:
        InputError: naming missing, unknown and repeated categories, what is no amount ≥ 0, neither or both columns,
            shares that do not sum to 1 within 1%, shares where the runs' totals differ, nothing but zeros.
    """
    table = read_table(path)
    require_columns(table, "category")
    column = _amount_column(table)
    names = tuple(text(cells[table.column("category")]) for _, cells in table.rows)
    counts = Counter(names)
    problems = [f"category {name!r}: appears {count} times" for name, count in sorted(counts.items()) if count > 1]
    problems += [f"no row for {name!r}, a source of the runs" for name in runs.sources if name not in counts]
    problems += [
        f"line {line}: category {name!r} is not a source of the runs"
        for (line, _), name in zip(table.rows, names, strict=True)
        if name not in runs.sources
    ]
    values = read_amounts(table, (column,), problems)[:, 0]
    if not problems and not values.any():
        problems.append("every amount is 0")
    raise_problems(path, problems)
    ordered = values[[names.index(name) for name in runs.sources]]
    return ordered * _total(path, runs, float(values.sum())) if column == "share" else ordered


def write_predictions(
    path: Path, names: tuple[str, ...], targets: tuple[str, ...], predicted: Predicted, higher_is_better: bool
) -> None:
    """Write `run, category, mean, low, high` in the scores' own direction: a loss is written as a loss.

    One row per mixture and target; numbers in their shortest exact form. The folder is made if need be.
    """
    if higher_is_better:
        mean, low, high = predicted.mean, predicted.low, predicted.high
    else:
        mean, low, high = -predicted.mean, -predicted.high, -predicted.low
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["run", "category", "mean", "low", "high"])
        for m, name in enumerate(names):
            for t, target in enumerate(targets):
                writer.writerow([name, target, *(repr(float(values[m, t])) for values in (mean, low, high))])


def _amount_column(table: Table) -> str:
    given = [name for name in ("share", "amount") if name in table.header]
    if len(given) != 1:
        found = ", ".join(table.header)
        raise InputError(f"{table.path}: expected one of the columns share and amount; found {found}")
    return given[0]


def _total(path: Path, runs: RunTable, shares: float) -> float:
    """What the shares are shares of."""
    if abs(shares - 1) > WEIGHT_TOLERANCE:
        raise InputError(f"{path}: shares sum to {shares:.6g}, expected 1 within {WEIGHT_TOLERANCE:.0%}")
    totals = runs.amounts.sum(axis=1)
    if np.ptp(totals) > WEIGHT_TOLERANCE * totals.max():
        raise InputError(
            f"{path}: the runs' totals go from {totals.min():.6g} to {totals.max():.6g}, so a share could mean many "
            "amounts; give the column amount instead"
        )
    # Rounded weights sum to 0.996 to 1.003: they are shares of 1, not of their mean.
    return 1.0 if bool((np.abs(totals - 1) <= WEIGHT_TOLERANCE).all()) else float(totals.mean())
