"""The steps before an experiment's pool, without services: identities, caches, what they refuse."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from flows.cleaning_step import clean_files
from flows.config import ExperimentConfig
from flows.experiment_file import load_experiment
from flows.material import gather_material
from flows.pool_blocks import PoolHygiene
from flows.pool_files import Part, PoolFiles
from tasks.errors import InputError
from tasks.finetune.base import prepare_base
from tasks.finetune.recipe import TinyModel
from tasks.fingerprint import file_sha256
from tasks.pool.config import RowSource
from tasks.pool.instruction import Instruction
from tasks.pool.storage import read_instructions, write_instructions
from tasks.selection.grades import CausalScorer, Templates, deita_score
from tests.tasks.inference.openai_server import Server, serve
from tests.tasks.tagging.rows import WORDS, made_up, write_pool

CATEGORIES = "banking: Money and loans\ncooking: Food\nsailing: Ships and boats\n"


def config(**changes: Any) -> ExperimentConfig:
    content = {
        "name": "steps",
        "pool": {"kind": "files", "paths": ["pool.jsonl"]},
        "held_out": {"measure_per_category": 4, "validate_per_category": 4},
        "recipe": {"model": {"kind": "tiny"}},
        **changes,
    }
    return ExperimentConfig.model_validate(content)


def subject(prompt: str) -> str:
    """The truth about a made-up row."""
    return next(name for name, words in WORDS.items() if set(words) & set(prompt.split()))


def nothing(what: str, done: int, total: int) -> None:
    """Progress that nobody watches."""


def test_an_endpoint_is_asked_once_whatever_the_minimum_of_confidence(tmp_path: Path) -> None:
    write_pool(tmp_path / "pool.jsonl", made_up(12, 1))
    (tmp_path / "list.yaml").write_text(CATEGORIES)
    with serve(Server(subject)) as server:
        tagging = {"engine": "endpoint", "url": server.url, "model": "tiny", "categories": str(tmp_path / "list.yaml")}
        pool = {"kind": "files", "paths": [str(tmp_path / "pool.jsonl")]}
        for minimum in (0.0, 0.1, 0.0):
            made = gather_material(config(pool=pool, tagging={**tagging, "minimum_confidence": minimum}), tmp_path)
            assert made.pool.counts() == dict.fromkeys(WORDS, 12)
        assert sum(server.asked.values()) == 36
        with pytest.raises(InputError, match=r"no row was tagged with a confidence of 0\.99 or more"):
            gather_material(config(pool=pool, tagging={**tagging, "minimum_confidence": 0.99}), tmp_path)
        assert sum(server.asked.values()) == 36


def test_a_data_set_of_the_hub_is_tagged_like_its_files(tmp_path: Path) -> None:
    (tmp_path / "hub").mkdir()
    write_pool(tmp_path / "hub" / "train.jsonl", made_up(12, 1))
    write_instructions(tmp_path / "labelled.jsonl", made_up(20, 0))
    tagging = {"engine": "classifier", "labelled": str(tmp_path / "labelled.jsonl"), "compare_with": "subject"}
    found = [
        gather_material(config(pool=pool, tagging=tagging, hygiene={"held_out": False}), tmp_path)
        for pool in (
            {"kind": "huggingface", "dataset": str(tmp_path / "hub")},
            {"kind": "files", "paths": [str(tmp_path / "hub" / "*.jsonl")]},
        )
    ]
    assert found[0].pool.instructions == found[1].pool.instructions
    assert found[0].pool.counts() == dict.fromkeys(WORDS, 12)


def test_rows_in_a_later_part_change_nothing_of_an_earlier_one(tmp_path: Path) -> None:
    rows = made_up(40, 1)
    near = [Instruction(f"again {row.id}", ((row.messages[0]), ("assistant", "no")), "x") for row in rows[:7]]
    for name, some in (("one", rows[:50]), ("two", [*near, *rows[40:]])):
        write_instructions(tmp_path / f"{name}.jsonl", some)
    parts = tuple(Part(name, (tmp_path / f"{name}.jsonl",)) for name in ("one", "two"))
    hygiene = PoolHygiene(near_duplicates=0.6)
    alone, _ = clean_files(PoolFiles("p", parts[:1], RowSource()), hygiene, True, tmp_path, nothing)
    both, counts = clean_files(PoolFiles("p", parts, RowSource()), hygiene, True, tmp_path, nothing)
    assert file_sha256(alone.files[0]) == file_sha256(both.files[0])
    assert counts["dropped"] == {"duplicate content": 10, "near duplicate": 7}
    assert len(read_instructions(both.files[1])) == len(rows) - 50


def test_training_rows_with_a_held_out_prompt_leave_and_are_counted(tmp_path: Path) -> None:
    generator = random.Random(0)
    words = [f"w{k}" for k in range(400)]
    rows = [
        Instruction(f"{c}{k}", (("user", " ".join(generator.sample(words, 12))), ("assistant", "x")), c)
        for c in "ab"
        for k in range(40)
    ]
    write_instructions(tmp_path / "pool.jsonl", rows)
    pool = {"kind": "files", "paths": [str(tmp_path / "pool.jsonl")]}
    first = gather_material(config(pool=pool), tmp_path / "plain")
    leaks = [
        Instruction(f"leak {row.id}", (("user", f"as asked: {row.messages[0][1]} thanks"), ("assistant", "y")), "a")
        for row in first.split.measure.instructions
    ]
    held = {row.id for part in (first.split.measure, first.split.validate) for row in part.instructions}
    # Found by trying: leaks that would be held out themselves are left out.
    kept = [one for one in leaks if one.id not in _held_out(tmp_path, [*rows, *leaks])]
    write_instructions(tmp_path / "pool.jsonl", [*rows, *kept])
    found = gather_material(config(pool=pool, hygiene={"near_duplicates": None}), tmp_path / "clean")
    now_held = {row.messages[0][1] for part in (found.split.measure, found.split.validate) for row in part.instructions}
    expected = {one.id for one in kept if one.messages[0][1][10:-7] in now_held}
    assert held and expected
    trained = {row.id for row in found.split.train.instructions}
    assert not trained & expected and {one.id for one in kept} - expected <= trained
    assert found.rejected_by_reason == {"holds a held-out prompt": len(expected)}
    assert json.loads((found.folder / "steps.json").read_text())["report"]["hygiene"]["held_out"] == len(expected)


def test_cleaning_that_leaves_no_row_says_why(tmp_path: Path) -> None:
    write_pool(tmp_path / "pool.jsonl", made_up(10, seed=0))
    pool = {"kind": "files", "paths": [str(tmp_path / "pool.jsonl")]}
    with pytest.raises(InputError, match=r"hygiene leaves none of 30 rows \(dropped for: too short 30\)"):
        gather_material(config(pool=pool, hygiene={"min_characters": 10**6}), tmp_path / "store")


def _held_out(folder: Path, rows: list[Instruction]) -> set[str]:
    write_instructions(folder / "all.jsonl", rows)
    made = gather_material(config(pool={"kind": "files", "paths": [str(folder / "all.jsonl")]}), folder / "all")
    return {row.id for part in (made.split.measure, made.split.validate) for row in part.instructions}


def test_selection_at_random_leaves_the_rest_as_reserve_and_categories_without_rows_out(tmp_path: Path) -> None:
    rows = made_up(30, 1)
    write_instructions(tmp_path / "pool.jsonl", rows)
    pool = {"kind": "files", "paths": [str(tmp_path / "pool.jsonl")]}
    made = gather_material(config(pool=pool, selection={"method": "random", "size": 20}), tmp_path)
    category = {row.id: row.category for row in made.split.train.instructions}
    assert made.baseline == Counter(category[one] for one in made.selected)
    assert made.available == dict.fromkeys(WORDS, 30 - 8)
    other = gather_material(config(pool=pool, selection={"method": "random", "size": 20, "seed": 1}), tmp_path)
    assert other.selected != made.selected and other.folder != made.folder
    few = gather_material(config(pool=pool, selection={"method": "length", "size": 1}), tmp_path)
    assert sum(few.baseline.values()) == 1 and len(few.split.measure.categories) == 1


def test_a_language_model_s_grades_choose_the_baseline_once(tmp_path: Path) -> None:
    rows = made_up(14, 1)
    write_instructions(tmp_path / "pool.jsonl", rows)
    digits = Instruction("digits", (("user", "123456"), ("assistant", "x")), "x")
    scorer = prepare_base(TinyModel(layers=1, width=32, heads=2), [*rows, digits], (), tmp_path / "scorer", threads=1)
    pool = {"kind": "files", "paths": [str(tmp_path / "pool.jsonl")]}
    selection = {"size": 10, "scorer": str(scorer), "similarity": 1.0}
    made = gather_material(config(pool=pool, selection=selection), tmp_path)
    held = {row.id for part in (made.split.measure, made.split.validate) for row in part.instructions}
    grader = CausalScorer(scorer, batch_size=1)
    score = {row.id: deita_score(row.messages, grader, Templates()) for row in rows if row.id not in held}
    worst = min(score[one] for one in made.selected)
    assert len(made.selected) == 10
    assert all(score[one] <= worst + 1e-5 for one in score.keys() - made.selected)
    weights = scorer / "model.safetensors"
    before = (tmp_path / "selections").stat().st_mtime_ns
    assert gather_material(config(pool=pool, selection=selection), tmp_path).selected == made.selected
    assert (tmp_path / "selections").stat().st_mtime_ns == before
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    gather_material(config(pool=pool, selection=selection), tmp_path)
    assert len(list((tmp_path / "selections").iterdir())) == 2, "other weights are another scorer"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pool": {"kind": "skillworld"}, "selection": {"size": 5}}, "selection go with a pool of kind files"),
        ({"selection": {"size": 5}, "baseline": {"total": 5}}, "selection decides the baseline"),
        ({"selection": {"size": 5, "method": "random", "scorer": "m"}}, "uses neither scorer nor embeddings"),
        ({"selection": {"size": 5, "quality_template": "t.txt"}}, "go with a scorer"),
        ({"selection": {"size": 5, "scorer": "m", "scorer_engine": "endpoint"}}, "scorer_url goes with"),
        ({"tagging": {"engine": "classifier"}}, "labelled"),
        ({"tagging": {"engine": "oracle"}}, "'classifier', 'embedding', 'endpoint', 'vllm'"),
        (
            {
                "pool": {"kind": "landed", "dataset": "d"},
                "tagging": {"engine": "endpoint", "url": "u", "model": "m"},
            },
            "free tags are made of a whole pool",
        ),
    ],
)
def test_steps_that_contradict_each_other_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        config(**changes)


def test_paths_of_steps_count_from_the_experiment_file(tmp_path: Path) -> None:
    (tmp_path / "scorer").mkdir()
    (tmp_path / "e.yaml").write_text(
        json.dumps(
            {
                "name": "e",
                "pool": {"kind": "files", "paths": ["pool.jsonl"]},
                "hygiene": {"benchmarks": ["items.jsonl"]},
                "tagging": {"engine": "classifier", "labelled": "few.jsonl", "unlabelled": ["more.jsonl"]},
                "selection": {"size": 5, "scorer": "scorer"},
                "recipe": {"model": {"kind": "tiny"}},
            }
        )
    )
    found: Any = load_experiment(tmp_path / "e.yaml")
    assert found.hygiene.benchmarks == (str(tmp_path / "items.jsonl"),)
    assert (found.tagging.labelled, *found.tagging.unlabelled) == (
        str(tmp_path / "few.jsonl"),
        str(tmp_path / "more.jsonl"),
    )
    assert found.selection.scorer == str(tmp_path / "scorer")
    (tmp_path / "scorer").rmdir()
    assert load_experiment(tmp_path / "e.yaml").selection.scorer == "scorer"  # type: ignore[union-attr]
