from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.errors import InputError
from tasks.pool.instruction import UNTAGGED, RejectedRow
from tasks.tagging.pool_rows import UntaggedRow, UntaggedSource, sample, untagged_rows

ALPACA = {"instruction": "Add 1 and 2", "input": "", "output": "3"}
CHAT = {"messages": [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hi"}]}
SHAREGPT = {"conversations": [{"from": "human", "value": "Hello"}, {"from": "gpt", "value": "Hi"}]}


def written(path: Path, *rows: dict) -> UntaggedSource:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return UntaggedSource((str(path),))


@pytest.mark.parametrize("row", [ALPACA, CHAT, SHAREGPT])
def test_rows_without_a_category_are_read_in_every_format(tmp_path: Path, row: dict) -> None:
    (read,) = untagged_rows(written(tmp_path / "pool.jsonl", row))
    assert isinstance(read, UntaggedRow)
    assert read.instruction.category == UNTAGGED
    assert read.instruction.answer in ("3", "Hi")


def test_parquet_without_a_category_is_read(tmp_path: Path) -> None:
    pq.write_table(pa.Table.from_pylist([ALPACA] * 3), tmp_path / "pool.parquet")
    assert len(list(untagged_rows(UntaggedSource((str(tmp_path / "pool.parquet"),))))) == 3


def test_native_labels_come_along_from_parquet_too(tmp_path: Path) -> None:
    pq.write_table(pa.Table.from_pylist([{**ALPACA, "topic": "sums"}]), tmp_path / "pool.parquet")
    (row,) = untagged_rows(UntaggedSource((str(tmp_path / "pool.parquet"),), native_field="topic"))
    assert isinstance(row, UntaggedRow)
    assert row.native == "sums"


def test_a_native_field_that_is_nowhere_is_named(tmp_path: Path) -> None:
    written(tmp_path / "pool.jsonl", CHAT)
    with pytest.raises(InputError, match=r'no row has the field "topic" .*\(--compare-with;'):
        list(untagged_rows(UntaggedSource((str(tmp_path / "pool.jsonl"),), native_field="topic")))


def test_a_native_field_that_no_column_has_is_named_before_the_first_row(tmp_path: Path) -> None:
    pq.write_table(pa.Table.from_pylist([ALPACA] * 3), tmp_path / "pool.parquet")
    with pytest.raises(InputError, match='no row has the field "topic"'):
        next(untagged_rows(UntaggedSource((str(tmp_path / "pool.parquet"),), native_field="topic")))


def test_an_unusable_row_keeps_its_place_and_reason(tmp_path: Path) -> None:
    good, bad, last = untagged_rows(written(tmp_path / "pool.jsonl", CHAT, {"messages": []}, CHAT))
    assert isinstance(good, UntaggedRow)
    assert isinstance(last, UntaggedRow)
    assert isinstance(bad, RejectedRow)
    assert (bad.line, bad.kind) == (2, "no answer")


def test_a_category_in_the_rows_is_not_taken_for_a_tag(tmp_path: Path) -> None:
    (row,) = untagged_rows(written(tmp_path / "pool.jsonl", {**CHAT, "category": "greeting"}))
    assert isinstance(row, UntaggedRow)
    assert (row.instruction.category, row.native) == (UNTAGGED, "")


def test_every_row_has_the_same_chance_to_be_in_the_sample(tmp_path: Path) -> None:
    rows = [{**ALPACA, "id": str(number), "instruction": f"Row {number}"} for number in range(20)]
    source = written(tmp_path / "pool.jsonl", *rows, {"messages": []})
    counts = Counter(row.id for seed in range(400) for row in sample(source, 5, seed))
    assert set(counts) == {str(number) for number in range(20)}
    # 400 draws of 5 of 20 rows: 100 expected each, standard deviation 8.7.
    assert all(60 < count < 140 for count in counts.values())


def test_a_sample_of_a_small_pool_is_the_pool(tmp_path: Path) -> None:
    assert [row.answer for row in sample(written(tmp_path / "pool.jsonl", ALPACA, CHAT), 10, 0)] == ["3", "Hi"]
