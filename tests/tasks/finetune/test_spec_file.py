"""Specifications and records as files."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tasks.errors import InputError
from tasks.finetune.recipe import Lora, PretrainedModel, Recipe, TinyModel
from tasks.finetune.spec import RunSpec, TrainingRecord
from tasks.finetune.spec_file import read_record, read_spec, write_json, write_record, write_spec

SPEC = RunSpec(
    fingerprint="f" * 64,
    name="without reverse (size-matched), seed 3",
    seed=3,
    recipe=Recipe(model=TinyModel(width=64), method=Lora(target_modules=("q_proj",)), learning_rate=0.1 + 0.2),
    base_model="/somewhere/base",
    train_data="/somewhere/train.jsonl",
    manifest="/somewhere/manifest.jsonl",
    manifest_sha256="e" * 64,
    held_out="/somewhere/held_out.jsonl",
    deepspeed={"zero_optimization": {"stage": 1}, "bf16": {"enabled": "auto"}},
)
RECORD = TrainingRecord(
    fingerprint="f" * 64,
    checkpoint="/somewhere/model",
    steps=2,
    examples=4,
    tokens=40,
    losses=((1, 2.5), (2, 1.0 / 3.0)),
    seen_sha256="e" * 64,
    seconds=1.5,
    device="cpu",
    engine="torch",
    host="node-1",
    resumed_from_step=0,
    versions=(("torch", "2.13.0"),),
)


def changed_file(path: Path, change: Callable[[dict[str, object]], object]) -> Path:
    write_spec(path, SPEC)
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    return path


def test_spec_written_and_read_is_equal(tmp_path: Path) -> None:
    write_spec(tmp_path / "spec.json", SPEC)
    assert read_spec(tmp_path / "spec.json") == SPEC


def test_record_written_and_read_is_equal(tmp_path: Path) -> None:
    write_record(tmp_path / "record.json", RECORD)
    assert read_record(tmp_path / "record.json") == RECORD


def test_spec_pretrained_model_keeps_its_kind(tmp_path: Path) -> None:
    spec = replace(SPEC, recipe=Recipe(model=PretrainedModel(name="owner/model", revision="0" * 40)))
    write_spec(tmp_path / "spec.json", spec)
    assert read_spec(tmp_path / "spec.json") == spec


def test_spec_relative_paths_are_taken_from_its_folder(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    write_spec(tmp_path / "run" / "spec.json", replace(SPEC, manifest="manifest.jsonl", base_model="../base"))
    spec = read_spec(tmp_path / "run" / "spec.json")
    assert spec.manifest == str((tmp_path / "run" / "manifest.jsonl").resolve())
    assert spec.base_model == str((tmp_path / "base").resolve())


def test_spec_missing_file_names_it(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent\.json: cannot be read"):
        read_spec(tmp_path / "absent.json")


def test_spec_broken_json_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "spec.json").write_text('{"fingerprint": ')
    with pytest.raises(InputError, match=r"spec\.json is not a valid RunSpec"):
        read_spec(tmp_path / "spec.json")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda c: c.pop("manifest"), "manifest: Field required"),
        (lambda c: c.update(epochs=3), "epochs: Unexpected keyword argument"),
        (lambda c: c.update(seed="3"), "seed: Input should be a valid integer"),
        (lambda c: c["recipe"].update(batch_size="32"), "recipe.batch_size: Input should be a valid integer"),
        (lambda c: c["recipe"].update(shuffle=True), "recipe.shuffle: Extra inputs are not permitted"),
        (lambda c: c["recipe"].update(learning_rate=-1.0), "recipe.learning_rate: Input should be greater than 0"),
    ],
)
def test_spec_bad_key_is_named_with_its_file(
    tmp_path: Path, change: Callable[[dict[str, object]], object], named: str
) -> None:
    path = changed_file(tmp_path / "spec.json", change)
    with pytest.raises(InputError) as caught:
        read_spec(path)
    assert named in str(caught.value)
    assert str(path) in str(caught.value)


def test_spec_several_bad_keys_are_reported_together(tmp_path: Path) -> None:
    path = changed_file(tmp_path / "spec.json", lambda c: (c.pop("manifest"), c.update(seed=None)))
    with pytest.raises(InputError, match=r"(?s)seed.*manifest|manifest.*seed"):
        read_spec(path)


def test_write_json_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    write_json(tmp_path / "record.json", {"value": 1})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "record.json", {"value": float("nan")})
    assert json.loads((tmp_path / "record.json").read_text()) == {"value": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["record.json"]
