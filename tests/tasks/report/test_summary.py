"""Plain sentences that say what the numbers say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tasks.report import summary
from tasks.report.content import MainEffects, ReportData


def plain(markup) -> str:
    return markup.striptags()


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


def test_dependencies_count_what_runs_without_both_confirm(small_report: ReportData) -> None:
    assert small_report.taxonomy is not None
    text = plain(summary.dependencies(small_report.taxonomy, None))
    assert "Runs without both categories confirm 1 of the 3 that they tested." in text
    assert text.endswith("2 candidates were taken out, not being confirmed.")
    untested = tuple(replace(e, confirmed=None) for e in small_report.taxonomy.edges)
    bare = replace(small_report.taxonomy, edges=untested, unconfirmed=())
    assert plain(summary.dependencies(bare, None)).endswith(
        "No runs without both categories were made to confirm them."
    )


def test_measured_uneven_seeds_are_at_most_that_many(small_report: ReportData) -> None:
    runs = tuple(r for r in small_report.runs if r.changed != ("add",) or r.seed < 2)
    assert "9 training sets with up to 3 seeds" in plain(summary.measured(replace(small_report, runs=runs)))


def test_reach_names_how_many_categories_no_run_leaves_out(small_report: ReportData) -> None:
    effects = small_report.effects
    assert effects is not None
    assert summary.reach(small_report, effects) == "", "leave-one-out leaves each of them out"
    some = replace(small_report, interventions=small_report.interventions[:-2])
    assert summary.reach(some, effects).startswith("No run leaves 2 of the categories out")
    none = replace(small_report, interventions=small_report.interventions[:1])
    assert summary.reach(none, effects).startswith("No run leaves any category out")


def test_plain_headline_has_no_markup_left(small_report: ReportData) -> None:
    lines = dict(summary.plain_headline(small_report))
    assert list(lines)[:3] == ["Decision", "Verdict", "Not tried"]
    assert lines["Not tried"] == "uniform, because it would be the same training as another arm."
    assert not any("<" in text.replace("q < ", "") or "&" in text for text in lines.values())


def test_dependencies_empty_taxonomy_says_that_order_is_free(small_report: ReportData) -> None:
    assert small_report.taxonomy is not None
    empty = replace(small_report.taxonomy, edges=(), reduced=())
    assert plain(summary.dependencies(empty, None)).startswith("No dependency between categories was shown")


def test_measured_interim_counts_finished_and_planned(interim_report: ReportData) -> None:
    assert plain(summary.measured(interim_report)).startswith(
        "13 of 27 fine-tunes of the design leave-one-out: 9 training sets with 3 seeds, judged on 8 held-out categories"
    )


@pytest.mark.parametrize(("share", "words"), [(0.95, "better for everything"), (0.6, "and noise")])
def test_main_effects_share_is_put_into_words(small_report: ReportData, share: float, words: str) -> None:
    text = plain(summary.main_effects(replace(small_report, main_effects=MainEffects((), share))))
    assert text.startswith(f"{share:.0%} of the variance") and words in text
