"""Simulations: the same worlds whatever else is asked for, impossible ones refused, results as a file."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from tasks.errors import InputError
from tasks.worlds.drawing import WorldSpec
from tasks.worlds.simulation import Simulation, simulate, simulate_world
from tasks.worlds.summary import summarize
from tasks.worlds.trial_files import write_trials

SMALL = Simulation(worlds=5, spec=WorldSpec(4, edges=0.5), budgets=(10, 20), null_share=0.4)


def test_every_budget_is_tried_on_every_world_and_two_processes_find_what_one_finds() -> None:
    # One process against two: with other numbers of BLAS threads, as in this process, the last digits differ.
    alone = [trial for trials in simulate(SMALL, workers=1) for trial in trials]
    together = [trial for trials in simulate(SMALL, workers=2) for trial in trials]
    assert len(alone) == 5 * 2
    assert {(trial.budget, trial.runs) for trial in alone} == {(10, 10), (20, 20)}
    assert sorted(map(repr, together)) == sorted(map(repr, alone))


def test_null_worlds_are_the_stated_share_and_world_k_does_not_depend_on_how_many() -> None:
    many = Simulation(worlds=50, spec=SMALL.spec, null_share=0.2)
    assert sum(many.world(k).null for k in range(50)) == 10
    assert [many.world(k).null for k in range(5)].count(True) == 1
    fewer = Simulation(worlds=5, spec=SMALL.spec, null_share=0.2)
    assert (many.world(3).gamma == fewer.world(3).gamma).all()
    assert len({many.world(k).seed for k in range(50)}) == 50


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"budgets": (9,)}, "9 runs are too few for leave-one-out on 4 categories; expected at least 10"),
        ({"designs": ("factorial",)}, "paired cannot estimate from factorial"),
        ({"designs": ("leave-one-out", "mixtures")}, "paired cannot estimate from mixtures"),
        ({"designs": ("latin",)}, "no design 'latin'"),
        ({"estimators": ("guess",)}, "no estimator 'guess'"),
        ({"worlds": 0}, "worlds is 0"),
        ({"null_share": 1.5}, "null share is 1.5"),
        ({"confidence": 95.0}, "confidence is 95"),
        ({"seed": -1}, "seed is -1"),
        ({"spec": WorldSpec(1)}, "categories is 1"),
    ],
)
def test_impossible_simulations_are_refused_before_any_work(changes: dict[str, object], words: str) -> None:
    values = {"worlds": 5, "spec": SMALL.spec, "budgets": (10,), **changes}
    with pytest.raises(InputError, match=words):
        next(simulate(Simulation(**values)))  # type: ignore[arg-type]


def test_no_workers_are_refused() -> None:
    with pytest.raises(InputError, match="workers is 0"):
        next(simulate(SMALL, workers=0))


def test_file_holds_a_row_per_world_and_budget_with_what_was_refused_left_blank(tmp_path: Path) -> None:
    silent = Simulation(worlds=2, spec=WorldSpec(4, noise=0.0, edges=0.5), budgets=(10,))
    trials = [trial for index in range(5) for trial in simulate_world(SMALL, index)]
    trials += simulate_world(silent, 1)
    path = tmp_path / "new" / "sim.csv"
    write_trials(path, trials)
    with path.open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["world"]) for row in rows] == sorted(trial.world for trial in trials)
    assert len(rows) == 11
    refused = [row for row in rows if row["refused"]]
    assert len(refused) == 1
    assert refused[0]["gain"] == ""
    kept = [row for row in rows if not row["refused"]]
    scores = [trial.scores for trial in sorted(trials, key=lambda t: t.world) if trial.scores]
    assert [float(row["gain"]) for row in kept] == pytest.approx([s.gain for s in scores])
    assert [int(row["delta_own_hits"]) for row in kept] == [s.delta_own.hits for s in scores]
    assert {row["delta_others_cells"] for row in kept} == {"12"}


def test_paired_intervals_cover_and_decisions_follow_in_sixty_worlds() -> None:
    simulation = Simulation(worlds=60, spec=WorldSpec(6, noise=0.1), budgets=(28,), null_share=0.2)
    (found,) = summarize(trial for index in range(60) for trial in simulate_world(simulation, index))
    assert (found.worlds, found.refused, found.runs) == (60, 0, 28)
    assert (found.delta_others.cells, found.delta_own.cells) == (60 * 30, 60 * 6)
    # Wide enough for 60 worlds: three standard errors, about, around the stated level.
    assert 0.91 < found.delta_others.value < 0.98
    assert 0.88 < found.delta_own.value < 0.99
    assert found.false_changes.cells == 12
    assert found.precision.value > 0.9
    assert found.recall.value > 0.6
    assert found.captured > 0.3


def test_a_surface_on_a_factorial_knows_slopes_better_than_leave_one_out_with_as_many_runs() -> None:
    simulation = Simulation(
        worlds=12,
        spec=WorldSpec(6, noise=0.1),
        designs=("leave-one-out", "factorial"),
        estimators=("paired", "surface-law"),
        budgets=(28,),
        null_share=0.0,
    )
    found = summarize(trial for index in range(12) for trial in simulate_world(simulation, index))
    error = {(one.design, one.estimator): one.error_all for one in found}
    assert set(error) == {("leave-one-out", "paired"), ("leave-one-out", "surface-law"), ("factorial", "surface-law")}
    assert error["factorial", "surface-law"] < 0.5 * error["leave-one-out", "paired"]
    factorial = next(one for one in found if one.design == "factorial")
    assert factorial.prediction.cells == 12 * 20 * 6
    # Twelve worlds: far enough from the level to be a mistake, not chance.
    assert factorial.prediction.value > 0.8
    assert factorial.gamma.value > 0.85
