"""The list of categories to choose from: a name and one line of description each."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tasks.errors import InputError

_EXPECTED = "expected a YAML or JSON mapping of name to one line of description, or a CSV with category,description"


@dataclass(frozen=True)
class Categories:
    """Categories in the order of their file.

    Attributes:
        names: distinct names.
        descriptions: one line each, "" where there is none.
    """

    names: tuple[str, ...]
    descriptions: tuple[str, ...]

    def texts(self) -> tuple[str, ...]:
        """Name and description of each as one text, as a model reads it."""
        return tuple(f"{n}: {d}" if d else n for n, d in zip(self.names, self.descriptions, strict=True))


def read_categories(path: Path) -> Categories:
    """Read categories from YAML or JSON (name: description) or CSV (columns category, description).

    Raises:
        InputError: the file cannot be read, is something else, or names fewer than two categories or one twice.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error}); {_EXPECTED}.") from error
    pairs = _from_csv(path, text) if path.suffix == ".csv" else _from_mapping(path, text)
    problems = [f"{name!r} is no name (text without outer spaces or line breaks)" for name, _ in pairs if _bad(name)]
    names = [name for name, _ in pairs]
    problems += [
        f"{name!r} is there {names.count(name)} times" for name in sorted({*names}, key=str) if names.count(name) > 1
    ]
    problems += [
        f"the description of {n!r} is {d!r}, not one line of text"
        for n, d in pairs
        if not isinstance(d, str) or "\n" in d.strip()
    ]
    if len(pairs) < 2:
        problems.append(f"it names {len(pairs)} categories, and at least two are needed")
    if problems:
        raise InputError(f"{path}: {'; '.join(problems)}. {_EXPECTED[0].upper()}{_EXPECTED[1:]}.")
    return Categories(tuple(names), tuple(description.strip() for _, description in pairs))


def _bad(name: Any) -> bool:
    return not isinstance(name, str) or not name or name != name.strip() or not name.isprintable()


def _from_csv(path: Path, text: str) -> list[tuple[Any, Any]]:
    rows = csv.DictReader(text.splitlines())
    if "category" not in (rows.fieldnames or ()):
        raise InputError(f"{path}: has no column category; {_EXPECTED}.")
    return [(row["category"], row.get("description") or "") for row in rows]


def _from_mapping(path: Path, text: str) -> list[tuple[Any, Any]]:
    try:
        content = yaml.load(text, Loader=_UniqueKeys)  # noqa: S506 - a safe loader that also refuses double keys
    except yaml.YAMLError as error:
        raise InputError(f"{path}: is no YAML ({' '.join(str(error).split())}); {_EXPECTED}.") from error
    if isinstance(content, list) and all(isinstance(name, str) for name in content):
        return [(name, "") for name in content]
    if not isinstance(content, Mapping):
        raise InputError(f"{path}: holds a {type(content).__name__}; {_EXPECTED}.")
    return [(name, "" if description is None else description) for name, description in content.items()]


class _UniqueKeys(yaml.SafeLoader):
    """YAML's own reading keeps the last of equal keys in silence."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key) for key, _ in node.value]
        twice = sorted({str(key) for key in keys if keys.count(key) > 1})
        if twice:
            raise yaml.YAMLError(f"{', '.join(twice)} is there more than once")
        return super().construct_mapping(node, deep)
