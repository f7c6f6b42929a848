"""The file contract of a single matrix: CSV or Parquet, header row = sources, first column = targets."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from tasks.effects.matrix import Matrix
from tasks.effects.tables import number, raise_problems, read_table, text


def write_matrix(path: Path, targets: tuple[str, ...], sources: tuple[str, ...], values: Matrix) -> None:
    """Write a labelled [T, S] matrix as CSV; NaN is a blank cell."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["target", *sources])
        for target, row in zip(targets, values.tolist(), strict=True):
            writer.writerow([target, *("" if np.isnan(value) else repr(value) for value in row)])


def read_matrix(
    path: Path, blank_rows: bool = False, blank_cells: bool = False
) -> tuple[tuple[str, ...], tuple[str, ...], Matrix]:
    """Read a labelled matrix: (T targets, S sources, [T, S] values).

    Args:
        path: CSV or Parquet; first column = targets (its header is free), the other headers = sources.
        blank_rows: take rows that are blank throughout as NaN: how `write_effects` writes γ of a target that is not
            identified. A row that is blank in part is an error all the same.
        blank_cells: take any blank cell as NaN.

    Raises:
        InputError: naming row and column of every blank, NaN, text; repeated or nameless targets or sources; no cells.
    """
    table = read_table(path)
    sources = table.header[1:]
    targets = tuple(text(cells[0]) for _, cells in table.rows)
    problems = [] if sources else ["no sources; expected one column per source category after the first"]
    problems += [] if targets else ["no targets; expected one row per target category"]
    problems += [
        f"line {line}: no target name" for (line, _), name in zip(table.rows, targets, strict=True) if not name
    ]
    repeated = sorted({name for name in targets if name and targets.count(name) > 1})
    problems += [f"row {name!r}: appears {targets.count(name)} times" for name in repeated]
    values = np.full((len(targets), len(sources)), np.nan)
    for t, (_, cells) in enumerate(table.rows):
        if blank_rows and not any(text(cell) for cell in cells[1:]):
            continue
        for s, cell in enumerate(cells[1:]):
            if blank_cells and not text(cell):
                continue
            value = number(cell)
            if isinstance(value, str):
                problems.append(f"row {targets[t]!r}, column {sources[s]!r}: {value}")
            else:
                values[t, s] = value
    raise_problems(path, problems)
    return targets, sources, values


def read_matching_matrix(path: Path, targets: tuple[str, ...], sources: tuple[str, ...]) -> Matrix:
    """Read a second matrix of the same labels, e.g. standard errors; rows and columns may be in another order.

    Raises:
        InputError: as `read_matrix`, or labels that differ from those given.
    """
    rows, columns, values = read_matrix(path)
    problems = []
    for kind, found, expected in (("row", rows, targets), ("column", columns, sources)):
        problems += [f"{kind} {name!r}: missing" for name in expected if name not in found]
        problems += [f"{kind} {name!r}: not in the other matrix" for name in found if name not in expected]
    raise_problems(path, problems)
    order = np.ix_([rows.index(name) for name in targets], [columns.index(name) for name in sources])
    return values[order]
