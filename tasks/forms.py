"""The base of every configuration model, and what is wrong with a filled-in one in words.

Models are frozen, strict, and have a title on each field for the forms drawn from them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

Location = tuple[int | str, ...]
"""Where in a form something is: keys and positions, from the outside in; () is all of it."""


def field_title(name: str, _field: Any) -> str:
    """A field's name in words: what a form shows where the field brings no title of its own."""
    return name.replace("_", " ").capitalize()


class Form(BaseModel):
    """A group of keys that a YAML file or a form fills in."""

    model_config = ConfigDict(frozen=True, extra="forbid", field_title_generator=field_title)


def dotted(place: Location) -> str:
    """A key as experiment files and `--set` name it."""
    return ".".join(map(str, place)) or "(as a whole)"


def problems(
    error: ValidationError,
    key: Callable[[Location], str] = dotted,
    unknown: Callable[[Location], str] = lambda _: "unknown key; remove it",
) -> str:
    """All that is wrong with a form, a line each: the key, what was expected, what was found.

    Args:
        error: what pydantic says.
        key: how a place is called.
        unknown: what to say about a key that the form does not have.
    """
    lines = []
    for item in error.errors(include_url=False):
        message = item["msg"].removeprefix("Value error, ")
        if item["type"] == "extra_forbidden":
            message = unknown(item["loc"])
        elif item["type"] == "missing":
            message = "missing; it is required"
        elif item["type"] != "value_error":
            message = f"{message}; found {item['input']!r}"
        lines.append(f"  {key(item['loc'])}: {message}")
    return "\n".join(lines)
