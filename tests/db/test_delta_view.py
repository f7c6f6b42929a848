"""The view's arithmetic and the run table against sums done by hand."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from db import runs
from db.base import Phase
from db.experiments import record_experiment
from db.interventions import Planned, planned_runs, set_plan
from db.measurements import deltas, run_table
from tasks.benchmarks.scores import EXACT_MATCH, LOSS, Score
from tasks.errors import EvidenceError
from tasks.interventions.intervention import BASELINE, Arm, Intervention

_SEEDS = (3, 7)


@pytest.fixture
def measured(planted, material):
    """Losses and exact matches drawn at random for every run: {(intervention, seed): [category, metric]}."""
    rng = np.random.default_rng(5)
    plan = material.plan(_SEEDS, salt="view")
    values = {}
    with planted.database.session() as session:
        set_plan(session, planted.experiment_id, Phase.MEASURE, plan)
        for one in plan:
            numbers = np.column_stack([rng.uniform(0.1, 5, 3), rng.uniform(0, 1, 3)])
            values[one.intervention.name, one.seed] = numbers
            scores = [Score(c, LOSS, float(numbers[i, 0]), 50) for i, c in enumerate(material.categories)]
            scores += [Score(c, EXACT_MATCH, float(numbers[i, 1]), 40) for i, c in enumerate(material.categories)]
            runs.record_finished(session, one.fingerprint, material.record(one.fingerprint), scores)
    return planted, values


def test_deltas_of_loss_and_exact_match_equal_performance_differences_by_hand(measured, material):
    planted, values = measured
    with planted.database.session() as session:
        rows = deltas(session, planted.experiment_id)
    assert len(rows) == 3 * 2 * 3 * 2  # interventions × seeds × categories × metrics, the baseline has none
    sign = {LOSS: -1.0, EXACT_MATCH: 1.0}
    column = {LOSS: 0, EXACT_MATCH: 1}
    for row in rows:
        cell = (material.categories.index(row.category), column[row.metric])
        before, after = values[BASELINE, row.seed][cell], values[row.intervention, row.seed][cell]
        assert (row.baseline, row.value) == (before, after)
        assert row.delta == sign[row.metric] * before - sign[row.metric] * after
        assert row.arm == Arm.SIZE_REDUCED
        assert row.n == {LOSS: 50, EXACT_MATCH: 40}[row.metric]
    assert len({(r.intervention, r.seed, r.category, r.metric) for r in rows}) == len(rows)


def test_deltas_of_removed_data_that_helped_positive(planted, material):
    plan = [one for one in planted.plan if one.seed == 0][:2]
    with planted.database.session() as session:
        for one, loss in zip(plan, (1.0, 1.5), strict=True):  # without the data the loss is higher
            runs.record_finished(session, one.fingerprint, material.record(one.fingerprint), material.scores(loss))
        found = [d.delta for d in deltas(session, planted.experiment_id) if d.metric == LOSS]
    assert found == [0.5, 0.5, 0.5]


def test_deltas_without_the_baseline_of_the_seed_absent(planted, material):
    one = planted.plan[2]
    with planted.database.session() as session:
        runs.record_finished(session, one.fingerprint, material.record(one.fingerprint), material.scores())
        assert deltas(session, planted.experiment_id) == []


def test_run_table_of_complete_plan_equals_what_was_recorded(measured, material):
    planted, values = measured
    with planted.database.session() as session:
        table = run_table(session, planted.experiment_id, Phase.MEASURE, LOSS)
        exact = run_table(session, planted.experiment_id, Phase.MEASURE, EXACT_MATCH, Arm.SIZE_REDUCED)
    names = [i.name for i in material.interventions()]
    assert table.arms == tuple(name for name in names for _ in _SEEDS)
    assert table.seeds == _SEEDS * 4
    assert table.runs[0] == "baseline, seed 3"
    assert table.sources == table.targets == material.categories
    assert table.unit == "nats per token"
    assert exact.unit == "share"
    expected = np.array([values[arm, seed] for arm, seed in zip(table.arms, table.seeds, strict=True)])
    np.testing.assert_array_equal(table.performance, -expected[:, :, 0])
    np.testing.assert_array_equal(exact.performance, expected[:, :, 1])
    np.testing.assert_array_equal(table.n, np.full((8, 3), 50))
    counts = np.array([30, 20, 10])
    np.testing.assert_array_equal(
        table.amounts[::2], [counts, counts * [0, 1, 1], counts * [1, 0, 1], counts * [1, 1, 0]]
    )


def test_run_table_of_one_arm_leaves_the_others_out(measured):
    planted, _ = measured
    with planted.database.session() as session:
        table = run_table(session, planted.experiment_id, Phase.MEASURE, LOSS, Arm.SIZE_MATCHED)
    assert set(table.arms) == {BASELINE}


def test_run_table_of_uneven_seeds_marks_the_adaptively_chosen_runs(planted, material):
    first = [one for one in planted.plan if one.seed == 0]
    chosen = [one for one in planted.plan if one.seed == 1 and one.intervention.name in (BASELINE, "without copy")]
    plan = [*first, *[dataclasses.replace(one, adaptive=True) for one in chosen]]
    planted.finish_all()
    with planted.database.session() as session:
        set_plan(session, planted.experiment_id, Phase.MEASURE, plan)
    with planted.database.session() as session:
        table = run_table(session, planted.experiment_id, Phase.MEASURE, LOSS)
        assert planned_runs(session, planted.experiment_id, Phase.MEASURE) == [
            (BASELINE, 0, False), (BASELINE, 1, True), ("without add", 0, False), ("without copy", 0, False),
            ("without copy", 1, True), ("without reverse", 0, False),
        ]  # fmt: skip
    marked = [(arm, seed) for arm, seed, mark in zip(table.arms, table.seeds, table.adaptive, strict=True) if mark]
    assert marked == [(BASELINE, 1), ("without copy", 1)]
    assert table.confirmatory().seeds == (0, 0, 0, 0)


def test_run_table_without_adaptive_runs_has_no_marks(measured):
    planted, _ = measured
    with planted.database.session() as session:
        assert run_table(session, planted.experiment_id, Phase.MEASURE, LOSS).adaptive == ()


def test_run_table_of_designs_without_arms_holds_every_intervention(planted, material):
    rows = {BASELINE: (30, 20, 10), "factorial 1": (45, 10, 5), "factorial 2": (15, 30, 15), "mixture 1": (20, 20, 20)}
    plan = [
        Planned(
            Intervention(name, tuple(zip(material.categories, counts, strict=True))), 5, material.digest(name), name
        )
        for name, counts in rows.items()
    ]
    with planted.database.session() as session:
        set_plan(session, planted.experiment_id, Phase.MEASURE, plan)
        for one in plan:
            runs.record_finished(session, one.fingerprint, material.record(one.fingerprint), material.scores())
        table = run_table(session, planted.experiment_id, Phase.MEASURE, LOSS)
    assert table.arms == tuple(rows)
    np.testing.assert_array_equal(table.amounts, list(rows.values()))


def test_run_table_with_missing_runs_refused_naming_them(planted, material):
    key = planted.fingerprints[0]
    with planted.database.session() as session:
        runs.record_finished(session, key, material.record(key), material.scores())
    with (
        pytest.raises(EvidenceError, match=r"7 planned runs have no scores yet:\n  baseline, seed 1 \(planned\)"),
        planted.database.session() as session,
    ):
        run_table(session, planted.experiment_id, Phase.MEASURE, LOSS)


def test_run_table_of_runs_scored_on_different_categories_refused(planted, material):
    with planted.database.session() as session:
        for one in planted.plan:
            scores = [s for s in material.scores() if one.seed == 0 or s.category != "copy"]
            runs.record_finished(session, one.fingerprint, material.record(one.fingerprint), scores)
    with pytest.raises(EvidenceError, match="baseline, seed 1: copy"), planted.database.session() as session:
        run_table(session, planted.experiment_id, Phase.MEASURE, LOSS)


def test_deltas_of_a_run_shared_by_two_experiments_appear_in_both(planted, material):
    planted.finish_all()
    with planted.database.session() as session:
        other = record_experiment(session, "second", {"lr": 2}, material.digest("other"), planted.snapshot_id)
        set_plan(session, other.id, Phase.MEASURE, planted.plan)
        assert deltas(session, other.id) == deltas(session, planted.experiment_id) != []


def test_deltas_of_validation_compare_with_its_own_baseline(planted, material, analysis_id):
    planted.finish_all()
    counts = tuple(sorted(material.counts.items()))
    plan = [
        Planned(Intervention(name, counts), 11, material.digest(f"v {name}"), name) for name in (BASELINE, "proposal")
    ]
    with planted.database.session() as session:
        set_plan(session, planted.experiment_id, Phase.VALIDATE, plan, analysis_id)
        for one, loss in zip(plan, (2.0, 1.25), strict=True):
            runs.record_finished(session, one.fingerprint, material.record(one.fingerprint), material.scores(loss))
        found = deltas(session, planted.experiment_id, Phase.VALIDATE, analysis_id)
        assert {(d.intervention, d.seed, d.delta) for d in found if d.metric == LOSS} == {("proposal", 11, -0.75)}
        assert len(deltas(session, planted.experiment_id)) == 36
