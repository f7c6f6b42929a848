"""Open metrics: declared once, the same everywhere, and what run tables and deltas take sign and unit from."""

from __future__ import annotations

import numpy as np
import pytest
from sqlalchemy.exc import IntegrityError

from db import runs
from db.base import Phase
from db.measurements import deltas, run_table
from db.metrics import declare_metrics, load_metrics
from tasks.benchmarks.scores import Metric, Score
from tasks.errors import EvidenceError, InputError

POINTS = Metric("test_points", True, "points of 10")
FAULTS = Metric("test_faults", False, "faults")


def test_declare_metrics_twice_keeps_one_of_each(planted):
    for _ in range(2):
        with planted.database.session() as session:
            declare_metrics(session, (POINTS, FAULTS))
    with planted.database.session() as session:
        known = load_metrics(session)
    assert (known[POINTS.name], known[FAULTS.name]) == (POINTS, FAULTS)


@pytest.mark.parametrize("other", [Metric("test_points", False, "points of 10"), Metric("test_points", True, "share")])
def test_declare_metrics_of_another_meaning_is_refused_and_changes_nothing(planted, other):
    with planted.database.session() as session:
        declare_metrics(session, (POINTS,))
    words = r"'test_points' is .* but the database knows it as .*points of 10, higher"
    with pytest.raises(InputError, match=words), planted.database.session() as session:
        declare_metrics(session, (Metric("test_new", True, "share"), other))
    with planted.database.session() as session:
        assert "test_new" not in load_metrics(session)


def finish(planted, values):
    with planted.database.session() as session:
        declare_metrics(session, (POINTS, FAULTS))
        for index, one in enumerate(planted.plan):
            scores = [Score("add", metric, values[metric][index], 7, 0.5) for metric in values]
            runs.mark_running(session, one.fingerprint)
            runs.record_finished(session, one.fingerprint, planted.material.record(one.fingerprint), scores)


def test_declared_metrics_give_run_tables_and_deltas_their_sign_and_unit(planted):
    numbers = np.random.default_rng(5).uniform(1, 9, (2, len(planted.plan)))
    finish(planted, {POINTS.name: numbers[0].tolist(), FAULTS.name: numbers[1].tolist()})
    with planted.database.session() as session:
        found = deltas(session, planted.experiment_id)
        for metric, column, sign in ((POINTS, 0, 1.0), (FAULTS, 1, -1.0)):
            table = run_table(session, planted.experiment_id, Phase.MEASURE, metric.name)
            assert (table.unit, table.targets, set(table.n.ravel())) == (metric.unit, ("add",), {7})
            assert table.performance[:, 0].tolist() == (sign * numbers[column]).tolist()
            value = dict(zip(table.runs, numbers[column], strict=True))
            mine = [d for d in found if d.metric == metric.name]
            assert len(mine) == len(planted.plan) - 2
            for d in mine:
                expected = sign * (value[f"baseline, seed {d.seed}"] - value[f"{d.intervention}, seed {d.seed}"])
                assert d.delta == expected
                assert (d.standard_error, d.baseline_standard_error) == (0.5, 0.5)


def test_metric_that_nothing_was_scored_with_is_refused_by_name(planted):
    planted.finish_all()
    with planted.database.session() as session, pytest.raises(EvidenceError, match="no scores of the metric 'absent'"):
        run_table(session, planted.experiment_id, Phase.MEASURE, "absent")


def test_scores_come_back_with_their_standard_error_or_without(planted):
    key = planted.fingerprints[0]
    scores = (Score("add", "exact_match", 0.5, 1), Score("copy", "exact_match", 0.25, 8, 0.1 + 0.2))
    with planted.database.session() as session:
        runs.record_finished(session, key, planted.material.record(key), scores)
    with planted.database.session() as session:
        assert runs.load_scores(session, key) == scores


@pytest.mark.parametrize("error", [-0.1, float("nan"), float("inf")])
def test_standard_error_that_is_none_is_refused_by_the_database(planted, error):
    key = planted.fingerprints[0]
    scores = [Score("add", "loss", 1.0, 8, error)]
    with pytest.raises(IntegrityError, match="ck_score_"), planted.database.session() as session:
        runs.record_finished(session, key, planted.material.record(key), scores)
