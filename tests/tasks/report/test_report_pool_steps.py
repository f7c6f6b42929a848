"""The report's section on cleaning, tags and selection, from the counts that the steps leave."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tasks.report.content import ReportData
from tasks.report.pool_steps import pool_steps
from tasks.report.render import render

FOUND: dict[str, Any] = {
    "hygiene": {
        "rows": 1200,
        "dropped": {"duplicate content": 7, "too short": 2},
        "held_out": 3,
        "benchmark": {"items": 50, "items_found": 4, "items_too_short_to_look_for": []},
    },
    "tagging": {
        "tagger": "endpoint <small>",
        "minimum_confidence": 0.6,
        "parts": 2,
        "categories": {"math": 700, "text": 400},
        "low_confidence": {"text": 88},
        "rejected": {"no answer": 1},
        "confidences": [0, 0, 0, 0, 40, 48, 0, 0, 0, 1100],
        "confusion": [["math", "math", 690], ["math", "text", 10], ["text", "text", 300]],
        "cross_validation": None,
        "usage": [
            {"asked": 1000, "tokens_in": 40_000, "tokens_out": 6000, "cost": 0.25},
            {"asked": 188, "tokens_in": 8_000, "tokens_out": 1000, "cost": 0.25},
        ],
    },
    "selection": {
        "selected": {"math": 60, "text": 40},
        "reserve": {"math": 500, "text": 100},
        "left": {"too similar": 12},
        "score": {"lowest": 12.5, "mean": 20.25, "highest": 31.0},
    },
}


def test_steps_become_totals_with_agreement_over_all_parts() -> None:
    found = pool_steps(FOUND, "deita")
    assert found.cleaning is not None and found.tagging is not None and found.selection is not None
    assert found.cleaning.left == (("duplicate content", 7), ("too short", 2), ("holds a held-out prompt", 3))
    assert found.tagging.categories == (("math", 700, 0), ("text", 400, 88))
    assert found.tagging.agreement is not None
    assert found.tagging.agreement[0] == 0.99 and found.tagging.agreement[2] == 1000
    assert found.tagging.cost == (1188, 48_000, 7000, 0.5)
    assert found.selection.categories == (("math", 60, 500), ("text", 40, 100))


def test_report_shows_the_steps_that_were_asked_for_and_no_others(small_report: ReportData) -> None:
    assert "<h3>Cleaning</h3>" not in render(small_report)
    html = render(replace(small_report, steps=pool_steps(FOUND, "deita")))
    for shown in (
        *("<h3>Cleaning</h3>", "1,200 rows", "holds a held-out prompt", "for 50 benchmark items too, 4 of which"),
        *("<h3>Tags</h3>", "endpoint &lt;small&gt;", "Agreement with native labels: 99.0%", "1,188 questions"),
        *("Native labels against categories", "<h3>Selection</h3>", "12 rows in neither: too similar"),
    ):
        assert shown in html, shown
    alone = render(replace(small_report, steps=pool_steps({"selection": FOUND["selection"]}, "length")))
    assert "<h3>Tags</h3>" not in alone and "Method <b>length</b>" in alone
