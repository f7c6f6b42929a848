"""The rows of a pool that the baseline trains on, the reserve, and what is neither."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tasks.pool.config import FilesSource
from tasks.pool.instruction import Pool, RejectedRow
from tasks.pool.lines_file import write_lines
from tasks.pool.storage import instruction_json
from tasks.selection.select import Selected, Wish, ranking

SOURCE = FilesSource(paths=("-",), format="chat")
"""How the rows of `write_candidates` are read."""


@dataclass(frozen=True)
class BaselineRows:
    """What a selection made of training rows.

    Attributes:
        selected: ids of the baseline's rows, best first.
        left: id → why a row is in neither baseline nor reserve.
        report: counts for people.
    """

    selected: tuple[str, ...]
    left: Mapping[str, str]
    report: Mapping[str, Any]

    def apply(self, train: Pool) -> Pool:
        """Baseline and reserve; rows that are neither are rejected (line: place in `train`, from 1)."""
        kept = tuple(row for row in train.instructions if row.id not in self.left)
        rejected = tuple(
            RejectedRow(train.name, line, self.left[row.id])
            for line, row in enumerate(train.instructions, start=1)
            if row.id in self.left
        )
        return Pool(train.name, kept, (*train.rejected, *rejected))

    def counts(self, train: Pool) -> dict[str, int]:
        """The baseline's examples per category, for every category of `train`."""
        chosen = frozenset(self.selected)
        found = Counter(row.category for row in train.instructions if row.id in chosen)
        return {category: found[category] for category in train.categories}


def write_candidates(
    path: Path, train: Pool, fields: Sequence[str], grades: Mapping[str, Sequence[float]] | None
) -> None:
    """Write training rows, in their order, with their grades where they have them."""

    def lines() -> Iterator[str]:
        for row in train.instructions:
            line = instruction_json(row)
            found = None if grades is None else grades.get(row.content_hash)
            extra = {} if found is None else dict(zip(fields, found, strict=True))
            yield f"{line[:-1]},{json.dumps(extra)[1:]}" if extra else line

    write_lines(path, lines())


def baseline_rows(train: Pool, chosen: Selected, wish: Wish, reserve: int | None) -> BaselineRows:
    """The baseline's rows, and the reserve among the others.

    The reserve is every usable row that was not found too similar to a selected one, per category the best `reserve`
    by the same ranking.

    Args:
        train: the rows.
        chosen: the choice among `write_candidates`' rows of them.
        wish: what it was made for.
        reserve: most rows of a category's reserve; None: no limit.
    """
    left = _left(train, chosen, wish, reserve)
    ids = tuple(train.instructions[row].id for row in chosen.choice.taken)
    return BaselineRows(ids, left, _report(train, chosen, ids, left))


def save_baseline(path: Path, rows: BaselineRows) -> None:
    """Write as JSON, atomically."""
    write_lines(path, [json.dumps(asdict(rows), ensure_ascii=False, allow_nan=False)])


def load_baseline(path: Path) -> BaselineRows:
    """Read what `save_baseline` wrote."""
    found = json.loads(path.read_text(encoding="utf-8"))
    return BaselineRows(tuple(found["selected"]), found["left"], found["report"])


def _left(train: Pool, chosen: Selected, wish: Wish, reserve: int | None) -> dict[str, str]:
    rows, index = train.instructions, chosen.candidates.index
    left = {rows[k].id: index.reasons[index.reason[k]] for k in np.flatnonzero(index.reason >= 0).tolist()}
    left |= {rows[k].id: f'too similar: to "{rows[twin].id}"' for k, twin in chosen.choice.similar}
    if reserve is None:
        return left
    taken = set(chosen.choice.taken)
    number: defaultdict[str, int] = defaultdict(int)
    for k in ranking(chosen.candidates, chosen.scores, wish.seed).tolist():
        row = rows[k]
        if k in taken or row.id in left:
            continue
        number[row.category] += 1
        if number[row.category] > reserve:
            left[row.id] = f"over the reserve: more than {reserve} rows (selection.reserve) in its category"
    return left


def _report(train: Pool, chosen: Selected, ids: tuple[str, ...], left: Mapping[str, str]) -> dict[str, Any]:
    selected = frozenset(ids)
    taken = Counter(row.category for row in train.instructions if row.id in selected)
    spare = Counter(row.category for row in train.instructions if row.id not in selected and row.id not in left)
    values = chosen.scores[list(chosen.choice.taken)]
    return {
        "rows": len(train.instructions),
        "selected": {category: taken[category] for category in train.categories},
        "reserve": {category: spare[category] for category in train.categories},
        "left": dict(Counter(reason.partition(":")[0] for reason in left.values()).most_common()),
        "over_max_per_category": len(chosen.choice.full),
        "score": {"lowest": float(values.min()), "mean": float(values.mean()), "highest": float(values.max())},
    }
