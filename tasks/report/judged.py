"""What validation says: verdicts in their own words, regrets with their caveat, arms that were not tried."""

from __future__ import annotations

from markupsafe import Markup

from tasks.interventions.intervention import BASELINE
from tasks.report.content import FINISHED, VALIDATE, ReportData
from tasks.report.lettering import carried
from tasks.report.phrases import counted, name
from tasks.validation.verdict import Verdict
from tasks.validation.wording import regret_text, skipped_text


def headline_verdicts(report: ReportData) -> tuple[Verdict, ...]:
    """The headline arm's verdicts, the one against the baseline first; all verdicts if it has none."""
    own = [v for v in report.verdicts if v.arm == report.headline_arm]
    return tuple(sorted(own or report.verdicts, key=lambda v: v.control != BASELINE))


def in_order(report: ReportData) -> tuple[Verdict, ...]:
    """All verdicts, the headline arm's first, else as given."""
    return tuple(sorted(report.verdicts, key=lambda v: v.arm != report.headline_arm))


def verdict(report: ReportData) -> Markup:
    """The first verdict in its own words and the outcomes of the headline arm's others; or why there is none."""
    if not report.verdicts:
        return Markup("{}").format(not_validated(report))
    chosen = headline_verdicts(report)
    first = chosen[0]
    rest = [
        Markup('{} against {}: <span class="{}">{}</span>').format(
            name(v.arm), name(v.control), v.outcome.name.lower(), v.outcome.value
        )
        for v in (*chosen[1:], *(v for v in report.verdicts if v not in chosen))
    ]
    text = Markup("{}").format(carried(first.text))
    return Markup("{} <br>Besides: {}.").format(text, Markup("; ").join(rest)) if rest else text


def badge(v: Verdict) -> Markup:
    """The outcome as a colored label."""
    return Markup('<span class="badge {}">{}</span>').format(v.outcome.name.lower(), v.outcome.value)


def not_validated(report: ReportData) -> str:
    """Why there are no verdicts: nothing to try, nothing planned, or runs that are not finished."""
    planned = [r for r in report.runs if r.phase == VALIDATE]
    if not planned:
        if report.untried:
            return f"Nothing was trained to validate. {untried(report)}"
        return "Not validated yet: no validation run is planned."
    done = sum(r.state == FINISHED for r in planned)
    return f"Not validated yet: {done} of {counted(len(planned), 'validation run')} are finished."


def untried(report: ReportData) -> str:
    """Which arms that were asked for were not trained, and why; empty where all were."""
    return " ".join(carried(sentence) for sentence in skipped_text(report.untried))


def regrets(report: ReportData) -> str:
    """All regrets with what luck alone would make of them."""
    return carried(regret_text(report.regrets))
