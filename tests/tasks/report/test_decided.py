"""The decision in plain sentences."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from markupsafe import Markup

from tasks.proportions.proposal import Gain, Proposal
from tasks.report import decided
from tasks.report.content import ReportData
from tasks.validation.verdict import Outcome


def plain(markup: Markup) -> str:
    return markup.striptags()


def with_proposal(report: ReportData, **changes: Any) -> ReportData:
    assert report.proposal is not None
    return replace(report, proposal=replace(report.proposal, **changes))


def proposal_of(report: ReportData) -> Proposal:
    assert report.proposal is not None
    return report.proposal


def test_decision_change_gives_reason_gain_moves_and_test(small_report: ReportData) -> None:
    text = plain(decided.decision(small_report))
    assert text.startswith("Change the mixture: with 95 % confidence the gain is above 0.0123 equivalent share.")
    assert "Predicted gain: +0.028 equivalent share (95% interval +0.012 to +0.041)" in text
    assert "as if each category, on average, had +95 examples of its own (+42 to +142)." in text
    assert "Move 91 of 3,440 examples (2.6%)" in text
    assert text.endswith("Fresh training runs bear it out (proposal against baseline: better).")


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        (Outcome.WORSE, "Fresh training runs contradict it (proposal against baseline: worse)."),
        (Outcome.NO_DIFFERENCE, "Fresh training runs do not show that it helps"),
    ],
)
def test_decision_change_that_validation_does_not_bear_out_says_so(
    small_report: ReportData, outcome: Outcome, words: str
) -> None:
    verdicts = tuple(replace(v, outcome=outcome) for v in small_report.verdicts)
    assert words in plain(decided.decision(replace(small_report, verdicts=verdicts)))


def test_decision_untested_change_says_so(small_report: ReportData) -> None:
    others = tuple(v for v in small_report.verdicts if v.arm != "proposal")
    assert plain(decided.decision(replace(small_report, verdicts=others))).endswith(
        "No fresh training run has tested it."
    )


def test_decision_keep_gives_the_reason_and_moves_nothing(small_report: ReportData) -> None:
    gain = Gain(0.012, -0.004, 0.031, 0.9, "nats per token", 500)
    kept = with_proposal(small_report, decision="keep", reason="not distinguishable from none", gain=gain)
    assert plain(decided.decision(kept)) == (
        "Keep the baseline: not distinguishable from none. "
        "Predicted gain: +0.012 nats per token (90% interval −0.004 to +0.031)."
    )


def test_decision_without_a_proposal_is_not_made_yet(interim_report: ReportData) -> None:
    assert plain(decided.decision(interim_report)) == "Not decided yet: the effects come first."


def test_moved_examples_add_up(small_report: ReportData) -> None:
    proposal, before = proposal_of(small_report), dict(small_report.baseline_counts)
    moved = sum(abs(n - before[c]) for c, n in zip(proposal.categories, proposal.counts, strict=True)) // 2
    assert plain(decided.moved(small_report)).startswith(f"Move {moved} of 3,440 examples ({moved / 34.40:.1f}%)")


def test_proposed_unchanged_counts_keep_the_baseline(small_report: ReportData) -> None:
    before = dict(small_report.baseline_counts)
    counts = tuple(before[c] for c in proposal_of(small_report).categories)
    same = with_proposal(small_report, counts=counts, decision="keep", reason="no change promises a gain")
    assert plain(decided.proposed(same)).startswith("Keep the baseline: the best mixture within the limits is the one")


def test_sensitivity_names_what_is_loose_and_what_could_stay(small_report: ReportData) -> None:
    text = plain(decided.sensitivity(small_report))
    assert text.startswith("Other counts would be just as good for add.")
    assert "At a cost of at most 10% of the gain, add and copy could stay as in the baseline." in text
    assert decided.sensitivity(with_proposal(small_report, sensitivity=())) == ""


def test_robustness_and_curve_speak_only_where_asked_for(small_report: ReportData) -> None:
    assert decided.robustness(proposal_of(small_report)) == decided.curve(proposal_of(small_report)) == ""
    guarded = proposal_of(with_proposal(small_report, robustness=2.0, protection=0.0021, curve_gap=0.0003))
    assert "up to 2 categories’ effects" in decided.robustness(guarded) and "0.0021" in decided.robustness(guarded)
    assert "0.00030 equivalent share" in decided.curve(guarded)


def test_objective_in_the_performances_own_unit_is_left_to_the_gain(small_report: ReportData) -> None:
    assert "1.2155 at the baseline, 1.2431" in decided.objective(proposal_of(small_report))
    assert decided.objective(proposal_of(with_proposal(small_report, unit="nats per token"))) == ""


@pytest.mark.parametrize(
    ("limit", "words"),
    [
        ("max-shift", "the total shift"),
        ("box-high:a:b", "the upper end of the box around a:b"),
        ("available:<i>", "what is available of <i>"),
        ("no-harm:add", "the harm allowed to add"),
        ("something-new:x", "something-new:x"),
    ],
)
def test_limit_in_words_known_and_unknown(limit: str, words: str) -> None:
    markup = decided.limit_in_words(limit)
    assert "<i>" not in markup
    assert markup.striptags() == words
