"""The number that an answer gives: as GSM8K marks it, boxed, or simply the last one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple

TOLERANCE = Fraction(1, 10**6)
"""Largest difference, relative to the reference, that still counts as equal; absolute where the reference is 0."""

_DIGITS = r"(?:\d{1,3}(?:[,\u00a0\u202f ]\d{3})+(?!\d)|\d+)"
_PLAIN = rf"(?:{_DIGITS}(?:\.\d+)?|\.\d+)(?:[eE][+-]?\d{{1,3}}(?!\w))?"
_LATEX = r"\\[dt]?frac\s*\{\s*(-?[\d.,]+)\s*\}\s*\{\s*([\d.,]+)\s*\}"
_MIXED = r"(?:(\d+)\s+)?(\d+)\s*/\s*(\d+)(?![\d/])"
# A minus before a space is a sign only where no number can stand before it: "= - 5", but not "12 - 5".
_MINUS = r"(?:(?<![\w.)])[-−]|(?:^|[=:(])\s*[-−]\s+)[$€£]?"
_NUMBER = re.compile(
    rf"(?P<minus>{_MINUS})?(?:(?P<latex>{_LATEX})|(?P<mixed>(?<![\w./]){_MIXED})|(?P<plain>(?<![\w.]){_PLAIN}))\s?(?P<percent>\\?%)?"
)
_MARK = re.compile(r"####\s*([^\n]*)")
_BOX = re.compile(r"\\(?:boxed|fbox)\s*\{")
# "The answer is": what follows in the same sentence, where a number follows at all.
_SAID = re.compile(r"(?i)\b(?:final\s+)?answer\s*(?:is|:|=)\s*([^\n]*)")
# A sum right there, up to its last equals sign: numbers, signs and currencies without a word between them.
_SUM = re.compile(r"^[^\w\n]*\d(?:[\d\s=+*×·÷/()$€£%−-]|[.,](?=\d)|\bx\b)*=")


class _Found(NamedTuple):
    value: Fraction
    percent: bool


def final_number(text: str) -> Fraction | None:
    r"""The number an answer ends on, exactly; None where there is none.

    Taken from the first of these that holds a number: what follows the last `####` on its line; the last `\boxed{…}`;
    what follows the last "answer is" (or "answer:") on its line; the whole text, last number. In the first two it is
    the first number after the last "=", so that "3 boxes × 4 = 12 pens" gives 12 and "12 pens in 3 boxes" too; after
    "answer is" the first number, or where that begins a sum ("3 × 4 = 12, because …"), the sum's result.

    A number may have a sign; thousands separators (comma, or a space between groups of three digits); a decimal point;
    an exponent; be a fraction (3/4, 1 1/2, \frac{3}{4}); a currency sign before it and any unit after it are skipped.
    "25%" is 25: percent counts as a unit, because references are written both ways (see `same_number`). A comma that
    does not separate three digits ends a number: a decimal comma is not understood.
    """
    found = _final(text)
    return None if found is None else found.value


def same_number(answer: str, reference: str, tolerance: Fraction = TOLERANCE) -> bool:
    """Whether an answer ends on the reference's number.

    Where exactly one of the two numbers is followed by a percent sign, 0.25 and 25% are equal as well as 25 and 25%.

    Args:
        answer: a generated text.
        reference: the reference answer, read by the same rules.
        tolerance: relative to the reference; absolute where that is 0.

    Raises:
        ValueError: the reference gives no number.
    """
    expected, given = _final(reference), _final(answer)
    if expected is None:
        raise ValueError(f"the reference {reference!r} gives no number")
    if given is None:
        return False
    options = [given.value]
    if given.percent != expected.percent:
        options.append(given.value / 100 if given.percent else given.value * 100)
    limit = tolerance * abs(expected.value) if expected.value else tolerance
    return any(abs(option - expected.value) <= limit for option in options)


def _final(text: str) -> _Found | None:
    for match in _candidates(text):
        value = None if match is None else _value(match)
        if match is not None and value is not None:
            return _Found(value, bool(match["percent"]))
    return None


def _candidates(text: str) -> Iterator[re.Match[str] | None]:
    """The number at each place to look in, best place first; None where it holds none."""
    if marks := _MARK.findall(text):
        yield _result(marks[-1])
    if boxes := list(_BOX.finditer(text)):
        yield _result(_braced(text, boxes[-1].end()))
    if said := _SAID.findall(text):
        yield _NUMBER.search(_SUM.sub("", said[-1], count=1))
    yield next(iter(reversed(list(_NUMBER.finditer(text)))), None)


def _result(part: str) -> re.Match[str] | None:
    """The first number after the last equals sign that one follows."""
    return _NUMBER.search(part.rpartition("=")[2]) or _NUMBER.search(part)


def _braced(text: str, start: int) -> str:
    depth = 1
    for place in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[place], 0)
        if not depth:
            return text[start:place]
    return text[start:]


def _value(found: re.Match[str]) -> Fraction | None:
    groups = found.groups()
    top, bottom, whole, upper, lower = groups[2], groups[3], groups[5], groups[6], groups[7]
    try:
        if found["latex"]:
            value = Fraction(_clean(top)) / Fraction(_clean(bottom))
        elif found["mixed"]:
            value = Fraction(int(upper), int(lower)) + int(whole or 0)
        else:
            value = Fraction(_clean(found["plain"]))
    except (ValueError, ZeroDivisionError):
        return None
    return -value if found["minus"] else value


def _clean(number: str) -> str:
    return re.sub(r"[,\s]", "", number)
