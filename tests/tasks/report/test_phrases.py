"""Pieces of sentences."""

from __future__ import annotations

from tasks.report.phrases import between, counted, ended, equals, listed, name


def test_listed_beyond_the_limit_counts_the_rest() -> None:
    assert listed(["a"]) == "a"
    assert listed(["a", "b", "c"]) == "a, b and c"
    assert listed(list("abcdefgh"), 3) == "a, b, c and 5 more"


def test_listed_escapes_what_is_no_markup() -> None:
    assert listed(["<b>", name("<i>")]) == '&lt;b&gt; and <bdi class="name">&lt;i&gt;</bdi>'


def test_counted_and_between_read_as_words() -> None:
    assert [counted(1, "run"), counted(1200, "run"), counted(2, "category", "categories")] == [
        "1 run",
        "1,200 runs",
        "2 categories",
    ]
    assert between(-0.0204, 0.03, 2) == "−0.02 to +0.03"


def test_equals_small_p_values_are_bounded() -> None:
    assert [equals(0.0123), equals(1e-9)] == ["= 0.012", "< 0.001"]


def test_ended_gives_a_capital_and_one_full_stop() -> None:
    assert [ended("a limit holds"), ended("Two. "), ended("")] == ["A limit holds.", "Two.", ""]
