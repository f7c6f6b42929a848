"""The report in plain sentences. Names from data are escaped and kept apart from the words around them."""

from __future__ import annotations

from collections.abc import Iterable

from markupsafe import Markup

from tasks.effects.matrix import EffectMatrix
from tasks.interventions.intervention import BASELINE
from tasks.proportions.proposal import Proposal
from tasks.report.content import FINISHED, MEASURE, VALIDATE, PlantedEdges, ReportData
from tasks.report.lettering import decimals_for, literal, percent, plain, probability, signed, whole
from tasks.report.planted import Finding, compare
from tasks.report.shares import share_rows
from tasks.report.strongest import Cell, contrast
from tasks.taxonomy.taxonomy import Role, Taxonomy
from tasks.validation.verdict import Outcome, Verdict

_ARM_WORDS = {
    "size-matched": "the freed budget refilled from the other categories",
    "size-reduced": "the training set smaller by that much",
}


def name(text: str) -> Markup:
    """A category's or arm's name as HTML: escaped, set apart, its writing direction its own."""
    return Markup('<bdi class="name">{}</bdi>').format(literal(text))


def listed(items: Iterable[str | Markup], most: int = 6) -> Markup:
    """ "a, b and c"; what is beyond `most` is counted."""
    parts = list(items)
    rest = len(parts) - most
    if rest > 0:
        parts = [*parts[:most], f"{rest} more"]
    if len(parts) < 2:
        return Markup("").join(parts)
    return Markup("{} and {}").format(Markup(", ").join(parts[:-1]), parts[-1])


def counted(number: int, one: str, many: str | None = None) -> str:
    """ "1 run", "3 runs"."""
    return f"{whole(number)} {one if number == 1 else many or one + 's'}"


def headline(report: ReportData) -> tuple[tuple[str, Markup], ...]:
    """What a reader must know, as (topic, sentence) pairs."""
    lines = [("Measured", measured(report))]
    if report.effects is not None:
        fdr = report.false_discovery_rate
        lines += [
            ("Helps most", strongest_help(report.effects, fdr)),
            ("Hurts most", strongest_harm(report.effects, fdr)),
        ]
    if report.taxonomy is not None:
        lines.append(("Order", dependencies(report.taxonomy, report.planted)))
    if report.effects is not None:
        lines.append(("Proposal", proposed(report)))
    lines.append(("Verdict", verdict(report)))
    return tuple(lines)


def measured(report: ReportData) -> Markup:
    """How many runs measured what."""
    runs = [r for r in report.runs if r.phase == MEASURE]
    done = [r for r in runs if r.state == FINISHED]
    seeds = len({r.seed for r in runs})
    text = f"{whole(len(done))} of {whole(len(runs))}" if len(done) < len(runs) else whole(len(done))
    sets = {(r.removed, r.arm) for r in runs if r.removed}
    arms = sorted({arm for _, arm in sets if arm}) or [report.arm]
    words = "; ".join(f"{arm}: {_ARM_WORDS[arm]}" if arm in _ARM_WORDS else literal(arm) for arm in arms)
    return Markup(
        "{} fine-tunes on {}: the baseline and {}, each with one category’s data left out ({}) and judged on {}."
    ).format(
        text,
        counted(seeds, "paired seed"),
        counted(len(sets), "training set"),
        words,
        counted(_targets(report), "held-out category", "held-out categories"),
    )


def _targets(report: ReportData) -> int:
    return len(report.effects.targets) if report.effects else len(report.baseline_counts)


def strongest_help(effects: EffectMatrix, fdr: float) -> Markup:
    """The strongest shown help between two categories, or that there is none."""
    found = contrast(effects, fdr)
    if not found.helps:
        return Markup(
            "No category’s data was shown to help another one (of {} pairs, false discovery rate {})."
        ).format(whole(found.cross), percent(fdr))
    return Markup("The data of {} improves {}: {}. {} shown to help.").format(
        name(found.helps[0].source),
        name(found.helps[0].target),
        _amount(effects, found.helps[0]),
        f"{len(found.helps)} of {counted(found.cross, 'pair')} {'is' if len(found.helps) == 1 else 'are'}",
    )


def strongest_harm(effects: EffectMatrix, fdr: float) -> Markup:
    """The strongest shown harm between two categories, or that there is none."""
    found = contrast(effects, fdr)
    if not found.hurts:
        return Markup("No category’s data was shown to hurt another one.")
    return Markup("The data of {} worsens {}: {}. {} shown to hurt.").format(
        name(found.hurts[0].source),
        name(found.hurts[0].target),
        _amount(effects, found.hurts[0]),
        f"{len(found.hurts)} of {counted(found.cross, 'pair')} {'is' if len(found.hurts) == 1 else 'are'}",
    )


def _amount(effects: EffectMatrix, cell: Cell) -> Markup:
    digits = decimals_for([cell.delta], 2)
    return Markup('<strong class="number">Δ = {}</strong> {} ({} interval {} to {}, q {})').format(
        signed(cell.delta, digits),
        effects.unit,
        percent(effects.confidence),
        signed(cell.low, digits),
        signed(cell.high, digits),
        _equals(cell.q_value),
    )


def _equals(p: float) -> str:
    text = probability(p)
    return text.replace("<", "< ") if text.startswith("<") else f"= {text}"


def main_effects(report: ReportData) -> Markup:
    """How far "some data are better for everything" goes."""
    if report.main_effects is None:
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
    """Roles and edges of the taxonomy, and how it compares with a planted truth."""
    if not taxonomy.edges:
        text = Markup("No dependency between categories was shown; every order is as good as another.")
    else:
        base = [name(c) for c, role in taxonomy.roles if role is Role.BASE]
        dependent = [name(c) for c, role in taxonomy.roles if role is Role.DEPENDENT]
        text = Markup("{} shown. Base: {}. Dependent: {}.").format(
            counted(len(taxonomy.edges), "dependency is", "dependencies are"),
            listed(base) or "none",
            listed(dependent) or "none",
        )
    if truth is None:
        return text
    found = compare(taxonomy, truth)
    planted = found.count(Finding.RECOVERED) + found.count(Finding.MISSED)
    return Markup("{} Of {} that were planted, {} found and {} missed; {} found that {} not planted.").format(
        text,
        counted(planted, "direct dependency", "direct dependencies"),
        _are(found.count(Finding.RECOVERED)),
        _are(found.count(Finding.MISSED)),
        _are(found.count(Finding.NOT_PLANTED)),
        "was" if found.count(Finding.NOT_PLANTED) == 1 else "were",
    )


def _are(number: int) -> str:
    return f"{number} {'is' if number == 1 else 'are'}"


def proposed(report: ReportData) -> Markup:
    """The proposal in one sentence, or why there is none."""
    if report.proposal is None:
        reason = report.refusal
        return Markup("Keep the baseline: {}").format(reason) if reason else Markup("Not computed yet.")
    rows = share_rows(report)
    up = [Markup("{} {}").format(name(r.category), signed(r.change, 0)) for r in rows if r.change > 0]
    down = [Markup("{} {}").format(name(r.category), signed(r.change, 0)) for r in reversed(rows) if r.change < 0]
    moved = sum(r.change for r in rows if r.change > 0)
    if not moved:
        return Markup("Keep the baseline: the best mixture within the limits is the one there is.")
    return Markup("Move {} of {} examples ({}): more {}; fewer {}.").format(
        whole(moved),
        whole(report.proposal.total),
        percent(moved / report.proposal.total, 1),
        listed(up, 4),
        listed(down, 4) or "none",
    )


def gain(proposal: Proposal) -> Markup:
    """What the proposal promises by the coefficients."""
    before, after = proposal.baseline_objective, proposal.objective
    text = Markup("Objective αᵀΓw (equivalent amount of data, as a share of N): {} → {}").format(
        plain(before, 4), plain(after, 4)
    )
    if before > 0:
        return Markup("{}, as if the baseline had {} more data.").format(text, percent(after / before - 1, 1))
    return Markup("{}.").format(text)


def limit_in_words(limit: str) -> Markup:
    """A limit's identifier ("box-high:algebra") as words; an unknown one literally."""
    kind, _, category = limit.partition(":")
    words = {
        "max-shift": "the total shift",
        "box-high": "the upper end of the box around {}",
        "box-low": "the lower end of the box around {}",
        "available": "what is available of {}",
        "minimum": "the smallest allowed share of {}",
        "maximum": "the largest allowed share of {}",
    }.get(kind)
    if words is None or ("{}" in words) != bool(category):
        return Markup("<code>{}</code>").format(literal(limit))
    return Markup(words).format(name(category))  # noqa: S704 - one of the constant phrases above


def headline_verdicts(report: ReportData) -> tuple[Verdict, ...]:
    """The headline arm's verdicts, the one against the baseline first; all verdicts if it has none."""
    own = [v for v in report.verdicts if v.arm == report.headline_arm]
    return tuple(sorted(own or report.verdicts, key=lambda v: v.control != BASELINE))


def verdict(report: ReportData) -> Markup:
    """What validation says about the headline arm, in one or two sentences."""
    if not report.verdicts:
        return Markup("{}").format(_not_validated(report))
    chosen = headline_verdicts(report)
    text = verdict_sentence(chosen[0])
    others = [v for v in chosen[1:] if v.arm == chosen[0].arm]
    if not others:
        return text
    parts = [Markup("{} ({})").format(name(v.control), v.outcome.value) for v in others]
    return Markup("{} Against {}.").format(text, listed(parts))


def verdict_sentence(v: Verdict) -> Markup:
    """One verdict in words."""
    digits = decimals_for([v.difference, v.low, v.high], 2) + 1
    phrase = {
        Outcome.BETTER: "did better than",
        Outcome.WORSE: "did worse than",
        Outcome.NO_DIFFERENCE: "was no better than chance against",
    }[v.outcome]
    text = Markup('On {}, {} <strong class="{}">{}</strong> {}: {} {} ({} interval {} to {}, adjusted p {}).').format(
        counted(v.seeds, "fresh seed"),
        name(v.arm),
        v.outcome.name.lower(),
        phrase,
        name(v.control),
        signed(v.difference, digits),
        v.unit,
        percent(v.confidence),
        signed(v.low, digits),
        signed(v.high, digits),
        _equals(v.p_adjusted),
    )
    if v.predicted is None:
        return text
    return Markup("{} The effects had predicted {}.").format(text, signed(v.predicted, digits))


def _not_validated(report: ReportData) -> str:
    planned = [r for r in report.runs if r.phase == VALIDATE]
    if not planned:
        return "Not validated yet: no validation run is planned."
    done = sum(r.state == FINISHED for r in planned)
    return f"Not validated yet: {done} of {counted(len(planned), 'validation run')} are finished."


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
