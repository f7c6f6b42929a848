"""The training set before and after the proposal."""

from __future__ import annotations

from collections.abc import Callable

from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from tasks.report.canvas import INK, MUTED, NEUTRAL, PAPER, RULE, Drawing, inline_svg, panel, sheet, text_width
from tasks.report.lettering import literal, percent, shortened, signed, whole
from tasks.report.shares import ShareRow

# Not the heat map's blue and red: more is not "better" here.
MORE, FEWER = "#2f7f86", "#d08a2e"


def proportions_svg(rows: tuple[ShareRow, ...], name: str, alt: str) -> str:
    """Counts and their change per category as inline SVG."""
    return inline_svg(proportions(rows), name, alt)


def proportions(rows: tuple[ShareRow, ...]) -> Callable[[], Drawing]:
    """How to draw it: counts before and after on the left, the change on a scale of its own on the right."""
    return lambda: _draw(rows)


def _draw(rows: tuple[ShareRow, ...]) -> Drawing:
    row_height, font = (26.0, 9.0) if len(rows) <= 20 else (16.0, 7.8)
    labels = shortened([r.category for r in rows], 26)
    left = max(text_width(label, font) for label in labels) + 12
    top, counts_width, gap, changes_width = 32.0, 210.0, 24.0, 260.0
    height = len(rows) * row_height
    has_rule = any(r.sign_rule is not None for r in rows)
    figure = sheet(left + counts_width + gap + changes_width + 8, top + height + (32 if has_rule else 10))
    counts = panel(figure, left, top, counts_width, height)
    changes = panel(figure, left + counts_width + gap, top, changes_width, height)
    for axes in (counts, changes):
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set_xticks([])
        axes.set_yticks([])
    tooltips = _counts(counts, rows, font)
    counts.set_yticks(range(len(rows)), labels, size=font)
    _changes(changes, rows, font)
    _title(counts, "examples per epoch: before (gray), proposed (color)", height)
    _title(changes, "change", height)
    if has_rule:
        axes = panel(figure, left + counts_width + gap, top + height + 8, changes_width, 20)
        axes.set_axis_off()
        axes.set_xlim(0, changes_width)
        axes.set_ylim(20, 0)
        axes.scatter([6], [10], marker="D", s=18, facecolor=PAPER, edgecolor=INK, linewidth=1)
        axes.text(15, 10, "the sign-rule control (the paper's script)", va="center_baseline", size=8, color=MUTED)
    return Drawing(figure, tooltips)


def _title(axes: Axes, words: str, height: float) -> None:
    axes.text(0, 1 + 10 / height, words, transform=axes.transAxes, size=8.5, color=MUTED)


def _counts(axes: Axes, rows: tuple[ShareRow, ...], font: float) -> dict[str, str]:
    largest = max([r.before for r in rows] + [r.after for r in rows] + [1])
    axes.set_xlim(0, largest * 1.5)
    tooltips = {}
    for y, row in enumerate(rows):
        axes.add_patch(Rectangle((0, y - 0.34), row.before, 0.3, facecolor="#c3cad4", edgecolor="none"))
        bar = Rectangle((0, y + 0.0), row.after, 0.34, facecolor=_color(row), edgecolor="none")
        bar.set_gid(f"bar-{y}")
        axes.add_patch(bar)
        tooltips[f"bar-{y}"] = (
            f"{literal(row.category)}: {whole(row.before)} → {whole(row.after)} ({signed(row.change, 0)})"
        )
        end = max(row.before, row.after) + 0.03 * largest
        axes.text(end, y, f"{whole(row.before)} → {whole(row.after)}", va="center", size=font - 0.8, color=INK)
    return tooltips


def _changes(axes: Axes, rows: tuple[ShareRow, ...], font: float) -> None:
    values = [row.change for row in rows] + [r.sign_rule - r.before for r in rows if r.sign_rule is not None]
    largest = max([abs(v) for v in values] + [1])
    axes.set_xlim(-largest * 1.75, largest * 1.75)
    axes.plot([0, 0], [-0.5, len(rows) - 0.5], color=NEUTRAL, linewidth=0.9)
    for y, row in enumerate(rows):
        axes.plot([-largest * 1.75, largest * 1.75], [y + 0.5, y + 0.5], color=RULE, linewidth=0.5)
        axes.add_patch(Rectangle((0, y - 0.25), row.change, 0.5, facecolor=_color(row), edgecolor="none"))
        beyond, distance = row.change, 0.06
        if row.sign_rule is not None:
            rule = row.sign_rule - row.before
            axes.scatter([rule], [y], marker="D", s=18, facecolor=PAPER, edgecolor=INK, linewidth=1, zorder=3)
            if (rule > 0) == (row.change >= 0):
                beyond = max(row.change, rule, key=abs)
                distance = 0.06 if beyond == row.change else 0.12
        side = 1 if row.change >= 0 else -1
        share = f" ({signed_percent(row.relative)})" if row.change and row.before else ""
        axes.text(
            beyond + side * distance * largest,
            y,
            f"{signed(row.change, 0)}{share}",
            ha="left" if side > 0 else "right",
            va="center",
            size=font - 0.8,
            color=INK,
        )


def signed_percent(share: float) -> str:
    """A relative change as "+7.5%"."""
    text = percent(share, 1)
    return text if share < 0 else f"+{text}"


def _color(row: ShareRow) -> str:
    return MORE if row.change > 0 else FEWER if row.change < 0 else NEUTRAL
