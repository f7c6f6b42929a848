"""Names taken literally, numbers with sign and a true minus."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.report.lettering import (
    columns,
    decimals_for,
    duration,
    literal,
    plain,
    probability,
    shortened,
    signed,
    whole,
)


@pytest.mark.parametrize(
    ("value", "decimals", "text"),
    [
        (0.714, 2, "+0.71"),
        (-0.2, 2, "−0.20"),
        (-0.001, 2, "0.00"),
        (0.0, 1, "0.0"),
        (math.nan, 2, "–"),
        (math.inf, 2, "–"),
    ],
)
def test_signed_values_read_back(value: float, decimals: int, text: str) -> None:
    assert signed(value, decimals) == text


def test_plain_and_whole_missing_values_are_dashes() -> None:
    assert [plain(None, 2), plain(math.nan, 2), whole(None)] == ["–"] * 3
    assert [plain(-1234.5, 1), whole(12345), whole(-3)] == ["−1,234.5", "12,345", "−3"]


@pytest.mark.parametrize(("p", "text"), [(0.0004, "<0.001"), (0.04, "0.040"), (1.0, "1.000"), (math.nan, "–")])
def test_probability_small_values_are_bounded(p: float, text: str) -> None:
    assert probability(p) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(3.21, "3.2 s"), (59.6, "1 min 0 s"), (274, "4 min 34 s"), (7325, "2 h 2 min"), (None, "–")],
)
def test_duration_in_words(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("values", "decimals"), [([0.75, 0.01], 2), ([2.9], 1), ([0.031], 3), ([120.0], 0), ([], 2), ([math.nan, 0.5], 2)]
)
def test_decimals_for_gives_two_significant_digits(values: list[float], decimals: int) -> None:
    assert decimals_for(values) == decimals


def test_shortened_names_that_would_look_alike_stay_apart() -> None:
    names = [f"{'x' * 40}{i}{'y' * 40}" for i in range(12)]
    labels = shortened(names, 20)
    assert len(set(labels)) == 12 and all(columns(label) <= 20 for label in labels)


def test_literal_markup_math_and_right_to_left_text_stay_as_they_are() -> None:
    for name in ("<b>&amp;</b>", "$x_1$", "مرحبا", "😀", "a_b", "\"'`"):
        assert literal(name) == name
    assert literal("") == "–"


@given(st.text())
def test_literal_any_text_is_one_line_that_utf8_and_xml_can_carry(text: str) -> None:
    result = literal(text)
    result.encode("utf-8")
    assert not any(ord(c) < 32 or c in "\x7f\u2028\u2029\u202e\ufffe\uffff" for c in result)


@given(st.lists(st.text(max_size=60), max_size=12, unique=True), st.integers(12, 30))
def test_shortened_any_names_fit_and_differ(names: list[str], width: int) -> None:
    labels = shortened(names, width)
    assert len(labels) == len(set(labels)) == len(names)
    assert all(columns(label) <= width for label in labels)
