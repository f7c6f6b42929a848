"""Folders with a task of lm-eval, written for a test."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from tasks.benchmarks.measures import LmEvalMeasure

VALUE = "exact_match,none"
COPY: dict[str, Any] = {
    "task": "copy",
    "dataset_path": "json",
    "dataset_kwargs": {"data_files": {"test": "documents.jsonl"}},
    "test_split": "test",
    "output_type": "generate_until",
    "doc_to_text": "{{question}}",
    "doc_to_target": "{{answer}}",
    "generation_kwargs": {"until": [], "do_sample": False, "max_gen_toks": 12},
    "metric_list": [{"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}],
}
DOCUMENTS = [{"question": text, "answer": text} for text in ("a", "b", "cd", "dcba", "bb")]


def write_task(
    folder: Path, documents: Iterable[dict[str, Any]] = DOCUMENTS, extra: str = "", **changes: Any
) -> LmEvalMeasure:
    """Write the copying task with other keys (None: without the key) and YAML at its end, and a measure of it."""
    folder.mkdir(parents=True, exist_ok=True)
    config = {key: value for key, value in {**COPY, **changes}.items() if value is not None}
    (folder / "copy.yaml").write_text(yaml.safe_dump(config) + extra)
    lines = [json.dumps(document) for document in documents]
    (folder / "documents.jsonl").write_text("\n".join(lines) + "\n")
    return LmEvalMeasure(task="copy", task_folder=str(folder), value=VALUE)


def with_keys(measure: LmEvalMeasure, **keys: Any) -> LmEvalMeasure:
    """The measure with other keys."""
    return LmEvalMeasure(**{**measure.model_dump(), **keys})
