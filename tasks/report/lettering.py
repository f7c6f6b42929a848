"""How names and numbers are written: names literally, numbers with sign, unit and a true minus."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable, Sequence

DASH = "–"
MINUS = "−"
_UNSHOWN = "\ufffe\uffff\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
"""Not characters in XML, and Unicode's embeddings, overrides and isolates."""


def carried(text: str) -> str:
    """The text on one line: what XML cannot carry (control characters, surrogates) and what would turn
    the text around it (bidirectional overrides) becomes U+FFFD.
    """
    return "".join(_visible(c) for c in text)


def literal(name: str) -> str:
    """The name as `carried`; a dash where it is empty."""
    return carried(name) or DASH


def columns(text: str) -> int:
    """Width in terminal columns: East Asian wide characters and emoji take two, combining marks none."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def shortened(names: Sequence[str], width: int) -> tuple[str, ...]:
    """Names of at most `width` columns, cut in the middle; a cut name that would repeat another gets a number."""
    labels: list[str] = []
    for name in names:
        label = _cut(literal(name), width)
        number = 2
        while label in labels:
            suffix = f" ({number})"
            label = _cut(literal(name), width - len(suffix)) + suffix
            number += 1
        labels.append(label)
    return tuple(labels)


def signed(value: float, decimals: int) -> str:
    """ "+0.71", "−0.20", "0.00"; a dash for NaN."""
    if not math.isfinite(value):
        return DASH
    text = f"{value:+.{decimals}f}".replace("-", MINUS)
    return text[1:] if float(text.replace(MINUS, "-")) == 0 else text


def plain(value: float | None, decimals: int) -> str:
    """A number with a true minus; a dash for None and NaN."""
    if value is None or not math.isfinite(value):
        return DASH
    return f"{value:,.{decimals}f}".replace("-", MINUS)


def whole(value: float | None) -> str:
    """An integer with thousands separators; a dash for None."""
    return DASH if value is None else f"{value:,.0f}".replace("-", MINUS)


def percent(share: float, decimals: int = 0) -> str:
    """A share 0…1 as "12%"."""
    return f"{100 * share:.{decimals}f}%".replace("-", MINUS)


def probability(p: float) -> str:
    """A p- or q-value: three decimals, "<0.001" below."""
    if not math.isfinite(p):
        return DASH
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def duration(seconds: float | None) -> str:
    """Seconds in words: "42 s", "4 min 10 s", "3 h 20 min"."""
    if seconds is None or not math.isfinite(seconds):
        return DASH
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole_seconds = round(seconds)
    if whole_seconds < 60:
        return f"{whole_seconds} s"
    minutes, rest = divmod(whole_seconds, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min"


def decimals_for(values: Iterable[float], digits: int = 2) -> int:
    """Decimals that give the largest finite value `digits` significant digits; 0 to 6."""
    largest = max((abs(v) for v in values if math.isfinite(v)), default=0.0)
    if largest == 0:
        return digits
    return min(max(digits - 1 - math.floor(math.log10(largest)), 0), 6)


def _visible(character: str) -> str:
    if unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") or character in _UNSHOWN:
        return " " if character in "\t\n\r" else "\ufffd"
    return character


def _cut(text: str, width: int) -> str:
    if columns(text) <= width:
        return text
    head, tail = list(text), ""
    room = width - 1
    while head and columns(tail) < room // 3:
        tail = head.pop() + tail
    while head and columns("".join(head)) + columns(tail) > room:
        head.pop()
    return "".join(head).rstrip() + "…" + tail.lstrip()
