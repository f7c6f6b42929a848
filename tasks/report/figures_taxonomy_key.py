"""How the taxonomy's edges look, and the legend that says so."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch

from tasks.report.canvas import INK, MUTED, ROLE_FILL, ROLE_LINE, text_width
from tasks.report.planted import Finding

Style = tuple[str, Any]
"""Color and dashes of a line."""
Key = tuple[Style | None, str]
"""An entry of the legend: the line it explains, if any, and words."""

LINE: dict[Finding | None, Style] = {
    Finding.RECOVERED: (MUTED, "solid"),
    Finding.INDIRECT: ("#9aa5b4", (0, (1.2, 1.6))),
    Finding.NOT_PLANTED: ("#e8590c", (0, (6, 2, 1.5, 2))),
    Finding.MISSED: ("#d6203f", (0, (4, 3))),
    None: ("#8a94a3", (0, (1.5, 2.5))),
}
"""None stands for a candidate that was taken out."""
WORDS = {
    Finding.RECOVERED: "planted and found",
    Finding.INDIRECT: "found, planted as indirect",
    Finding.NOT_PLANTED: "found, not planted",
    Finding.MISSED: "planted, missed",
    None: "candidate, taken out: not confirmed",
}
MARKS = {True: "✓", False: "?"}
"""What stands on an edge that runs without both categories confirm, or do not."""
_MARK_WORDS = {
    True: "✓ runs without both categories confirm it",
    False: "? such runs were made and do not confirm it",
}
_ROLES = (("base", "base: supports others"), ("middle", "middle"), ("dependent", "dependent: builds on others"))


def key_rows(
    findings: Collection[Finding | None], marks: Collection[bool | None], truth: bool, width: float
) -> list[list[Key]]:
    """The legend's entries below the roles, in rows that fit.

    Args:
        findings: of the drawn edges; None for candidates that were taken out.
        marks: whether drawn edges are confirmed.
        truth: whether a planted truth is known; without one, kept edges need no entry.
        width: of the figure, in points.
    """
    known = [finding for finding in LINE if finding in findings and (truth or finding is None)]
    keys: list[Key] = [(LINE[finding], WORDS[finding]) for finding in known]
    keys += [(None, words) for mark, words in _MARK_WORDS.items() if mark in marks]
    rows: list[list[Key]] = []
    room = 0.0
    for key in keys:
        if not rows or room < _key_width(key):
            rows.append([])
            room = width - 12
        rows[-1].append(key)
        room -= _key_width(key)
    return rows


def _key_width(key: Key) -> float:
    return (27 if key[0] else 0) + 15 + text_width(key[1], 8)


def legend(axes: Axes, top: float, roles: Collection[str], keys: list[list[Key]]) -> None:
    """Draw the roles' colors in one row, the entries below."""
    x = 12.0
    for role, words in _ROLES:
        if role not in roles:
            continue
        axes.add_patch(
            FancyBboxPatch(
                (x, top),
                14,
                9,
                boxstyle="round,pad=0,rounding_size=2.5",
                mutation_scale=1,
                facecolor=ROLE_FILL[role],
                edgecolor=ROLE_LINE[role],
                linewidth=1,
            )
        )
        axes.text(x + 19, top + 4.5, words, va="center_baseline", size=8, color=MUTED)
        x += 34 + text_width(words, 8)
    for number, row in enumerate(keys):
        x, y = 12.0, top + 24 + 17 * number
        for key in row:
            style, words = key
            if style is not None:
                axes.plot([x, x + 22], [y, y], color=style[0], linestyle=style[1], linewidth=1.8)
            axes.text(x + (27 if style else 0), y, words, va="center_baseline", size=8, color=INK)
            x += _key_width(key)
