"""Roles files with all their faults; curricula written and read back."""

from __future__ import annotations

import json

import pytest

from tasks.curriculum.curriculum import Schedule
from tasks.curriculum.files import curriculum_to_json, plan_path, read_roles, write_curriculum
from tasks.curriculum.schedule import build_curriculum
from tasks.errors import InputError
from tasks.interventions.manifest_file import read_manifest
from tasks.taxonomy.taxonomy import Role


def write(tmp_path, text):
    path = tmp_path / "roles.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_read_roles_names_give_roles(tmp_path):
    path = write(tmp_path, "category,role\nstory, Dependent\ncount,base\nshift,middle\n")
    assert read_roles(path, ("count", "shift", "story")) == {
        "story": Role.DEPENDENT,
        "count": Role.BASE,
        "shift": Role.MIDDLE,
    }


def test_read_roles_levels_give_levels(tmp_path):
    path = write(tmp_path, "level,category\n3,story\n0,count\n")
    assert read_roles(path, ("count", "story")) == {"story": 3, "count": 0}


def test_read_roles_both_columns_must_agree(tmp_path):
    path = write(tmp_path, "category,role,level\na,base,0\nb,middle,0\nc,dependent,2\n")
    assert read_roles(path, "abc") == {"a": Role.BASE, "b": Role.MIDDLE, "c": Role.DEPENDENT}
    path = write(tmp_path, "category,role,level\na,base,1\nb,dependent,0\n")
    with pytest.raises(InputError) as caught:
        read_roles(path, "ab")
    assert "line 2: 'a': base but level 1" in str(caught.value)
    assert "line 3: 'b': dependent but level 0" in str(caught.value)


def test_read_roles_all_problems_together_with_lines(tmp_path):
    path = write(tmp_path, "category,role,level\na,boss,0\na,base,-1\nghost,base,0\nb,middle,1.5\n,base,0\nc,,x\n")
    with pytest.raises(InputError) as caught:
        read_roles(path, "abcd")
    text = str(caught.value)
    for part in (
        "line 2: 'a': role is 'boss', expected base, middle, dependent",
        "line 3: category 'a' is already in line 2",
        "line 3: 'a': level is -1, expected a whole number from 0",
        "line 4: category 'ghost' is not in the data",
        "line 5: 'b': level is 1.5",
        "line 6: blank category",
        "line 7: 'c': role is ''",
        "line 7: 'c': level is 'x', expected a number",
        "no line for 'd'",
        str(path),
    ):
        assert part in text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("category\na\n", "no column 'role'"),
        ("role\nbase\n", "no column 'category'"),
        ("category,rank\na,1\n", "'rank'"),
    ],
)
def test_read_roles_wrong_columns_are_named(tmp_path, text, expected):
    with pytest.raises(InputError, match=expected):
        read_roles(write(tmp_path, text), "a")


def test_write_curriculum_reads_back_with_its_plan(tmp_path):
    data = {"a": [f"a{i}" for i in range(30)], "b": [f"b{i}" for i in range(20)]}
    curriculum = build_curriculum(data, {"a": Role.BASE, "b": Role.DEPENDENT}, Schedule.PAPER, 2024)
    path = tmp_path / "manifest.jsonl"
    plan = write_curriculum(curriculum, path)
    assert plan == plan_path(path) == tmp_path / "manifest.plan.json"
    assert read_manifest(path) == curriculum.manifest
    data = json.loads(plan.read_text(encoding="utf-8"))
    assert data == curriculum_to_json(curriculum)
    assert data["stages"][0] == {"stage": 0, "examples": 50, "counts": {"a": 35, "b": 15}}
    assert data["sha256"] == curriculum.manifest.sha256
    assert (data["schedule"], data["seed"], data["repeats"], data["tilt"]) == ("paper", 2024, 3, 5)
