"""The dependency taxonomy as a layered graph: preliminary categories left, dependent ones right."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch, PathPatch, Polygon
from matplotlib.path import Path

from tasks.report.canvas import (
    INK,
    MUTED,
    PAPER,
    ROLE_FILL,
    ROLE_LINE,
    RULE,
    Drawing,
    inline_svg,
    panel,
    sheet,
    text_width,
)
from tasks.report.content import PlantedEdges
from tasks.report.figures_taxonomy_key import LINE, MARKS, WORDS, key_rows, legend
from tasks.report.layout import Layout, Pair, layered
from tasks.report.lettering import decimals_for, literal, shortened, signed
from tasks.report.planted import Finding, compare
from tasks.taxonomy.taxonomy import Taxonomy

_ROW, _GAP, _TOP, _BOX = 40.0, 78.0, 40.0, 26.0


@dataclass(frozen=True)
class _Line:
    """An edge as it is drawn; no finding = a candidate that was taken out."""

    source: str
    target: str
    finding: Finding | None
    width: float
    tooltip: str
    confirmed: bool | None = None


def taxonomy_svg(taxonomy: Taxonomy, planted: PlantedEdges | None, unit: str, name: str, alt: str) -> str:
    """The graph as inline SVG."""
    return inline_svg(taxonomy_graph(taxonomy, planted, unit), name, alt)


def taxonomy_graph(taxonomy: Taxonomy, planted: PlantedEdges | None, unit: str) -> Callable[[], Drawing]:
    """How to draw the graph: the transitive reduction, line width by effect, categories without edges left out.

    Candidates that were taken out because they are not confirmed are drawn thin and dotted. With `planted`, every
    planted direct edge and every edge that was not planted is drawn too.
    """
    return lambda: _draw(taxonomy, planted, unit)


def connected(taxonomy: Taxonomy, planted: PlantedEdges | None) -> tuple[str, ...]:
    """The categories that the graph draws: those in a kept, unconfirmed or planted direct edge."""
    pairs = [(e.source, e.target) for e in (*taxonomy.edges, *taxonomy.unconfirmed)]
    pairs += list(planted.direct if planted else ())
    touched = {node for pair in pairs for node in pair}
    return tuple(c for c in taxonomy.categories if c in touched)


def _draw(taxonomy: Taxonomy, planted: PlantedEdges | None, unit: str) -> Drawing:
    nodes = connected(taxonomy, planted)
    levels = {c: level for c, level in taxonomy.levels if c in nodes}
    lines = [line for line in _lines(taxonomy, planted, unit) if line.source in levels and line.target in levels]
    layout = layered(levels, [(line.source, line.target) for line in lines])
    labels = dict(zip(nodes, shortened(nodes, 24), strict=True))
    box = max([text_width(label, 9) for label in labels.values()], default=40.0) + 22
    width = max(layout.columns * box + (layout.columns - 1) * _GAP + 24, 470.0)
    height = _TOP + max(layout.rows, 1) * _ROW
    keys = key_rows({line.finding for line in lines}, {line.confirmed for line in lines}, planted is not None, width)
    below = 26.0 + 17.0 * len(keys)
    figure = sheet(width, height + below)
    axes = panel(figure, 0, 0, width, height + below)
    axes.set_xlim(0, width)
    axes.set_ylim(height + below, 0)
    axes.set_axis_off()
    geometry = _Geometry(layout, box, (width - layout.columns * box - (layout.columns - 1) * _GAP) / 2)
    _level_names(axes, geometry)
    tooltips = {}
    for number, line in enumerate(sorted(lines, key=lambda x: x.finding is Finding.RECOVERED)):
        _edge(axes, geometry, line, f"edge-{number}")
        tooltips[f"edge-{number}"] = line.tooltip
    roles = {c: role.value for c, role in taxonomy.roles}
    for node in nodes:
        _node(axes, geometry, node, labels[node], roles[node])
    legend(axes, height + 8, {roles[n] for n in nodes}, keys)
    return Drawing(figure, tooltips)


def _lines(taxonomy: Taxonomy, planted: PlantedEdges | None, unit: str) -> list[_Line]:
    by_pair = {(e.source, e.target): e for e in taxonomy.edges}
    strongest = max([e.delta for e in taxonomy.edges], default=1.0) or 1.0
    digits = decimals_for([strongest], 2)
    if planted is None:
        named = [(s, t, Finding.RECOVERED) for s, t in taxonomy.reduced]
    else:
        reduced = set(taxonomy.reduced)
        named = [
            (s, t, f) for s, t, f in compare(taxonomy, planted).edges if f is not Finding.INDIRECT or (s, t) in reduced
        ]
    taken_out = {(e.source, e.target): e for e in taxonomy.unconfirmed}
    lines = []
    for source, target, finding in named:
        edge = by_pair.get((source, target))
        width = 1.4 if edge is None else 0.9 + 3.1 * max(edge.delta, 0.0) / strongest
        effect = "" if edge is None else f": {signed(edge.delta, digits)} {unit}"
        state = f" ({WORDS[finding]})" if planted else ""
        if edge is not None and edge.confirmed is not None:
            state += f" ({'confirmed' if edge.confirmed else 'not confirmed'} by runs without both)"
        if taken_out.pop((source, target), None):
            state += f" ({WORDS[None]})"
        text = f"{literal(source)} → {literal(target)}{effect}{state}"
        lines.append(_Line(source, target, finding, width, text, None if edge is None else edge.confirmed))
    for (source, target), edge in taken_out.items():
        text = f"{literal(source)} → {literal(target)}: {signed(edge.delta, digits)} {unit} ({WORDS[None]})"
        lines.append(_Line(source, target, None, 1.2, text))
    return lines


@dataclass(frozen=True)
class _Geometry:
    layout: Layout
    box: float
    margin: float

    def left(self, column: int) -> float:
        return self.margin + column * (self.box + _GAP)

    def y(self, row: float) -> float:
        return _TOP + (row + 0.5) * _ROW

    def port(self, edge: Pair, at_source: bool) -> float:
        """Vertical offset of an edge's end from the middle of its box: edges that meet do not cover each other."""
        end = 0 if at_source else 1
        meeting = [e for e in self.layout.route if e[end] == edge[end]]
        meeting.sort(key=lambda e: (self.layout.route[e][1 if at_source else -2][1], e))
        spread = min(7.0, (_BOX - 6) / len(meeting))
        return (meeting.index(edge) - (len(meeting) - 1) / 2) * spread


def _level_names(axes: Axes, geometry: _Geometry) -> None:
    for column in range(geometry.layout.columns):
        center = geometry.left(column) + geometry.box / 2
        axes.text(center, 16, f"level {column}", ha="center", va="center", size=8.5, color=MUTED)
        axes.plot([geometry.left(column), geometry.left(column) + geometry.box], [27, 27], color=RULE, linewidth=1)


def _edge(axes: Axes, geometry: _Geometry, line: _Line, gid: str) -> None:
    color, dashes = LINE[line.finding]
    head, half = 4.0 + 1.6 * line.width, 2.6 + 0.9 * line.width
    path, direction = _path(geometry, line, head)
    points = np.asarray(path.vertices)
    x, y = (float(v) for v in points[-1])
    curve = PathPatch(path, facecolor="none", edgecolor=color, linewidth=line.width, linestyle=dashes, capstyle="butt")
    curve.set_gid(gid)
    axes.add_patch(curve)
    corners = [(x - 0.5 * direction, y - half), (x + head * direction, y), (x - 0.5 * direction, y + half)]
    fill = PAPER if line.finding is None else color
    axes.add_patch(Polygon(corners, closed=True, facecolor=fill, edgecolor=color, linewidth=0.8))
    if line.confirmed is not None:
        x, y = (float(v) for v in np.array([1, 3, 3, 1]) @ points[:4] / 8)  # the middle of the first curve
        axes.scatter([x], [y], s=110, facecolor=PAPER, edgecolor=color, linewidth=0.9, zorder=4)
        mark = MARKS[line.confirmed]
        axes.text(x, y, mark, ha="center", va="center_baseline", size=8, color=INK, zorder=5)


def _path(geometry: _Geometry, line: _Line, head: float) -> tuple[Path, int]:
    """The curve up to its arrow head, and where the head points: 1 right, -1 left."""
    edge = (line.source, line.target)
    points = geometry.layout.route.get(edge)
    if points is None:
        return _backward(geometry, line, head), -1
    x, y = geometry.left(points[0][0]) + geometry.box, geometry.y(points[0][1]) + geometry.port(edge, True)
    vertices, codes = [(x, y)], [Path.MOVETO]
    for index, (column, row) in enumerate(points[1:], start=1):
        end_x, end_y = geometry.left(column), geometry.y(row)
        last = index == len(points) - 1
        if last:
            end_x, end_y = end_x - head - 1, end_y + geometry.port(edge, False)
        bend = (end_x - x) / 2
        vertices += [(x + bend, y), (end_x - bend, end_y), (end_x, end_y)]
        codes += [Path.CURVE4] * 3
        x, y = end_x, end_y
        if not last:
            x += geometry.box
            vertices.append((x, y))
            codes.append(Path.LINETO)
    return Path(vertices, codes), 1


def _backward(geometry: _Geometry, line: _Line, head: float) -> Path:
    """An edge inside a column or to a lower one bows out on the right."""
    (column, row), (to_column, to_row) = geometry.layout.place[line.source], geometry.layout.place[line.target]
    x, y = geometry.left(column) + geometry.box, geometry.y(row)
    end_x, end_y = geometry.left(to_column) + geometry.box + head + 1, geometry.y(to_row)
    bow = max(x, end_x) + 0.55 * _GAP
    dip = 0.0 if row != to_row else 0.7 * _ROW  # beside the boxes between, not through them
    return Path([(x, y), (bow, y + dip), (bow, end_y + dip), (end_x, end_y)], [Path.MOVETO, *[Path.CURVE4] * 3])


def _node(axes: Axes, geometry: _Geometry, node: str, label: str, role: str) -> None:
    column, row = geometry.layout.place[node]
    x, y = geometry.left(column), geometry.y(row)
    axes.add_patch(
        FancyBboxPatch(
            (x, y - _BOX / 2),
            geometry.box,
            _BOX,
            boxstyle="round,pad=0,rounding_size=6",
            mutation_scale=1,
            facecolor=ROLE_FILL[role],
            edgecolor=ROLE_LINE[role],
            linewidth=1.1,
        )
    )
    axes.text(x + geometry.box / 2, y, label, ha="center", va="center_baseline", size=9, color="#17202e")
