"""Effects while they come in: means and standard errors by hand, from the runs that are there and no others."""

from __future__ import annotations

import re
import statistics
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import create_engine
from sqlalchemy.orm import sessionmaker

from db.base import Phase
from db.session import Database
from flows.monitor_effects import PreliminaryEffects, section
from flows.planning import PlannedRun
from tasks.benchmarks.scores import HELD_OUT_METRICS
from tasks.effects.matrix import RunTable
from tasks.finetune.recipe import Recipe, TinyModel
from tasks.finetune.spec import RunSpec
from tasks.interventions.designs.mixes import Levels, factorial
from tasks.interventions.designs.removals import dose, leave_one_out, pair_out
from tasks.interventions.intervention import BASELINE, Arm, Intervention
from tasks.interventions.manifest import Manifest

LOSS = HELD_OUT_METRICS[0]
SOURCES = ("add", "co|py")
WITHOUT = {"without add": 0, "without co|py": 1}


def table(runs: dict[tuple[str, int], tuple[float, float]]) -> RunTable:
    keys = list(runs)
    amounts = [[0.0 if WITHOUT.get(arm) == j else 10.0 for j in range(2)] for arm, _ in keys]
    return RunTable(
        runs=tuple(f"{arm}, seed {seed}" for arm, seed in keys),
        seeds=tuple(seed for _, seed in keys),
        arms=tuple(arm for arm, _ in keys),
        sources=SOURCES,
        amounts=np.array(amounts).reshape(len(keys), 2),
        targets=SOURCES,
        performance=np.array([runs[key] for key in keys]).reshape(len(keys), 2),
        n=np.full((len(keys), 2), 8),
        unit="nats per token",
    )


RUNS = {
    (BASELINE, 1): (-1.0, -2.0),
    (BASELINE, 2): (-1.2, -2.1),
    (BASELINE, 3): (-0.9, -1.7),
    ("without add", 1): (-3.0, -2.5),
    ("without add", 2): (-3.3, -2.2),
    ("without add", 3): (-2.5, -2.3),
}


def planned(interventions: tuple[Intervention, ...], phase: Phase = Phase.MEASURE) -> dict[str, PlannedRun]:
    recipe = Recipe(model=TinyModel())
    runs = {}
    for number, (intervention, seed) in enumerate((one, seed) for seed in (1, 2) for one in interventions):
        key = f"{number:064x}"
        spec = RunSpec(key, f"{intervention.name}, seed {seed}", seed, recipe, "b", "t", "m", "0" * 64, "h")
        runs[key] = PlannedRun(intervention, seed, phase, Manifest((), ()), spec, Path(key))
    return runs


COUNTS, AVAILABLE = {"add": 20, "copy": 20, "reverse": 20}, {"add": 90, "copy": 90, "reverse": 90}
BOTH = (Arm.SIZE_REDUCED, Arm.SIZE_MATCHED)


@pytest.mark.parametrize(
    ("interventions", "phase", "expected"),
    [
        (leave_one_out(COUNTS, AVAILABLE, BOTH), Phase.MEASURE, True),
        (pair_out(COUNTS, AVAILABLE, BOTH, None), Phase.MEASURE, True),
        (dose(COUNTS, AVAILABLE, BOTH, (0.5,)), Phase.MEASURE, True),
        (dose(COUNTS, AVAILABLE, BOTH, (0.5, 2.0)), Phase.MEASURE, False),
        (factorial(COUNTS, AVAILABLE, Levels(0.5, 1.5)), Phase.MEASURE, False),
        (leave_one_out(COUNTS, AVAILABLE, BOTH), Phase.VALIDATE, False),
    ],
)
def test_effects_are_expected_of_measured_paired_designs_alone(
    interventions: tuple[Intervention, ...], phase: Phase, expected: bool
) -> None:
    engine = create_engine("postgresql+psycopg://127.0.0.1:1/never-connected")
    assert (
        PreliminaryEffects(planned(interventions, phase), Database(engine, sessionmaker(engine))).expected == expected
    )


def test_cells_are_the_mean_and_its_standard_error_of_the_paired_differences() -> None:
    text = section(Arm.SIZE_REDUCED, LOSS, table(RUNS))
    cells = re.findall(r"([+-]\d\.\d+) ± (\d\.\d+)", text.replace("\\", ""))
    assert len(cells) == 2
    for target, (mean, error) in enumerate(cells):
        differences = [RUNS[BASELINE, seed][target] - RUNS["without add", seed][target] for seed in (1, 2, 3)]
        assert float(mean) == round(statistics.mean(differences), 3)
        assert float(error) == round(statistics.stdev(differences) / 3**0.5, 3)


def test_intervention_with_one_seed_is_named_as_waiting_and_changes_nothing() -> None:
    more = {**RUNS, ("without co|py", 2): (-9.0, -9.0)}
    text = section(Arm.SIZE_REDUCED, LOSS, table(more))
    assert text.startswith(section(Arm.SIZE_REDUCED, LOSS, table(RUNS)))
    assert text.endswith("Waiting for a second seed: without co\\|py.")


def test_run_whose_baseline_is_not_there_yet_takes_no_part() -> None:
    more = {**RUNS, ("without add", 4): (-9.0, -9.0)}
    assert section(Arm.SIZE_REDUCED, LOSS, table(more)) == section(Arm.SIZE_REDUCED, LOSS, table(RUNS))


def test_nothing_measured_yet_is_said() -> None:
    for runs in ({}, {key: value for key, value in RUNS.items() if key[1] == 1}):
        assert "No intervention has scores of two seeds" in section(Arm.SIZE_REDUCED, LOSS, table(runs))


def test_differences_that_allow_no_error_are_refused_in_words() -> None:
    same = {key: (-1.0, -1.0) if key[0] == BASELINE else (-2.0, -2.0) for key in RUNS}
    assert "Not computed: " in section(Arm.SIZE_REDUCED, LOSS, table(same))
