from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from tasks.effects.notes import name_notes, yardstick_notes
from tasks.effects.paired import effects_from_differences


def test_names_that_do_not_meet_are_listed_with_the_near_misses() -> None:
    alone, unmeasured = name_notes(("copy", "shfit", "exam"), ("copy", "shift", "web"))
    assert alone == "measured, but no source of the effects: shfit (is it shift?), exam"
    assert unmeasured == "a source, but not measured: shift (is it shfit?), web"
    assert name_notes(("a", "b"), ("b", "a")) == ()
    (many,) = name_notes(("a",), tuple("abcdefghijkl"))
    assert many.endswith("b, c, d, e, f, g, h, i and 3 more")


def test_targets_without_yardstick_are_named(planted_world: Callable) -> None:
    rng = np.random.default_rng(0)
    _, paired = planted_world(rng, 5, 3, "equal")
    assert yardstick_notes(effects_from_differences(paired)) == ()
    paired.difference[:, 2, 2] = rng.normal(0, 0.05, 3)
    (note,) = yardstick_notes(effects_from_differences(paired))
    assert note.startswith("no γ for c2: ")


def test_scores_upside_down_are_asked_about_and_one_harmful_category_is_not(planted_world: Callable) -> None:
    _, paired = planted_world(np.random.default_rng(0), 5, 3, "equal")
    upside_down = yardstick_notes(effects_from_differences(replace(paired, difference=-paired.difference)))
    assert any("are the scores higher-is-better?" in note for note in upside_down)
    paired.difference[:, 2, 2] *= -1
    assert not any("higher-is-better" in note for note in yardstick_notes(effects_from_differences(paired)))


def test_targets_of_other_names_than_the_sources_need_no_yardstick(planted_world: Callable) -> None:
    matrix = effects_from_differences(planted_world(np.random.default_rng(0), 5, 3, "equal")[1])
    assert yardstick_notes(replace(matrix, targets=tuple(f"t{k}" for k in range(5)))) == ()
