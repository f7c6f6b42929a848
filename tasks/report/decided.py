"""The program's decision in plain sentences: change the mixture or keep the baseline, why, and for what gain."""

from __future__ import annotations

from markupsafe import Markup

from tasks.proportions.proposal import EQUIVALENT_SHARE, Gain, Proposal
from tasks.report.content import ReportData
from tasks.report.lettering import carried, decimals_for, literal, percent, plain, signed, whole
from tasks.report.phrases import between, listed, name
from tasks.report.shares import share_rows
from tasks.validation.verdict import Outcome, Verdict

_LIMITS = {
    "max-shift": "the total shift",
    "box-high": "the upper end of the box around {}",
    "box-low": "the lower end of the box around {}",
    "available": "what is available of {}",
    "minimum": "the smallest allowed share of {}",
    "maximum": "the largest allowed share of {}",
    "no-harm": "the harm allowed to {}",
}
_TESTED = {
    Outcome.BETTER: "Fresh training runs bear it out",
    Outcome.WORSE: "Fresh training runs contradict it",
    Outcome.NO_DIFFERENCE: "Fresh training runs do not show that it helps",
}


def decision(report: ReportData) -> Markup:
    """The decision with its reason and the predicted gain; then what moves, and whether validation has borne it out."""
    proposal = report.proposal
    if proposal is None:
        return Markup("Not decided yet: the effects come first.")
    parts = [Markup('<strong class="decision">{}</strong>: {}.').format(_verb(proposal), _reason(proposal))]
    if proposal.gain is not None:
        parts.append(gain_sentence(proposal.gain, proposal.total))
    if proposal.decision == "change":
        parts += [moved(report), tested(report)]
    return Markup(" ").join(parts)


def _verb(proposal: Proposal) -> str:
    return "Keep the baseline" if proposal.decision == "keep" else "Change the mixture"


def _reason(proposal: Proposal) -> str:
    return carried(proposal.reason).rstrip(".") or "whether it gains more than chance was not computed"


def gain_sentence(gain: Gain, total: int) -> Markup:
    """The predicted gain with its interval and unit; of `total` examples, where the unit is a share of them."""
    digits = decimals_for([gain.high - gain.low], 2)
    text = Markup('Predicted gain: <strong class="number">{} {}</strong> ({} interval {})').format(
        signed(gain.value, digits),
        carried(gain.unit),
        percent_of(gain.confidence),
        between(gain.low, gain.high, digits),
    )
    if gain.unit != EQUIVALENT_SHARE:
        return Markup("{}.").format(text)
    worth = Markup("as if each category, on average, had {} examples of its own ({})")
    digits = decimals_for([(gain.high - gain.low) * total], 2)
    ends = between(gain.low * total, gain.high * total, digits)
    return Markup("{}, {}.").format(text, worth.format(signed(gain.value * total, digits), ends))


def percent_of(confidence: float) -> str:
    """A confidence level: "95%", "99.5%"."""
    return f"{100 * confidence:.4g}%"


def tested(report: ReportData) -> Markup:
    """Whether validation bore the change out; that nothing tested it, where nothing did."""
    found = _verdict(report)
    if found is None:
        return Markup("No fresh training run has tested it.")
    return Markup('<span class="{}">{}</span> ({} against {}: {}).').format(
        found.outcome.name.lower(), _TESTED[found.outcome], name(found.arm), name(found.control), found.outcome.value
    )


def _verdict(report: ReportData) -> Verdict | None:
    mine = [v for v in report.verdicts if v.arm == report.headline_arm]
    return min(mine, key=lambda v: v.control != "baseline", default=None)


def moved(report: ReportData) -> Markup:
    """How many examples the whole-number proportions move, and between which categories."""
    proposal = report.proposal
    if proposal is None:
        return Markup("")
    rows = share_rows(report)
    up = [Markup("{} {}").format(name(r.category), signed(r.change, 0)) for r in rows if r.change > 0]
    down = [Markup("{} {}").format(name(r.category), signed(r.change, 0)) for r in reversed(rows) if r.change < 0]
    number = sum(r.change for r in rows if r.change > 0)
    if not number:
        return Markup("In whole examples the best mixture within the limits is the one there is.")
    return Markup("Move {} of {} examples ({}): more {}; fewer {}.").format(
        whole(number),
        whole(proposal.total),
        percent(number / proposal.total, 1),
        listed(up, 4),
        listed(down, 4) or "none",
    )


def proposed(report: ReportData) -> Markup:
    """What the proportions section opens with: the change, and that it is not advised where the baseline is kept."""
    proposal = report.proposal
    if proposal is None:
        return Markup("Not computed yet.")
    if proposal.decision == "change":
        return moved(report)
    if all(r.change == 0 for r in share_rows(report)):
        return Markup("<strong>Keep the baseline</strong>: the best mixture within the limits is the one there is.")
    return Markup(
        "<strong>Keep the baseline</strong>: {}. What follows is not advised: by the estimates alone the program would "
        "do this. {}"
    ).format(_reason(proposal), moved(report))


def objective(proposal: Proposal) -> Markup:
    """The objective before and after; empty where the gain, in the performance's own unit, says it all."""
    if proposal.unit != EQUIVALENT_SHARE and proposal.gain is not None:
        return Markup("")
    before, after = proposal.baseline_objective, proposal.objective
    digits = decimals_for([after - before], 3)
    text = Markup("Objective: {} at the baseline, {} at these proportions ({} {}).").format(
        plain(before, digits), plain(after, digits), signed(after - before, digits), carried(proposal.unit)
    )
    if proposal.unit != EQUIVALENT_SHARE:
        return text
    return Markup(
        "{} It is αᵀΓw: how much data a category has in effect, own and others’, on average, as a share of the whole "
        "set."
    ).format(text)


def robustness(proposal: Proposal) -> Markup:
    """What protection against wrong effects was asked for, and what it costs; empty without any."""
    if not proposal.robustness:
        return Markup("")
    return Markup(
        "Guarded: up to {} categories’ effects may be at their worst together; in that case the gain is {} {} smaller."
    ).format(f"{proposal.robustness:g}", _small(proposal.protection), carried(proposal.unit))


def curve(proposal: Proposal) -> Markup:
    """How far the piecewise linear optimum may lie below the true one; empty for a linear program."""
    if not proposal.curve_gap:
        return Markup("")
    return Markup(
        "Diminishing returns: a category’s further examples count less and less; the true optimum may be up to {} {} "
        "higher."
    ).format(_small(proposal.curve_gap), carried(proposal.unit))


def _small(value: float) -> str:
    return plain(value, decimals_for([value], 2))


def sensitivity(report: ReportData) -> Markup:
    """How firmly the effects fix the shares, in one or two sentences; empty where it was not computed."""
    proposal = report.proposal
    if proposal is None or not proposal.sensitivity:
        return Markup("")
    half = 0.5 / proposal.total
    loose = [one.category for one in proposal.sensitivity if one.optimal_high - one.optimal_low > 2 * half]
    rows = [r for r in share_rows(report) if r.change]
    idle = [r.category for r in rows if r.near and r.near[0] <= r.before <= r.near[1]]
    parts = []
    if loose:
        parts.append(Markup("Other counts would be just as good for {}.").format(listed(map(name, loose), 4)))
    else:
        parts.append(Markup("These are the only best proportions: moving any count costs some gain."))
    if idle:
        parts.append(
            Markup("At a cost of at most {} of the gain, {} could stay as in the baseline.").format(
                percent(proposal.slack), listed(map(name, idle), 4)
            )
        )
    return Markup(" ").join(parts)


def limit_in_words(limit: str) -> Markup:
    """A limit's identifier ("box-high:algebra") as words; an unknown one literally."""
    kind, _, category = limit.partition(":")
    words = _LIMITS.get(kind)
    if words is None or ("{}" in words) != bool(category):
        return Markup("<code>{}</code>").format(literal(limit))
    return Markup(words).format(name(category))  # noqa: S704 - one of the constant phrases above
