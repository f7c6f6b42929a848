"""Measures made ready: what is refused before any training, and what becomes part of a run's identity."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from db.base import Phase
from flows.benchmarking import ready_benchmarks
from flows.config import ExperimentConfig
from flows.experiment_file import load_experiment
from flows.material import gather_material
from flows.planning import PlannedRun, Planner
from tasks.benchmarks.items import read_items
from tasks.errors import InputError
from tests.flows.command import CATEGORIES, UNUSED, small_experiment

LETTERS, DIGITS, NAMES = CATEGORIES
TEXT = {"kind": "pattern", "pattern": "{reference}", "metric": "copied"}
NUMBER = {"kind": "numeric"}
# Of the small experiment's baseline with seed 1, before there were measures: such runs must stay found.
WITHOUT_MEASURES = {
    Phase.MEASURE: "6115ba798f891ea91f0552c25f83679acfa500d0b676acdb25b1ca72282a681e",
    Phase.VALIDATE: "0391fd25f57d86913c2d7cc14e1560265cdeb41e577eab558a46f25b0bbf93fb",
}


def config_with(folder: Path, measures: dict[str, Any] | None, **changes: Any) -> ExperimentConfig:
    block = {} if measures is None else {"benchmarks": {"measures": measures}}
    return load_experiment(small_experiment(folder, **block, **changes))


def planned(config: ExperimentConfig, folder: Path, phase: Phase = Phase.MEASURE) -> PlannedRun:
    material = gather_material(config, folder / "artifacts")
    ready = ready_benchmarks(config, material)
    planner = Planner(config, material, Path("/anywhere/base"), folder / "artifacts", ready)
    baseline = config.design.interventions(material.baseline, material.available)[:1]
    return next(planner.drawn(baseline, (1,), phase))


def write_items(path: Path, *rows: dict[str, str]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize("phase", list(Phase))
def test_run_without_measures_keeps_its_fingerprint(phase: Phase, tmp_path: Path) -> None:
    run = planned(config_with(tmp_path, None), tmp_path, phase)
    assert run.fingerprint == WITHOUT_MEASURES[phase]
    assert run.spec.benchmarks is None


def test_every_measure_and_what_decides_its_number_changes_the_fingerprint(tmp_path: Path) -> None:
    items = write_items(tmp_path / "items.jsonl", {"prompt": "copy 9", "answer": "9"})
    other = write_items(tmp_path / "other.jsonl", {"prompt": "copy 9", "answer": "8"})
    variants: list[dict[str, Any]] = [
        {LETTERS: [TEXT]},
        {DIGITS: [TEXT]},
        {LETTERS: [{**TEXT, "whole": True}]},
        {LETTERS: [{**TEXT, "metric": "same"}]},
        {LETTERS: [{**TEXT, "max_new_tokens": 9}]},
        {LETTERS: [{**TEXT, "items": str(items)}]},
        {LETTERS: [{**TEXT, "items": str(other)}]},
        {LETTERS: [TEXT, {"kind": "pattern", "pattern": "^a"}]},
    ]
    found = [planned(config_with(tmp_path, one), tmp_path).fingerprint for one in (None, *variants)]
    assert len(set(found)) == len(found)


def test_neither_the_place_of_items_nor_speed_changes_the_fingerprint(tmp_path: Path) -> None:
    (tmp_path / "moved").mkdir()
    row = {"prompt": "copy 9", "answer": "9"}
    first = write_items(tmp_path / "items.jsonl", row)
    moved = write_items(tmp_path / "moved" / "same.jsonl", {"note": "not read", **row})
    blocks = [
        {"measures": {LETTERS: [{**TEXT, "items": path}]}, "generation": {"batch_size": size}}
        for path, size in ((first.name, 4), (str(moved), 9))
    ]
    runs = [planned(load_experiment(small_experiment(tmp_path, benchmarks=block)), tmp_path) for block in blocks]
    assert runs[0].fingerprint == runs[1].fingerprint


def test_items_are_kept_beside_the_pool_and_outlive_their_file(tmp_path: Path) -> None:
    items = write_items(tmp_path / "items.jsonl", {"id": "x", "prompt": "copy 9", "answer": "9"})
    run = planned(config_with(tmp_path, {LETTERS: [{**TEXT, "items": "items.jsonl"}]}), tmp_path)
    items.unlink()
    assert run.spec.benchmarks is not None
    kept = Path(run.spec.benchmarks["measures"][LETTERS][0]["items"])
    assert kept.is_relative_to(tmp_path / "artifacts" / "pools")
    assert [(item.id, item.reference) for item in read_items(kept)] == [("x", "9")]


def test_benchmarks_may_be_a_file_of_its_own_with_paths_from_its_folder(tmp_path: Path) -> None:
    folder = tmp_path / "measures"
    folder.mkdir()
    write_items(folder / "items.jsonl", {"prompt": "copy 9", "answer": "9"})
    block = {"measures": {LETTERS: [{**TEXT, "items": "items.jsonl"}], DIGITS: [NUMBER]}}
    (folder / "letters.yaml").write_text(json.dumps(block))
    config = load_experiment(small_experiment(tmp_path, benchmarks="measures/letters.yaml"))
    assert config.benchmarks is not None
    assert config.benchmarks.measures[LETTERS][0].items == str(folder / "items.jsonl")  # type: ignore[union-attr]
    assert ExperimentConfig.model_validate(config.model_dump(mode="json")) == config


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "letters.yaml: no such file"),
        (
            "measures: {letters: [{kind: numeric, metrik: a}]}",
            r"letters\.yaml: 1 problem.*\n.*letters\.0\.numeric\.metrik",
        ),
        ("- a", r"letters\.yaml: 1 problem"),
    ],
)
def test_benchmarks_file_that_cannot_be_used_is_named(content: str | None, words: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "letters.yaml").write_text(content)
    with pytest.raises(InputError, match=words):
        load_experiment(small_experiment(tmp_path, benchmarks="letters.yaml"))


@pytest.mark.parametrize(
    ("measures", "changes", "words"),
    [
        (
            {"leters": [TEXT]},
            {},
            r"names 'leters', which is not measured; measured are '\[/names\]', 'digits', 'letters'",
        ),
        ({UNUSED: [TEXT]}, {}, f"names '{UNUSED}', which is not measured"),
        ({LETTERS: [NUMBER]}, {}, r"category 'letters': held-out row .* holds no number, but 'accuracy' is a numeric"),
        ({LETTERS: [{"kind": "choice"}]}, {}, "category 'letters': held-out row .* names no letter of ABCD"),
        ({LETTERS: [{**TEXT, "items": "gone.jsonl"}]}, {}, r"gone\.jsonl"),
        ({LETTERS: [{**TEXT, "pattern": "("}]}, {}, r"category 'letters': pattern '\(': no regular expression"),
        (
            {DIGITS: [NUMBER]},
            {"analysis": {"metric": "accuracy"}},
            r"analysis\.metric is 'accuracy', but .* no such measure for '\[/names\]', 'letters': give each",
        ),
    ],
)
def test_measures_that_cannot_be_taken_are_refused_before_any_training(
    measures: dict[str, Any], changes: dict[str, Any], words: str, tmp_path: Path
) -> None:
    config = config_with(tmp_path, measures, **changes)
    with pytest.raises(InputError, match=words):
        ready_benchmarks(config, gather_material(config, tmp_path / "artifacts"))


def test_items_that_the_pool_trains_on_are_refused_by_line_and_row(tmp_path: Path) -> None:
    material = gather_material(config_with(tmp_path, None), tmp_path / "artifacts")
    row = material.split.train.instructions[3]
    write_items(
        tmp_path / "items.jsonl", {"prompt": "copy 9", "answer": "9"}, {"prompt": row.messages[0][1], "answer": "x"}
    )
    config = config_with(tmp_path, {LETTERS: [{**TEXT, "items": "items.jsonl"}]})
    with pytest.raises(InputError, match=rf"items\.jsonl, line 2 has the same prompt as training example '{row.id}'"):
        ready_benchmarks(config, material)


def test_metric_that_nothing_measures_is_refused_with_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"analysis.metric is 'acuracy'.* 'loss', 'exact_match', 'copied': set"):
        config_with(tmp_path, {LETTERS: [TEXT]}, analysis={"metric": "acuracy"})


def test_metric_of_every_category_may_be_analyzed(tmp_path: Path) -> None:
    measures = {LETTERS: [TEXT], DIGITS: [{**NUMBER, "metric": "copied"}], NAMES: [TEXT]}
    config = config_with(tmp_path, measures, analysis={"metric": "copied"})
    ready = ready_benchmarks(config, gather_material(config, tmp_path / "artifacts"))
    assert [metric.name for metric in ready.metrics] == ["loss", "exact_match", "copied"]
