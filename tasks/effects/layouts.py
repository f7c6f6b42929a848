"""Files of other projects as the contracts `runs` and `scores`: columns are renamed or left out, no cell is changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import replace
from typing import Literal

from tasks.effects.matrix import Matrix
from tasks.effects.tables import Table, raise_problems

Layout = Literal["long", "regmix", "olmix"]
"""long: this product's own contracts (scores long or wide); regmix, olmix: what those projects write and read."""

DESCRIBING = ("run", "seed", "arm", "adaptive")
"""Columns of a runs file that are no sources; they keep this meaning in every layout."""

WEIGHT_TOLERANCE = 0.01
"""How far a run's weights may sum from 1 in a layout whose columns are weights: published ones are rounded."""

_PILE = "the_pile_"
_OLMIX_LABELS = ("run", "run_id", "name", "index", "", "Unnamed: 0")


def runs_in_contract(table: Table, layout: Layout) -> Table:
    """A runs table with the columns of the contract `runs`.

    - **regmix** (its train_mixture_*.csv): `index`, then `train_<domain>` or `train_the_pile_<domain>`; the source is
      <domain>.
    - **olmix** (its ratios.csv): `run` or `run_id` (`run` counts where both exist), then one column per domain under
      the domain's own name; `name`, `index` and a first column without a name are left out.

    In both, `seed`, `arm` and `adaptive` may be added and mean what they mean in the contract.

    Raises:
        InputError: naming every column that does not belong to the layout, or columns that become one.
    """
    if layout == "regmix":
        return _regmix(table, "train_", "", DESCRIBING[1:])
    return _olmix(table) if layout == "olmix" else table


def scores_in_contract(table: Table, layout: Layout) -> Table:
    """A scores table with the columns of the contract `scores`, wide.

    - **regmix** (its train_pile_loss_*.csv): `index`, then `metric/<domain>_val_loss` or
      `metric/the_pile_<domain>_val_loss`; the target is <domain>.
    - **olmix** (its metrics.csv): `run` or `run_id`, then one column per metric under the metric's own name; `name`,
      `index` and a first column without a name are left out.

    Raises:
        InputError: as `runs_in_contract`.
    """
    if layout == "regmix":
        return _regmix(table, "metric/", "_val_loss", ())
    return _olmix(table) if layout == "olmix" else table


def weight_problems(table: Table, layout: Layout, amounts: Matrix) -> list[str]:
    """Runs whose weights do not sum to 1 within the tolerance, in the layouts whose columns are weights.

    Weights are taken as they stand: nothing is renormalized.
    """
    if layout == "long":
        return []
    return [
        f"line {line}: the weights sum to {total:.6g}, expected 1 within {WEIGHT_TOLERANCE:.0%}"
        for (line, _), total in zip(table.rows, amounts.sum(axis=1), strict=True)
        if abs(total - 1) > WEIGHT_TOLERANCE + 1e-9
    ]


def _regmix(table: Table, prefix: str, suffix: str, kept: Collection[str]) -> Table:
    problems = [] if "index" in table.header else [_absent(table, "'index'")]
    columns: list[tuple[str, str]] = []
    for column in table.header:
        domain = column.removeprefix(prefix).removesuffix(suffix).removeprefix(_PILE)
        if column == "index":
            columns.append((column, "run"))
        elif column in kept:
            columns.append((column, column))
        elif not (column.startswith(prefix) and column.endswith(suffix) and domain):
            problems.append(f"column {column!r}: not in RegMix's layout, expected index and {prefix}<domain>{suffix}")
        elif domain in DESCRIBING:
            problems.append(f"column {column!r}: {domain!r} has a meaning of its own; rename the domain")
        else:
            columns.append((column, domain))
    return _renamed(table, columns, problems)


def _olmix(table: Table) -> Table:
    own = "run" if "run" in table.header else "run_id"
    problems = [] if own in table.header else [_absent(table, "'run' or 'run_id'")]
    columns = [(c, "run" if c == own else c) for c in table.header if c == own or c not in _OLMIX_LABELS]
    return _renamed(table, columns, problems)


def _absent(table: Table, names: str) -> str:
    return f"no column {names}; found {', '.join(table.header) or 'none'}"


def _renamed(table: Table, columns: list[tuple[str, str]], problems: list[str]) -> Table:
    counts = Counter(name for _, name in columns)
    problems += [f"{count} columns become {name!r}" for name, count in sorted(counts.items()) if count > 1]
    raise_problems(table.path, problems)
    positions = [table.column(column) for column, _ in columns]
    rows = tuple((line, tuple(cells[k] for k in positions)) for line, cells in table.rows)
    return replace(table, header=tuple(name for _, name in columns), rows=rows)
