"""The HTML report as a reader's browser gets it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from tasks.effects.matrix import EffectMatrix
from tasks.report.content import ReportData
from tasks.report.lettering import literal
from tasks.report.render import render
from tests.tasks.report.html_tree import Element, parse, shown, table_with


@pytest.fixture(scope="module")
def document(small_report: ReportData) -> Element:
    return parse(render(small_report))


@pytest.fixture(scope="module")
def hostile(build_report: Callable[..., ReportData], hostile_names: tuple[str, ...]) -> str:
    return render(build_report(hostile_names))


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
        assert runs == {r.anchor for r in small_report.runs if r.changed == (source,)}
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


def test_render_category_table_shows_every_score_with_its_error(document: Element, small_report: ReportData) -> None:
    head, *rows = document.by_id("data").all("tr")[: len(small_report.pool.kept) + 1]
    titles = [cell.text() for cell in head.all("th")]
    assert titles[3:] == ["loss, nats per token", "exact match", "judge rating, points of 10"]
    scores = {(one.score.category, one.metric.name): one.score for one in small_report.baseline_scores}
    for row, (category, _) in zip(rows, small_report.pool.kept, strict=True):
        loss, exact, rating = (cell.text() for cell in row.all("td")[2:])
        value = scores[category, "loss"].value
        first = scores[category, "loss"].standard_error is None
        assert loss == (f"{value:.3f}" if first else f"{value:.3f} ± 0.062")
        assert exact == (f"{100 * value:.1f}%" if first else f"{100 * value:.1f}% ± 6.2")
        assert rating == ("–" if first else f"{value:.3f} ± 0.062")


def test_render_stage_table_equals_the_stage_counts(document: Element, small_report: ReportData) -> None:
    curriculum = small_report.curriculum
    assert curriculum is not None
    table = {row[0]: row[1:] for row in table_with(document, "curriculum", "category", "stage 1")}
    for k, category in enumerate(curriculum.categories):
        counts = [stage[k] for stage in curriculum.stage_counts]
        assert table[category] == [f"{n:,}" for n in (*counts, sum(counts))]


def test_render_verdict_rows_link_their_arms_runs(document: Element, small_report: ReportData) -> None:
    section = document.by_id("validation")
    table = next(t for t in section.all("table") if "adjusted p" in t.text())
    rows = table.all("tr")[1:]
    assert len(rows) == len(small_report.verdicts)
    members = {"random step": {"random step 1", "random step 2"}}
    for row, verdict in zip(rows, small_report.verdicts, strict=True):
        linked = {a.attributes["href"][1:] for a in row.all("a")}
        arms = {verdict.arm} | members.get(verdict.control, {verdict.control})
        assert linked == {r.anchor for r in small_report.runs if r.phase == "validate" and r.label in arms}
        assert verdict.outcome.value in row.text()
        assert verdict.text in section.text()


def test_render_verdict_picture_says_measured_and_predicted_with_intervals(document: Element) -> None:
    titles = [t.text() for t in document.by_id("validation").all("title")]
    assert (
        "proposal against baseline: +0.0312 nats per token (+0.0110 to +0.0514), predicted +0.0270 (+0.0120 to +0.0410)"
        in titles
    )


def test_render_regrets_stand_beside_what_luck_gives(document: Element) -> None:
    rows = table_with(document, "validation", "arm", "behind the best (nats per token)")
    assert rows[0] == ["proposal (best as measured)", "0.0000", "0.0093"]
    assert [row[1] for row in rows] == ["0.0000", "0.0040", "0.0080", "0.0120"]
    assert "so gaps of that size mean nothing" in document.by_id("validation").text()


def test_render_summary_opens_with_the_decision_then_the_verdict(document: Element, small_report: ReportData) -> None:
    summary = document.by_id("summary")
    assert [t.text() for t in summary.all("dt")][:2] == ["Decision", "Verdict"]
    decision, verdict = (d.text() for d in summary.all("dd")[:2])
    assert decision.startswith("Change the mixture: with 95 % confidence the gain is above 0.0123 equivalent share.")
    assert "+0.028 equivalent share (95% interval +0.012 to +0.041)" in decision
    assert verdict.startswith(small_report.verdicts[0].text)


def test_render_design_says_what_it_can_and_cannot_tell(document: Element, small_report: ReportData) -> None:
    section, design = document.by_id("design"), small_report.design
    assert design is not None
    for sentence in (*design.estimates, *design.cannot, *design.notes):
        assert sentence in section.text()
    assert "All runs were planned before any result was known." in section.text()
    rows = table_with(document, "design", "training set")
    assert [row[0] for row in rows] == [one.name for one in small_report.interventions]
    assert {row[3] for row in rows} == {"3 of 3"}


def test_render_adaptive_runs_are_marked_counted_and_cautioned(small_report: ReportData) -> None:
    runs = tuple(replace(r, adaptive=r.phase == "measure" and r.seed == 2) for r in small_report.runs)
    assert small_report.effects is not None
    planned = ("size-matched, planned runs only", small_report.effects)
    document = parse(render(replace(small_report, runs=runs, other_effects=(planned,))))
    assert "9 of the 27 runs were chosen after a look at earlier results" in document.by_id("summary").text()
    assert document.by_id("effects").text().count("These effects rest on both") == 1
    marked = [r.anchor for r in runs if "adaptive" in document.by_id(r.anchor).text()]
    assert marked == [r.anchor for r in runs if r.adaptive] and len(marked) == 9
    evidence = {a.attributes["href"] for a in document.by_id("effects-1-source-0").all("a")}
    assert evidence == {f"#{r.anchor}" for r in runs if r.changed == ("add",) and not r.adaptive}


def test_render_surface_shows_every_slope_with_its_standard_error(small_report: ReportData, surface_of) -> None:
    assert small_report.effects is not None
    effects = surface_of(small_report.effects)
    report = replace(small_report, effects=effects, arm="factorial")
    document = parse(render(report))
    section = document.by_id("effects")
    assert "Estimator: surface" in section.text() and "seed by seed" not in section.text()
    per = int(re.search(r"Slopes are taken at the baseline, per (\d+) examples more", section.text())[1])
    table = next(t for t in section.all("table") if "±" in t.text() and "matrix" in t.attributes.get("class", ""))
    for i, row in enumerate(table.all("tr")[1:]):
        for j, cell in enumerate(row.all("td")):
            slope, error = re.fullmatch(r"([+−]?[0-9.]+)± ([0-9.]+)", cell.text()).groups()
            assert float(slope.replace("−", "-")) == pytest.approx(effects.marginal[i, j] * per, abs=6e-6)
            assert float(error) == pytest.approx(effects.marginal_error[i, j] * per, abs=6e-6)


def test_render_kept_baseline_is_not_drawn_as_advice(small_report: ReportData) -> None:
    assert small_report.proposal is not None
    kept = replace(small_report.proposal, decision="keep", reason="the predicted gain is not distinguishable from none")
    document = parse(render(replace(small_report, proposal=kept, verdicts=(), regrets=(), performances=())))
    assert document.by_id("summary").all("dd")[0].text().startswith("Keep the baseline: the predicted gain is not")
    section = document.by_id("proportions")
    assert "What follows is not advised" in section.text() and "change (not advised)" in section.text()
    before = dict(small_report.baseline_counts)
    for row in table_with(document, "proportions", "category", "before", "best found"):
        assert row[5] == f"{before[row[0]]:,}", "the column of what to train on is the baseline's"


def test_render_warnings_and_ranges_stand_with_the_proportions(document: Element, small_report: ReportData) -> None:
    proposal = small_report.proposal
    assert proposal is not None
    section = document.by_id("proportions")
    warnings = [p.text() for p in section.all("p") if p.attributes.get("class") == "warning"]
    assert warnings == ["Warning. Every share that moves goes as far as the limits (max-shift, box) let it."]
    rows = {row[0]: row for row in table_with(document, "proportions", "category", "before")}
    for one, n in zip(proposal.sensitivity, proposal.counts, strict=True):
        c = one.category
        before = dict(small_report.baseline_counts)[c]
        assert rows[c][6] == f"{0.5 * before:,.0f} to {1.5 * before:,.0f}"
        assert rows[c][8] == f"{n - 12:,} to {n + 9:,}"


def test_render_taxonomy_table_says_which_edges_runs_without_both_confirm(document: Element) -> None:
    state = {tuple(row[:2]): row[-2] for row in table_with(document, "taxonomy", "preliminary", "dependent")}
    assert state["add", "story-add"] == "kept, confirmed"
    assert state["copy", "reverse"] == "kept, not confirmed"
    assert state["copy", "shift"] == "kept"
    assert state["shift", "reverse-shift"] == "taken out: no such runs"
    assert state["sort", "upper"] == "taken out: not confirmed"


def test_render_what_was_stored_before_gains_and_decisions(small_report: ReportData) -> None:
    assert small_report.proposal is not None and small_report.taxonomy is not None
    bare = replace(small_report.proposal, gain=None, reason="", warnings=(), sensitivity=(), slack=0.0)
    edges = tuple(replace(e, confirmed=None, pair_out_p=float("nan")) for e in small_report.taxonomy.edges)
    old = replace(
        small_report,
        design=None,
        interventions=(),
        allowed=(),
        proposal=bare,
        taxonomy=replace(small_report.taxonomy, edges=edges, unconfirmed=()),
        verdicts=tuple(
            replace(v, predicted_low=None, predicted_high=None, detectable=None) for v in small_report.verdicts
        ),
        regrets=(),
        untried=(),
    )
    document = parse(render(old))
    assert "whether it gains more than chance was not computed" in document.by_id("summary").all("dd")[0].text()
    assert "No runs without both categories were made" in document.by_id("taxonomy").text()
    assert "What the design can tell is not known here" in document.by_id("design").text()
    assert document.by_id("validation").all("svg") and document.by_id("proportions").all("svg")


def test_render_hostile_free_text_is_escaped_and_carried(small_report: ReportData) -> None:
    bad = "<img src=x onerror=alert(1)> & \x07 \u202e $x$"
    good = "<img src=x onerror=alert(1)> & \ufffd \ufffd $x$"
    assert small_report.proposal is not None and small_report.curriculum is not None
    assert small_report.proposal.gain is not None and small_report.design is not None
    price = replace(small_report.proposal.shadow_prices[0], text=bad, limit=bad)
    report = replace(
        small_report,
        experiment=bad,
        created=bad,
        config={bad: [bad]},
        pool=replace(small_report.pool, name=bad, rejected=((bad, 1),)),
        runs=(replace(small_report.runs[0], label=bad, state=bad, device=bad, host=bad), *small_report.runs[1:]),
        verdicts=tuple(replace(v, arm=bad, control=bad, text=bad) for v in small_report.verdicts),
        proposal=replace(
            small_report.proposal,
            shadow_prices=(price,),
            binding=(bad,),
            solver=bad,
            unit=bad,
            gain=replace(small_report.proposal.gain, unit=bad),
            reason=bad,
            warnings=(bad,),
            count_excess=(bad,),
        ),
        design=replace(small_report.design, design=bad, estimates=(bad,), cannot=(bad,), notes=(bad,)),
        interventions=(replace(small_report.interventions[0], name=bad), *small_report.interventions[1:]),
        regrets=tuple(replace(r, arm=bad, best=bad, unit=bad) for r in small_report.regrets),
        untried=((bad, bad),),
        curriculum=replace(small_report.curriculum, note=bad),
        versions=((bad, bad),),
    )
    html = render(report)
    document = parse(html)
    assert not document.all("img") and not set(html) & {"\x07", "\u202e"}
    for section in ("summary", "design", "proportions", "curriculum", "validation", "data", "runs", "setup"):
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
        ("sort", "upper"): "–",
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
    bare = replace(small_report, runs=runs, verdicts=(), regrets=(), untried=(), performances=())
    document = parse(render(bare))
    assert "No fresh training run has tested it." in document.by_id("summary").text()
    assert document.by_id("curriculum").all("svg")
    assert "Not validated yet: no validation run is planned." in document.by_id("validation").text()


def test_render_second_arm_gets_its_own_map_and_evidence(small_report: ReportData) -> None:
    assert small_report.effects is not None
    report = replace(small_report, other_effects=(("size-reduced", small_report.effects),))
    document = parse(render(report))
    assert len(document.by_id("effects").all("svg")) == 4
    ids = [e.attributes["id"] for e in document.all() if "id" in e.attributes]
    assert len(ids) == len(set(ids)) and "effects-1-source-0" in ids


def test_render_targets_other_than_sources_well_formed(small_report: ReportData) -> None:
    effects = small_report.effects
    assert effects is not None
    square = ("delta", "standard_error", "low", "high", "p_value", "q_value", "marginal", "marginal_error", "gamma")
    further = ("gamma_low", "gamma_high", "asymmetry_p", "identified")
    part = {name: getattr(effects, name)[:3] for name in (*square, *further)}
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


def test_report_data_with_one_fingerprint_twice_is_refused(small_report: ReportData) -> None:
    with pytest.raises(ValueError, match="fingerprint"):
        replace(small_report, runs=small_report.runs + small_report.runs[:1])
