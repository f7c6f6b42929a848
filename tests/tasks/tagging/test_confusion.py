from __future__ import annotations

import math

import pytest

from tasks.tagging.confusion import Confusion


def test_rows_are_native_labels_and_columns_categories() -> None:
    confusion = Confusion()
    for native, category, rows in (("a", "a", 3), ("a", "b", 1), ("b", "b", 4), ("old", "a", 2)):
        for _ in range(rows):
            confusion.add(native, category)
    assert confusion.table() == [
        ["native label", "a", "b", "rows", "agreement"],
        ["a", "3", "1", "4", "0.7500"],
        ["b", "0", "4", "4", "1.0000"],
        ["old", "2", "0", "2", "0.0000"],
    ]
    assert confusion.agreement == pytest.approx(0.7)
    assert confusion.standard_error == pytest.approx(math.sqrt(0.7 * 0.3 / 10))


def test_names_with_commas_stay_one_cell() -> None:
    confusion = Confusion()
    confusion.add("a, b", "a, b")
    assert confusion.csv_lines() == ['native label,"a, b",rows,agreement', '"a, b",1,1,1.0000']


def test_nothing_counted_has_no_agreement() -> None:
    assert math.isnan(Confusion().agreement)


def test_labels_of_other_names_than_the_categories_are_not_comparable() -> None:
    confusion = Confusion()
    confusion.add("arithmetic", "addition")
    assert not confusion.comparable
    confusion.add("addition", "subtraction")
    assert confusion.comparable
