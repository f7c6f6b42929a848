"""A user's CSV or Parquet file as a header and rows of plain cells, and one way to read a number from a cell."""

from __future__ import annotations

import csv
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tasks.errors import InputError

Cell = str | float | int | bool | None


@dataclass(frozen=True)
class Table:
    """A file's content.

    Attributes:
        path: the file.
        header: C column names, unique, stripped.
        rows: (line or row number in the file, C cells); empty lines of a CSV file are left out.
    """

    path: Path
    header: tuple[str, ...]
    rows: tuple[tuple[int, tuple[Cell, ...]], ...]

    def column(self, name: str) -> int:
        """Position of a column; ValueError for an unknown one."""
        return self.header.index(name)


def read_table(path: Path) -> Table:
    """Read a .csv (comma-separated, UTF-8, header row) or .parquet file.

    Raises:
        InputError: no such file, another format, not readable, no header, repeated or nameless columns, lines with too
            many or too few cells.
    """
    if path.is_dir():
        raise InputError(f"{path}: is a folder; expected a .csv or .parquet file.")
    if not path.is_file():
        raise InputError(f"{path}: no such file.")
    kind = path.suffix.lower()
    if kind not in {".csv", ".parquet"}:
        raise InputError(f"{path}: expected a .csv or .parquet file.")
    header, rows = _read_csv(path) if kind == ".csv" else _read_parquet(path)
    problems = []
    if not header:
        problems.append("the file is empty; expected a header row and the rows below it: write it again")
    other = _other_separator(header)
    if other:
        raise InputError(
            f"{path}: the header is one column that holds {other}; expected columns separated by commas "
            "(and a point in decimals): save it so."
        )
    problems += [f"column {k}: no name in the header" for k, name in enumerate(header, 1) if not name and k > 1]
    counts = Counter(name for name in header if name)
    problems += [f"column {name!r}: appears {count} times" for name, count in sorted(counts.items()) if count > 1]
    problems += [
        f"line {line}: {len(cells)} cells, the header has {len(header)}"
        for line, cells in rows
        if len(cells) != len(header)
    ]
    raise_problems(path, problems)
    return Table(path, tuple(header), tuple(rows))


def raise_problems(path: Path, problems: list[str]) -> None:
    """Raise everything that is wrong with a file at once.

    Raises:
        InputError: if there is any problem.
    """
    if problems:
        shown = problems[:20] + ([f"… and {len(problems) - 20} more"] if len(problems) > 20 else [])
        raise InputError(f"{path}:\n" + "\n".join(f"- {p}" for p in shown))


def number(cell: Cell) -> float | str:
    """The cell as a finite number, or what is wrong with it."""
    if cell is None or (isinstance(cell, str) and not cell.strip()):
        return "is blank, expected a number"
    try:
        value = float(cell)
    except ValueError:
        return f"is {cell!r}, expected a number"
    if isinstance(cell, bool) or not math.isfinite(value):
        return f"is {cell}, expected a finite number"
    return value


def text(cell: Cell) -> str:
    """The cell as a stripped name; blank for None."""
    return "" if cell is None else str(cell).strip()


def _other_separator(header: Sequence[str]) -> str:
    """What seems to separate the columns instead of commas; empty where nothing does."""
    if len(header) != 1:
        return ""
    found = [name for sign, name in ((";", "semicolons"), ("\t", "tabs"), ("|", "bars")) if sign in header[0]]
    return found[0] if found else ""


def _read_csv(path: Path) -> tuple[list[str], list[tuple[int, tuple[Cell, ...]]]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            lines = [(reader.line_num, tuple(cells)) for cells in reader if any(cell.strip() for cell in cells)]
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: not a readable UTF-8 CSV file ({error}).") from error
    return ([name.strip() for name in lines[0][1]], list(lines[1:])) if lines else ([], [])


def _read_parquet(path: Path) -> tuple[list[str], list[tuple[int, tuple[Cell, ...]]]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.ParquetFile(path).read()
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path}: not a readable Parquet file ({error}).") from error
    columns = [column.to_pylist() for column in table.columns]
    return [str(name).strip() for name in table.column_names], list(enumerate(zip(*columns, strict=True), 1))
