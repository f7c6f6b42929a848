"""The report's summary in plain sentences. Names from data are escaped and kept apart from the words around them."""

from __future__ import annotations

import math

from markupsafe import Markup

from tasks.effects.matrix import EffectMatrix
from tasks.interventions.intervention import Arm
from tasks.report import decided, judged
from tasks.report.content import FINISHED, MEASURE, PlantedEdges, ReportData
from tasks.report.lettering import decimals_for, literal, percent, signed, whole
from tasks.report.phrases import are, between, counted, equals, listed, name
from tasks.report.planted import Finding, compare
from tasks.report.strongest import Cell, contrast
from tasks.taxonomy.taxonomy import Role, Taxonomy

DECISION, VERDICT = "Decision", "Verdict"


def headline(report: ReportData) -> tuple[tuple[str, Markup], ...]:
    """What a reader must know, as (topic, sentences) pairs: the decision first, then what validation says of it."""
    lines = [(DECISION, decided.decision(report)), (VERDICT, judged.verdict(report))]
    if report.verdicts and report.untried:
        lines.append(("Not tried", Markup("{}").format(judged.untried(report).removeprefix("Not tried: "))))
    lines.append(("Measured", measured(report)))
    if report.effects is not None:
        fdr = report.false_discovery_rate
        lines += [
            ("Helps most", strongest_help(report.effects, fdr)),
            ("Hurts most", strongest_harm(report.effects, fdr)),
        ]
    if report.taxonomy is not None:
        lines.append(("Order", dependencies(report.taxonomy, report.planted)))
    return tuple(lines)


def plain_headline(report: ReportData) -> tuple[tuple[str, str], ...]:
    """The same without markup, for terminals."""
    return tuple((topic, sentence.striptags()) for topic, sentence in headline(report))


def measured(report: ReportData) -> Markup:
    """How many runs measured what, how they were turned into effects, and how many were chosen adaptively."""
    runs = [r for r in report.runs if r.phase == MEASURE]
    done = sum(r.state == FINISHED for r in runs)
    text = f"{whole(done)} of {whole(len(runs))}" if done < len(runs) else whole(done)
    sets = {r.label for r in runs}
    design = f" of the design {literal(report.design.design)}" if report.design else ""
    seeds = {r.seed for r in runs}
    sentence = Markup("{} fine-tunes{}: {} with {}{}, judged on {}.").format(
        text,
        design,
        counted(len(sets), "training set"),
        "up to " if len(runs) < len(sets) * len(seeds) else "",
        counted(len(seeds), "seed"),
        counted(_targets(report), "held-out category", "held-out categories"),
    )
    if report.effects is not None:
        sentence = Markup("{} Estimator: {}.").format(sentence, literal(report.effects.estimator))
    return Markup("{} {}").format(sentence, adaptive(report)) if report.adaptive else sentence


def _targets(report: ReportData) -> int:
    return len(report.effects.targets) if report.effects else len(report.baseline_counts)


def adaptive(report: ReportData) -> str:
    """How many runs were chosen after a look at earlier results, and what that means."""
    number = len(report.adaptive)
    if not number:
        return "All runs were planned before any result was known."
    total = sum(r.phase == MEASURE for r in report.runs)
    return (
        f"{number} of the {total} runs {'was' if number == 1 else 'were'} chosen after a look at earlier results: they "
        "serve the decision, but only the planned runs alone give intervals that hold."
    )


_ESTIMATORS = {
    "paired": "the mean difference between runs of the same seed",
    "surface": "one response surface fitted to all runs at once",
}


def estimated(report: ReportData, effects: EffectMatrix) -> Markup:
    """By which estimator the deciding effects came about, in which arm, and how sure their intervals are."""
    arm = Markup(" Arm: {}.").format(name(report.arm)) if report.arm in list(Arm) else ""
    return Markup("Estimator: <b>{}</b>, {}.{} Each interval is meant to hold {} of the time.").format(
        literal(effects.estimator), _ESTIMATORS.get(effects.estimator, "as stored"), arm, percent(effects.confidence)
    )


def reach(report: ReportData, effects: EffectMatrix) -> str:
    """A surface's caveat: which sources no run leaves out, so that their Δ is extrapolated; empty if there are none."""
    lowest = (
        {c: min(dict(one.counts).get(c, 0) for one in report.interventions) for c in effects.sources}
        if (report.interventions)
        else {}
    )
    beyond = [c for c, n in lowest.items() if n > 0]
    if not beyond:
        return ""
    which = "any category" if len(beyond) == len(effects.sources) else f"{len(beyond)} of the categories"
    return f"No run leaves {which} out, so these differences extrapolate beyond the runs; the slopes below do not."


def strongest_help(effects: EffectMatrix, fdr: float) -> Markup:
    """The strongest shown help between two categories, or that there is none."""
    found = contrast(effects, fdr)
    if not found.helps:
        return Markup(
            "No category’s data was shown to help another one (of {} pairs, false discovery rate {})."
        ).format(whole(found.cross), percent(fdr))
    return Markup("The data of {} improves {}: {}. {} of {} shown to help.").format(
        name(found.helps[0].source),
        name(found.helps[0].target),
        _amount(effects, found.helps[0]),
        whole(len(found.helps)),
        _pairs_are(len(found.helps), found.cross),
    )


def strongest_harm(effects: EffectMatrix, fdr: float) -> Markup:
    """The strongest shown harm between two categories, or that there is none."""
    found = contrast(effects, fdr)
    if not found.hurts:
        return Markup("No category’s data was shown to hurt another one.")
    return Markup("The data of {} worsens {}: {}. {} of {} shown to hurt.").format(
        name(found.hurts[0].source),
        name(found.hurts[0].target),
        _amount(effects, found.hurts[0]),
        whole(len(found.hurts)),
        _pairs_are(len(found.hurts), found.cross),
    )


def _pairs_are(number: int, cross: int) -> str:
    return f"{counted(cross, 'pair')} {'is' if number == 1 else 'are'}"


def _amount(effects: EffectMatrix, cell: Cell) -> Markup:
    digits = decimals_for([cell.delta], 2)
    return Markup('<strong class="number">Δ = {}</strong> {} ({} interval {}, q {})').format(
        signed(cell.delta, digits),
        literal(effects.unit),
        percent(effects.confidence),
        between(cell.low, cell.high, digits),
        equals(cell.q_value),
    )


def main_effects(report: ReportData) -> Markup:
    """How far "some data are better for everything" goes."""
    if report.main_effects is None or not math.isfinite(report.main_effects.share_of_variance):
        return Markup("")
    share = report.main_effects.share_of_variance
    if share >= 0.8:
        meaning = "most of the structure is that some data are better for everything, not who helps whom"
    else:
        meaning = "the rest is about who helps whom, and noise"
    return Markup(
        "{} of the variance between the off-diagonal cells is explained by the columns’ means alone: {}."
    ).format(percent(share), meaning)


def dependencies(taxonomy: Taxonomy, truth: PlantedEdges | None) -> Markup:
    """Roles and edges of the taxonomy, what pair-out runs say of them, and how it compares with a planted truth."""
    if not taxonomy.edges:
        text = Markup("No dependency between categories was shown: the evidence prefers no order.")
    else:
        base = [name(c) for c, role in taxonomy.roles if role is Role.BASE]
        dependent = [name(c) for c, role in taxonomy.roles if role is Role.DEPENDENT]
        text = Markup("{} shown. Base: {}. Dependent: {}.").format(
            counted(len(taxonomy.edges), "dependency is", "dependencies are"),
            listed(base) or "none",
            listed(dependent) or "none",
        )
    text = Markup("{} {}").format(text, confirmation(taxonomy))
    if truth is None:
        return text
    found = compare(taxonomy, truth)
    planted = found.count(Finding.RECOVERED) + found.count(Finding.MISSED)
    return Markup("{} Of {} that were planted, {} found and {} missed; {} found that {} not planted.").format(
        text,
        counted(planted, "direct dependency", "direct dependencies"),
        are(found.count(Finding.RECOVERED)),
        are(found.count(Finding.MISSED)),
        are(found.count(Finding.NOT_PLANTED)),
        "was" if found.count(Finding.NOT_PLANTED) == 1 else "were",
    )


def confirmation(taxonomy: Taxonomy) -> str:
    """What runs without both categories say of the edges."""
    said = [edge.confirmed for edge in (*taxonomy.edges, *taxonomy.unconfirmed)]
    yes, no = said.count(True), said.count(False)
    if not yes + no:
        out = "No runs without both categories were made to confirm them." if taxonomy.edges else ""
    else:
        out = f"Runs without both categories confirm {yes} of the {yes + no} that they tested."
    if taxonomy.unconfirmed:
        number = len(taxonomy.unconfirmed)
        out += f" {counted(number, 'candidate was', 'candidates were')} taken out, not being confirmed."
    return out.strip()


def progress(report: ReportData) -> str:
    """How many planned runs are done, and the states of the others."""
    states: dict[str, int] = {}
    for run in report.runs:
        states[run.state] = states.get(run.state, 0) + 1
    total, done = len(report.runs), states.pop(FINISHED, 0)
    if done == total:
        return f"All {counted(total, 'run')} are finished."
    rest = ", ".join(f"{n} {state}" for state, n in sorted(states.items()))
    return f"{done} of {counted(total, 'run')} are finished ({rest})."
