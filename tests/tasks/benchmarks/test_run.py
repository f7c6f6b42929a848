"""A whole run: fine-tune, scores, record, in an order that survives a death at any point."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tasks.benchmarks.evaluate import evaluate
from tasks.benchmarks.run import LOCK_NAME, TRAINING_FOLDER, execute, read_run_record
from tasks.errors import InputError
from tasks.finetune.recipe import Engine, Recipe, TinyModel
from tasks.finetune.spec import RunSpec
from tasks.finetune.spec_file import RECORD_NAME
from tasks.finetune.train import finetune
from tasks.interventions.manifest import Manifest
from tasks.interventions.manifest_file import write_manifest
from tasks.pool.instruction import Instruction
from tasks.pool.storage import write_instructions


@pytest.fixture
def spec(
    tmp_path: Path, tiny_base: Path, training_rows: tuple[Instruction, ...], held_out: tuple[Instruction, ...]
) -> RunSpec:
    manifest = Manifest(tuple(row.id for row in training_rows) * 2, (0,) * (2 * len(training_rows)))
    write_instructions(tmp_path / "train.jsonl", training_rows)
    write_instructions(tmp_path / "held_out.jsonl", held_out)
    write_manifest(tmp_path / "manifest.jsonl", manifest)
    return RunSpec(
        fingerprint="c" * 64,
        name="baseline, seed 0",
        seed=0,
        recipe=Recipe(model=TinyModel(), engine=Engine.TORCH, batch_size=4, learning_rate=3e-3),
        base_model=str(tiny_base),
        train_data=str(tmp_path / "train.jsonl"),
        manifest=str(tmp_path / "manifest.jsonl"),
        manifest_sha256=manifest.sha256,
        held_out=str(tmp_path / "held_out.jsonl"),
        benchmark_batch_size=8,
        threads=1,
    )


def test_execute_scores_the_checkpoint_it_trained(
    spec: RunSpec, tiny_base: Path, held_out: tuple[Instruction, ...], tmp_path: Path
) -> None:
    record = execute(spec, tmp_path / "out")
    assert record.scores == evaluate(Path(record.training.checkpoint), tiny_base, held_out, 8, threads=1)
    assert record.scores != evaluate(tiny_base, tiny_base, held_out, 8, threads=1)
    assert record.training.steps == 6
    assert record.evaluation_seconds > 0
    assert read_run_record(tmp_path / "out") == record


def test_execute_finished_folder_is_returned_at_once(spec: RunSpec, tmp_path: Path) -> None:
    first = execute(spec, tmp_path / "out")
    # Without its data a run could not start: the record alone must do.
    Path(spec.train_data).unlink()
    assert execute(spec, tmp_path / "out") == first


def test_execute_without_keeping_deletes_the_weights_and_says_so(spec: RunSpec, tmp_path: Path) -> None:
    record = execute(spec, tmp_path / "out", keep_checkpoint=False)
    assert record.training.checkpoint == ""
    assert {path.name for path in (tmp_path / "out").iterdir()} == {RECORD_NAME, LOCK_NAME}
    assert execute(spec, tmp_path / "out", keep_checkpoint=False) == record


def test_execute_after_a_death_before_scoring_does_not_train_again(spec: RunSpec, tmp_path: Path) -> None:
    training = finetune(spec, tmp_path / "out" / TRAINING_FOLDER)
    assert read_run_record(tmp_path / "out") is None
    steps: list[int] = []
    record = execute(spec, tmp_path / "out", on_step=lambda step, total, loss: steps.append(step))
    assert steps == []
    assert record.training == training


def test_execute_after_a_death_during_deletion_trains_again_to_the_same_scores(spec: RunSpec, tmp_path: Path) -> None:
    expected = execute(spec, tmp_path / "whole", keep_checkpoint=False)
    finetune(spec, tmp_path / "cut" / TRAINING_FOLDER)
    (tmp_path / "cut" / TRAINING_FOLDER / RECORD_NAME).unlink()
    record = execute(spec, tmp_path / "cut", keep_checkpoint=False)
    assert record.scores == expected.scores
    assert record.training.losses == expected.training.losses


def test_execute_same_spec_twice_gives_identical_scores(spec: RunSpec, tmp_path: Path) -> None:
    assert execute(spec, tmp_path / "a").scores == execute(spec, tmp_path / "b").scores


def test_execute_held_out_example_in_training_is_refused_before_training(
    spec: RunSpec, training_rows: tuple[Instruction, ...], tmp_path: Path
) -> None:
    write_instructions(Path(spec.held_out), [replace(training_rows[0], id="leaked")])
    with pytest.raises(InputError, match="'leaked' has the same messages as training example"):
        execute(spec, tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {LOCK_NAME}


def test_execute_unused_training_row_may_be_held_out(
    spec: RunSpec, training_rows: tuple[Instruction, ...], tmp_path: Path
) -> None:
    manifest = Manifest(tuple(row.id for row in training_rows[1:]), (0,) * (len(training_rows) - 1))
    write_manifest(Path(spec.manifest), manifest)
    write_instructions(Path(spec.held_out), training_rows[:1])
    assert execute(replace(spec, manifest_sha256=manifest.sha256), tmp_path / "out").scores


def test_execute_unknown_character_in_held_out_is_refused_before_training(spec: RunSpec, tmp_path: Path) -> None:
    write_instructions(Path(spec.held_out), [Instruction("new", (("user", "é"), ("assistant", "a")), "letter")])
    with pytest.raises(InputError, match=r"instruction new: .*does not know"):
        execute(spec, tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {LOCK_NAME}


def test_execute_empty_held_out_is_refused(spec: RunSpec, tmp_path: Path) -> None:
    write_instructions(Path(spec.held_out), [])
    with pytest.raises(InputError, match=r"held_out\.jsonl is empty"):
        execute(spec, tmp_path / "out")


def test_execute_folder_of_another_run_is_refused(spec: RunSpec, tmp_path: Path) -> None:
    execute(spec, tmp_path / "out")
    with pytest.raises(InputError, match="holds run cccccccccccc, not dddddddddddd"):
        execute(replace(spec, fingerprint="d" * 64), tmp_path / "out")


def test_read_run_record_of_a_damaged_file_names_it(tmp_path: Path) -> None:
    (tmp_path / RECORD_NAME).write_text('{"scores": []}')
    with pytest.raises(InputError, match=r"record\.json is not a valid RunRecord"):
        read_run_record(tmp_path)
