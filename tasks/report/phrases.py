"""Pieces of sentences: names set apart from the words around them, lists, counts, numbers with unit and interval."""

from __future__ import annotations

from collections.abc import Iterable

from markupsafe import Markup

from tasks.report.lettering import literal, probability, signed, whole


def name(text: str) -> Markup:
    """A category's or arm's name as HTML: escaped, set apart, its writing direction its own."""
    return Markup('<bdi class="name">{}</bdi>').format(literal(text))


def listed(items: Iterable[str | Markup], most: int = 6) -> Markup:
    """ "a, b and c"; what is beyond `most` is counted."""
    parts = list(items)
    rest = len(parts) - most
    if rest > 0:
        parts = [*parts[:most], f"{rest} more"]
    if len(parts) < 2:
        return Markup("").join(parts)
    return Markup("{} and {}").format(Markup(", ").join(parts[:-1]), parts[-1])


def counted(number: int, one: str, many: str | None = None) -> str:
    """ "1 run", "3 runs"."""
    return f"{whole(number)} {one if number == 1 else many or one + 's'}"


def are(number: int) -> str:
    """ "1 is", "3 are"."""
    return f"{whole(number)} {'is' if number == 1 else 'are'}"


def equals(p: float) -> str:
    """A p- or q-value after its name: "= 0.012", "< 0.001"."""
    text = probability(p)
    return text.replace("<", "< ") if text.startswith("<") else f"= {text}"


def between(low: float, high: float, digits: int) -> str:
    """An interval: "−0.02 to +0.03"."""
    return f"{signed(low, digits)} to {signed(high, digits)}"


def ended(sentence: str) -> str:
    """The sentence with a capital and one full stop."""
    text = sentence.strip().rstrip(".")
    return f"{text[:1].upper()}{text[1:]}." if text else ""
