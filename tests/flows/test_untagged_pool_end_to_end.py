"""From a pool without categories to effects: cleaned, tagged, selected and trained on real components, then again."""

from __future__ import annotations

import json
import os
import random
import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey, TaskRunFilter, TaskRunFilterName
from prefect.settings import PREFECT_API_URL, temporary_settings

from tasks.hygiene.clean import judge
from tasks.hygiene.config import Hygiene
from tasks.pool.instruction import Instruction
from tasks.pool.storage import read_instructions, write_instructions
from tasks.tagging.embedding import load_embedder
from tests.flows.command import NAME, Command
from tests.tasks.tagging.rows import WORDS, made_up

ROWS = 60
TWICE, MIXED = 9, 8
CONFIDENCE = 0.9
HELD_OUT = 6
SIZE, SPREAD, RESERVE = 48, 18, 9
SIMILAR = 0.85


def mixed(number: int) -> list[Instruction]:
    """Rows of two subjects at once, which no tagger can be sure of."""
    one, other = WORDS["cooking"], WORDS["sailing"]
    return [
        Instruction(f"mixed {k}", (("user", f"{one[k]} {other[k]} please {k}"), ("assistant", "yes")), "mixed")
        for k in range(number)
    ]


def write_graded(path: Path, rows: list[Instruction]) -> dict[str, tuple[float, float]]:
    """Rows without a category, their subject under another name, with grades; the first rows once more at the end."""
    generator = random.Random(3)
    grades = {row.id: (generator.uniform(1, 6), generator.uniform(1, 6)) for row in rows}
    with path.open("w") as stream:
        for row in (*rows, *rows[:TWICE]):
            complexity, quality = grades[row.id]
            messages = [{"role": role, "content": content} for role, content in row.messages]
            line = {"messages": messages, "subject": row.category, "complexity": complexity, "quality": quality}
            stream.write(json.dumps({"id": row.id, **line}) + "\n")
    return grades


def experiment(folder: Path) -> Path:
    content = {
        "name": NAME,
        "pool": {"kind": "files", "paths": ["pool.jsonl"]},
        "hygiene": {"near_duplicates": None, "held_out": False},
        "tagging": {
            "engine": "classifier",
            "labelled": "labelled.jsonl",
            "compare_with": "subject",
            "minimum_confidence": CONFIDENCE,
        },
        "selection": {"size": SIZE, "max_per_category": SPREAD, "reserve": RESERVE, "similarity": SIMILAR},
        "held_out": {"measure_per_category": HELD_OUT, "validate_per_category": HELD_OUT},
        "design": {"arm": "size-matched", "seeds": [1, 2]},
        "recipe": {
            "model": {"kind": "tiny", "layers": 1, "width": 32, "heads": 2},
            "engine": "torch",
            "epochs": 1,
            "batch_size": 8,
            "max_length": 256,
            "masking": "all-answers",
            "packing": "padding-free",
        },
        "analysis": {"schedule": "tilted", "max_shift": 0.1},
        "validation": None,
        "resources": {"max_parallel": 1},
    }
    path = folder / "experiment.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def test_an_untagged_pool_is_cleaned_tagged_selected_and_trained_once(beside_others: Command, tmp_path: Path) -> None:
    command = beside_others
    rows = [*made_up(ROWS, 1), *mixed(MIXED)]
    grades = write_graded(tmp_path / "pool.jsonl", rows)
    write_instructions(tmp_path / "labelled.jsonl", made_up(20, 0))
    file = experiment(tmp_path)

    first = command.run("run", str(file))

    assert first.returncode == 0, first.stderr
    store = command.home / "artifacts"
    tagged = check_tags(store, rows)
    pool = Path(command.overview()["pool"]["path"])
    selected = check_selection(pool, tagged, grades)
    check_draws(command, pool, selected)
    report = Path(first.stdout.split("Report: ")[1].strip()).read_text()
    for shown in (
        "low confidence",
        "duplicate content",
        "classifier lexical",
        "deita",
        "Cleaning",
        "Tags",
        "Selection",
    ):
        assert shown in report, shown
    check_prefect()
    before = {path: path.stat().st_mtime_ns for path in store.rglob("*.jsonl") if "runs" not in path.parts}

    again = command.run("run", str(file))

    assert again.returncode == 0, again.stderr
    assert re.search(r": 0 runs trained, \d+ reused", again.stdout)
    made = ("cleaned", "tagged", "selections")
    after = {path: path.stat().st_mtime_ns for path in before if set(made) & set(path.parts)}
    assert after and all(before[path] == time for path, time in after.items())


def check_prefect() -> None:
    """Each step is a completed task of the Prefect server, and its progress ends at 100%."""
    names = ["clean the pool", "select the baseline", "tag the pool"]
    with temporary_settings({PREFECT_API_URL: os.environ["PREFECT_API_URL"]}), get_client(sync_client=True) as client:
        tasks = client.read_task_runs(task_run_filter=TaskRunFilter(name=TaskRunFilterName(any_=names)))
        key = ArtifactFilterKey(any_=["small-v1-0-tag-the-pool"])
        (progress,) = client.read_artifacts(artifact_filter=ArtifactFilter(key=key))
    assert sorted(one.name for one in tasks) == names
    assert all(one.state.is_completed() for one in tasks)
    assert progress.data == 100


def check_tags(store: Path, rows: list[Instruction]) -> dict[str, str]:
    """Every row that is no repetition is in exactly one of the tagger's files; the summary counts them."""
    (folder,) = (path for path in (store / "tagged").iterdir() if path.is_dir())
    sure = [json.loads(line) for line in (folder / "tagged.jsonl").read_text().splitlines()]
    low = [json.loads(line) for line in (folder / "tagged.low-confidence.jsonl").read_text().splitlines()]
    assert sorted(row["id"] for row in (*sure, *low)) == sorted(row.id for row in rows)
    assert all(row["confidence"] >= CONFIDENCE for row in sure) and all(row["confidence"] < CONFIDENCE for row in low)
    summary = json.loads((folder / "tagged.summary.json").read_text())
    right = sum(row["category"] == row["native_category"] for row in (*sure, *low))
    assert summary["native_labels"]["agreement"] == right / len(rows)
    assert summary["rows"] == {"kept": len(sure), "low_confidence": len(low), "rejected": 0}
    assert sum(summary["confidences"]) == len(rows)
    assert right >= 0.95 * 3 * ROWS
    assert low and {row["id"].split()[0] for row in low} <= {"mixed"}
    return {row["id"]: row["category"] for row in sure}


def check_selection(pool: Path, tagged: dict[str, str], grades: dict[str, tuple[float, float]]) -> list[str]:
    """Going down complexity × quality by hand, over the rows that are not held out, gives the baseline's rows."""
    held = {row.id for part in ("measure", "validate") for row in read_instructions(pool / f"{part}.jsonl")}
    assert Counter(tagged[one] for one in held) == dict.fromkeys(WORDS, 2 * HELD_OUT)
    steps = json.loads((pool / "steps.json").read_text())["report"]
    (selection,) = (pool.parent.parent / "selections").glob("*/selection.json")
    found = json.loads(selection.read_text())
    selected, left = found["selected"], found["left"]
    train = {row.id: row for row in read_instructions(pool / "train.jsonl")}
    assert set(train) | set(left) == set(tagged) - held
    assert steps["selection"]["selected"] == dict(sorted(Counter(tagged[one] for one in selected).items()))
    assert sum(steps["selection"]["selected"].values()) == SIZE
    score = {one: grades[one][0] * grades[one][1] for one in tagged}
    texts = {row.id: "\n".join(content for _, content in row.messages) for row in [*made_up(ROWS, 1), *mixed(MIXED)]}
    vectors = dict(zip(texts, load_embedder(None).encode(list(texts.values())).astype(np.float64), strict=True))
    counts: Counter[str] = Counter()
    taken: list[str] = []
    for one in sorted(set(tagged) - held, key=lambda one: -score[one]):
        if len(taken) == SIZE:
            break
        if counts[tagged[one]] < SPREAD and all(vectors[one] @ vectors[other] < SIMILAR for other in taken):
            counts[tagged[one]] += 1
            taken.append(one)
    assert selected == taken
    assert steps["selection"]["left"].keys() >= {"too similar", "over the reserve"}
    reserve = Counter(tagged[one] for one in set(train) - set(selected))
    assert all(n <= RESERVE for n in reserve.values())
    return selected


def check_draws(command: Command, pool: Path, selected: list[str]) -> None:
    """Baselines train on the selected rows and nothing else; refills come from the reserve, on top of them."""
    category = {row.id: row.category for row in read_instructions(pool / "train.jsonl")}
    per_category = Counter(category[one] for one in selected)
    for run in command.overview()["phases"]["measure"]["runs"]:
        manifest = command.home / "artifacts" / "runs" / run["fingerprint"] / "manifest.jsonl"
        ids = {json.loads(line)["id"] for line in manifest.read_text().splitlines()[1:]}
        if run["intervention"] == "baseline":
            assert ids == set(selected)
            continue
        for name, n in Counter(category[one] for one in ids).items():
            mine = {one for one in ids if category[one] == name}
            assert {one for one in selected if category[one] == name} <= mine, "the selected rows come first"
            assert n >= per_category[name]


def test_cleaning_for_an_experiment_drops_what_clean_drops(tmp_path: Path) -> None:
    rows = made_up(ROWS, 1)
    write_graded(tmp_path / "pool.jsonl", rows)
    cleaned: Any = judge((str(tmp_path / "pool.jsonl"),), Hygiene(near_duplicates=None))
    assert cleaned.dropped() == {"duplicate content": TWICE}
