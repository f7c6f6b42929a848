"""The stand-alone file contracts `runs` and `scores`: what was trained on what, and how it scored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tasks.effects.layouts import DESCRIBING, Layout, runs_in_contract, scores_in_contract, weight_problems
from tasks.effects.matrix import Matrix, RunTable
from tasks.effects.pairing import BASELINE
from tasks.effects.tables import Cell, Table, number, raise_problems, read_table, text

MIXTURE = "mixture"
"""Arm of a run that holds some of every category in a file without arms whose complete runs are no common baseline."""

_MARKS = {"1": True, "true": True, "0": False, "false": False}


def read_runs(
    runs: Path,
    scores: Path,
    higher_is_better: bool = False,
    metric: str | None = None,
    unit: str = "units of the score",
    layout: Layout = "long",
) -> RunTable:
    """Read runs and their scores, CSV or Parquet, into one table.

    `runs`: one row per run: `run`, optional `seed` (a whole number; all runs have seed 0 without it), optional `arm`,
    optional `adaptive` (1 or true: chosen after earlier results; 0 or false), then one column per source category with
    its amount in the training set, ≥ 0, the same unit throughout: examples, tokens, shares or weights. Without `arm`,
    runs are named after the one or two sources they lack, and those that lack none are the baseline if they hold the
    same amounts (within 1%); in any other file without `arm` no run is a baseline.

    `scores`: long (`run, category, value`, optional `metric` and `n`) or wide (`run` and one column per category).

    Args:
        runs: the runs file.
        scores: the scores file.
        higher_is_better: False for a loss, which enters as its negative.
        metric: which metric of a long file that holds several.
        unit: unit of the scores, for people.
        layout: whose columns the two files have (module `layouts`).

    Raises:
        InputError: everything wrong with a file, together: missing or repeated columns, blanks, text where a number
            belongs, NaN, negative amounts, repeated runs, unknown runs, repeated or missing scores; and rows that do
            not sum to 1 within 1% in a layout of weights.
    """
    design = _read_design(runs_in_contract(read_table(runs), layout), layout)
    table = scores_in_contract(read_table(scores), layout)
    long = layout == "long" and _is_long(table)
    found = _long_scores(table, metric) if long else _wide_scores(table, metric)
    problems = list(found.problems)
    problems += [f"run {name!r}: not in the runs file {runs}" for name in sorted(found.runs - set(design.names))]
    if not problems:
        problems += _missing(design.names, found) if found.value else ["no scores"]
    raise_problems(scores, problems)
    values = np.array([[found.value[run, target] for target in found.targets] for run in design.names])
    counts = [[found.n.get((run, target), 0) for target in found.targets] for run in design.names]
    return RunTable(
        runs=design.names,
        seeds=design.seeds,
        arms=design.arms,
        sources=design.sources,
        amounts=design.amounts,
        targets=found.targets,
        performance=values if higher_is_better else -values,
        n=np.array(counts, dtype=np.int64),
        unit=unit,
        adaptive=design.adaptive,
    )


@dataclass(frozen=True)
class _Design:
    """The runs file: R names, seeds and arms, S sources, [R, S] amounts, R marks (none without the column)."""

    names: tuple[str, ...]
    seeds: tuple[int, ...]
    arms: tuple[str, ...]
    sources: tuple[str, ...]
    amounts: Matrix
    adaptive: tuple[bool, ...]


@dataclass(frozen=True)
class _Found:
    """The scores file: values and held-out examples by (run, category), and what could not be read."""

    value: dict[tuple[str, str], float]
    n: dict[tuple[str, str], int]
    targets: tuple[str, ...]
    runs: set[str]
    problems: list[str]


def read_amounts(table: Table, sources: Sequence[str], problems: list[str]) -> Matrix:
    """The table's [rows, S] amounts of these columns; what is no amount ≥ 0 is added to the problems."""
    amounts = np.zeros((len(table.rows), len(sources)))
    positions = [table.column(source) for source in sources]
    for r, (line, cells) in enumerate(table.rows):
        for s, k in enumerate(positions):
            value = number(cells[k])
            if isinstance(value, str) or value < 0:
                fault = value if isinstance(value, str) else f"is {value:g}, expected an amount ≥ 0"
                problems.append(f"line {line}, column {sources[s]!r}: {fault}")
            else:
                amounts[r, s] = value
    return amounts


def read_names(table: Table, problems: list[str]) -> tuple[str, ...]:
    """The rows' names from the column `run`; blank and repeated ones are added to the problems."""
    names = tuple(text(cells[table.column("run")]) for _, cells in table.rows)
    blank = [line for (line, _), name in zip(table.rows, names, strict=True) if not name]
    problems += [f"line {line}, column 'run': is blank, expected a name" for line in blank]
    lines: dict[str, list[int]] = {}
    for (line, _), name in zip(table.rows, names, strict=True):
        lines.setdefault(name, []).append(line)
    problems += [
        f"run {name!r}: appears {len(where)} times (lines {', '.join(map(str, where))}); give each run its own name"
        for name, where in sorted(lines.items())
        if name and len(where) > 1
    ]
    return names


def _read_design(table: Table, layout: Layout) -> _Design:
    require_columns(table, "run")
    sources = tuple(name for name in table.header if name not in DESCRIBING)
    problems = [] if sources else ["no source columns; expected one column per category with its amount"]
    problems += [] if table.rows else ["no runs"]
    names = read_names(table, problems)
    rows = [(line, dict(zip(table.header, cells, strict=True))) for line, cells in table.rows]
    seeds = tuple(_whole(row, "seed", line, problems) for line, row in rows)
    marks = tuple(_mark(row, line, problems) for line, row in rows if "adaptive" in row)
    amounts = read_amounts(table, sources, problems)
    if "arm" in table.header:
        arms = tuple(_name(row, "arm", line, problems) for line, row in rows)
    else:
        arms = _derived_arms(amounts, sources)
    problems += [] if problems else weight_problems(table, layout, amounts)
    raise_problems(table.path, problems)
    return _Design(names, seeds, arms, sources, amounts, marks)


def _derived_arms(amounts: Matrix, sources: tuple[str, ...]) -> tuple[str, ...]:
    """Arms of a file without them; a source that no run holds plays no part."""
    lacking = (amounts == 0) & amounts.any(axis=0)
    complete = amounts[~lacking.any(axis=1)]
    same = len(complete) > 0 and bool((np.ptp(complete, axis=0) <= 0.01 * complete.max(axis=0)).all())
    few = bool((lacking.sum(axis=1) <= 2).all())
    full = BASELINE if same and few else MIXTURE
    return tuple(
        "without " + ", ".join(s for s, gone in zip(sources, row, strict=True) if gone) if row.any() else full
        for row in lacking
    )


def _missing(runs: tuple[str, ...], found: _Found) -> list[str]:
    """Runs of the runs file without all of their scores; one that has none is named once."""
    problems = []
    for run in runs:
        if run not in found.runs:
            problems.append(f"run {run!r}: no scores; add them, or leave the run out of the runs file")
            continue
        lacking = [target for target in found.targets if (run, target) not in found.value]
        problems += [f"run {run!r}: no score for category {target!r}" for target in lacking]
    return problems


def _is_long(table: Table) -> bool:
    """Whether scores are long; one of the columns category and value without the other is neither long nor wide."""
    given = [name for name in ("category", "value") if name in table.header]
    if len(given) == 1:
        (missing,) = {"category", "value"} - set(given)
        raise_problems(
            table.path,
            [
                f"a column {given[0]!r} but no column {missing!r}; found {', '.join(table.header)}. Long scores have "
                f"run, category and value: rename the column that holds each score's {missing}. Wide ones have run and "
                "one column per category, none of them called category or value"
            ],
        )
    return len(given) == 2


def _long_scores(table: Table, metric: str | None) -> _Found:
    require_columns(table, "run", "category", "value")
    rows = [(line, dict(zip(table.header, cells, strict=True))) for line, cells in table.rows]
    problems: list[str] = []
    if "metric" in table.header:
        metrics = sorted({text(row["metric"]) for _, row in rows})
        if metric is None and len(metrics) > 1:
            problems.append(f"several metrics ({', '.join(metrics)}); say which one")
        elif metric is not None and metric not in metrics:
            problems.append(f"no metric {metric!r}; the file holds {', '.join(metrics)}")
        elif metric is not None:
            rows = [(line, row) for line, row in rows if text(row["metric"]) == metric]
    elif metric is not None:
        problems.append(f"no column 'metric', so metric {metric!r} cannot be chosen")
    raise_problems(table.path, problems)
    found = _Found({}, {}, tuple(dict.fromkeys(text(row["category"]) for _, row in rows)), set(), problems)
    for line, row in rows:
        key = _name(row, "run", line, problems), _name(row, "category", line, problems)
        found.n[key] = _whole(row, "n", line, problems)
        _take(found, key, row["value"], f"line {line}, column 'value'")
    return found


def _wide_scores(table: Table, metric: str | None) -> _Found:
    require_columns(table, "run")
    targets = tuple(name for name in table.header if name != "run")
    found = _Found({}, {}, targets, set(), [])
    if metric is not None:
        found.problems.append(f"no column 'metric', so metric {metric!r} cannot be chosen")
    if not targets:
        found.problems.append("no scores; expected the columns category and value, or one column per category")
    for line, cells in table.rows:
        row = dict(zip(table.header, cells, strict=True))
        run = _name(row, "run", line, found.problems)
        for target in targets:
            _take(found, (run, target), row[target], f"line {line}, column {target!r}")
    return found


def _take(found: _Found, key: tuple[str, str], cell: Cell, where: str) -> None:
    value = number(cell)
    if isinstance(value, str):
        found.problems.append(f"{where}: {value}")
    if key in found.value:
        found.problems.append(f"{where}: a second score of run {key[0]!r} on category {key[1]!r}")
    found.value[key] = value if isinstance(value, float) else np.nan
    found.runs.add(key[0])


def require_columns(table: Table, *columns: str) -> None:
    """Raise InputError naming the columns that are not there, and those that are."""
    missing = [repr(name) for name in columns if name not in table.header]
    found = ", ".join(table.header)
    raise_problems(table.path, [f"no column {name}; found {found}" for name in missing])


def _name(row: dict[str, Cell], column: str, line: int, problems: list[str]) -> str:
    value = text(row[column])
    if not value:
        problems.append(f"line {line}, column {column!r}: is blank, expected a name")
    return value


def _whole(row: dict[str, Cell], column: str, line: int, problems: list[str]) -> int:
    """A whole number ≥ 0 of an optional column; 0 without the column."""
    if column not in row:
        return 0
    value = number(row[column])
    if isinstance(value, str) or value < 0 or value != int(value):
        fault = value if isinstance(value, str) else f"is {value:g}, expected a whole number ≥ 0"
        problems.append(f"line {line}, column {column!r}: {fault}")
        return 0
    return int(value)


def _mark(row: dict[str, Cell], line: int, problems: list[str]) -> bool:
    mark = _MARKS.get(text(row["adaptive"]).lower())
    if mark is None:
        problems.append(f"line {line}, column 'adaptive': is {text(row['adaptive'])!r}, expected 0, 1, true or false")
    return bool(mark)
