"""The training set before and after the proposal, and how far each count could lie elsewhere."""

from __future__ import annotations

from collections.abc import Callable

from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from tasks.report.canvas import INK, MUTED, NEUTRAL, PAPER, RULE, Drawing, inline_svg, panel, sheet, text_width
from tasks.report.lettering import literal, percent, shortened, signed, whole
from tasks.report.shares import ShareRow, Span

# Not the heat map's blue and red: more is not "better" here.
MORE, FEWER = "#2f7f86", "#d08a2e"
ALLOWED = "#9aa5b4"
_COUNTS, _GAP, _CHANGES, _NUMBERS, _TOP, _LINE = 190.0, 22.0, 270.0, 92.0, 32.0, 15.0


def proportions_svg(rows: tuple[ShareRow, ...], advised: bool, slack: float, name: str, alt: str) -> str:
    """Counts and their change per category as inline SVG."""
    return inline_svg(proportions(rows, advised, slack), name, alt)


def proportions(rows: tuple[ShareRow, ...], advised: bool, slack: float) -> Callable[[], Drawing]:
    """How to draw it: counts before and after on the left; on the right, on its own scale, the change with its ranges.

    Args:
        rows: one per category.
        advised: whether the decision is to change; hollow bars where it is not.
        slack: fraction of the gain that the wider ranges cost.
    """
    return lambda: _draw(rows, advised, slack)


def _draw(rows: tuple[ShareRow, ...], advised: bool, slack: float) -> Drawing:
    row_height, font = (26.0, 9.0) if len(rows) <= 20 else (16.0, 7.8)
    labels = shortened([r.category for r in rows], 26)
    left = max(text_width(label, font) for label in labels) + 12
    height = len(rows) * row_height
    legend = _legend_lines(rows, slack)
    figure = sheet(left + _COUNTS + _GAP + _CHANGES + _NUMBERS, _TOP + height + 12 + _LINE * len(legend))
    counts = panel(figure, left, _TOP, _COUNTS, height)
    changes = panel(figure, left + _COUNTS + _GAP, _TOP, _CHANGES, height)
    for axes in (counts, changes):
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set_xticks([])
        axes.set_yticks([])
    tooltips = _counts(counts, rows, font, advised)
    counts.set_yticks(range(len(rows)), labels, size=font)
    _changes(changes, rows, font, advised)
    _title(counts, f"examples: before (gray), {'proposed' if advised else 'not advised'}", height)
    _title(changes, "change" if advised else "change (not advised)", height)
    if legend:
        keys = panel(figure, left + _COUNTS + _GAP, _TOP + height + 8, _CHANGES + _NUMBERS, _LINE * len(legend))
        _legend(keys, legend)
    return Drawing(figure, tooltips)


def _title(axes: Axes, words: str, height: float) -> None:
    axes.text(0, 1 + 10 / height, words, transform=axes.transAxes, size=8.5, color=MUTED)


def _counts(axes: Axes, rows: tuple[ShareRow, ...], font: float, advised: bool) -> dict[str, str]:
    largest = max([r.before for r in rows] + [r.after for r in rows] + [1])
    axes.set_xlim(0, largest * 1.55)
    tooltips = {}
    for y, row in enumerate(rows):
        axes.add_patch(Rectangle((0, y - 0.34), row.before, 0.3, facecolor="#c3cad4", edgecolor="none"))
        bar = _bar(row, (0, y, row.after), 0.34, advised)
        bar.set_gid(f"bar-{y}")
        axes.add_patch(bar)
        tooltips[f"bar-{y}"] = _tooltip(row)
        end = max(row.before, row.after) + 0.03 * largest
        axes.text(end, y, f"{whole(row.before)} → {whole(row.after)}", va="center", size=font - 0.8, color=INK)
    return tooltips


def _bar(row: ShareRow, place: tuple[float, float, float], height: float, advised: bool) -> Rectangle:
    x, y, width = place
    if advised:
        return Rectangle((x, y), width, height, facecolor=_color(row), edgecolor="none")
    return Rectangle((x, y), width, height, facecolor="none", edgecolor=_color(row), linewidth=1.1)


def _tooltip(row: ShareRow) -> str:
    text = f"{literal(row.category)}: {whole(row.before)} → {whole(row.after)} ({signed(row.change, 0)})"
    for words, span in (("allowed", row.allowed), ("as good", row.optimal), ("nearly as good", row.near)):
        text += f"; {words} {span_text(span)}" if span else ""
    return text


def span_text(span: Span) -> str:
    """A range of counts in whole examples: "640 to 812"."""
    return f"{whole(span[0])} to {whole(span[1])}"


def _changes(axes: Axes, rows: tuple[ShareRow, ...], font: float, advised: bool) -> None:
    values = [float(row.change) for row in rows] + [r.sign_rule - r.before for r in rows if r.sign_rule is not None]
    values += [end - r.before for r in rows if r.near for end in r.near]
    edge = max([abs(v) for v in values] + [1]) * 1.12
    axes.set_xlim(-edge, edge)
    for y, row in enumerate(rows):
        if row.allowed:
            low, high = max(row.allowed[0] - row.before, -edge), min(row.allowed[1] - row.before, edge)
            band = Rectangle((low, y - 0.42), high - low, 0.84, facecolor=ALLOWED, alpha=0.2, edgecolor="none")
            axes.add_patch(band)
        axes.plot([-edge, edge], [y + 0.5, y + 0.5], color=RULE, linewidth=0.5)
        axes.add_patch(_bar(row, (0, y - 0.22, row.change), 0.44, advised))
        _ranges(axes, row, y)
        if row.sign_rule is not None:
            rule = row.sign_rule - row.before
            axes.scatter([rule], [y], marker="D", s=18, facecolor=PAPER, edgecolor=INK, linewidth=1, zorder=5)
        share = f"  {signed_percent(row.relative)}" if row.change and row.before else ""
        axes.text(
            1 + 6 / _CHANGES,
            y,
            f"{signed(row.change, 0)}{share}",
            transform=axes.get_yaxis_transform(),
            va="center",
            size=font - 0.8,
            color=INK,
        )
    axes.plot([0, 0], [-0.5, len(rows) - 0.5], color=NEUTRAL, linewidth=0.9)


def _ranges(axes: Axes, row: ShareRow, y: float) -> None:
    """A whisker over what is nearly as good, thick over what is as good."""
    if row.near:
        low, high = (end - row.before for end in row.near)
        axes.plot([low, high], [y, y], color=INK, linewidth=1.0, zorder=4)
        for end in (low, high):
            axes.plot([end, end], [y - 0.14, y + 0.14], color=INK, linewidth=1.0, zorder=4)
    if row.optimal:
        low, high = (end - row.before for end in row.optimal)
        axes.plot([low, high], [y, y], color=INK, linewidth=3.4, solid_capstyle="butt", zorder=4)


def _legend_lines(rows: tuple[ShareRow, ...], slack: float) -> list[tuple[str, str]]:
    keys = []
    if any(r.near for r in rows):
        keys.append(
            ("near", f"whisker: nearly as good (at most {percent(slack)} of the gain lost); thick: just as good")
        )
    if any(r.allowed for r in rows):
        keys.append(("allowed", "shaded: what the category’s own limits allow (to the edge: that far and farther)"))
    if any(r.sign_rule is not None for r in rows):
        keys.append(("rule", "the sign-rule control (the paper’s script)"))
    return keys


def _legend(axes: Axes, keys: list[tuple[str, str]]) -> None:
    axes.set_axis_off()
    axes.set_xlim(0, _CHANGES + _NUMBERS)
    axes.set_ylim(_LINE * len(keys), 0)
    for number, (key, words) in enumerate(keys):
        y = _LINE * (number + 0.5)
        if key == "rule":
            axes.scatter([9], [y], marker="D", s=18, facecolor=PAPER, edgecolor=INK, linewidth=1)
        elif key == "allowed":
            axes.add_patch(Rectangle((1, y - 4), 16, 8, facecolor=ALLOWED, alpha=0.3, edgecolor="none"))
        else:
            axes.plot([1, 17], [y, y], color=INK, linewidth=1)
            axes.plot([6, 12], [y, y], color=INK, linewidth=3.4, solid_capstyle="butt")
            for x in (1, 17):
                axes.plot([x, x], [y - 3.5, y + 3.5], color=INK, linewidth=1)
        axes.text(23, y, words, va="center_baseline", size=7.6, color=MUTED)


def signed_percent(share: float) -> str:
    """A relative change as "+7.5%"."""
    text = percent(share, 1)
    return text if share < 0 else f"+{text}"


def _color(row: ShareRow) -> str:
    return MORE if row.change > 0 else FEWER if row.change < 0 else NEUTRAL
