"""The curriculum's stages as stacked bars, base categories first."""

from __future__ import annotations

from collections.abc import Callable

from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from tasks.curriculum.curriculum import Curriculum
from tasks.report.canvas import MUTED, ROLE_FILL, ROLE_LINE, Drawing, inline_svg, panel, sheet, text_width
from tasks.report.lettering import literal, percent, shortened, whole
from tasks.taxonomy.taxonomy import Taxonomy

_BAR, _STEP, _WIDTH, _LEFT = 34.0, 50.0, 600.0, 62.0
_ROLES = ("base", "middle", "dependent")


def curriculum_svg(curriculum: Curriculum, taxonomy: Taxonomy | None, name: str, alt: str) -> str:
    """One bar per stage as inline SVG."""
    return inline_svg(curriculum_stages(curriculum, taxonomy), name, alt)


def curriculum_stages(curriculum: Curriculum, taxonomy: Taxonomy | None) -> Callable[[], Drawing]:
    """How to draw it: a bar per stage, a segment per category, ordered and colored by its place in the taxonomy."""
    return lambda: _draw(curriculum, taxonomy)


def category_order(curriculum: Curriculum, taxonomy: Taxonomy | None) -> tuple[str, ...]:
    """Categories from base to dependent: by role, level, name."""
    roles = {c: _ROLES.index(r.value) for c, r in taxonomy.roles} if taxonomy else {}
    levels = dict(taxonomy.levels) if taxonomy else {}
    return tuple(sorted(curriculum.categories, key=lambda c: (roles.get(c, 1), levels.get(c, 0), c)))


def _draw(curriculum: Curriculum, taxonomy: Taxonomy | None) -> Drawing:
    stages = curriculum.stage_counts
    roles = {c: r.value for c, r in taxonomy.roles} if taxonomy else {}
    order = category_order(curriculum, taxonomy)
    height = len(stages) * _STEP
    figure = sheet(_LEFT + _WIDTH + 78, height + 34)
    axes = panel(figure, 0, 0, _LEFT + _WIDTH + 78, height + 34)
    axes.set_xlim(0, _LEFT + _WIDTH + 78)
    axes.set_ylim(height + 34, 0)
    axes.set_axis_off()
    scale = _WIDTH / max([sum(stage) for stage in stages] + [1])
    labels = dict(zip(order, shortened(order, 26), strict=True))
    tooltips = {}
    for number, stage in enumerate(stages):
        counts = dict(zip(curriculum.categories, stage, strict=True))
        top = number * _STEP + 8
        axes.text(_LEFT - 10, top + _BAR / 2, f"stage {number + 1}", ha="right", va="center", size=9)
        x = _LEFT
        for category in order:
            gid = f"stage-{number}-{order.index(category)}"
            width = counts[category] * scale
            if width:
                _segment(axes, (x, top, width), roles.get(category, "middle"), labels[category], counts[category], gid)
                share = percent(counts[category] / sum(stage), 1)
                tooltips[gid] = f"stage {number + 1}, {literal(category)}: {whole(counts[category])} examples ({share})"
            x += width
        axes.text(x + 8, top + _BAR / 2, whole(sum(stage)), va="center", size=8.5, color=MUTED)
    _legend(axes, height + 12, [r for r in _ROLES if r in {roles.get(c, "middle") for c in order}] if taxonomy else [])
    return Drawing(figure, tooltips)


def _segment(axes: Axes, place: tuple[float, float, float], role: str, label: str, count: int, gid: str) -> None:
    x, top, width = place
    bar = Rectangle((x, top), width, _BAR, facecolor=ROLE_FILL[role], edgecolor=ROLE_LINE[role], linewidth=0.6)
    bar.set_gid(gid)
    axes.add_patch(bar)
    number = whole(count)
    if text_width(label, 8) + 4 <= width:
        axes.text(x + width / 2, top + 12, label, ha="center", va="center", size=8, color="#17202e")
        axes.text(x + width / 2, top + 24, number, ha="center", va="center", size=7.5, color="#4a5568")
    elif text_width(number, 7.5) + 2 <= width:
        axes.text(x + width / 2, top + _BAR / 2, number, ha="center", va="center", size=7.5, color="#4a5568")


def _legend(axes: Axes, top: float, roles: list[str]) -> None:
    x = _LEFT
    for role in roles:
        axes.add_patch(Rectangle((x, top), 14, 9, facecolor=ROLE_FILL[role], edgecolor=ROLE_LINE[role], linewidth=0.6))
        axes.text(x + 19, top + 4.5, role, va="center_baseline", size=8, color=MUTED)
        x += 34 + text_width(role, 8)
    axes.text(
        _LEFT + _WIDTH,
        top + 4.5,
        "examples seen, in training order from top to bottom",
        ha="right",
        va="center_baseline",
        size=8,
        color=MUTED,
    )
