"""Which trainings a validation consists of, planned on a real pool; nothing is trained."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from flows.benchmarking import ready_benchmarks
from flows.conclusions import Conclusions, curriculum_over
from flows.config import ExperimentConfig, Validation
from flows.experiment_file import load_experiment
from flows.material import gather_material
from flows.planning import Planner
from flows.preparation import Prepared
from flows.validation_arms import arms_to_try, distinct_runs
from tasks.curriculum.curriculum import Schedule
from tasks.effects.matrix import RunTable
from tasks.effects.paired import paired_effects
from tasks.proportions.program import solve
from tasks.proportions.proposal import Baseline, Coefficients, Limits
from tasks.proportions.sign_rule import sign_rule
from tasks.taxonomy.induce import induce
from tests.flows.command import CATEGORIES, UNUSED, small_experiment

LETTERS, DIGITS, NAMES = CATEGORIES
ALL = (
    *("uniform", "random step", "sign-rule", "proposal", "curriculum", "tilted curriculum", "strict curriculum"),
    *("reversed curriculum", "proposal + curriculum"),
)
REASON = "the gain cannot be told from none"
EPOCHS = 3


@pytest.fixture
def prepared(tmp_path: Path) -> Prepared:
    config = load_experiment(small_experiment(tmp_path))
    material = gather_material(config, tmp_path)
    planner = Planner(config, material, tmp_path / "base", tmp_path, ready_benchmarks(config, material))
    return Prepared(config, None, material, planner, 1)  # type: ignore[arg-type] # planning asks no database


def conclusions(prepared: Prepared, schedule: Schedule = Schedule.PAPER, decision: str = "keep") -> Conclusions:
    """Letters help digits by 0.5, nothing else does; taking all of a category away costs it 1."""
    names = tuple(sorted(prepared.material.baseline))
    counts = prepared.material.baseline
    rng = np.random.default_rng(0)
    runs = [(arm, seed) for arm in ("", *names) for seed in (1, 2, 3)]
    amounts = np.array([[0 if c == arm else counts[c] for c in names] for arm, _ in runs], dtype=np.float64)
    cost = {(c, c): 1.0 for c in names} | {(LETTERS, DIGITS): 0.5}
    performance = np.array([[-cost.get((arm, target), 0.0) for target in names] for arm, _ in runs])
    table = RunTable(
        runs=tuple(f"without {arm}, seed {seed}" if arm else f"baseline, seed {seed}" for arm, seed in runs),
        seeds=tuple(seed for _, seed in runs),
        arms=tuple(f"without {arm}" if arm else "baseline" for arm, _ in runs),
        sources=names,
        amounts=amounts,
        targets=names,
        performance=performance + rng.normal(0, 0.01, performance.shape),
        n=np.full(performance.shape, 50),
        unit="nats per token",
    )
    effects = paired_effects(table)
    total = sum(counts.values())
    open_ended: tuple[float | None, ...] = tuple(float(prepared.material.available[c]) for c in names)
    baseline = Baseline(names, tuple(counts[c] / total for c in names), open_ended, (0.0,) * 3, (1.0,) * 3)
    gamma = Coefficients(names, names, effects.gamma)
    limits = Limits(total, 0.1, 0.5)
    taxonomy = induce(effects)
    return Conclusions(
        effects=effects,
        further_effects=(),
        baseline=baseline,
        limits=limits,
        proposal=replace(solve(gamma, baseline, limits), decision=decision, reason=REASON),
        sign_rule=sign_rule(gamma, baseline, limits),
        taxonomy=taxonomy,
        curriculum=curriculum_over(prepared.config, prepared.material, counts, taxonomy, 1, schedule),
    )


def plan(arms: tuple[str, ...] = ALL, refused: str = "try") -> Validation:
    return Validation.model_validate({"seeds": [11, 12], "arms": arms, "random_steps": 2, "refused": refused})


def test_arms_of_a_refused_proposal_are_left_out_with_the_programs_reason(prepared: Prepared) -> None:
    found = conclusions(prepared)
    arms, skipped = arms_to_try(plan(refused="skip"), found, prepared.material.available)
    reason = f"the program advises to keep the baseline: {REASON}"
    assert skipped == [("random step", reason), ("proposal", reason), ("proposal + curriculum", reason)]
    assert {"baseline", "uniform", "sign-rule", "curriculum"} <= set(arms)
    assert not {"proposal", "random step 1", "proposal + curriculum"} & set(arms)


def test_arms_of_a_refused_proposal_are_all_there_where_it_is_to_be_tried(prepared: Prepared) -> None:
    found = conclusions(prepared)
    arms, skipped = arms_to_try(plan(), found, prepared.material.available)
    assert skipped == []
    assert list(arms) == [
        *("baseline", "uniform", "random step 1", "random step 2", "sign-rule", "proposal", "curriculum"),
        *("tilted curriculum", "strict curriculum", "reversed curriculum", "proposal + curriculum"),
    ]
    assert arms["uniform"].counts == dict.fromkeys(prepared.material.baseline, 20)
    assert arms["proposal + curriculum"].counts == arms["proposal"].counts != arms["baseline"].counts
    assert {sum(arm.counts.values()) for arm in arms.values()} == {60}
    assert UNUSED not in arms["uniform"].counts


def test_arms_without_an_order_to_try_say_so(prepared: Prepared) -> None:
    found = conclusions(prepared)
    found = replace(found, taxonomy=replace(found.taxonomy, edges=()))
    arms, skipped = arms_to_try(plan(("curriculum", "proposal + curriculum")), found, prepared.material.available)
    assert list(arms) == ["baseline"]
    assert {reason for _, reason in skipped} == {"the taxonomy has no edges, so there is no order to try"}


def test_arms_with_a_curriculum_bring_their_controls_and_show_each_example_as_often_as_plain_training(
    prepared: Prepared,
) -> None:
    found, asked = conclusions(prepared), plan(("proposal + curriculum", "curriculum", "strict curriculum"))
    arms, _ = arms_to_try(asked, found, prepared.material.available)
    runs, copies = distinct_runs(prepared, asked, found, arms)
    assert copies == []
    assert list(runs) == [
        *("baseline", "proposal", "proposal + curriculum", "curriculum", "strict curriculum"),
        *("shuffled proposal", "shuffled curriculum"),
    ]
    for mixed, ordered in (
        ("baseline", ("curriculum", "strict curriculum", "shuffled curriculum")),
        ("proposal", ("proposal + curriculum", "shuffled proposal")),
    ):
        for k, plain in enumerate(runs[mixed]):
            shown = Counter(plain.manifest.ids)
            assert set(shown.values()) == {EPOCHS}
            for name in ordered:
                assert Counter(runs[name][k].manifest.ids) == shown
                assert runs[name][k].manifest.ids != plain.manifest.ids
    assert len({run.fingerprint for planned in runs.values() for run in planned}) == 2 * len(runs)


def test_arms_that_would_train_the_same_are_trained_once(prepared: Prepared) -> None:
    found, asked = conclusions(prepared, Schedule.STRICT), plan(("curriculum", "strict curriculum"))
    arms, _ = arms_to_try(asked, found, prepared.material.available)
    runs, copies = distinct_runs(prepared, asked, found, arms)
    assert list(runs) == ["baseline", "curriculum", "shuffled curriculum"]
    assert copies == [("strict curriculum", "it is the same training as 'curriculum'")]


def test_refused_is_skip_unless_the_file_says_otherwise() -> None:
    assert Validation().refused == "skip"
    assert ExperimentConfig.model_fields["validation"].get_default().refused == "skip"
