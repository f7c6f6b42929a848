"""Figures: colors and marks follow the numbers, and several of them can stand in one page."""

from __future__ import annotations

import re
from dataclasses import replace
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np

from tasks.report.canvas import Drawing, inline_svg, panel, sheet
from tasks.report.content import PlantedEdges, ReportData
from tasks.report.figures_heatmap import OWN, color_limit, heatmap_svg
from tasks.report.figures_taxonomy import taxonomy_svg
from tasks.report.planted import Finding, compare


def squares(svg: str) -> dict[str, str]:
    """Tooltip → fill color."""
    root = ElementTree.fromstring(svg)
    found = {}
    for group in root.iter("g"):
        title = group.find("title")
        path = next(group.iter("path"), None)
        if title is not None and path is not None:
            match = re.search(r"fill:\s*(#[0-9a-f]{6})", path.get("style", ""))
            found[title.text or ""] = match[1] if match else ""
    return found


def test_heatmap_blue_helps_red_hurts_gray_is_own(small_report: ReportData) -> None:
    effects = small_report.effects
    assert effects is not None
    fills = squares(heatmap_svg(effects, 0.05, "map", "alt"))
    assert len(fills) == 64
    for i, target in enumerate(effects.targets):
        for j, source in enumerate(effects.sources):
            fill = next(c for t, c in fills.items() if t.startswith(f"data of {source} → {target}: "))
            red, _, blue = (int(fill[k : k + 2], 16) for k in (1, 3, 5))
            if i == j:
                assert fill == OWN
            elif abs(effects.delta[i, j]) > 0.1:
                assert (blue > red) == (effects.delta[i, j] > 0)


def test_heatmap_outlines_exactly_the_shown_cross_cells(small_report: ReportData) -> None:
    effects = small_report.effects
    assert effects is not None
    outlines = heatmap_svg(effects, 0.05, "map", "alt").count("stroke-width:1.7")
    assert outlines == int(((effects.q_value <= 0.05) & ~np.eye(8, dtype=bool)).sum()) == 7


def test_color_limit_ignores_the_diagonal_and_what_is_not_shown(small_report: ReportData) -> None:
    effects = small_report.effects
    assert effects is not None
    cross = ~np.eye(8, dtype=bool)
    assert color_limit(effects, 0.05) == np.abs(effects.delta[cross & (effects.q_value <= 0.05)]).max()
    assert color_limit(effects, 0.0) == np.abs(effects.delta[cross]).max()
    huge = effects.delta + np.eye(8) * 1000
    assert color_limit(replace(effects, delta=huge), 0.05) == color_limit(effects, 0.05)


def test_inline_svg_two_figures_share_no_id_and_leave_global_settings_alone() -> None:
    def draw() -> Drawing:
        figure = sheet(100, 60)
        axes = panel(figure, 10, 10, 80, 40)
        axes.plot([0, 1], [0, 1])
        axes.text(0, 0, "$a_1$ <b>")
        return Drawing(figure)

    before = dict(mpl.rcParams)
    first, second = inline_svg(draw, "one", "first"), inline_svg(draw, "two", "second")
    assert dict(mpl.rcParams) == before
    ids = [re.findall(r' id="([^"]+)"', svg) for svg in (first, second)]
    assert ids[0] and not set(ids[0]) & set(ids[1])
    assert "$a_1$ &lt;b&gt;" in first and "xmlns" not in first and "<style" not in first and "metadata" not in first


def test_taxonomy_svg_says_what_became_of_each_edge(small_report: ReportData) -> None:
    assert small_report.taxonomy is not None
    svg = taxonomy_svg(small_report.taxonomy, small_report.planted, "nats", "t", "alt")
    titles = [t.text or "" for t in ElementTree.fromstring(svg).iter("title")]
    assert sum("(planted and found)" in t for t in titles) == 4
    assert [t for t in titles if "(planted, missed)" in t] == ["shift → reverse-shift (planted, missed)"]
    assert any(t.startswith("upper → sort: +0.3") and "(found, not planted)" in t for t in titles)


def test_taxonomy_svg_missed_edges_inside_a_level_are_drawn(small_report: ReportData) -> None:
    assert small_report.taxonomy is not None
    planted = PlantedEdges((("add", "copy"), ("reverse-shift", "add"), ("gone", "copy")))
    svg = taxonomy_svg(small_report.taxonomy, planted, "nats", "t", "alt")
    assert svg.count("(planted, missed)") == 2


def test_compare_names_every_edge_once(small_report: ReportData) -> None:
    assert small_report.taxonomy is not None and small_report.planted is not None
    found = compare(small_report.taxonomy, small_report.planted)
    assert [found.count(f) for f in Finding] == [4, 1, 1, 1]
    assert len({e[:2] for e in found.edges}) == len(found.edges) == 7
