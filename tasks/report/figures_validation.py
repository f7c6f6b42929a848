"""Validation: each arm against its control, and every arm's performance seed by seed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from matplotlib.axes import Axes

from tasks.report.canvas import (
    HELP,
    HURT,
    INK,
    MUTED,
    NEUTRAL,
    PAPER,
    RULE,
    Drawing,
    inline_svg,
    panel,
    sheet,
    text_width,
)
from tasks.report.content import ArmPerformance
from tasks.report.lettering import decimals_for, literal, plain, shortened, signed
from tasks.validation.verdict import Outcome, Verdict

_ROW = 34.0
_WIDTH = 430.0
OUTCOME_COLOR = {Outcome.BETTER: HELP, Outcome.WORSE: HURT, Outcome.NO_DIFFERENCE: NEUTRAL}


def verdicts_svg(verdicts: tuple[Verdict, ...], name: str, alt: str) -> str:
    """Paired differences with their intervals as inline SVG."""
    return inline_svg(lambda: _draw_verdicts(verdicts), name, alt)


def performances_svg(performances: tuple[ArmPerformance, ...], unit: str, name: str, alt: str) -> str:
    """Mean performance of every arm and seed as inline SVG."""
    return inline_svg(lambda: _draw_performances(performances, unit), name, alt)


def verdicts(values: tuple[Verdict, ...]) -> Callable[[], Drawing]:
    """How to draw the verdicts: a dot and interval per verdict, a zero line, the prediction as a diamond."""
    return lambda: _draw_verdicts(values)


def _draw_verdicts(values: tuple[Verdict, ...]) -> Drawing:
    names = shortened([f"{v.arm} vs {v.control}" for v in values], 40)
    left = max(text_width(n, 9) for n in names) + 14
    height = len(values) * _ROW
    figure = sheet(left + _WIDTH + 92, height + 60)
    axes = panel(figure, left, 8, _WIDTH, height)
    ends = [
        x for v in values for x in (v.low, v.high, v.difference, v.predicted, 0.0) if x is not None and np.isfinite(x)
    ]
    _scale(axes, ends, len(values), signs=True)
    axes.set_yticks(range(len(values)), names, size=9)
    axes.axvline(0, color=INK, linewidth=1.1)
    tooltips = {}
    digits = decimals_for(ends, 2) + 1
    for y, v in enumerate(values):
        color = OUTCOME_COLOR[v.outcome]
        axes.plot([v.low, v.high], [y, y], color=color, linewidth=2.4, solid_capstyle="butt")
        for end in (v.low, v.high):
            axes.plot([end, end], [y - 0.12, y + 0.12], color=color, linewidth=1.4)
        dot = axes.scatter([v.difference], [y], s=46, color=color, zorder=3)
        dot.set_gid(f"verdict-{y}")
        tooltips[f"verdict-{y}"] = (
            f"{literal(v.arm)} against {literal(v.control)}: {signed(v.difference, digits)} {v.unit} "
            f"({signed(v.low, digits)} to {signed(v.high, digits)})"
        )
        if v.predicted is not None:
            axes.scatter([v.predicted], [y], marker="D", s=26, facecolor="none", edgecolor=INK, linewidth=1.1, zorder=4)
        axes.text(
            1 + 8 / _WIDTH, y, v.outcome.value, transform=axes.get_yaxis_transform(), va="center", size=8, color=color
        )
    unit = values[0].unit
    axes.text(0, -30 / height, f"←  worse than the control  ({unit})", transform=axes.transAxes, size=8, color=MUTED)
    axes.text(1, -30 / height, "better than the control  →", transform=axes.transAxes, ha="right", size=8, color=MUTED)
    if any(v.predicted is not None for v in values):
        axes.text(
            0.5,
            -44 / height,
            "◇  what the effects predicted",
            transform=axes.transAxes,
            ha="center",
            size=8,
            color=MUTED,
        )
    return Drawing(figure, tooltips)


def _draw_performances(performances: tuple[ArmPerformance, ...], unit: str) -> Drawing:
    names = shortened([p.arm for p in performances], 34)
    left = max(text_width(n, 9) for n in names) + 14
    row = 26.0
    height = len(performances) * row
    figure = sheet(left + _WIDTH + 92, height + 44)
    axes = panel(figure, left, 8, _WIDTH, height)
    everything = [x for p in performances for x in p.values if np.isfinite(x)]
    digits = decimals_for([max(everything, default=1.0) - min(everything, default=0.0)], 2)
    _scale(axes, everything, len(performances), signs=False)
    axes.set_yticks(range(len(performances)), names, size=9)
    for seed in sorted({s for p in performances for s in p.seeds}):
        path = [(p.values[p.seeds.index(seed)], y) for y, p in enumerate(performances) if seed in p.seeds]
        axes.plot([x for x, _ in path], [y for _, y in path], color=RULE, linewidth=0.9)
    for y, p in enumerate(performances):
        mean = float(np.mean(p.values))
        axes.scatter(p.values, [y] * len(p.values), s=24, facecolor=PAPER, edgecolor=HELP, linewidth=1.2, zorder=3)
        axes.plot([mean, mean], [y - 0.32, y + 0.32], color=INK, linewidth=2)
        axes.text(
            1 + 8 / _WIDTH, y, plain(mean, digits + 1), transform=axes.get_yaxis_transform(), va="center", size=8.5
        )
    axes.text(
        0,
        -30 / height,
        f"○ one seed, a thin line through its arms   ┃ mean   ({unit}, higher is better)",
        transform=axes.transAxes,
        size=8,
        color=MUTED,
    )
    return Drawing(figure)


def _scale(axes: Axes, values: list[float], rows: int, signs: bool) -> None:
    low, high = min(values, default=0.0), max(values, default=1.0)
    pad = 0.06 * (high - low) or 0.1 * abs(high) or 1.0
    axes.set_xlim(low - pad, high + pad)
    axes.set_ylim(rows - 0.5, -0.5)
    axes.grid(axis="x", color=RULE, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.locator_params(axis="x", nbins=6)
    ticks = [t for t in axes.get_xticks() if low - pad <= t <= high + pad]
    digits = next((d for d in range(8) if all(abs(round(t, d) - t) < 1e-9 for t in ticks)), 8)
    axes.set_xticks(ticks, [signed(t, digits) if signs else plain(t, digits) for t in ticks], size=8, color=MUTED)
