from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from tasks.errors import InputError
from tasks.inference.answers import Failure
from tasks.tagging.categories import Categories
from tasks.tagging.first_level import discover_categories, map_to_categories
from tasks.tagging.free_tags import FreeTagger, FreeTagging, organize_tags, write_vocabulary
from tasks.tagging.normalization import NormalizationRules
from tasks.tagging.outcome import Tag
from tests.tasks.tagging.rows import instruction

ANGLES = {"addition": 0, "algebra": 40, "poetry": 180, "novel": 220, "Math: numbers": 20, "Art: books": 200}
RULES = NormalizationRules(minimum_rows=2, similarity=0.95)
RAW = (("Addition", "algebra"), ("additions",), ("poetry",), Failure("planned: x"), ("Poetry", "novel", "addition"),
       ("novel", "algebra"), ("unheard of",), ("poetry",))  # fmt: skip


class Plane:
    """Texts at known angles, in degrees."""

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        angles = np.radians([ANGLES[text] for text in texts])
        return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def organized(categories: Categories | int) -> FreeTagging:
    return organize_tags(RAW, Plane(), RULES, categories)


LIST = Categories(("Math", "Art"), ("numbers", "books"))


def test_rows_take_the_category_that_most_of_their_tags_speak_for() -> None:
    rows = [instruction(f"row {n}") for n in range(len(RAW))]
    outcomes = [outcome for _, outcome in FreeTagger(organized(LIST)).tag(rows)]
    named = [outcome.category if isinstance(outcome, Tag) else outcome.reason for outcome in outcomes]
    assert named[:5] == ["Math", "Math", "Art", "planned: x", "Art"]
    assert named[6] == "no frequent tag: the model named unheard of"
    mixed, pure = outcomes[4], outcomes[2]
    assert isinstance(mixed, Tag)
    assert isinstance(pure, Tag)
    assert mixed.tags == ("poetry", "novel", "addition")
    assert mixed.confidence == pytest.approx(2 / 3, abs=0.01)
    assert pure.confidence > 0.99


def test_categories_found_in_the_tags_are_named_after_their_most_frequent_tag() -> None:
    tagging = organized(2)
    assert tagging.first_level.categories == ("addition", "poetry")
    best = dict(zip(tagging.first_level.tags, tagging.first_level.cosines.argmax(axis=1), strict=True))
    assert best == {"addition": 0, "algebra": 0, "poetry": 1, "novel": 1}


def test_every_step_is_a_file(tmp_path: Path) -> None:
    write_vocabulary(organized(LIST), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "1-form.csv", "2-floor.csv", "3-meaning.csv", "4-association.csv", "5-categories.csv",
    ]  # fmt: skip
    with (tmp_path / "2-floor.csv").open() as stream:
        assert {row["tag"]: row["into"] for row in csv.DictReader(stream)}["unheard of"] == ""
    with (tmp_path / "5-categories.csv").open() as stream:
        assert {row["tag"]: row["category"] for row in csv.DictReader(stream)} == {
            "addition": "Math", "algebra": "Math", "poetry": "Art", "novel": "Art",
        }  # fmt: skip


def test_fewer_tags_than_categories_are_refused() -> None:
    with pytest.raises(InputError, match="4 tags are left of 8 raw ones, too few for 5 categories"):
        organized(5)


def test_mapping_and_grouping_agree_on_separated_groups() -> None:
    tags = ("addition", "algebra", "poetry", "novel")
    directions = Plane().encode(tags)
    given = map_to_categories(tags, directions, LIST.names, Plane().encode(LIST.texts()))
    found = discover_categories(tags, (3, 2, 4, 2), directions, 2)
    assert found.categories == ("addition", "poetry")
    np.testing.assert_array_equal(given.chances.argmax(axis=1), found.chances.argmax(axis=1))


def test_without_any_answer_the_servers_reason_is_named_and_no_threshold_blamed() -> None:
    with pytest.raises(InputError, match=r"None of 3 rows got free tags; the first: no connection: to x") as caught:
        organize_tags([Failure("no connection: to x"), *[Failure("other: y")] * 2], Plane(), RULES, 2)
    assert "--minimum-tag-rows" not in str(caught.value)


def test_too_few_tags_name_the_rows_without_an_answer_too() -> None:
    with pytest.raises(InputError, match=r"too few for 3 categories. 1 rows got no answer; the first: planned: x."):
        organize_tags([("Addition",), ("addition",), Failure("planned: x")], Plane(), RULES, 3)
