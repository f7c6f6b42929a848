"""Landed data without categories: each data set is cleaned against those before it and tagged once, alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from flows.config import ExperimentConfig
from flows.data_files import Place
from flows.landing import land
from flows.material import Material, gather_material
from flows.workspace import Workspace, workspace
from infra.postgres import embedded_postgres
from tasks.errors import InputError
from tasks.pool.config import RowSource
from tasks.pool.instruction import Instruction
from tasks.pool.storage import write_instructions
from tests.tasks.tagging.rows import WORDS, made_up


@pytest.fixture
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    with TemporaryDirectory(prefix="pg-") as home, embedded_postgres(Path(home), durable=False) as server:
        monkeypatch.setenv("BEYOND_IID_HOME", str(tmp_path / "home"))
        monkeypatch.setenv("BEYOND_IID_DATABASE_URL", server.url)
        with workspace() as found:
            yield found


def land_rows(opened: Workspace, path: Path, rows: list[Instruction], name: str) -> None:
    lines = [{"id": row.id, "instruction": row.messages[0][1], "output": row.answer} for row in rows]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    place = Place(str(path))
    land(opened, place, place.files(), name, RowSource(), untagged=True)


def material(opened: Workspace, labelled: Path, **changes: object) -> Material:
    content = {
        "name": "landed",
        "pool": {"kind": "landed", "dataset": "words"},
        "hygiene": {"near_duplicates": None, "held_out": False},
        "tagging": {"engine": "classifier", "labelled": str(labelled)},
        "held_out": {"measure_per_category": 3, "validate_per_category": 3},
        "recipe": {"model": {"kind": "tiny"}},
        **changes,
    }
    return gather_material(ExperimentConfig.model_validate(content), opened.artifacts)


def stamps(store: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in store.glob("*/tagged.jsonl")}


def test_what_lands_later_is_tagged_alone_and_changes_no_earlier_tag(opened: Workspace, tmp_path: Path) -> None:
    labelled = tmp_path / "labelled.jsonl"
    write_instructions(labelled, made_up(20, 0))
    early, late = made_up(30, 1), made_up(10, 2)
    land_rows(opened, tmp_path / "first.jsonl", early, "words")
    first = material(opened, labelled)
    tagged = opened.artifacts / "tagged"
    before = stamps(tagged)
    # The second data set has ids of the first for other rows, and five of its very rows.
    land_rows(opened, tmp_path / "second.jsonl", [*late, *early[:5]], "words")

    second = material(opened, labelled)

    assert len(before) == 1
    assert len(stamps(tagged)) == 2
    assert before.items() <= stamps(tagged).items(), "the first data set is not tagged again"
    assert second.steps["tagging"][0] == first.steps["tagging"][0]
    categories = {row.id: row.category for row in first.instructions}
    assert categories.items() <= {row.id: row.category for row in second.instructions}.items()
    assert second.pool.counts() == dict.fromkeys(WORDS, 40)
    assert second.rejected_by_reason == {"duplicate content": 5}
    clashing = {row.id for row in late} & {row.id for row in early}
    marked = {row.id for row in second.instructions if "@" in row.id}
    assert {one.split("@")[0] for one in marked} == clashing
    material(opened, labelled)
    assert len(stamps(tagged)) == 2


def test_grades_of_landed_rows_are_asked_of_a_scorer(opened: Workspace, tmp_path: Path) -> None:
    labelled = tmp_path / "labelled.jsonl"
    write_instructions(labelled, made_up(20, 0))
    land_rows(opened, tmp_path / "first.jsonl", made_up(30, 1), "words")
    with pytest.raises(InputError, match="landed keep no further fields: give a model"):
        material(opened, labelled, selection={"size": 10})
    chosen = material(opened, labelled, selection={"size": 10, "method": "length"})
    assert sum(chosen.baseline.values()) == len(chosen.selected) == 10
