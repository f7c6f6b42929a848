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
from tasks.report.phrases import between
from tasks.validation.verdict import Outcome, Verdict

_ROW = 36.0
_WIDTH = 430.0
_BELOW = 0.3
"""How far a prediction lies below what was measured, in rows."""
_MOST_ROOM = 1.0
"""A prediction's interval may widen the scale by this many times the span of everything else, on each side."""
OUTCOME_COLOR = {Outcome.BETTER: HELP, Outcome.WORSE: HURT, Outcome.NO_DIFFERENCE: NEUTRAL}


def verdicts_svg(verdicts: tuple[Verdict, ...], name: str, alt: str) -> str:
    """Paired differences with their intervals as inline SVG."""
    return inline_svg(lambda: _draw_verdicts(verdicts), name, alt)


def performances_svg(performances: tuple[ArmPerformance, ...], unit: str, name: str, alt: str) -> str:
    """Mean performance of every arm and seed as inline SVG."""
    return inline_svg(lambda: _draw_performances(performances, unit), name, alt)


def verdicts(values: tuple[Verdict, ...]) -> Callable[[], Drawing]:
    """How to draw the verdicts: a dot and interval per verdict, the prediction as a diamond with its own below."""
    return lambda: _draw_verdicts(values)


def _draw_verdicts(values: tuple[Verdict, ...]) -> Drawing:
    names = shortened([f"{v.arm} vs {v.control}" for v in values], 40)
    left = max(text_width(n, 9) for n in names) + 14
    height = len(values) * _ROW
    keys = _keys(values)
    figure = sheet(left + _WIDTH + 112, height + 48 + 15 * len(keys))
    axes = panel(figure, left, 8, _WIDTH, height)
    ends = [x for v in values for x in _ends(v)]
    _scale(axes, ends, len(values), signs=True)
    axes.set_yticks(range(len(values)), names, size=9)
    axes.axvline(0, color=INK, linewidth=1.1)
    digits = decimals_for(ends, 2) + 1
    tooltips = {}
    for y, v in enumerate(values):
        _measured(axes, v, y)
        _predicted(axes, v, y + _BELOW)
        tooltips[f"verdict-{y}"] = _tooltip(v, digits)
    unit = values[0].unit
    axes.text(0, -30 / height, f"←  worse than the control  ({unit})", transform=axes.transAxes, size=8, color=MUTED)
    axes.text(1, -30 / height, "better than the control  →", transform=axes.transAxes, ha="right", size=8, color=MUTED)
    for number, words in enumerate(keys):
        axes.text(0, -(45 + 14 * number) / height, words, transform=axes.transAxes, size=8, color=MUTED)
    return Drawing(figure, tooltips)


def _ends(v: Verdict) -> list[float]:
    """What must be in the picture; a prediction's interval only as far as it does not crowd out what was measured."""
    inner = [x for x in (v.low, v.high, v.difference, v.predicted, 0.0) if x is not None and np.isfinite(x)]
    room = _MOST_ROOM * (max(inner) - min(inner))
    outer = [x for x in (v.predicted_low, v.predicted_high) if x is not None]
    return inner + [min(max(x, min(inner) - room), max(inner) + room) for x in outer]


def _measured(axes: Axes, v: Verdict, y: float) -> None:
    color = OUTCOME_COLOR[v.outcome]
    if v.detectable is not None:
        axes.plot([-v.detectable, v.detectable], [y, y], color=NEUTRAL, alpha=0.16, linewidth=12, solid_capstyle="butt")
    axes.plot([v.low, v.high], [y, y], color=color, linewidth=2.4, solid_capstyle="butt")
    for end in (v.low, v.high):
        axes.plot([end, end], [y - 0.12, y + 0.12], color=color, linewidth=1.4)
    dot = axes.scatter([v.difference], [y], s=46, color=color, zorder=3)
    dot.set_gid(f"verdict-{y}")
    place = axes.get_yaxis_transform()
    axes.text(1 + 8 / _WIDTH, y, v.outcome.value, transform=place, va="center", size=8, color=color)


def _predicted(axes: Axes, v: Verdict, y: float) -> None:
    if v.predicted is None:
        return
    if v.predicted_low is not None and v.predicted_high is not None:
        axes.plot([v.predicted_low, v.predicted_high], [y, y], color=INK, linewidth=1, linestyle=(0, (3, 2)))
        for end in (v.predicted_low, v.predicted_high):
            axes.plot([end, end], [y - 0.08, y + 0.08], color=INK, linewidth=1)
    axes.scatter([v.predicted], [y], marker="D", s=26, facecolor=PAPER, edgecolor=INK, linewidth=1.1, zorder=4)


def _keys(values: tuple[Verdict, ...]) -> list[str]:
    keys = ["●━  measured, with its interval"]
    if any(v.predicted is not None for v in values):
        keys[0] += "      ◇┄  predicted before, with its interval where it had one"
    if any(v.detectable is not None for v in values):
        keys.append("gray band: a true difference inside it would be missed more than 1 time in 5")
    return keys


def _tooltip(v: Verdict, digits: int) -> str:
    text = (
        f"{literal(v.arm)} against {literal(v.control)}: {signed(v.difference, digits)} {v.unit} "
        f"({between(v.low, v.high, digits)})"
    )
    if v.predicted is None:
        return text
    text += f", predicted {signed(v.predicted, digits)}"
    if v.predicted_low is None or v.predicted_high is None:
        return text
    return f"{text} ({between(v.predicted_low, v.predicted_high, digits)})"


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
