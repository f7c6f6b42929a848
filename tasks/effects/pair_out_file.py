"""The file of pair-out interactions in an effects folder, from which `taxonomy` confirms edges."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import numpy as np

from tasks.effects.pair_out import PairInteractions
from tasks.effects.tables import number, raise_problems, read_table, text

PAIR_INTERACTIONS = "pair_interactions.csv"
_NAMES = ("source", "target")
_NUMBERS = ("value", "standard_error", "df", "p_value", "seeds")


def write_interactions(folder: Path, found: PairInteractions | None) -> None:
    """Write one row per ordered pair; without any pair the folder holds no such file, an older one goes."""
    path = folder / PAIR_INTERACTIONS
    if found is None or not found.sources:
        path.unlink(missing_ok=True)
        return
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow((*_NAMES, *_NUMBERS, "unit"))
        columns = (getattr(found, name).tolist() for name in _NUMBERS)
        for source, target, *values in zip(found.sources, found.targets, *columns, strict=True):
            writer.writerow((source, target, *map(repr, values), found.unit))


def read_interactions(folder: Path) -> PairInteractions | None:
    """Read what `write_interactions` wrote; None where the folder holds none.

    Raises:
        InputError: naming line and column of what is not as it was written.
    """
    path = folder / PAIR_INTERACTIONS
    if not path.exists():
        return None
    table = read_table(path)
    wanted = (*_NAMES, *_NUMBERS, "unit")
    raise_problems(
        path,
        [f"no column {name!r}; make the folder again with `effects`" for name in wanted if name not in table.header],
    )
    problems: list[str] = []
    numbers = np.full((len(table.rows), len(_NUMBERS)), np.nan)
    for row, (line, cells) in enumerate(table.rows):
        for k, name in enumerate(_NUMBERS):
            value = number(cells[table.column(name)])
            if isinstance(value, str):
                problems.append(f"line {line}, column {name!r}: {value}")
            else:
                numbers[row, k] = value
    sources, targets, units = (
        tuple(text(cells[table.column(name)]) for _, cells in table.rows) for name in (*_NAMES, "unit")
    )
    pairs = Counter(zip(sources, targets, strict=True))
    problems += [f"source {s!r}, target {t!r}: appears {k} times" for (s, t), k in pairs.items() if k > 1]
    problems += [] if table.rows else ["no pairs; make the folder again with `effects`"]
    raise_problems(path, problems)
    values, error, df, p_value, seeds = numbers.T
    return PairInteractions(sources, targets, units[0], values, error, df, p_value, seeds.astype(np.int64))
