"""A whole run: fine-tune, scores, record, in an order that survives a death at any point."""

from __future__ import annotations

import json
import statistics
from dataclasses import replace
from pathlib import Path

import pytest

from tasks.benchmarks.evaluate import evaluate
from tasks.benchmarks.lm_eval_tasks import evaluate_task
from tasks.benchmarks.measures import Generation, LmEvalMeasure
from tasks.benchmarks.run import LOCK_NAME, TRAINING_FOLDER, benchmark, execute, read_run_record
from tasks.errors import InputError
from tasks.finetune.recipe import Engine, Recipe, TinyModel
from tasks.finetune.spec import RunSpec
from tasks.finetune.spec_file import RECORD_NAME
from tasks.finetune.train import finetune
from tasks.interventions.manifest import Manifest
from tasks.interventions.manifest_file import write_manifest
from tasks.pool.instruction import Instruction
from tasks.pool.storage import write_instructions
from tests.tasks.benchmarks.judge_server import JudgeServer, serve
from tests.tasks.benchmarks.lm_eval_folders import write_task


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


COPIED = {"kind": "pattern", "pattern": "{reference}", "whole": True, "max_new_tokens": 12}


def with_measures(spec: RunSpec, **measures: list[dict[str, object]]) -> RunSpec:
    return replace(spec, benchmarks={"measures": measures, "generation": {"engine": "transformers", "batch_size": 3}})


def test_execute_generated_answers_confirm_exact_match_and_are_kept(
    spec: RunSpec, training_rows: tuple[Instruction, ...], tmp_path: Path
) -> None:
    long = Manifest(tuple(row.id for row in training_rows) * 60, (0,) * (60 * len(training_rows)))
    write_manifest(Path(spec.manifest), long)
    recipe = spec.recipe.model_copy(update={"learning_rate": 1e-2, "batch_size": 12})
    measured = with_measures(
        spec,
        pair=[
            {**COPIED, "metric": "copied"},
            {"kind": "pattern", "pattern": "^a", "metric": "starts_with_a", "max_new_tokens": 12},
        ],
        letter=[{**COPIED, "metric": "copied"}],
    )
    record = execute(replace(measured, recipe=recipe, manifest_sha256=long.sha256), tmp_path / "out")
    scores = {(s.category, s.metric): s for s in record.scores}
    rows = [json.loads(line) for line in (tmp_path / "out" / "generations.jsonl").read_text().splitlines()]
    assert set(scores) - {(c, m) for c in ("letter", "long", "pair") for m in ("loss", "exact_match")} == {
        ("pair", "copied"),
        ("pair", "starts_with_a"),
        ("letter", "copied"),
    }
    for category in ("pair", "letter"):
        mine = [row for row in rows if (row["category"], row["metric"]) == (category, "copied")]
        right = [row["answer"].strip() == row["reference"].strip() for row in mine]
        assert [row["verdict"] for row in mine] == right
        found = scores[category, "copied"]
        assert (found.value, found.n) == (sum(right) / len(right), len(right))
        assert found.standard_error == pytest.approx(statistics.stdev(map(float, right)) / len(right) ** 0.5)
        # Teacher forcing and generation are two ways to the same number.
        assert found.value == scores[category, "exact_match"].value
    starts = [row["answer"] for row in rows if row["metric"] == "starts_with_a"]
    assert scores["pair", "starts_with_a"].value == sum(text.startswith("a") for text in starts) / 8
    assert starts == [row["answer"] for row in rows if (row["category"], row["metric"]) == ("pair", "copied")]
    assert max(scores[category, "copied"].value for category in ("pair", "letter")) > 0
    assert read_run_record(tmp_path / "out") == record


def test_benchmark_of_the_checkpoint_gives_the_runs_scores_again(spec: RunSpec, tmp_path: Path) -> None:
    measured = with_measures(spec, pair=[COPIED])
    record = execute(measured, tmp_path / "out")
    assert benchmark(measured, Path(record.training.checkpoint), tmp_path / "again") == record.scores
    answers = [(tmp_path / folder / "generations.jsonl").read_text() for folder in ("out", "again")]
    assert answers[0] == answers[1]


@pytest.mark.parametrize(
    ("item", "words"),
    [
        ({"prompt": "a", "answer": "b"}, r"items\.jsonl, line 1 has the same prompt as training example 'letter a'"),
        ({"prompt": "é", "answer": "a"}, r"items\.jsonl, line 1: .*does not know"),
    ],
)
def test_execute_items_that_cannot_be_asked_are_refused_before_training(
    spec: RunSpec, item: dict[str, str], words: str, tmp_path: Path
) -> None:
    items = tmp_path / "items.jsonl"
    items.write_text(json.dumps(item) + "\n")
    with pytest.raises(InputError, match=words):
        execute(with_measures(spec, pair=[{**COPIED, "items": str(items)}]), tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {LOCK_NAME}


@pytest.mark.parametrize(
    ("measures", "words"),
    [
        ({"pair": [{"kind": "numeric"}]}, r"category 'pair': held-out row 'pair ab': the reference .* no number"),
        ({"pairs": [COPIED]}, r"names 'pairs', which is not measured; measured are 'letter', 'long', 'pair'"),
    ],
)
def test_execute_measure_that_does_not_fit_is_refused_before_training(
    spec: RunSpec, measures: dict[str, list[dict[str, object]]], words: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=words):
        execute(with_measures(spec, **measures), tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {LOCK_NAME}


def test_execute_judge_and_task_scores_stand_beside_the_others(spec: RunSpec, tmp_path: Path) -> None:
    def length(texts: dict[str, str]) -> str:
        return json.dumps({"reason": "its length", "rating": 1 + len(texts["Answer to rate"].strip()) % 10})

    task = write_task(tmp_path / "task").model_dump(mode="json")
    with serve(JudgeServer(length)) as server:
        judge = {"kind": "judge", "mode": "rating", "url": server.url, "model": "m", "max_new_tokens": 12}
        record = execute(with_measures(spec, pair=[judge], letter=[{**task, "metric": "task"}]), tmp_path / "out")
    scores = {(s.category, s.metric): s for s in record.scores}
    rows = [json.loads(line) for line in (tmp_path / "out" / "generations.jsonl").read_text().splitlines()]
    ratings = [1 + len(row["answer"].strip()) % 10 for row in rows]
    rated = scores["pair", "judge_rating"]
    assert (rated.value, rated.n) == (pytest.approx(statistics.mean(ratings)), 8)
    assert {path.name for path in (tmp_path / "out").glob("judged-*")} == {"judged-0.json", "judged-0.jsonl"}
    base, checkpoint = Path(spec.base_model), Path(record.training.checkpoint)
    alone = evaluate_task(LmEvalMeasure.model_validate(task), checkpoint, base, Generation(engine="transformers"))
    found = scores["letter", "task"]
    assert (found.value, found.n, found.standard_error) == tuple(alone)
