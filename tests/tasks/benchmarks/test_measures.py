"""The `benchmarks` block: what it takes, what it refuses, what each measure measures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from tasks.benchmarks.measures import Benchmarks
from tasks.benchmarks.scores import HELD_OUT_METRICS, Metric

JUDGE = {"kind": "judge", "url": "http://localhost:8000/v1", "model": "m"}
EVERY = [
    {"kind": "numeric"},
    {"kind": "choice", "metric": "choice", "letters": "ABCDE"},
    {"kind": "pattern", "metric": "form", "pattern": "^yes"},
    {"kind": "code", "metric": "passed", "items": "tests.jsonl", "limits": {"seconds": 2}},
    {"kind": "lm-eval", "task": "t", "value": "ppl,none", "metric": "ppl", "higher_is_better": False, "unit": "ratio"},
    {**JUDGE, "mode": "pairwise"},
    {**JUDGE, "mode": "rating"},
]


def block(**measures: list[dict[str, Any]]) -> Benchmarks:
    return Benchmarks.model_validate({"measures": measures})


def test_metrics_are_those_always_measured_then_the_measures_own() -> None:
    assert block(add=EVERY).metrics == (
        *HELD_OUT_METRICS,
        Metric("accuracy", True, "share"),
        Metric("choice", True, "share"),
        Metric("form", True, "share"),
        Metric("passed", True, "share"),
        Metric("ppl", False, "ratio"),
        Metric("judge_win", True, "share"),
        Metric("judge_rating", True, "points of 10"),
    )


def test_block_survives_json() -> None:
    found = block(add=EVERY, copy=[{"kind": "numeric"}])
    assert Benchmarks.model_validate_json(found.model_dump_json()) == found


@pytest.mark.parametrize(
    ("measures", "words"),
    [
        ({"add": [{"kind": "numeric", "metric": "Accuracy"}]}, "add.0.numeric.metric"),
        ({"add": [{"kind": "numeric", "letters": "AB"}]}, "add.0.numeric.letters"),
        ({"add": [{"kind": "guess"}]}, "'guess' found using 'kind' does not match any of the expected tags"),
        ({"add": [{"kind": "code"}]}, "add.0.code.items"),
        ({"add": [{"kind": "pattern"}]}, "add.0.pattern.pattern"),
        ({"add": [{"kind": "choice", "letters": "abc"}]}, "add.0.choice.letters"),
        ({"add": []}, "measures of 'add': there is none"),
        ({}, "measures"),
        ({"add": [{"kind": "numeric", "metric": "loss"}]}, "'loss' is measured anyway"),
        ({"add": [{"kind": "numeric"}, {"kind": "choice"}]}, "'accuracy' stands there twice"),
        (
            {"add": [{"kind": "numeric"}], "copy": [{**JUDGE, "mode": "rating", "metric": "accuracy"}]},
            r"two measures are called 'accuracy' but mean different things: .*share.*points of 10",
        ),
    ],
)
def test_block_that_is_unclear_is_refused(measures: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        block(**measures)


def test_from_folder_makes_relative_paths_absolute_and_leaves_others(tmp_path: Path) -> None:
    measures = [{"kind": "numeric", "items": "../a.jsonl"}, {"kind": "choice", "metric": "b", "items": "/b.jsonl"}]
    task = {"kind": "lm-eval", "metric": "c", "task": "t", "value": "v", "task_folder": "tasks"}
    found = block(add=[*measures, task, {"kind": "numeric", "metric": "d"}]).from_folder(tmp_path / "x")
    first, second, third, fourth = found.measures["add"]
    assert (first.items, second.items) == (str(tmp_path / "a.jsonl"), "/b.jsonl")  # type: ignore[union-attr]
    assert third.task_folder == str(tmp_path / "x" / "tasks")  # type: ignore[union-attr]
    assert fourth.items is None  # type: ignore[union-attr]
