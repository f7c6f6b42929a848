"""Pools that cannot be worked on are refused, naming the first row and what is wrong with it."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.errors import InputError
from tasks.hygiene.clean import judge
from tasks.hygiene.config import Hygiene
from tasks.hygiene.language import known_languages
from tests.tasks.hygiene.rows import row, write

LIMITS = Hygiene(near_duplicates=None)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (b"", r"a.jsonl: holds no rows"),
        (b"\n\n", r"a.jsonl: holds no rows"),
        (b'{"messages": 3}\n' * 2, r"none of 2 rows .* wrong type \(2\). First: .*a.jsonl, line 1: wrong type: "),
        (b'{"x": 1, "y": 2}\n', r"line 1: no conversation: .* fields of the first rows: x, y"),
        (b'\n{"messages": "\xff"}\n' * 2, r"broken text \(2\). First: .*a.jsonl, line 2: broken text: not UTF-8"),
    ],
)  # fmt: skip
def test_a_pool_without_a_usable_row_is_refused_with_the_first_row(tmp_path: Path, lines: bytes, message: str) -> None:
    (tmp_path / "a.jsonl").write_bytes(lines)
    with pytest.raises(InputError, match=message):
        judge((str(tmp_path / "a.jsonl"),), LIMITS)


def test_a_parquet_file_without_a_usable_column_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"x": [1, 2]}), tmp_path / "a.parquet")
    with pytest.raises(InputError, match=r"a.parquet, line 1: no conversation: .* fields of the first rows: x"):
        judge((str(tmp_path / "a.parquet"),), LIMITS)


@pytest.mark.parametrize(
    ("code", "near"), [("english", "en"), ("German", "de"), ("en-US", "en"), ("zhh", "zh"), ("xx", None)]
)
def test_an_unknown_language_is_refused_with_the_near_ones(tmp_path: Path, code: str, near: str | None) -> None:
    path = write(tmp_path / "a.jsonl", [row("a question")])
    with pytest.raises(InputError, match=f'language "{code}": unknown') as caught:
        judge((path,), Hygiene(near_duplicates=None, languages=("en", code)))
    meant = str(caught.value).partition("Did you mean ")[2].rstrip("?").split(", ")
    assert near is None or near in meant


def test_known_languages_are_those_of_the_model() -> None:
    assert len(known_languages()) == 176
    assert {"en", "de", "zh", "ceb"} <= set(known_languages())


def test_a_category_that_no_row_has_is_refused_where_it_is_needed(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", [row("one"), row("two", category="")])
    missing = Hygiene(near_duplicates=None, category_field="nope")
    judge((path,), missing)
    with pytest.raises(InputError, match=r'category in the field "nope"; .*: category, messages. .*--category-field'):
        judge((path,), missing, need_categories=True)
    with pytest.raises(InputError, match=r'a.jsonl: no row has a category in the field "nope"'):
        judge((path,), missing.model_copy(update={"reserve": 1}))


def test_a_packed_file_that_breaks_off_names_the_last_line_that_could_be_read(tmp_path: Path) -> None:
    lines = [json.dumps(row(f"question {k} {hash(k) * 7919 % 1000003}")) + "\n" for k in range(3000)]
    whole = gzip.compress("".join(lines).encode())
    (tmp_path / "a.jsonl.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"a.jsonl.gz: cannot be unpacked after line (\d+)") as caught:
        judge((str(tmp_path / "a.jsonl.gz"),), LIMITS)
    line = int(str(caught.value).partition("after line ")[2].split()[0])
    assert 500 < line < 2500


@pytest.mark.parametrize("number", [False, True])
def test_rows_that_stay_with_the_id_of_an_earlier_one_are_counted(tmp_path: Path, number: bool) -> None:
    ids = [7, 8, 7, 9, 7, None]
    given = [k if number or k is None else f"id {k}" for k in ids]
    rows = [row(f"question {n}", id=name) for n, name in enumerate(given)]
    # Its conversation is a duplicate, so it does not stay.
    rows.append(rows[1])
    # Read one at a time.
    rows.append({"instruction": "x", "output": "y", "id": given[3]})
    cleaned = judge((write(tmp_path / "a.jsonl", rows),), LIMITS)
    assert cleaned.index.repeated_ids(cleaned.kept) == 3


def test_ids_that_are_neither_text_nor_number_change_nothing_else(tmp_path: Path) -> None:
    rows = [row("one", id=1.5), row("two", id="x"), row("three", id="x")]
    cleaned = judge((write(tmp_path / "a.jsonl", rows),), LIMITS)
    assert cleaned.kept.all()


def test_repeated_ids_of_parquet_rows_are_counted(tmp_path: Path) -> None:
    table = [row(f"question {k}", id=k // 2) for k in range(6)]
    pq.write_table(pa.Table.from_pylist(table), tmp_path / "a.parquet")
    cleaned = judge((str(tmp_path / "a.parquet"),), LIMITS)
    assert cleaned.index.repeated_ids(cleaned.kept) == 3
