from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
import pytest

from tasks.tagging.normalization import Normalization, NormalizationRules, normalize_tags

RULES = NormalizationRules(minimum_rows=5, similarity=0.9, association=0.95, association_rows=10)
ANGLES = {"arithmetic": 0.0, "calculation": 20.0, "sum": 40.0, "poetry": 90.0, "rhyme": 150.0, "python": 220.0}
"""Degrees in a plane; 20 degrees have the cosine 0.94, 40 degrees 0.77."""


def encode(tags: Sequence[str]) -> np.ndarray:
    angles = np.radians([ANGLES[tag] for tag in tags])
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def planted_rows() -> list[list[str]]:
    """A vocabulary whose variants are known; the order of the rows is by chance."""
    rows = [["Arithmetic"]] * 20 + [["arithmetic!"]] * 2 + [["ARITHMETIC", "arithmetic"]] * 3
    rows += [["calculation"]] * 12 + [["Calculations"]] * 3 + [["sum"]] * 6 + [["sums."]] * 2
    rows += [["poetry"]] * 30 + [["rhymes", "poetry"]] * 19 + [["Rhyme", "Poetry"]] * 20 + [["rhyme"]]
    rows += [["python"]] * 5 + [["rare thing"]] * 4 + [["???"]] * 9 + [[]]
    random.Random(3).shuffle(rows)
    return rows


PLANTED = {
    **dict.fromkeys(
        ("Arithmetic", "arithmetic!", "ARITHMETIC", "arithmetic", "calculation", "Calculations", "sum", "sums."),
        "arithmetic",
    ),
    **dict.fromkeys(("poetry", "Poetry", "rhymes", "Rhyme", "rhyme"), "poetry"),
    "python": "python",
}


def normalized(rows: Sequence[Sequence[str]], rules: NormalizationRules = RULES) -> Normalization:
    return normalize_tags(rows, encode, rules)


def test_planted_case_plural_synonym_and_cooccurrence_variants_come_to_the_known_map() -> None:
    assert normalized(planted_rows()).mapping() == PLANTED


def test_normalizing_the_normalized_rows_changes_nothing() -> None:
    first = normalized(planted_rows())
    into = first.mapping()
    again = normalized([sorted({into[tag] for tag in row if tag in into}) for row in planted_rows()])
    assert again.vocabulary == first.vocabulary
    assert again.mapping() == {tag: tag for tag, _ in first.vocabulary}


def test_rows_of_the_vocabulary_are_counted_once_however_many_variants_a_row_has() -> None:
    assert dict(normalized(planted_rows()).vocabulary) == {"poetry": 70, "arithmetic": 48, "python": 5}


def test_every_step_says_what_became_of_each_tag() -> None:
    steps = {name: {m.tag: m for m in merges} for name, merges in normalized(planted_rows()).steps}
    assert list(steps) == ["form", "floor", "meaning", "association"]
    assert steps["form"]["???"].into == ""
    assert steps["floor"]["rare thing"].into == ""
    assert steps["meaning"]["calculation"].strength == pytest.approx(np.cos(np.radians(20)))
    # "sum" is near "calculation" alone, and joins the group of both.
    assert steps["meaning"]["sum"].into == "arithmetic"
    assert steps["association"]["rhyme"].strength == pytest.approx(39 / 40)
    assert steps["association"]["poetry"].into == "poetry"


def test_a_chain_of_associations_ends_in_its_last_tag() -> None:
    rows = [["sum", "poetry", "python"]] * 20 + [["poetry", "python"]] * 20 + [["python"]] * 20
    assert set(normalized(rows).mapping().values()) == {"python"}


def test_an_association_of_too_few_rows_does_not_merge() -> None:
    rows = [["sum", "poetry"]] * 9 + [["poetry"]] * 9
    assert normalized(rows).mapping() == {"sum": "sum", "poetry": "poetry"}


def test_equally_frequent_tags_that_imply_each_other_take_the_name_that_sorts_first() -> None:
    assert normalized([["python", "poetry"]] * 12).mapping() == {"python": "poetry", "poetry": "poetry"}


def test_the_result_does_not_depend_on_the_order_of_rows_and_tags() -> None:
    rows = planted_rows()
    backwards = [list(reversed(row)) for row in reversed(rows)]
    assert repr(normalized(backwards)) == repr(normalized(rows))


def test_no_tags_give_an_empty_vocabulary() -> None:
    assert normalized([[], []]).vocabulary == ()
