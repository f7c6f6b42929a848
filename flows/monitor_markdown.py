"""Markdown for artifacts on the Prefect server: names from data are shown, never interpreted.

Prefect's UI takes everything for Markdown: descriptions and the cells of table artifacts too.
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence

_MARKDOWN = re.compile(r"([\\`*_\[\]#!|~])")


def escaped(text: str) -> str:
    """The text on one line, so that neither Markdown nor HTML in it does anything."""
    return _MARKDOWN.sub(r"\\\1", html.escape(" ".join(text.split()), quote=False))


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; all cells are escaped."""
    lines = [header, *rows]
    written = ["| " + " | ".join(map(escaped, line)) + " |" for line in lines]
    return "\n".join([written[0], "|" + " --- |" * len(header), *written[1:]])
