import pytest

from tasks.benchmarks.checkers.pattern import PatternChecker
from tasks.errors import InputError


def test_pattern_matches_part_or_whole() -> None:
    assert PatternChecker(r"\bParis\b").matches("It is Paris, I think")
    assert not PatternChecker(r"Paris", whole=True).matches("It is Paris")
    assert PatternChecker(r"paris", whole=True, ignore_case=True).matches(" PARIS\n")


def test_pattern_that_would_take_for_ever_is_no_match() -> None:
    assert not PatternChecker(r"(a|aa|aaa|b?a)+$").matches("a" * 60 + "!")


def test_pattern_broken_is_named() -> None:
    with pytest.raises(InputError, match=r"pattern '\(': no regular expression"):
        PatternChecker("(").matches("x")
