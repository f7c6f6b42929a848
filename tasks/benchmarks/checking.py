"""Verdicts on generated answers: which checker a measure means, and whether its items fit it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tasks.benchmarks.checkers.choice import chosen_letter
from tasks.benchmarks.checkers.code import passes
from tasks.benchmarks.checkers.numeric import final_number, same_number
from tasks.benchmarks.checkers.pattern import PatternChecker
from tasks.benchmarks.checkers.sandbox import SandboxError, unavailable
from tasks.benchmarks.items import Item
from tasks.benchmarks.measures import ChoiceMeasure, CodeMeasure, JudgeMeasure, NumericMeasure, PatternMeasure
from tasks.errors import InputError

CHECKERS_VERSION = "1"
"""Changes whenever the same answers could get other verdicts; part of a run's fingerprint."""

CheckedMeasure = NumericMeasure | ChoiceMeasure | PatternMeasure | CodeMeasure
"""A measure whose verdicts are right or wrong."""

_REFERENCE = "{reference}"
_FIX = "Remove the row, or give this measure a file of `items` with answers that fit it."


def verdicts(measure: CheckedMeasure, items: Sequence[Item], answers: Sequence[str]) -> list[bool]:
    """Whether each answer is right; an answer that gives nothing to compare is wrong.

    Raises:
        ValueError: a reference does not fit the measure (see `check_items`).
        SandboxError: programs cannot be run safely on this machine; none was run.
    """
    return [_verdict(measure, item, answer) for item, answer in zip(items, answers, strict=True)]


def check_items(measure: CheckedMeasure | JudgeMeasure, items: Sequence[Item]) -> None:
    """Check before any training that a measure can be taken on these items, here.

    Raises:
        InputError: a reference holds no number or letter, tests are missing, or the pattern is none; names the row.
        SandboxError: programs in answers cannot be run safely on this machine.
    """
    if isinstance(measure, PatternMeasure):
        _pattern(measure, "").matches("")
    if isinstance(measure, CodeMeasure) and (reason := unavailable()) is not None:
        raise SandboxError(reason)
    for item in items:
        if problem := _problem(measure, item):
            raise InputError(
                f"{item.place}: {problem}, but {measure.measured.name!r} is a {measure.kind} measure. {_FIX}"
            )


def _verdict(measure: CheckedMeasure, item: Item, answer: str) -> bool:
    if isinstance(measure, NumericMeasure):
        return same_number(answer, item.reference)
    if isinstance(measure, ChoiceMeasure):
        letter = chosen_letter(item.reference, measure.letters)
        if letter is None:
            raise ValueError(f"{item.place}: the reference names no letter of {measure.letters}")
        return chosen_letter(answer, measure.letters) == letter
    if isinstance(measure, PatternMeasure):
        return _pattern(measure, item.reference).matches(answer)
    return passes(answer, item.tests, measure.limits.limits)


def _problem(measure: CheckedMeasure | JudgeMeasure, item: Item) -> str:
    """What an item lacks for a measure; "" if nothing."""
    if isinstance(measure, NumericMeasure):
        return "" if final_number(item.reference) is not None else "the reference answer holds no number"
    if isinstance(measure, ChoiceMeasure):
        found = chosen_letter(item.reference, measure.letters)
        return "" if found else f"the reference answer names no letter of {measure.letters}"
    if isinstance(measure, CodeMeasure):
        return "" if item.tests.strip() else "there are no tests"
    needs = measure.mode == "pairwise" if isinstance(measure, JudgeMeasure) else _REFERENCE in measure.pattern
    return "there is no reference answer" if needs and not item.reference.strip() else ""


def _pattern(measure: PatternMeasure, reference: str) -> PatternChecker:
    text = measure.pattern.replace(_REFERENCE, re.escape(reference))
    return PatternChecker(text, measure.whole, measure.ignore_case)
