"""Verdicts by the measure's own checker, and items that do not fit it found before any training."""

from __future__ import annotations

import pytest

from tasks.benchmarks.checking import check_items, verdicts
from tasks.benchmarks.items import Item
from tasks.benchmarks.measures import (
    ChoiceMeasure,
    CodeLimits,
    CodeMeasure,
    JudgeMeasure,
    NumericMeasure,
    PatternMeasure,
)
from tasks.errors import InputError

PAIRWISE = JudgeMeasure(mode="pairwise", url="http://localhost/v1", model="m")
DOUBLE = "assert double(2) == 4"


def item(reference: str = "", tests: str = "") -> Item:
    return Item("i", (("user", "?"),), reference, tests, "held-out row 'i'")


@pytest.mark.parametrize(
    ("measure", "wanted", "right", "wrong"),
    [
        (NumericMeasure(), item("3 × 4 = 12\n#### 12"), "It is 12 apples", "It is 13"),
        (NumericMeasure(), item("12"), "12.0", "no idea"),
        (ChoiceMeasure(), item("The answer is B."), "(B)", "C"),
        (ChoiceMeasure(letters="ABCDE"), item("E"), "Answer: E", ""),
        (PatternMeasure(pattern="^yes"), item("anything"), "yes, I do", "oh yes"),
        (PatternMeasure(pattern="{reference}", whole=True), item("a.c"), " a.c\n", "abc"),
        (PatternMeasure(pattern=r"\b{reference}\b", ignore_case=True), item("c++ (x)x"), "In C++ (x)X now", "c++"),
        (
            CodeMeasure(items="-"),
            item(tests=DOUBLE),
            "```python\ndef double(x):\n    return 2 * x\n```",
            "double = abs",
        ),
        (
            CodeMeasure(items="-", limits=CodeLimits(seconds=0.5)),
            item(tests=DOUBLE),
            "double = lambda x: 2 * x",
            "while True: pass",
        ),
    ],
    ids=lambda value: value.kind if hasattr(value, "kind") else "",
)
def test_verdicts_tell_right_from_wrong(
    measure: NumericMeasure | ChoiceMeasure | PatternMeasure | CodeMeasure, wanted: Item, right: str, wrong: str
) -> None:
    check_items(measure, [wanted])
    assert verdicts(measure, [wanted] * 3, [right, wrong, right]) == [True, False, True]


@pytest.mark.parametrize(
    ("measure", "unfit", "words"),
    [
        (NumericMeasure(), item("none at all"), "the reference answer holds no number"),
        (ChoiceMeasure(), item("E"), "the reference answer names no letter of ABCD"),
        (CodeMeasure(items="-"), item("def f(): ..."), "there are no tests"),
        (PatternMeasure(pattern="^{reference}"), item(tests="x"), "there is no reference answer"),
        (PAIRWISE, item(tests="x"), "there is no reference answer"),
    ],
    ids=lambda value: value.kind if hasattr(value, "kind") else "",
)
def test_check_items_names_the_row_that_does_not_fit(
    measure: NumericMeasure | ChoiceMeasure | PatternMeasure | CodeMeasure, unfit: Item, words: str
) -> None:
    with pytest.raises(InputError, match=rf"held-out row 'i': {words}, but .* is a {measure.kind} measure\. Remove"):
        check_items(measure, [item("B 1", DOUBLE), unfit])


def test_check_items_broken_pattern_is_named() -> None:
    with pytest.raises(InputError, match=r"pattern '\(\{reference\}'|pattern '\('"):
        check_items(PatternMeasure(pattern="({reference}"), [item("x")])


def test_rating_and_fixed_pattern_need_no_reference() -> None:
    check_items(PatternMeasure(pattern="^yes"), [item(tests="x")])
    check_items(PAIRWISE.model_copy(update={"mode": "rating"}), [item(tests="x")])
