"""Answers checked by a regular expression."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from tasks.errors import InputError

SECONDS = 1.0
"""Longest search in one answer; a search that takes longer counts as no match."""


@dataclass(frozen=True)
class PatternChecker:
    """Whether an answer matches.

    Attributes:
        pattern: a regular expression as Python's `re` takes it.
        whole: whether the whole answer (outer white space aside) must match, or any part of it.
        ignore_case: whether capitals and small letters are alike.
    """

    pattern: str
    whole: bool = False
    ignore_case: bool = False

    def matches(self, answer: str) -> bool:
        """Whether it does; a search that takes longer than SECONDS counts as no match.

        Raises:
            InputError: the pattern is no regular expression.
        """
        compiled = self._compiled
        try:
            if self.whole:
                return compiled.fullmatch(answer.strip(), timeout=SECONDS) is not None
            return compiled.search(answer, timeout=SECONDS) is not None
        except TimeoutError:
            return False

    @cached_property
    def _compiled(self) -> Any:
        import regex

        try:
            return regex.compile(self.pattern, regex.IGNORECASE if self.ignore_case else 0)
        except regex.error as error:
            raise InputError(f"pattern {self.pattern!r}: no regular expression ({error}). Correct it.") from error
