"""Baselines, weights and standard errors in, proposals out."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from tasks.effects.effect_files import read_matrix
from tasks.effects.tables import Cell, Table, number, raise_problems, read_table, text
from tasks.proportions.limits import SUM_TOLERANCE, Vector
from tasks.proportions.proposal import Baseline, Coefficients, Proposal

_OPTIONAL = ("available", "minimum", "maximum")
_COLUMNS = ("category", "baseline_share", "share", "count", "recommended_count")
_RANGES = ("optimal_low", "optimal_high", "near_low", "near_high")


def read_baseline(path: Path, sources: Sequence[str] | None = None) -> Baseline:
    """Read `category, share` and optional `available, minimum, maximum`; an empty optional cell means no limit.

    Args:
        path: CSV or Parquet.
        sources: source categories of the effects, if the two must agree.

    Raises:
        InputError: not a readable table; else all problems of its content together, with their lines. Shares that do
            not sum to 1 within 1e-6 are an error: nothing is renormalized.
    """
    table = read_table(path)
    raise_problems(path, _header_problems(table))
    problems: list[str] = []
    names: list[str] = []
    columns: dict[str, list[float | None]] = {key: [] for key in ("share", *_OPTIONAL)}
    for line, cells in table.rows:
        name = text(cells[table.column("category")])
        if not name:
            problems.append(f"line {line}: blank category")
        elif name in names:
            problems.append(f"line {line}: category {name!r} appears twice")
        elif sources is not None and name not in sources:
            problems.append(f"line {line}: category {name!r} is not a source column of the effects")
        names.append(name)
        for key, values in columns.items():
            cell = cells[table.column(key)] if key in table.header else None
            value = _value(key, cell)
            if isinstance(value, str):
                problems.append(f"line {line}: {key} of {name!r} {value}")
            else:
                values.append(value)
    absent = [name for name in sources or () if name not in names]
    if absent:
        problems.append(f"no row for {', '.join(map(repr, absent))}, which the effects have as a source column")
    shares = [share for share in columns["share"] if share is not None]
    if not names:
        problems.append("no categories")
    elif len(shares) == len(names) and abs(sum(shares) - 1) > SUM_TOLERANCE:
        total = sum(shares)
        fix = f"divide each share by {total:.9g}" if total > 0 else "give each category its share"
        problems.append(f"shares sum to {total:.9g}, expected 1 (within {SUM_TOLERANCE:g}): {fix}")
    raise_problems(path, problems)
    return Baseline(
        categories=tuple(names),
        shares=tuple(shares),
        available=tuple(columns["available"]),
        minimum=tuple(value or 0.0 for value in columns["minimum"]),
        maximum=tuple(1.0 if value is None else value for value in columns["maximum"]),
    )


def read_weights(path: Path) -> dict[str, float]:
    """Read `category, weight`: how much each measured category counts; the weights sum to 1.

    Raises:
        InputError: not a readable table with these two columns; else all problems together, with their lines.
    """
    table = read_table(path)
    raise_problems(path, [f"no column {name!r}" for name in ("category", "weight") if name not in table.header])
    weights: dict[str, float] = {}
    problems = []
    for line, cells in table.rows:
        name, value = text(cells[table.column("category")]), number(cells[table.column("weight")])
        if not name or name in weights:
            problems.append(f"line {line}: {f'category {name!r} appears twice' if name else 'blank category'}")
        if isinstance(value, str):
            problems.append(f"line {line}: weight of {name!r} {value}")
        elif not 0 <= value <= 1:
            problems.append(f"line {line}: weight of {name!r} is {value:g}, expected a share from 0 to 1")
        else:
            weights[name] = value
    total = sum(weights.values())
    if not problems and abs(total - 1) > SUM_TOLERANCE:
        problems.append(f"weights sum to {total:.9g}, expected 1 (within {SUM_TOLERANCE:g})")
    raise_problems(path, problems)
    return weights


def read_standard_errors(path: Path, effects: Coefficients) -> Vector:
    """[T, S] standard errors of these effects; rows and columns may be in another order.

    A row may be blank throughout (NaN), as the effects' rows of targets that are not identified are.

    Raises:
        InputError: as `tasks.effects.effect_files.read_matrix`; other labels than the effects'; negative values.
    """
    targets, sources, values = read_matrix(path, blank_rows=True)
    problems = []
    for kind, found, expected in (("row", targets, effects.targets), ("column", sources, effects.sources)):
        problems += [f"{kind} {name!r}: missing" for name in expected if name not in found]
        problems += [f"{kind} {name!r}: not in the effects" for name in found if name not in expected]
    problems += [
        f"row {targets[i]!r}, column {sources[j]!r}: {values[i, j]:g}, expected 0 or more"
        for i, j in np.argwhere(values < 0).tolist()
    ]
    raise_problems(path, problems)
    order = np.ix_([targets.index(name) for name in effects.targets], [sources.index(n) for n in effects.sources])
    return np.asarray(values[order])


def proposal_to_json(proposal: Proposal) -> dict[str, Any]:
    """Plain data for JSON: shares, counts and baseline by category, shadow prices by limit."""
    names = proposal.categories
    return {
        "status": proposal.status,
        "solver": proposal.solver,
        "objective": proposal.objective,
        "baseline_objective": proposal.baseline_objective,
        "total": proposal.total,
        "shift": proposal.shift,
        "shares": dict(zip(proposal.categories, proposal.shares, strict=True)),
        "baseline_shares": dict(zip(proposal.categories, proposal.baseline_shares, strict=True)),
        "counts": dict(zip(proposal.categories, proposal.counts, strict=True)),
        "count_excess": list(proposal.count_excess),
        "shadow_prices": {p.limit: {"value": p.value, "text": p.text} for p in proposal.shadow_prices},
        "binding": list(proposal.binding),
        "unidentified": list(proposal.unidentified),
        "max_residual": proposal.max_residual,
        "duality_gap": proposal.duality_gap,
        "unit": proposal.unit,
        "gain": None if proposal.gain is None else asdict(proposal.gain),
        "decision": proposal.decision,
        "reason": proposal.reason,
        "recommended_counts": dict(zip(names, proposal.recommended_counts, strict=True)),
        "warnings": list(proposal.warnings),
        "sensitivity": {
            r.category: {"optimal": [r.optimal_low, r.optimal_high], "near": [r.near_low, r.near_high]}
            for r in proposal.sensitivity
        },
        "slack": proposal.slack,
        "robustness": proposal.robustness,
        "protection": proposal.protection,
        "curve_gap": proposal.curve_gap,
    }


def write_proposal_csv(proposal: Proposal, path: Path) -> None:
    """Write shares, counts, what to train on (the baseline's counts where it is kept), and each share's ranges.

    The ranges' cells are blank where they were not computed. The folder is made if need be.
    """
    ranges = [(r.optimal_low, r.optimal_high, r.near_low, r.near_high) for r in proposal.sensitivity]
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow((*_COLUMNS, *_RANGES))
        columns = (proposal.baseline_shares, proposal.shares, proposal.counts, proposal.recommended_counts)
        for k, row in enumerate(zip(proposal.categories, *columns, strict=True)):
            writer.writerow((*row, *(ranges[k] if ranges else ("",) * len(_RANGES))))


def _header_problems(table: Table) -> list[str]:
    problems = [f"no column {name!r}" for name in ("category", "share") if name not in table.header]
    problems += [
        f"unknown column {name!r}; expected category, share and optionally {', '.join(_OPTIONAL)}"
        for name in table.header
        if name not in ("category", "share", *_OPTIONAL)
    ]
    return problems


def _value(column: str, cell: Cell) -> float | str | None:
    """The cell's number, None where it may be blank and is, or what is wrong with it."""
    if column in _OPTIONAL and not text(cell):
        return None
    value = number(cell)
    if isinstance(value, float) and (value < 0 or (value > 1 and column != "available")):
        return f"is {value:g}, expected {'0 or more' if column == 'available' else 'a share from 0 to 1'}"
    return value
