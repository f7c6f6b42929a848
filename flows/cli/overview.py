"""What `show` prints: the report's summary in words, then its tables as far as a terminal carries them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tasks.benchmarks.scores import SHARE
from tasks.report import judged
from tasks.report.content import ReportData
from tasks.report.lettering import carried, literal, percent, signed, whole
from tasks.report.shares import Span, share_rows
from tasks.report.summary import plain_headline
from tasks.report.tables import category_rows, edge_rows, measured_metrics, score_text
from tasks.validation.verdict import Verdict
from tasks.validation.wording import difference_text

_SHOWN_WEIGHTS = 3


def print_overview(overview: dict[str, Any], report: ReportData) -> None:
    """Print what is known about an experiment, the decision first, as far as it got."""
    console = Console(highlight=False)
    console.print(f"[bold]{escape(report.experiment)}[/]  recorded {overview['recorded']}", soft_wrap=True)
    for topic, text in plain_headline(report):
        _line(console, f"\n{topic}: {text}")
    _print_states(console, overview)
    _print_scores(console, report)
    _print_design(console, report)
    _print_proportions(console, report)
    _print_taxonomy(console, report)
    _print_verdicts(console, report)


def _print_states(console: Console, overview: dict[str, Any]) -> None:
    pool = overview["pool"]
    _line(console, f"\nPool {pool['name']}: {whole(sum(pool['counts'].values()))} instructions")
    for phase, content in overview["phases"].items():
        states = ", ".join(f"{n} {state}" for state, n in content["states"].items() if n) or "nothing planned"
        chosen = f" ({content['adaptive']} chosen adaptively)" if content["adaptive"] else ""
        _line(console, f"{phase}: {states}{chosen}")
        for missing in content["missing"]:
            _line(console, f"  missing: {missing}")
        _print_weights(console, content["runs"])


def _print_weights(console: Console, runs: Sequence[dict[str, Any]]) -> None:
    """Where the weights lie that were kept."""
    kept = [run for run in runs if run["checkpoint"]]
    for run in kept[:_SHOWN_WEIGHTS]:
        _line(console, f"  weights of {run['intervention']}, seed {run['seed']}: {run['checkpoint']}")
    if len(kept) > _SHOWN_WEIGHTS:
        _line(console, f"  weights of {len(kept) - _SHOWN_WEIGHTS} more runs: see --json")


def _print_scores(console: Console, report: ReportData) -> None:
    metrics = measured_metrics(report)
    if not metrics:
        return
    names = [metric.name if metric.unit == SHARE else f"{metric.name}, {metric.unit}" for metric in metrics]
    title = "\nScores of the baseline, mean over seeds ± standard error over examples"
    table = Table("category", *names, title=title, title_justify="left")
    for row in category_rows(report):
        if any(row.scores):
            cells = [score_text(score, metric) for score, metric in zip(row.scores, metrics, strict=True)]
            table.add_row(escape(literal(row.category)), *cells)
    console.print(table)


def _print_design(console: Console, report: ReportData) -> None:
    design = report.design
    if design is None:
        return
    most = f", at most {whole(design.most_runs)}" if design.most_runs > design.runs else ""
    _line(console, f"\nDesign {design.design}: {whole(design.interventions)} training sets, {design.runs} runs{most}.")
    for title, sentences in (("It can estimate", design.estimates), ("It cannot tell", design.cannot)):
        _line(console, title)
        for sentence in sentences:
            _line(console, f"  - {sentence}")


def _print_proportions(console: Console, report: ReportData) -> None:
    proposal = report.proposal
    if proposal is None:
        return
    found = "proposal" if proposal.decision == "change" else "best found (not advised)"
    ranges = [f"nearly as good (-{percent(proposal.slack)} gain)"] if proposal.sensitivity else []
    table = Table("category", "baseline", found, "change", *ranges, title="\nExamples per epoch", title_justify="left")
    for row in share_rows(report):
        change = signed(row.change, 0) if row.change else ""
        near = [_span(row.near)] if proposal.sensitivity else []
        table.add_row(escape(literal(row.category)), whole(row.before), whole(row.after), change, *near)
    console.print(table)
    for warning in proposal.warnings:
        _line(console, f"Warning: {carried(warning)}")


def _span(span: Span | None) -> str:
    return f"{whole(span[0])} to {whole(span[1])}" if span else ""


def _print_taxonomy(console: Console, report: ReportData) -> None:
    taxonomy = report.taxonomy
    if taxonomy is None or not (taxonomy.edges or taxonomy.removed or taxonomy.unconfirmed):
        return
    _line(console, "\nDependencies (source → what needs it)")
    for row in edge_rows(taxonomy, None):
        if row.edge is not None:
            _line(
                console, f"  {literal(row.source)} → {literal(row.target)}  ({signed(row.edge.delta, 3)}; {row.state})"
            )


def _print_verdicts(console: Console, report: ReportData) -> None:
    """All verdicts as a table, each in its own words, and the regrets."""
    if not report.verdicts:
        return
    ordered = judged.in_order(report)
    console.print(_verdict_table(ordered))
    for v in ordered:
        _line(console, f"- {carried(v.text)}")
    if report.regrets:
        _line(console, f"\n{judged.regrets(report)}")


def _verdict_table(verdicts: Sequence[Verdict]) -> Table:
    level = f"{100 * verdicts[0].confidence:.4g}% confidence"
    title = f"\nValidation: difference in {verdicts[0].unit}, + = better than the control"
    table = Table("arm", "against", "difference", level, "predicted", "verdict", title=title, title_justify="left")
    for v in verdicts:
        predicted = ""
        if v.predicted is not None:
            low, high = v.predicted_low, v.predicted_high
            parts = difference_text(v.predicted, v.low if low is None else low, v.high if high is None else high)
            predicted = parts[0] if low is None or high is None else f"{parts[0]} ({parts[1]})"
        numbers = difference_text(v.difference, v.low, v.high)
        table.add_row(escape(v.arm), escape(v.control), *numbers, predicted, v.outcome.value)
    return table


def _line(console: Console, text: str) -> None:
    console.print(text, markup=False, soft_wrap=True)
