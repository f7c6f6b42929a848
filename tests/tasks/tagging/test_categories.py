from __future__ import annotations

from pathlib import Path

import pytest

from tasks.errors import InputError
from tasks.tagging.categories import Categories, read_categories


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("list.yaml", "cooking: About food\nsailing:\n"),
        ("list.json", '{"cooking": "About food", "sailing": ""}'),
        ("list.csv", "category,description\ncooking,About food\nsailing,\n"),
    ],
)
def test_each_kind_of_file_gives_the_same_list(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content)
    read = read_categories(tmp_path / name)
    assert read == Categories(("cooking", "sailing"), ("About food", ""))
    assert read.texts() == ("cooking: About food", "sailing")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("cooking: a\ncooking: b\n", "cooking is there more than once"),
        ("cooking: a\n", "names 1 categories"),
        ("cooking: [a]\nsailing: b\n", "not one line of text"),
        ("' cooking': a\nsailing: b\n", "is no name"),
        ("1: a\nsailing: b\n", "1 is no name"),
        ("just text", "holds a str"),
        ("{", "is no YAML"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, content: str, problem: str) -> None:
    (tmp_path / "list.yaml").write_text(content)
    with pytest.raises(InputError, match=problem):
        read_categories(tmp_path / "list.yaml")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent\.yaml: cannot be read"):
        read_categories(tmp_path / "absent.yaml")
