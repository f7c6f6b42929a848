"""Trials as a CSV file: one row per world, design, estimator and budget."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path

from tasks.errors import InputError
from tasks.pool.lines_file import write_lines
from tasks.worlds.score import Covered, Scores
from tasks.worlds.simulation import Trial


def write_trials(path: Path, trials: Iterable[Trial]) -> None:
    """Write the trials, worlds in order; scores of refused ones are blank, coverages are hits and cells.

    Raises:
        InputError: the file cannot be written.
    """
    rows = [_row(trial) for trial in sorted(trials, key=lambda trial: trial.world)]
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=_columns(), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    try:
        write_lines(path, text.getvalue().split("\n")[:-1])
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error}).") from error


def _columns() -> list[str]:
    plain = [field.name for field in fields(Trial) if field.name != "scores"]
    names = [field.name for field in fields(Scores)]
    kept = [[f"{name}_hits", f"{name}_cells"] if _is_covered(name) else [name] for name in names]
    return plain + [name for several in kept for name in several]


def _is_covered(name: str) -> bool:
    return {field.name: field.type for field in fields(Scores)}[name] == Covered.__name__


def _row(trial: Trial) -> dict[str, object]:
    row: dict[str, object] = {
        field.name: getattr(trial, field.name) for field in fields(Trial) if field.name != "scores"
    }
    if trial.scores is not None:
        for field in fields(Scores):
            value = getattr(trial.scores, field.name)
            if isinstance(value, Covered):
                row |= {f"{field.name}_hits": value.hits, f"{field.name}_cells": value.cells}
            else:
                row[field.name] = value
    return row
