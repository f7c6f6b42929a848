"""The baseline's rows, the reserve and what is neither, against sets made by hand."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from tasks.errors import InputError
from tasks.pool.config import FilesSource
from tasks.pool.instruction import Instruction, Pool
from tasks.selection.baseline import SOURCE, BaselineRows, baseline_rows, load_baseline, save_baseline, write_candidates
from tasks.selection.candidates import read_candidates, row_grades
from tasks.selection.select import Wish, choose, column_scores
from tests.tasks.hygiene.rows import row, write

FIELDS = ("complexity", "quality")


def train(number: int) -> Pool:
    rows = [
        Instruction(f"r{k}", (("user", f"q {k}"), ("assistant", "x" * (k + 1))), "ab"[k % 2]) for k in range(number)
    ]
    return Pool("p (train)", tuple(rows))


def chosen(folder: Path, pool: Pool, grades: dict[str, tuple[float, float]], wish: Wish, reserve: int | None):
    write_candidates(folder / "c.jsonl", pool, FIELDS, grades)
    candidates = read_candidates((str(folder / "c.jsonl"),), SOURCE, FIELDS)
    return baseline_rows(pool, choose(candidates, column_scores(candidates), wish), wish, reserve)


def test_best_rows_are_the_baseline_and_the_next_best_of_each_category_the_reserve(tmp_path: Path) -> None:
    pool, generator = train(40), random.Random(0)
    values = {r.id: (generator.uniform(1, 6), generator.uniform(1, 6)) for r in pool.instructions}
    grades = {r.content_hash: values[r.id] for r in pool.instructions if r.id not in ("r0", "r7")}
    found = chosen(tmp_path, pool, grades, Wish(12, max_per_category=7), 5)

    order = sorted(
        (r for r in pool.instructions if r.id not in ("r0", "r7")), key=lambda r: -values[r.id][0] * values[r.id][1]
    )
    taken: list[Instruction] = []
    for one in order:
        if len(taken) < 12 and sum(t.category == one.category for t in taken) < 7:
            taken.append(one)
    assert found.selected == tuple(one.id for one in taken)
    after = found.apply(pool)
    kept = {r.id for r in after.instructions} - set(found.selected)
    rest = [one for one in order if one not in taken]
    assert kept == {one.id for c in "ab" for one in [r for r in rest if r.category == c][:5]}
    assert {r.kind for r in after.rejected} == {"no grade", "over the reserve"}
    assert len(after.rejected) + len(after.instructions) == 40
    assert all(pool.instructions[r.line - 1].id not in kept for r in after.rejected)
    assert found.counts(pool) == found.report["selected"] == {c: sum(t.category == c for t in taken) for c in "ab"}
    save_baseline(tmp_path / "s.json", found)
    assert load_baseline(tmp_path / "s.json") == BaselineRows(found.selected, dict(found.left), dict(found.report))


def test_without_a_limit_every_usable_row_that_is_not_selected_is_reserve(tmp_path: Path) -> None:
    pool = train(10)
    grades = {r.content_hash: (1.0, 1 + k / 2) for k, r in enumerate(pool.instructions)}
    found = chosen(tmp_path, pool, grades, Wish(3), None)
    assert found.selected == ("r9", "r8", "r7") and not found.left
    assert found.report["reserve"] == {"a": 4, "b": 3}


def test_a_grade_off_the_scale_is_refused_with_its_place(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", [row("one", complexity=2, quality=3), row("two", complexity=7, quality=-1)])
    expected = r'a.jsonl, line 2: field "complexity" is 7; expected a grade from 1 to 6'
    with pytest.raises(InputError, match=expected):
        row_grades(FilesSource(paths=(path,)), FIELDS)
    with pytest.raises(InputError, match=expected):
        read_candidates((path,), SOURCE, FIELDS)


def test_grades_are_read_by_conversation_from_any_format_with_or_without_category(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.jsonl",
        [
            row("one", complexity=2, quality=3.5),
            {"instruction": "two", "output": "yes", "complexity": 1, "quality": 6},
            row("one", complexity=6, quality=6),
            row("none", complexity="high", quality=1),
            row("lacks", quality=1),
            "{broken",
        ],
    )
    found = row_grades(FilesSource(paths=(path,)), FIELDS)
    expected = {
        Instruction("x", (("user", "one"), ("assistant", "yes")), "x").content_hash: (2.0, 3.5),
        Instruction("x", (("user", "two"), ("assistant", "yes")), "x").content_hash: (1.0, 6.0),
    }
    assert found == expected
    import pyarrow as pa
    import pyarrow.parquet as pq

    lines = [json.loads(line) for line in Path(path).read_text().splitlines()[:1]]
    pq.write_table(pa.Table.from_pylist(lines), tmp_path / "a.parquet")
    assert row_grades(FilesSource(paths=(str(tmp_path / "a.parquet"),)), FIELDS) == dict([next(iter(expected.items()))])
    with pytest.raises(InputError, match="no row has numbers in the fields worth"):
        row_grades(FilesSource(paths=(path,)), ("worth",))
