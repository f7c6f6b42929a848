from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tasks.errors import InputError
from tasks.tagging.labelled import read_labelled
from tests.tasks.hygiene.rows import row, write


def rows(counts: dict[str, int]) -> list[dict[str, Any]]:
    return [
        row(f"{name} question {k}", category=name, id=f"{name} {k}") for name, n in counts.items() for k in range(n)
    ]


def test_rows_that_are_not_used_are_counted_with_line_and_reason(tmp_path: Path) -> None:
    lines: list[Any] = rows({"a": 6, "b": 6})
    lines[3:3] = [row("untold", category=""), "{broken", row("a question 0"), row("new", id="a 1")]
    labelled = read_labelled(Path(write(tmp_path / "few.jsonl", lines)), None)
    assert [one.id for one in labelled.rows] == [one["id"] for one in rows({"a": 6, "b": 6})]
    assert [(one.line, one.kind) for one in labelled.unused] == [
        (4, "no category"),
        (5, "broken JSON"),
        (6, "duplicate content"),
        (7, "duplicate id"),
    ]
    report = labelled.report()
    assert (report["rows"], report["not_used"], report["first_not_used"][0]["line"]) == (16, 4, 4)
    assert json.dumps(report)


def test_labels_outside_the_list_are_named_with_their_lines_and_the_nearest_name(tmp_path: Path) -> None:
    lines = rows({"banking": 5, "cooking": 5, "bankin": 2, "zoo": 7})
    path = Path(write(tmp_path / "few.jsonl", lines))
    with pytest.raises(InputError) as caught:
        read_labelled(path, ("banking", "cooking"))
    assert str(caught.value).startswith(f"--labelled {path}: has categories that --categories does not list: ")
    assert '"bankin" (line 11, 12; nearest: banking)' in str(caught.value)
    assert '"zoo" (line 13, 14, 15, 16, 17, …)' in str(caught.value)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (rows({"a": 4, "b": 4}), r"--labelled .*few.jsonl: a has 4, b has 4 labelled rows"),
        (rows({"a": 9}), r"all rows have the category a; expected at least two"),
        ([{"messages": []}] * 2, r"none of 2 rows can be used. First: line 1: no answer: .* field \"category\""),
        ([{**row("x"), "category": None}], r'First: line 1: no category: field "category" is missing'),
    ],
)
def test_what_cannot_be_learnt_from_is_refused(tmp_path: Path, lines: list[Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        read_labelled(Path(write(tmp_path / "few.jsonl", lines)), None)
    assert "category_field" not in str(caught.value)
