"""The HTML report as a reader's browser gets it."""

from __future__ import annotations

import os
import pickle
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from tasks.effects.matrix import EffectMatrix
from tasks.errors import InputError
from tasks.report.content import ReportData
from tasks.report.lettering import literal
from tasks.report.render import render, write_figures, write_report

VOID = {"meta", "br", "link", "img", "input", "hr"}
ROOT = Path(__file__).resolve().parents[3]


@dataclass
class Element:
    tag: str
    attributes: dict[str, str]
    children: list[Element | str] = field(default_factory=list)

    def text(self) -> str:
        return "".join(c if isinstance(c, str) else c.text() for c in self.children)

    def all(self, tag: str | None = None) -> list[Element]:
        found = []
        for child in self.children:
            if isinstance(child, Element):
                if tag in (None, child.tag):
                    found.append(child)
                found += child.all(tag)
        return found

    def by_id(self, identifier: str) -> Element:
        return next(e for e in self.all() if e.attributes.get("id") == identifier)


class Strict(HTMLParser):
    """Builds a tree and refuses tags that do not nest."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.root = Element("document", {})
        self.open = [self.root]
        self.feed(html)
        self.close()
        assert self.open == [self.root], f"not closed: {[e.tag for e in self.open]}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({k for k, _ in attrs}) == len(attrs), f"attribute twice in {tag}"
        element = Element(tag, {k: v or "" for k, v in attrs})
        self.open[-1].children.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open[-1].tag == tag, f"</{tag}> closes <{self.open[-1].tag}> at {self.getpos()}"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        self.open[-1].children.append(data)


def parse(html: str) -> Element:
    return Strict(html).root


def rows_of(table: Element) -> list[list[str]]:
    return [[c.text().strip() for c in row.children if isinstance(c, Element)] for row in table.all("tr")]


def table_with(document: Element, section: str, *headings: str) -> list[list[str]]:
    for table in document.by_id(section).all("table"):
        rows = rows_of(table)
        if tuple(rows[0][: len(headings)]) == headings:
            return rows[1:]
    raise AssertionError(f"no table {headings} in {section}")


def shown(value: float, decimals: int) -> str:
    text = f"{value:+.{decimals}f}".replace("-", "−")
    return f"{0:.{decimals}f}" if not text.strip("+−0.") else text


@pytest.fixture(scope="module")
def document(small_report: ReportData) -> Element:
    return parse(render(small_report))


@pytest.fixture(scope="module")
def hostile(build_report: Callable[..., ReportData], hostile_names: tuple[str, ...]) -> str:
    return render(build_report(hostile_names))


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
    assert len(html.encode()) < (400_000 if categories <= 40 else 2_000_000)


def test_render_any_report_loads_nothing_and_runs_nothing(hostile: str) -> None:
    document = parse(hostile)
    policy = next(e.attributes["content"] for e in document.all("meta") if "http-equiv" in e.attributes)
    assert policy.startswith("default-src 'none'")
    assert not {e.tag for e in document.all()} & {"script", "iframe", "object", "embed", "link", "base", "form"}
    for element in document.all():
        for key, value in element.attributes.items():
            assert not key.startswith("on")
            if key in ("src", "href", "xlink:href", "action"):
                assert value.startswith(("#", "data:image/png;base64,"))
    assert "http://" not in hostile and "https://" not in hostile
    style = document.all("style")
    assert len(style) == 1 and "@import" not in style[0].text() and "url(" not in style[0].text()


def test_render_hostile_names_appear_literally_everywhere(hostile: str, hostile_names: tuple[str, ...]) -> None:
    document = parse(hostile)
    names = {e.text() for e in document.all("bdi")}
    assert {literal(n) for n in hostile_names} <= names
    assert "<script>alert" not in hostile
    drawn = {e.text() for e in document.by_id("effects").all("text")}
    for name in (
        "<script>alert(1)</script>",
        "$x^2$ & \\frac{1}{2}$",
        "مرحبا بالعالم",
        "🧮 arithmetic 😀",
        "{{ 7*7 }}{% raw %}",
    ):
        assert name in drawn


def test_render_names_with_control_characters_are_carried_as_replacement(hostile: str) -> None:
    assert "line break and\ufffdnull\ufffdoverride" in hostile
    assert not set(hostile) & {"\x00", "\u202e"}


def test_render_effects_table_equals_the_matrix(document: Element, small_report: ReportData) -> None:
    effects = small_report.effects
    assert effects is not None
    table = next(t for t in document.by_id("effects").all("table") if "matrix" in t.attributes.get("class", ""))
    rows = table.all("tr")[1:]
    assert [r.all("th")[0].text() for r in rows] == list(effects.targets)
    for i, row in enumerate(rows):
        cells = row.all("td")
        assert [c.text() for c in cells] == [shown(v, 3) for v in effects.delta[i]]
        assert [bool(c.all("b")) for c in cells] == [bool(q <= 0.05) for q in effects.q_value[i]]


def test_render_effect_cells_lead_to_exactly_the_runs_without_that_source(
    document: Element, small_report: ReportData
) -> None:
    table = next(t for t in document.by_id("effects").all("table") if "matrix" in t.attributes.get("class", ""))
    assert small_report.effects is not None
    for j, source in enumerate(small_report.effects.sources):
        links = {row.all("td")[j].all("a")[0].attributes["href"] for row in table.all("tr")[1:]}
        assert len(links) == 1
        evidence = document.by_id(links.pop()[1:])
        runs = {a.attributes["href"][1:] for a in evidence.all("a")}
        assert runs == {r.anchor for r in small_report.runs if r.removed == (source,)}
        assert len(runs) == 3


def test_render_listed_effects_show_interval_and_q(document: Element, small_report: ReportData) -> None:
    effects = small_report.effects
    assert effects is not None
    listed = table_with(document, "effects", "data of", "on", "Δ")
    assert len(listed) == 8 * 7
    for source, target, delta, interval, q, *_ in listed:
        i, j = effects.targets.index(target), effects.sources.index(source)
        assert delta == shown(effects.delta[i, j], 3)
        assert interval == f"{shown(effects.low[i, j], 3)} to {shown(effects.high[i, j], 3)}"
        assert q == ("<0.001" if effects.q_value[i, j] < 0.001 else f"{effects.q_value[i, j]:.3f}")


def test_render_proportions_table_equals_the_counts(document: Element, small_report: ReportData) -> None:
    proposal, before = small_report.proposal, dict(small_report.baseline_counts)
    assert proposal is not None
    table = {row[0]: row[1:4] for row in table_with(document, "proportions", "category", "before")}
    assert table == {
        c: [f"{before[c]:,}", f"{n:,}", shown(n - before[c], 0)]
        for c, n in zip(proposal.categories, proposal.counts, strict=True)
    }


def test_render_stage_table_equals_the_stage_counts(document: Element, small_report: ReportData) -> None:
    curriculum = small_report.curriculum
    assert curriculum is not None
    table = {row[0]: row[1:] for row in table_with(document, "curriculum", "category", "stage 1")}
    for k, category in enumerate(curriculum.categories):
        counts = [stage[k] for stage in curriculum.stage_counts]
        assert table[category] == [f"{n:,}" for n in (*counts, sum(counts))]


def test_render_verdict_rows_link_their_arms_runs(document: Element, small_report: ReportData) -> None:
    rows = document.by_id("validation").all("table")[0].all("tr")[1:]
    assert len(rows) == len(small_report.verdicts)
    members = {"random step": {"random step 1", "random step 2"}}
    for row, verdict in zip(rows, small_report.verdicts, strict=True):
        linked = {a.attributes["href"][1:] for a in row.all("a")}
        arms = {verdict.arm} | members.get(verdict.control, {verdict.control})
        assert linked == {r.anchor for r in small_report.runs if r.phase == "validate" and r.label in arms}
        assert verdict.text in row.text() and verdict.outcome.value in row.text()


def test_render_hostile_free_text_is_escaped_and_carried(small_report: ReportData) -> None:
    bad = "<img src=x onerror=alert(1)> & \x07 \u202e $x$"
    good = "<img src=x onerror=alert(1)> & \ufffd \ufffd $x$"
    assert small_report.proposal is not None and small_report.curriculum is not None
    price = replace(small_report.proposal.shadow_prices[0], text=bad, limit=bad)
    report = replace(
        small_report,
        experiment=bad,
        created=bad,
        config={bad: [bad]},
        pool=replace(small_report.pool, name=bad, rejected=((bad, 1),)),
        runs=(replace(small_report.runs[0], label=bad, state=bad, device=bad, host=bad), *small_report.runs[1:]),
        verdicts=tuple(replace(v, arm=bad, control=bad, text=bad) for v in small_report.verdicts),
        proposal=replace(small_report.proposal, shadow_prices=(price,), binding=(bad,), solver=bad),
        curriculum=replace(small_report.curriculum, note=bad),
        versions=((bad, bad),),
    )
    html = render(report)
    document = parse(html)
    assert not document.all("img") and not set(html) & {"\x07", "\u202e"}
    for section in ("proportions", "curriculum", "validation", "data", "runs", "setup"):
        assert good in document.by_id(section).text()


def test_render_planted_world_names_found_missed_and_not_planted(document: Element) -> None:
    truth = {tuple(row[:2]): row[-1] for row in table_with(document, "taxonomy", "preliminary", "dependent")}
    assert truth == {
        ("add", "story-add"): "found",
        ("copy", "reverse"): "found",
        ("copy", "reverse-shift"): "indirect",
        ("copy", "shift"): "found",
        ("reverse", "reverse-shift"): "found",
        ("shift", "reverse-shift"): "missed",
        ("upper", "sort"): "not planted",
    }


def test_render_runs_table_has_every_run(document: Element, small_report: ReportData) -> None:
    for run in small_report.runs:
        text = document.by_id(run.anchor).text()
        assert run.fingerprint[:12] in text and run.label in text and ("reused" in text) == run.reused


def test_render_interim_report_says_what_is_missing(interim_report: ReportData) -> None:
    html = render(interim_report)
    document = parse(html)
    assert "There are no effects yet. 24 of 48 runs are finished (24 running)." in document.by_id("effects").text()
    for section, words in {
        "taxonomy": "not computed yet",
        "proportions": "Not computed yet",
        "curriculum": "No curriculum was made yet",
        "validation": "Not validated yet: 11 of 21 validation runs are finished",
    }.items():
        assert words in document.by_id(section).text()
        assert not document.by_id(section).all("svg")


def test_render_optimized_but_not_validated_report_keeps_its_figures(small_report: ReportData) -> None:
    runs = tuple(r for r in small_report.runs if r.phase == "measure")
    document = parse(render(replace(small_report, runs=runs, verdicts=(), performances=())))
    assert document.by_id("curriculum").all("svg")
    assert "Not validated yet: no validation run is planned." in document.by_id("validation").text()


def test_render_second_arm_gets_its_own_map_and_evidence(small_report: ReportData) -> None:
    assert small_report.effects is not None
    report = replace(small_report, other_effects=(("size-reduced", small_report.effects),))
    document = parse(render(report))
    assert len(document.by_id("effects").all("svg")) == 2
    ids = [e.attributes["id"] for e in document.all() if "id" in e.attributes]
    assert len(ids) == len(set(ids)) and "effects-1-source-0" in ids


def test_render_targets_other_than_sources_well_formed(small_report: ReportData) -> None:
    effects = small_report.effects
    assert effects is not None
    square = ("delta", "standard_error", "low", "high", "p_value", "q_value", "marginal", "gamma", "asymmetry_p")
    part = {name: getattr(effects, name)[:3] for name in (*square, "gamma_low", "gamma_high", "identified")}
    rectangular: EffectMatrix = replace(
        effects, targets=effects.targets[:3], seed_delta=effects.seed_delta[:, :3], **part
    )
    document = parse(render(replace(small_report, effects=rectangular, main_effects=None, planted=None)))
    assert len(table_with(document, "effects", "data of", "on")) == 3 * 8 - 3


def test_render_all_effects_zero_draws_a_map(small_report: ReportData) -> None:
    effects = small_report.effects
    assert effects is not None
    zero = np.zeros_like(effects.delta)
    still = replace(effects, delta=zero, low=zero, high=zero, q_value=zero + 1)
    document = parse(render(replace(small_report, effects=still, main_effects=None)))
    assert "No category’s data was shown to help another one" in document.by_id("summary").text()


def test_render_in_other_processes_is_the_same_text(small_report: ReportData, tmp_path: Path) -> None:
    (tmp_path / "report.pickle").write_bytes(pickle.dumps(small_report))
    script = (
        "import pickle, pathlib, sys; from tasks.report.render import render;"
        "folder = pathlib.Path(sys.argv[1]);"
        "report = pickle.loads((folder / 'report.pickle').read_bytes());"
        "(folder / 'out.html').write_text(render(report), encoding='utf-8')"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "12345", "PYTHONPATH": str(ROOT), "TZ": "Asia/Tokyo"}
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True, env=environment, cwd=tmp_path)
    assert (tmp_path / "out.html").read_text(encoding="utf-8") == render(small_report)


def test_import_content_does_not_load_the_plotting_library() -> None:
    script = "import sys, tasks.report, tasks.report.content; sys.exit('matplotlib' in sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True, env={**os.environ, "PYTHONPATH": str(ROOT)})


def test_write_report_replaces_the_old_file_and_leaves_no_part(interim_report: ReportData, tmp_path: Path) -> None:
    path = tmp_path / "new" / "report.html"
    write_report(interim_report, path)
    first = path.read_text(encoding="utf-8")
    path.write_text("old")
    write_report(interim_report, path)
    assert path.read_text(encoding="utf-8") == first == render(interim_report)
    assert [p.name for p in path.parent.iterdir()] == ["report.html"]


def test_write_report_failing_render_keeps_the_old_file(small_report: ReportData, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text("old")
    with pytest.raises(ValueError, match="baseline counts lack"):
        write_report(replace(small_report, baseline_counts=()), path)
    assert path.read_text() == "old" and len(list(tmp_path.iterdir())) == 1


def test_write_report_below_a_file_names_the_path(interim_report: ReportData, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="report\\.html"):
        write_report(interim_report, tmp_path / "file" / "report.html")


def test_write_figures_gives_vector_and_pixel_files(small_report: ReportData, tmp_path: Path) -> None:
    paths = write_figures(small_report, tmp_path / "figures")
    assert {p.name for p in paths} == {"effects.svg", "effects.png", "taxonomy.svg", "taxonomy.png"}
    for path in paths:
        start = path.read_bytes()[:8]
        assert start == b"\x89PNG\r\n\x1a\n" if path.suffix == ".png" else start.startswith(b"<?xml")


def test_write_figures_without_effects_writes_nothing(interim_report: ReportData, tmp_path: Path) -> None:
    assert write_figures(interim_report, tmp_path) == ()


def test_report_data_with_one_fingerprint_twice_is_refused(small_report: ReportData) -> None:
    with pytest.raises(ValueError, match="fingerprint"):
        replace(small_report, runs=small_report.runs + small_report.runs[:1])


def test_report_data_with_proposal_and_refusal_is_refused(small_report: ReportData) -> None:
    with pytest.raises(ValueError, match="not both"):
        replace(small_report, refusal="the gain's interval includes 0")
