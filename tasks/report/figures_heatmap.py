"""Heat maps of effects and of coefficients: what the data of each column gives to the category of each row."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from tasks.effects.matrix import EffectMatrix, Matrix
from tasks.report.canvas import MUTED, Drawing, inline_svg, panel, sheet, text_width
from tasks.report.lettering import decimals_for, literal, shortened, signed
from tasks.report.phrases import between, equals

OWN = "#e4e7ec"
OWN_INK = "#4a5568"
CELL_INK = "#17202e"
_CELL_PAPER = "#fdfdfe"
_SIDES: tuple[Literal["left", "center", "right"], ...] = ("left", "center", "right")
_SOURCE, _TARGET = "data of  →", "effect on  ↓"
_UNKNOWN = "#fcfcfd"
"""Not the page's white, which turns dark where the reader prefers that: the ink on it does not."""
_PALE = 0.6
"""How far the color of a cell that is not told from 0 goes toward white."""
CELL_TEXT_LIMIT = 15
"""Up to this many categories each cell shows its value; above, only its color and whether it is shown."""


@dataclass(frozen=True)
class Grid:
    """Numbers of a target (row) and a source (column), ready to be drawn.

    Legend: T targets, S sources. Sign: positive = helps.

    Attributes:
        targets: T names.
        sources: S names.
        values: [T, S]; NaN = not identified.
        low: [T, S] lower ends of their intervals.
        high: [T, S] upper ends.
        shown: [T, S] whether the value is told from 0.
        quantity: what the numbers are, for the color bar.
        doubt: a cell's further evidence in words, for its tooltip; (row, column) → text, or nothing.
        confidence: of the intervals.
        decimals: fewest that the cells show.
    """

    targets: tuple[str, ...]
    sources: tuple[str, ...]
    values: Matrix
    low: Matrix
    high: Matrix
    shown: NDArray[np.bool_]
    quantity: str
    doubt: Mapping[tuple[int, int], str]
    confidence: float
    decimals: int = 0

    @property
    def own(self) -> NDArray[np.bool_]:
        """[T, S] True where a category's own data meets the category itself."""
        return np.array([[t == s for s in self.sources] for t in self.targets], dtype=np.bool_)


def delta_grid(effects: EffectMatrix, fdr: float) -> Grid:
    """What each source's data gives to each target: Δ, told from 0 where q ≤ `fdr`."""
    doubt = {
        (i, j): f", q {equals(float(effects.q_value[i, j]))}"
        for i in range(len(effects.targets))
        for j in range(len(effects.sources))
    }
    unit = f"Δ in {literal(effects.unit)}"
    return Grid(
        effects.targets,
        effects.sources,
        effects.delta,
        effects.low,
        effects.high,
        effects.q_value <= fdr,
        unit,
        doubt,
        effects.confidence,
    )


def gamma_grid(effects: EffectMatrix, fdr: float) -> Grid:
    """How many own examples one example is worth: γ, told from 0 where Δ, its numerator, is."""
    return Grid(
        effects.targets,
        effects.sources,
        effects.gamma,
        effects.gamma_low,
        effects.gamma_high,
        (effects.q_value <= fdr) & effects.identified[:, None],
        "γ in own examples",
        {},
        effects.confidence,
        2,
    )


def color_limit(grid: Grid) -> float:
    """Where the color scale ends: the largest value off the diagonal, of what is shown if anything is.

    With 20 shown cells or more it is their 90th percentile, so that one giant does not pale all others.
    """
    cross = ~grid.own & np.isfinite(grid.values)
    shown = cross & grid.shown
    sizes = np.abs(grid.values[shown if shown.any() else cross])
    if sizes.size == 0 or sizes.max() == 0:
        return 1.0
    return float(np.quantile(sizes, 0.9) if shown.sum() >= 20 else sizes.max())


def heatmap_svg(grid: Grid, name: str, alt: str, links: Mapping[str, str] | None = None) -> str:
    """The heat map as inline SVG; `links` leads from a source's name to the anchor of its evidence."""
    return inline_svg(heatmap(grid, links), name, alt)


def heatmap(grid: Grid, links: Mapping[str, str] | None = None) -> Callable[[], Drawing]:
    """How to draw the heat map; cells that are told from 0 are marked.

    Own data (the diagonal) is gray and has no part in the color scale: it can be many times larger.
    """
    return lambda: _draw(grid, links or {})


def _draw(grid: Grid, links: Mapping[str, str]) -> Drawing:
    rows, cols = grid.values.shape
    largest = max(rows, cols)
    small = largest <= CELL_TEXT_LIMIT
    cell = 46.0 if largest <= 10 else 37.0 if small else 16.0 if largest <= 50 else 10.6
    font = 9.0 if small else 7.6 if largest <= 50 else 7.0
    targets, sources = shortened(grid.targets, 26), shortened(grid.sources, 26)
    left = max([text_width(t, font) for t in targets] + [text_width(_TARGET, 8.5)]) + 12
    angle = 40 if small else 90
    rise = max(text_width(s, font) for s in sources) * float(np.sin(np.radians(angle))) + 14
    top = rise + 22
    leaning = [
        (j + 0.5 - cols) * cell + text_width(s, font) * float(np.cos(np.radians(angle))) for j, s in enumerate(sources)
    ]
    right = (left if largest > 50 else max(*leaning, 0.0)) + 10
    width = max(left + cols * cell + right, 330.0)
    figure = sheet(width, top + rows * cell + 58)
    axes = panel(figure, left, top, cols * cell, rows * cell)
    axes.set_xlim(-0.5, cols - 0.5)
    axes.set_ylim(rows - 0.5, -0.5)
    limit = color_limit(grid)
    tooltips = _cells(axes, grid, limit, links) if small else _image(axes, grid, limit, cell)
    _names(axes, targets, sources, font, angle, [links.get(s, "") for s in grid.sources])
    axes.text(0, 1 + (rise + 6) / (rows * cell), _SOURCE, transform=axes.transAxes, color=MUTED, size=8.5)
    axes.text(
        -5 / (cols * cell), 1 + 6 / (rows * cell), _TARGET, transform=axes.transAxes, ha="right", color=MUTED, size=8.5
    )
    _color_bar(figure, grid, limit, (left, top + rows * cell + 20, min(cols * cell, 300.0)))
    return Drawing(figure, tooltips, 0.92 if small else 1.0 if largest <= 50 else 1.16)


def _cells(axes: Axes, grid: Grid, limit: float, links: Mapping[str, str]) -> dict[str, str]:
    own, decimals = grid.own, max(decimals_for([limit], 2), grid.decimals)
    colors = _colors(grid, limit)
    font = 9.0 if max(grid.values.shape) <= 10 else 7.6
    tooltips = {}
    for (i, j), value in np.ndenumerate(grid.values):
        shown, link = bool(grid.shown[i, j]), links.get(grid.sources[j])
        square = Rectangle((j - 0.47, i - 0.47), 0.94, 0.94, facecolor=colors[i, j], edgecolor="none", url=link)
        square.set_gid(f"cell-{i}-{j}")
        axes.add_patch(square)
        if shown and not own[i, j]:
            outline = Rectangle((j - 0.44, i - 0.44), 0.88, 0.88, facecolor="none", edgecolor=CELL_INK, linewidth=1.7)
            axes.add_patch(outline)
        ink = OWN_INK if own[i, j] else CELL_INK if _light(colors)[i, j] else _CELL_PAPER
        text = axes.text(j, i, signed(value, decimals), ha="center", va="center", size=font, color=ink, url=link)
        text.set_fontweight("bold" if shown else "normal")
        text.set_alpha(1 if shown or own[i, j] else 0.72)
        tooltips[f"cell-{i}-{j}"] = cell_text(grid, i, j)
    return tooltips


def cell_text(grid: Grid, i: int, j: int) -> str:
    """One cell in words, for a tooltip."""
    head = f"data of {literal(grid.sources[j])} → {literal(grid.targets[i])}: "
    value = float(grid.values[i, j])
    if not np.isfinite(value):
        return f"{head}not identified"
    digits = decimals_for([value], 2) + 1
    ends = between(float(grid.low[i, j]), float(grid.high[i, j]), digits)
    doubt = grid.doubt.get((i, j), "")
    return f"{head}{signed(value, digits)}, {grid.quantity}, {grid.confidence:.0%} interval {ends}{doubt}"


def _image(axes: Axes, grid: Grid, limit: float, cell: float) -> dict[str, str]:
    rows, cols = grid.values.shape
    colors = _colors(grid, limit)
    axes.imshow(colors, interpolation="none", aspect="auto", extent=(-0.5, cols - 0.5, rows - 0.5, -0.5))
    shown = grid.shown & ~grid.own
    light = _light(colors)
    for mask, color in ((shown & light, CELL_INK), (shown & ~light, _CELL_PAPER)):
        y, x = np.nonzero(mask)
        axes.scatter(x, y, s=(0.3 * cell) ** 2, color=color, linewidths=0)
    return {}


def _names(
    axes: Axes, targets: tuple[str, ...], sources: tuple[str, ...], font: float, angle: float, links: list[str]
) -> None:
    axes.xaxis.tick_top()
    axes.set_xticks(range(len(sources)), sources, rotation=angle, ha="left" if angle < 90 else "center", size=font)
    axes.set_yticks(range(len(targets)), targets, size=font)
    if max(len(targets), len(sources)) > 50:
        axes.tick_params(axis="y", labelright=True)  # for those who have scrolled the left ones away
    for label, link in zip(axes.get_xticklabels(), links, strict=True):
        if angle < 90:
            label.set_rotation_mode("anchor")
        if link:
            label.set_url(link)


def _color_bar(figure: Figure, grid: Grid, limit: float, place: tuple[float, float, float]) -> None:
    left, top, width = place
    axes = panel(figure, left, top, width, 9)
    ramp = _ramp(np.linspace(-limit, limit, 65), limit)[np.newaxis]
    axes.imshow(ramp, interpolation="none", aspect="auto", extent=(-limit, limit, 0, 1))
    digits = decimals_for([limit], 2)
    axes.set_yticks([])
    beyond = bool((np.abs(grid.values[~grid.own]) > limit * (1 + 1e-9)).any())
    low, high = ("≤ " if beyond else "") + signed(-limit, digits), ("≥ " if beyond else "") + signed(limit, digits)
    axes.set_xticks([-limit, 0, limit], [f"{low}  hurts", "0", f"helps  {high}"], size=8, color=MUTED)
    for label, side in zip(axes.get_xticklabels(), _SIDES, strict=True):
        label.set_horizontalalignment(side)
    axes.text(1, 1.6, grid.quantity, transform=axes.transAxes, ha="right", va="bottom", size=7.5, color=MUTED)


def _colors(grid: Grid, limit: float) -> Matrix:
    """[T, S, 4] RGBA: blue helps, red hurts, pale where not told from 0; own data gray, NaN white."""
    colors = _ramp(grid.values, limit)
    colors[~grid.shown] += _PALE * (1 - colors[~grid.shown])
    colors[~np.isfinite(grid.values)] = to_rgba(_UNKNOWN)
    colors[grid.own] = to_rgba(OWN)
    return colors


def _ramp(values: Matrix, limit: float) -> Matrix:
    # The map's ends are nearly black on screens: leave the outermost twelfth out.
    position = 0.5 + 0.42 * np.clip(np.nan_to_num(values) / limit, -1, 1)
    return np.asarray(colormaps["RdBu"](position), dtype=np.float64)


def _light(colors: Matrix) -> NDArray[np.bool_]:
    return np.asarray(colors[..., :3] @ np.array([0.299, 0.587, 0.114]) > 0.55)
