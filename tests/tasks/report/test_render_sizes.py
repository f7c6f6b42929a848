"""Reports of few and of many categories."""

from __future__ import annotations

import re

import pytest

from tasks.report.render import render
from tests.tasks.report.html_tree import parse


@pytest.mark.parametrize("categories", [8, 40, 100])
def test_render_many_categories_well_formed_linked_and_light(build_report, small_report, categories) -> None:
    report = small_report if categories == 8 else build_report(tuple(f"topic {i:03d}" for i in range(categories)))
    html = render(report)
    document = parse(html)
    ids = [e.attributes["id"] for e in document.all() if "id" in e.attributes]
    assert len(ids) == len(set(ids))
    links = [e.attributes["href"] for e in document.all("a")]
    assert links and all(link.startswith("#") and link[1:] in ids for link in links)
    used = [u for e in document.all() for v in e.attributes.values() for u in re.findall(r"url\(#([^)]+)\)", v)]
    assert set(used) <= set(ids)
    assert {r.anchor for r in report.runs} <= set(ids)
    assert len(html.encode()) < (450_000 if categories <= 40 else 2_000_000)
