"""Figures: colors and marks follow the numbers, and several of them can stand in one page."""

from __future__ import annotations

import re
from dataclasses import replace
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np

from tasks.report.canvas import Drawing, inline_svg, panel, sheet
from tasks.report.content import PlantedEdges, ReportData
from tasks.report.figures_heatmap import OWN, color_limit, delta_grid, gamma_grid, heatmap_svg
from tasks.report.figures_proportions import proportions_svg
from tasks.report.figures_taxonomy import taxonomy_svg
from tasks.report.figures_validation import verdicts_svg
from tasks.report.planted import Finding, compare
from tasks.report.shares import share_rows


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
    fills = squares(heatmap_svg(delta_grid(effects, 0.05), "map", "alt"))
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
    outlines = heatmap_svg(delta_grid(effects, 0.05), "map", "alt").count("stroke-width:1.7")
    assert outlines == int(((effects.q_value <= 0.05) & ~np.eye(8, dtype=bool)).sum()) == 7


def test_color_limit_ignores_the_diagonal_and_what_is_not_shown(small_report: ReportData) -> None:
    effects = small_report.effects
    assert effects is not None
    cross = ~np.eye(8, dtype=bool)
    assert color_limit(delta_grid(effects, 0.05)) == np.abs(effects.delta[cross & (effects.q_value <= 0.05)]).max()
    assert color_limit(delta_grid(effects, 0.0)) == np.abs(effects.delta[cross]).max()
    huge = effects.delta + np.eye(8) * 1000
    assert color_limit(delta_grid(replace(effects, delta=huge), 0.05)) == color_limit(delta_grid(effects, 0.05))


def test_heatmap_pale_where_not_told_from_zero(small_report: ReportData) -> None:
    effects = small_report.effects
    assert effects is not None
    same = np.where(np.eye(8, dtype=bool), effects.delta, 0.5)
    half = replace(effects, delta=same, q_value=np.where(np.arange(8) < 4, 0.0, 1.0) * np.ones((8, 1)))
    fills = squares(heatmap_svg(delta_grid(half, 0.05), "map", "alt"))
    red = {name: int(fill[1:3], 16) for name, fill in fills.items() if fill != OWN}
    shown = [value for name, value in red.items() if name.split(" → ")[0].split("data of ")[1] in effects.sources[:4]]
    assert max(shown) < min(set(red.values()) - set(shown))


def test_heatmap_of_coefficients_leaves_unidentified_rows_white(small_report: ReportData) -> None:
    effects = small_report.effects
    assert effects is not None
    known = np.arange(8) != 2
    gamma = np.where(known[:, None], effects.gamma, np.nan)
    grid = gamma_grid(replace(effects, gamma=gamma, identified=known), 0.05)
    fills = squares(heatmap_svg(grid, "map", "alt"))
    row = {t: c for t, c in fills.items() if f"→ {effects.targets[2]}: " in t}
    assert len(row) == 8 and all(t.endswith("not identified") for t in row)
    assert sorted(row.values()) == sorted([OWN, *["#fcfcfd"] * 7])


def test_proportions_tooltips_name_the_ranges(small_report: ReportData) -> None:
    svg = proportions_svg(share_rows(small_report), True, 0.1, "p", "alt")
    titles = [t.text or "" for t in ElementTree.fromstring(svg).iter("title")]
    assert "add: 60 → 64 (+4); allowed 30 to 90; as good 64 to 67; nearly as good 52 to 73" in titles


def test_verdicts_svg_prediction_far_off_leaves_the_measured_interval_visible(small_report: ReportData) -> None:
    far = replace(small_report.verdicts[0], predicted_low=-40.0, predicted_high=40.0)
    svg = verdicts_svg((far,), "v", "alt")
    box = ElementTree.fromstring(svg)
    width = float(box.attrib["viewBox"].split()[2])
    interval = next(p for p in box.iter("path") if "stroke-width:2.4" in p.get("style", ""))
    numbers = [float(x) for x in re.findall(r"-?\d+(?:\.\d+)?", interval.attrib["d"])]
    assert abs(numbers[2] - numbers[0]) > width / 10


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
    assert [t for t in titles if "(planted, missed)" in t] == [
        "shift → reverse-shift (planted, missed) (candidate, taken out: not confirmed)"
    ]
    assert [t for t in titles if t.startswith("sort → upper")] == [
        "sort → upper: −0.02 nats (candidate, taken out: not confirmed)"
    ]
    assert sum("(confirmed by runs without both)" in t for t in titles) == 1
    assert sum("(not confirmed by runs without both)" in t for t in titles) == 1
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
