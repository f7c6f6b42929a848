"""The stand-alone file contracts `runs` and `scores`: what was trained on what, and how it scored."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tasks.effects.matrix import Matrix, RunTable
from tasks.effects.pairing import BASELINE
from tasks.effects.tables import Cell, Table, number, raise_problems, read_table, text

_DESCRIBING = ("run", "seed", "arm")


def read_runs(
    runs: Path,
    scores: Path,
    higher_is_better: bool = False,
    metric: str | None = None,
    unit: str = "units of the score",
) -> RunTable:
    """Read runs and their scores, CSV or Parquet, into one table.

    `runs`: one row per run: `run`, optional `seed` (a whole number; all runs have seed 0 without it), optional `arm`,
    then one column per source category with its amount in the training set, ≥ 0, the same unit throughout. Without
    `arm`, a run that holds some of every category is a baseline; the others are named after what they lack.

    `scores`: long (`run, category, value`, optional `metric` and `n`) or wide (`run` and one column per category).

    Args:
        runs: the runs file.
        scores: the scores file.
        higher_is_better: False for a loss, which enters as its negative.
        metric: which metric of a long file that holds several.
        unit: unit of the scores, for people.

    Raises:
        InputError: everything wrong with a file, together: missing or repeated columns, blanks, text where a number
            belongs, NaN, negative amounts, repeated runs, unknown runs, repeated or missing scores.
    """
    design = _read_design(read_table(runs))
    table = read_table(scores)
    found = _long_scores(table, metric) if {"category", "value"} <= set(table.header) else _wide_scores(table, metric)
    problems = list(found.problems)
    problems += [f"run {name!r}: not in the runs file {runs}" for name in sorted(found.runs - set(design.names))]
    if not problems:
        problems += [
            f"run {run!r}: no score for category {target!r}"
            for run in design.names
            for target in found.targets
            if (run, target) not in found.value
        ] or ([] if found.value else ["no scores"])
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
    )


@dataclass(frozen=True)
class _Design:
    """The runs file: R names, seeds and arms, S sources, [R, S] amounts."""

    names: tuple[str, ...]
    seeds: tuple[int, ...]
    arms: tuple[str, ...]
    sources: tuple[str, ...]
    amounts: Matrix


@dataclass(frozen=True)
class _Found:
    """The scores file: values and held-out examples by (run, category), and what could not be read."""

    value: dict[tuple[str, str], float]
    n: dict[tuple[str, str], int]
    targets: tuple[str, ...]
    runs: set[str]
    problems: list[str]


def _read_design(table: Table) -> _Design:
    _require(table, "run")
    sources = tuple(name for name in table.header if name not in _DESCRIBING)
    problems = [] if sources else ["no source columns; expected one column per category with its amount"]
    problems += [] if table.rows else ["no runs"]
    names, seeds, arms = [], [], []
    amounts = np.zeros((len(table.rows), len(sources)))
    for r, (line, cells) in enumerate(table.rows):
        row = dict(zip(table.header, cells, strict=True))
        names.append(_name(row, "run", line, problems))
        seeds.append(_whole(row, "seed", line, problems))
        for s, source in enumerate(sources):
            value = number(row[source])
            if isinstance(value, str) or value < 0:
                fault = value if isinstance(value, str) else f"is {value:g}, expected an amount ≥ 0"
                problems.append(f"line {line}, column {source!r}: {fault}")
            else:
                amounts[r, s] = value
        lacking = [source for source, amount in zip(sources, amounts[r], strict=True) if amount == 0]
        derived = "without " + ", ".join(lacking) if lacking else BASELINE
        arms.append(_name(row, "arm", line, problems) if "arm" in row else derived)
    repeated = sorted({name for name in names if name and names.count(name) > 1})
    problems += [f"run {name!r}: appears {names.count(name)} times" for name in repeated]
    raise_problems(table.path, problems)
    return _Design(tuple(names), tuple(seeds), tuple(arms), sources, amounts)


def _long_scores(table: Table, metric: str | None) -> _Found:
    _require(table, "run", "category", "value")
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
    _require(table, "run")
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


def _require(table: Table, *columns: str) -> None:
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
