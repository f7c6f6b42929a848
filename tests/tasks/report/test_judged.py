"""What validation says, in the verdicts' own words."""

from __future__ import annotations

from dataclasses import replace

from tasks.report import judged
from tasks.report.content import ReportData


def test_verdict_opens_with_the_headline_arm_against_the_baseline_word_for_word(small_report: ReportData) -> None:
    shuffled = replace(small_report, verdicts=small_report.verdicts[::-1])
    text = judged.verdict(shuffled).striptags()
    assert text.startswith(small_report.verdicts[0].text)
    assert "Besides: proposal against random step: no better than chance;" in text
    assert "sign-rule against baseline: worse" in text


def test_verdict_without_the_headline_arm_reports_what_was_judged(small_report: ReportData) -> None:
    rest = tuple(v for v in small_report.verdicts if v.arm != "proposal")
    assert judged.verdict(replace(small_report, verdicts=rest)).striptags().startswith(rest[0].text)


def test_in_order_headline_arm_first_others_as_given(small_report: ReportData) -> None:
    shuffled = replace(small_report, verdicts=small_report.verdicts[::-1])
    assert [(v.arm, v.control) for v in judged.in_order(shuffled)] == [
        ("proposal", "random step"),
        ("proposal", "baseline"),
        ("curriculum", "shuffled curriculum"),
        ("sign-rule", "baseline"),
    ]


def test_not_validated_with_nothing_to_try_says_why(small_report: ReportData) -> None:
    runs = tuple(r for r in small_report.runs if r.phase == "measure")
    reasons = (("proposal", "the baseline is to be kept"), ("curriculum", "no dependency was found"))
    nothing = replace(small_report, runs=runs, verdicts=(), untried=reasons)
    assert judged.not_validated(nothing) == (
        "Nothing was trained to validate. Not tried: proposal, because the baseline is to be kept. "
        "Not tried: curriculum, because no dependency was found."
    )


def test_regrets_name_the_best_and_what_luck_makes_of_it(small_report: ReportData) -> None:
    text = judged.regrets(small_report)
    assert text.startswith("Best as measured: the proposal; behind it, in nats per token: curriculum 0.0040")
    assert "the average one would still be 0.0093 behind it" in text
    assert judged.regrets(replace(small_report, regrets=())) == ""
