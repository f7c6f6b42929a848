"""Plain sentences that say what the numbers say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tasks.report import summary
from tasks.report.content import MainEffects, ReportData
from tasks.validation.verdict import Outcome


def plain(markup) -> str:
    return markup.striptags()


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        (Outcome.BETTER, "proposal did better than baseline"),
        (Outcome.WORSE, "proposal did worse than baseline"),
        (Outcome.NO_DIFFERENCE, "proposal was no better than chance against baseline"),
    ],
)
def test_verdict_sentence_each_outcome_says_so(small_report: ReportData, outcome: Outcome, words: str) -> None:
    sentence = plain(summary.verdict_sentence(replace(small_report.verdicts[0], outcome=outcome)))
    assert words in sentence
    assert "+0.0312 nats per token (95% interval +0.0110 to +0.0514, adjusted p = 0.004)" in sentence
    assert sentence.endswith("The effects had predicted +0.0270.")


def test_verdict_opens_with_the_headline_arm_against_the_baseline(small_report: ReportData) -> None:
    shuffled = replace(small_report, verdicts=small_report.verdicts[::-1])
    sentence = plain(summary.verdict(shuffled))
    assert sentence.startswith("On 5 fresh seeds, proposal did better than baseline")
    assert sentence.endswith("Against random step (no better than chance).")


def test_verdict_without_the_headline_arm_reports_what_was_judged(small_report: ReportData) -> None:
    rest = tuple(v for v in small_report.verdicts if v.arm != "proposal")
    assert "sign-rule did worse than baseline" in plain(summary.verdict(replace(small_report, verdicts=rest)))


def test_strongest_effects_are_the_planted_extremes(small_report: ReportData) -> None:
    effects = small_report.effects
    assert effects is not None
    cross = np.where(np.eye(8, dtype=bool) | (effects.q_value > 0.05), 0, effects.delta)
    i, j = np.unravel_index(cross.argmax(), cross.shape)
    text = plain(summary.strongest_help(effects, 0.05))
    assert text.startswith(
        f"The data of {effects.sources[j]} improves {effects.targets[i]}: Δ = {cross.max():+.2f} nats"
    )
    assert f"{(cross > 0).sum()} of 56 pairs are shown to help." in text
    assert "The data of story-add worsens upper: Δ = −0.29" in plain(summary.strongest_harm(effects, 0.05))


def test_strongest_effects_nothing_shown_says_nothing_was_shown(small_report: ReportData) -> None:
    effects = small_report.effects
    assert effects is not None
    assert "No category’s data was shown to help another one (of 56 pairs" in plain(
        summary.strongest_help(effects, 0.0)
    )
    assert plain(summary.strongest_harm(effects, 0.0)) == "No category’s data was shown to hurt another one."


def test_dependencies_planted_world_counts_recovery(small_report: ReportData) -> None:
    assert small_report.taxonomy is not None
    text = plain(summary.dependencies(small_report.taxonomy, small_report.planted))
    assert (
        "Of 5 direct dependencies that were planted, 4 are found and 1 is missed; 1 is found that was not planted."
        in text
    )


def test_dependencies_empty_taxonomy_says_that_order_is_free(small_report: ReportData) -> None:
    assert small_report.taxonomy is not None
    empty = replace(small_report.taxonomy, edges=(), reduced=())
    assert plain(summary.dependencies(empty, None)).startswith("No dependency between categories was shown")


def test_proposed_moves_add_up(small_report: ReportData) -> None:
    assert small_report.proposal is not None
    before = dict(small_report.baseline_counts)
    moved = (
        sum(
            abs(n - before[c])
            for c, n in zip(small_report.proposal.categories, small_report.proposal.counts, strict=True)
        )
        // 2
    )
    assert plain(summary.proposed(small_report)).startswith(f"Move {moved} of 3,440 examples ({moved / 34.40:.1f}%)")


def test_proposed_refusal_keeps_the_baseline_and_says_why(small_report: ReportData) -> None:
    refused = replace(small_report, proposal=None, refusal="the predicted gain's interval includes 0")
    assert plain(summary.proposed(refused)) == "Keep the baseline: the predicted gain's interval includes 0"


def test_proposed_unchanged_counts_keep_the_baseline(small_report: ReportData) -> None:
    assert small_report.proposal is not None
    before = dict(small_report.baseline_counts)
    same = replace(small_report.proposal, counts=tuple(before[c] for c in small_report.proposal.categories))
    assert plain(summary.proposed(replace(small_report, proposal=same))).startswith("Keep the baseline")


def test_measured_interim_counts_finished_and_planned(interim_report: ReportData) -> None:
    assert plain(summary.measured(interim_report)).startswith("13 of 27 fine-tunes on 3 paired seeds")


@pytest.mark.parametrize(("share", "words"), [(0.95, "better for everything"), (0.6, "and noise")])
def test_main_effects_share_is_put_into_words(small_report: ReportData, share: float, words: str) -> None:
    text = plain(summary.main_effects(replace(small_report, main_effects=MainEffects((), share))))
    assert text.startswith(f"{share:.0%} of the variance") and words in text


@pytest.mark.parametrize(
    ("limit", "words"),
    [
        ("max-shift", "the total shift"),
        ("box-high:a:b", "the upper end of the box around a:b"),
        ("available:<i>", "what is available of <i>"),
        ("something-new:x", "something-new:x"),
    ],
)
def test_limit_in_words_known_and_unknown(limit: str, words: str) -> None:
    markup = summary.limit_in_words(limit)
    assert "<i>" not in markup
    assert markup.striptags() == words


def test_listed_beyond_the_limit_counts_the_rest() -> None:
    assert summary.listed(["a"]) == "a"
    assert summary.listed(["a", "b", "c"]) == "a, b and c"
    assert summary.listed(list("abcdefgh"), 3) == "a, b, c and 5 more"
