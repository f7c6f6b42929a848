"""The layered layout on graphs whose best drawing is known."""

from __future__ import annotations

from itertools import combinations, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.report.layout import Layout, layered


def crossings(layout: Layout) -> int:
    """Segments between neighboring columns that cross, counted pair by pair."""
    segments = [s for route in layout.route.values() for s in pairwise(route)]
    return sum(1 for (a, b), (c, d) in combinations(segments, 2) if a[0] == c[0] and (a[1] - c[1]) * (b[1] - d[1]) < 0)


def test_layered_crossed_pairs_are_untangled() -> None:
    layout = layered({"a": 0, "b": 0, "x": 1, "y": 1}, [("a", "y"), ("b", "x")])
    assert crossings(layout) == 0


def test_layered_tree_has_no_crossing() -> None:
    levels = {"r": 0, "a": 1, "b": 1, "c": 1, **{f"{p}{i}": 2 for p in "cab" for i in range(2)}}
    edges = [("r", p) for p in "abc"] + [(p, f"{p}{i}") for p in "abc" for i in range(2)]
    assert crossings(layered(levels, edges)) == 0


def test_layered_long_edge_passes_beside_the_nodes_between() -> None:
    layout = layered({"a": 0, "b": 1, "c": 2}, [("a", "b"), ("b", "c"), ("a", "c")])
    route = layout.route["a", "c"]
    assert [column for column, _ in route] == [0, 1, 2]
    assert abs(route[1][1] - layout.place["b"][1]) >= 1


def test_layered_backward_and_level_edges_have_no_route() -> None:
    layout = layered({"a": 0, "b": 1, "c": 1}, [("b", "a"), ("b", "c")])
    assert layout.route == {}


def test_layered_no_nodes_gives_an_empty_layout() -> None:
    assert layered({}, []).place == {}


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_layered_any_graph_keeps_nodes_apart_in_their_columns(data: st.DataObject) -> None:
    levels = {f"n{i}": data.draw(st.integers(0, 3)) for i in range(data.draw(st.integers(1, 12)))}
    pairs = [(a, b) for a in levels for b in levels if levels[a] < levels[b]]
    edges = data.draw(st.lists(st.sampled_from(pairs), unique=True)) if pairs else []
    layout = layered(levels, edges)
    assert {n: c for n, (c, _) in layout.place.items()} == levels
    assert set(layout.route) == set(edges)
    points = {*layout.place.values()}
    between = [p for route in layout.route.values() for p in route[1:-1]]
    assert len(points) == len(levels)
    for (c1, r1), (c2, r2) in combinations([*points, *between], 2):
        assert c1 != c2 or abs(r1 - r2) >= 1 - 1e-9
    assert all(-1e-9 <= r <= layout.rows - 1 + 1e-9 for _, r in points)
    assert layout == layered(dict(sorted(levels.items(), reverse=True)), edges)


@pytest.mark.parametrize("size", [100])
def test_layered_hundred_nodes_stay_in_order(size: int) -> None:
    levels = {f"n{i:03d}": i % 4 for i in range(size)}
    edges = [(f"n{i:03d}", f"n{i + 1:03d}") for i in range(size - 1) if i % 4 < 3]
    assert crossings(layered(levels, edges)) == 0
