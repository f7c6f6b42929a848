"""Snapshots, experiments and plans: recorded once, found again, replaced as a whole."""

from __future__ import annotations

import dataclasses
import threading

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from db import runs
from db.base import AnalysisKind, Phase
from db.errors import RecordError
from db.experiments import (
    analysis_runs,
    experiment_names,
    find_experiment,
    get_experiment,
    latest_analysis,
    plan_fingerprints,
    record_analysis,
    record_experiment,
)
from db.interventions import Planned, load_interventions, planned_seeds, set_plan
from db.pools import record_snapshot, snapshot_counts
from tasks.errors import InputError
from tasks.interventions.intervention import Intervention


def _tables(planted):
    names = ("run", "intervention", "intervention_category", "planned_run", "score", "experiment", "pool_snapshot")
    with planted.database.session() as session:
        return {name: session.execute(text(f"SELECT * FROM {name} ORDER BY 1, 2")).all() for name in names}


def test_snapshot_recorded_twice_one_row_with_the_latest_path(planted, material):
    with planted.database.session() as session:
        again = record_snapshot(session, "pool", material.digest("pool"), material.counts, "elsewhere", 2)
        assert (again.id, again.path) == (planted.snapshot_id, "elsewhere")
        assert snapshot_counts(session, again.id) == material.counts
        grown = record_snapshot(session, "pool", material.digest("grown"), material.counts | {"shift": 4}, "p", 0)
        assert grown.id != again.id


def test_snapshot_with_other_counts_refused(planted, material):
    with pytest.raises(RecordError, match="other counts"), planted.database.session() as session:
        record_snapshot(session, "pool", material.digest("pool"), {"add": 1}, "p", 2)


def test_experiment_config_round_trip_and_latest_by_name(planted, material):
    config = {"lr": 1e16, "zero": -0.0, "nested": {"b": [1, 2.5, None, True], "a": "ü"}}
    with planted.database.session() as session:
        second = record_experiment(session, "first", config, material.digest("second"), planted.snapshot_id)
        assert find_experiment(session, "first").id == second.id != planted.experiment_id
    with planted.database.session() as session:
        assert repr(get_experiment(session, "first").config) == repr(config)
        back = record_experiment(session, "first", {"lr": 1e-3}, material.digest("config"), planted.snapshot_id)
        assert back.id == planted.experiment_id
    with planted.database.session() as session:
        assert find_experiment(session, "first").id == planted.experiment_id
        assert experiment_names(session) == ["first"]


def test_get_experiment_of_unknown_name_names_the_known(planted):
    with pytest.raises(InputError, match=r"'frist'.*Known: first"), planted.database.session() as session:
        get_experiment(session, "frist")


def test_set_plan_again_changes_nothing(planted, material):
    before = _tables(planted)
    with planted.database.session() as session:
        set_plan(session, planted.experiment_id, Phase.MEASURE, material.plan())
    assert _tables(planted) == before
    with planted.database.session() as session:
        assert load_interventions(session, planted.experiment_id, Phase.MEASURE) == list(material.interventions())
        assert planned_seeds(session, planted.experiment_id, Phase.MEASURE) == 8
        assert plan_fingerprints(session, planted.experiment_id, Phase.MEASURE) == sorted(planted.fingerprints)


def test_set_plan_changed_replaces_the_plan_and_keeps_results(planted, material):
    planted.finish_all()
    changed = Intervention("without add", (("add", 0), ("copy", 40), ("reverse", 20)), ("add",))
    plan = [dataclasses.replace(p, intervention=changed, fingerprint=material.digest(f"new {p.seed}"))
            if p.intervention.name == "without add" else p for p in planted.plan if p.seed == 0]  # fmt: skip
    with planted.database.session() as session:
        set_plan(session, planted.experiment_id, Phase.MEASURE, plan)
    with planted.database.session() as session:
        assert [(m.intervention, m.seed) for m in runs.missing(session, planted.experiment_id, Phase.MEASURE)] == [
            ("without add", 0)
        ]
        assert load_interventions(session, planted.experiment_id, Phase.MEASURE)[1] == changed
        assert planned_seeds(session, planted.experiment_id, Phase.MEASURE) == 4
        assert len(runs.finished(session, planted.fingerprints)) == 8
        assert session.scalar(text("SELECT count(*) FROM score")) == 48


def test_set_plan_of_finished_runs_leaves_nothing_missing(planted, material):
    planted.finish_all()
    with planted.database.session() as session:
        other = record_experiment(session, "second", {"n": 2}, material.digest("2"), planted.snapshot_id)
        set_plan(session, other.id, Phase.MEASURE, planted.plan)
        assert runs.missing(session, other.id, Phase.MEASURE) == []
        assert session.scalar(text("SELECT count(*) FROM run")) == 8


def test_set_plan_from_threads_at_once_one_plan(planted, material):
    errors = []

    def plan() -> None:
        try:
            with planted.database.session() as session:
                set_plan(session, planted.experiment_id, Phase.MEASURE, material.plan((0, 1, 2), "threads"))
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=plan) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    with planted.database.session() as session:
        assert planned_seeds(session, planted.experiment_id, Phase.MEASURE) == 12
        assert session.scalar(text("SELECT count(*) FROM intervention")) == 4


def test_set_plan_ambiguous_refused(planted):
    one = planted.plan[0]
    other = dataclasses.replace(one, intervention=Intervention("baseline", (("add", 1),)), seed=9)
    for plan, complaint in (([one, other], "two training sets"), ([one, one], "planned twice")):
        with pytest.raises(RecordError, match=complaint), planted.database.session() as session:
            set_plan(session, planted.experiment_id, Phase.MEASURE, plan)


def test_set_plan_with_unknown_category_refused(planted, material):
    stray = Planned(Intervention("baseline", (("unheard of", 1),)), 0, material.digest("x"), "x")
    with (
        pytest.raises(IntegrityError, match="fk_intervention_category_category"),
        planted.database.session() as session,
    ):
        set_plan(session, planted.experiment_id, Phase.MEASURE, [stray])


def test_set_plan_same_run_for_two_seeds_refused(planted, material):
    twice = [dataclasses.replace(planted.plan[0], seed=s, fingerprint=material.digest("same")) for s in (0, 1)]
    with pytest.raises(IntegrityError, match="uq_planned_run"), planted.database.session() as session:
        set_plan(session, planted.experiment_id, Phase.MEASURE, twice)


def test_analysis_of_same_inputs_found_again_of_others_added(planted, material):
    planted.finish_all()

    def analyze(parameters, inputs):
        with planted.database.session() as session:
            return record_analysis(
                session, planted.experiment_id, AnalysisKind.OPTIMIZE, parameters, inputs, planted.fingerprints
            ).id

    first = analyze({"b": 0.5, "a": 1}, material.digest("i"))
    assert analyze({"a": 1, "b": 0.5}, material.digest("i")) == first
    second = analyze({"a": 2, "b": 0.5}, material.digest("i"))
    third = analyze({"a": 1, "b": 0.5}, material.digest("j"))
    assert len({first, second, third}) == 3
    with planted.database.session() as session:
        assert analysis_runs(session, first) == sorted(planted.fingerprints)
        assert latest_analysis(session, planted.experiment_id, AnalysisKind.OPTIMIZE).id == third
        assert latest_analysis(session, planted.experiment_id, AnalysisKind.VALIDATE) is None


def test_analysis_of_unknown_runs_refused(planted, material):
    with pytest.raises(RecordError, match="1 of the 1 runs"), planted.database.session() as session:
        record_analysis(session, planted.experiment_id, AnalysisKind.OPTIMIZE, {}, material.digest("i"), ["e" * 64])
