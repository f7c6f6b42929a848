"""Value types of the conclusions come back bit by bit, once each, and cannot be stored in part."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError

from db.curricula import load_curriculum, store_curriculum
from db.effects import effect_arms, load_effects, store_effects
from db.events import mark_processed, record_event, unprocessed
from db.overview import experiment_overview
from db.pools import record_snapshot
from db.proposals import load_proposal, store_proposal
from db.taxonomies import load_taxonomy, store_taxonomy
from db.verdicts import load_verdicts, store_verdicts
from tasks.benchmarks.scores import LOSS
from tasks.curriculum.curriculum import Curriculum, Schedule
from tasks.effects.matrix import EffectMatrix
from tasks.interventions.manifest import Manifest
from tasks.proportions.proposal import Gain, Proposal, ShadowPrice, ShareRange
from tasks.taxonomy.taxonomy import Edge, Role, Taxonomy
from tasks.validation.verdict import Outcome, Verdict


def effects() -> EffectMatrix:
    """Two targets × three sources × four seeds of awkward doubles; the second target is not identified.

    The third seed has no run that removes the second source.
    """
    rng = np.random.default_rng(1)
    cell = rng.standard_normal((14, 2, 3)) / 3
    probability = rng.random((3, 2, 3))
    gamma = [cell[i].copy() for i in (5, 6, 7)]
    for matrix in gamma:
        matrix[1] = np.nan
    probability[2, 0, 0] = np.nan
    cell[10, :, 1] = np.nan
    cell[0, 0, 0], cell[0, 0, 1], cell[0, 0, 2] = -0.0, 5e-324, 0.1 + 0.2
    return EffectMatrix(
        estimator="paired", targets=("reverse", "add"), sources=("copy", "reverse", "add"), unit="nats per token",
        seeds=4, confidence=0.95,
        delta=cell[0], standard_error=np.abs(cell[1]), low=cell[2] - 9, high=cell[2] + 9, p_value=probability[0],
        q_value=probability[1], amounts=np.array([20.0, 10.0, 1 / 3]), marginal=cell[4],
        marginal_error=np.abs(cell[12]), gamma=gamma[0],
        gamma_low=gamma[1], gamma_high=gamma[2], identified=np.array([True, False]), asymmetry_p=probability[2],
        seed_delta=cell[8:12],
    )  # fmt: skip


def proposal() -> Proposal:
    return Proposal(
        status="optimal", solver="GLOP 9.15", categories=("reverse", "add", "copy"),
        baseline_shares=(1 / 3, 1 / 3, 1 / 3), shares=(0.1 + 0.2, 0.7 - 1e-16, 1.1e-16), counts=(30, 70, 0), total=100,
        objective=0.1 + 0.7, baseline_objective=2 / 3,
        shadow_prices=(ShadowPrice("max-shift", 1 / 7, "worth 1/7"), ShadowPrice("box-high:add", 0.25, "ü")),
        binding=("max-shift", "box-high:add"), unidentified=("copy",), max_residual=-0.0, duality_gap=1e-17,
        count_excess=(), unit="nats per token", gain=Gain(1 / 3, -0.0, 0.1 + 0.2, 0.95, "nats per token", 2000),
        decision="keep", reason="Not distinguishable from none.", warnings=("Vertices only.", "ü"),
        sensitivity=(ShareRange("reverse", 1 / 7, 0.5, -0.0, 1.0), ShareRange("add", 0.1, 0.2, 0.1 + 0.2, 5e-324)),
        slack=0.1, robustness=2.5, protection=1 / 9, curve_gap=1e-17,
    )  # fmt: skip


def taxonomy() -> Taxonomy:
    edges = (
        Edge("add", "copy", 0.1 + 0.2, 1e-300, 0.01, 1.0, 1 / 3, True),
        Edge("add", "reverse", 0.5, 0.04, 0.02, math.nan),
        Edge("copy", "reverse", 1 / 3, 0.03, 0.0, 2 / 3, 0.7, False),
    )
    return Taxonomy(
        categories=("add", "copy", "reverse"), edges=edges,
        reduced=(("copy", "reverse"), ("add", "copy")), removed=(Edge("reverse", "add", 0.01, 0.049, 0.5, 0.1),),
        levels=(("add", 0), ("copy", 1), ("reverse", 2)),
        roles=(("add", Role.BASE), ("copy", Role.MIDDLE), ("reverse", Role.DEPENDENT)),
        removed_exactly=False,
        unconfirmed=(
            Edge("copy", "add", 0.2, 0.01, 0.1, 0.9, 0.8, False), Edge("reverse", "copy", 0.1, 0.02, 0.2, 0.3)
        ),
    )  # fmt: skip


def curriculum() -> Curriculum:
    ids = tuple(f"{c}-{i}" for i in range(2) for c in ("add", "copy", "reverse"))
    return Curriculum(
        schedule=Schedule.TILTED, seed=2**40, categories=("add", "copy", "reverse"),
        stage_counts=((2, 1, 0), (0, 1, 2)), tilt=1, tilt_requested=2, manifest=Manifest(ids, (0, 0, 0, 1, 1, 1)),
        repeats=1, note="tilt 1 instead of 2 examples",
    )  # fmt: skip


def verdicts() -> tuple[Verdict, ...]:
    first = Verdict(
        arm="proposal", control="baseline", seeds=3, unit="nats per token", difference=0.1 + 0.2, low=-1 / 3, high=1.0,
        confidence=0.95, p_value=0.2, p_adjusted=0.6, predicted=None, outcome=Outcome.NO_DIFFERENCE, text="Unclear.",
        by_category=(("reverse", 1 / 3), ("add", -0.0)), predicted_low=-1 / 7, predicted_high=5e-324, detectable=0.2,
    )  # fmt: skip
    return first, dataclasses.replace(first, arm="curriculum", predicted=1 / 9, low=math.nan, by_category=())


NOT_STORED = ("errors", "df")
"""Draws of the estimation error and their degrees of freedom: a hundred times the matrix, drawn again in a moment."""


def same(first, second) -> bool:
    """Equal bit by bit, NaN included (repr tells -0.0 from 0.0)."""
    if isinstance(first, EffectMatrix):
        fields = [f.name for f in dataclasses.fields(first) if f.name not in NOT_STORED]
        return all(
            np.asarray(getattr(first, f)).tobytes() == np.asarray(getattr(second, f)).tobytes()
            and np.asarray(getattr(first, f)).shape == np.asarray(getattr(second, f)).shape
            for f in fields
        )
    return repr(first) == repr(second)


@pytest.mark.parametrize("value", [effects(), proposal(), taxonomy(), curriculum(), *verdicts()])
def test_material_no_field_has_its_default(value):
    # A field that the stores forget would come back as its default, and the round trips below would not notice.
    for field in dataclasses.fields(value):
        if field.name in NOT_STORED:
            continue
        assert field.default is dataclasses.MISSING or getattr(value, field.name) != field.default


def test_effects_round_trip_bit_exact_nan_as_null(planted, analysis_id):
    matrix = effects()
    with planted.database.session() as session:
        store_effects(session, analysis_id, LOSS, "size-matched", matrix)
    with planted.database.session() as session:
        assert same(load_effects(session, analysis_id, LOSS, "size-matched"), matrix)
        assert load_effects(session, analysis_id, LOSS, "size-reduced") is None
        assert effect_arms(session, analysis_id) == [(LOSS, "size-matched")]
        assert session.scalar(text("SELECT count(*) FROM effect WHERE gamma IS NULL")) == 3
        assert session.scalar(text("SELECT count(*) FROM effect WHERE asymmetry_p IS NULL")) == 1
        lacking = session.execute(
            text("SELECT DISTINCT source, array_position(seed_delta, NULL) FROM effect ORDER BY 1")
        )
        assert lacking.all() == [("add", None), ("copy", None), ("reverse", 3)]


def test_effects_of_a_surface_come_back_without_paired_differences(planted, analysis_id):
    matrix = dataclasses.replace(effects(), estimator="surface", seed_delta=np.full((4, 2, 3), np.nan))
    with planted.database.session() as session:
        store_effects(session, analysis_id, LOSS, "factorial", matrix)
    with planted.database.session() as session:
        assert same(load_effects(session, analysis_id, LOSS, "factorial"), matrix)
        assert session.scalar(text("SELECT sum(num_nulls(VARIADIC seed_delta)) FROM effect")) == 4 * 2 * 3


def test_proposal_taxonomy_verdicts_round_trip_exact(planted, analysis_id):
    with planted.database.session() as session:
        store_proposal(session, analysis_id, proposal())
        store_taxonomy(session, analysis_id, taxonomy())
        store_verdicts(session, analysis_id, verdicts())
    with planted.database.session() as session:
        assert same(load_proposal(session, analysis_id), proposal())
        assert same(load_taxonomy(session, analysis_id), taxonomy())
        assert same(load_verdicts(session, analysis_id), verdicts())
        assert load_proposal(session, analysis_id, "other") is None


def test_conclusions_without_gain_confirmation_or_prediction_come_back_without(planted, analysis_id):
    bare = dataclasses.replace(proposal(), gain=None, sensitivity=(), warnings=())
    unpredicted = [dataclasses.replace(verdicts()[0], predicted_low=None, predicted_high=None, detectable=None)]
    with planted.database.session() as session:
        assert same(store_proposal(session, analysis_id, bare), bare)
        assert same(store_verdicts(session, analysis_id, unpredicted), tuple(unpredicted))


def test_curriculum_round_trip_plan_and_manifest_hash(planted, analysis_id):
    given = curriculum()
    with planted.database.session() as session:
        store_curriculum(session, analysis_id, given, "curricula/x.jsonl")
    with planted.database.session() as session:
        loaded = load_curriculum(session, analysis_id)
    for field in ("schedule", "seed", "categories", "stage_counts", "tilt", "tilt_requested", "repeats", "note"):
        assert getattr(loaded, field) == getattr(given, field)
    assert (loaded.manifest_sha256, loaded.manifest_path) == (given.manifest.sha256, "curricula/x.jsonl")


def test_conclusions_stored_again_first_ones_stay(planted, analysis_id):
    other = dataclasses.replace(effects(), delta=effects().delta + 1)
    with planted.database.session() as session:
        store_effects(session, analysis_id, LOSS, "x", effects())
        assert same(store_effects(session, analysis_id, LOSS, "x", other), effects())
        store_proposal(session, analysis_id, proposal())
        changed = dataclasses.replace(proposal(), objective=9.0)
        assert same(store_proposal(session, analysis_id, changed), proposal())
        store_verdicts(session, analysis_id, verdicts())
        assert same(store_verdicts(session, analysis_id, verdicts()), verdicts())
        store_taxonomy(session, analysis_id, taxonomy())
        assert same(store_taxonomy(session, analysis_id, taxonomy()), taxonomy())
        assert session.scalar(text("SELECT count(*) FROM effect")) == 6


def _broken_effects(**changes):
    return lambda s, a: store_effects(s, a, LOSS, "x", dataclasses.replace(effects(), **changes))


@pytest.mark.parametrize(
    ("store", "complaint"),
    [
        (_broken_effects(delta=np.full((2, 3), np.nan)), "ck_effect_finite"),
        (_broken_effects(low=np.full((2, 3), -np.inf)), "ck_effect_finite"),
        (_broken_effects(gamma_low=np.full((2, 3), np.nan)), "ck_effect_gamma_complete"),
        (_broken_effects(seed_delta=np.full((4, 2, 3), np.inf)), "ck_effect_seed_delta_finite"),
        (_broken_effects(p_value=np.full((2, 3), 1.5)), "ck_effect_probabilities"),
        (_broken_effects(targets=("reverse", "unheard of")), "fk_effect_target_category"),
        (_broken_effects(estimator="guess"), "ck_effect_matrix_estimator_known"),
        (_broken_effects(marginal_error=np.full((2, 3), np.inf)), "ck_effect_marginal_error_size"),
        (_broken_effects(marginal_error=np.full((2, 3), np.nan)), "ck_effect_marginal_error_size"),
        (_broken_effects(marginal_error=np.full((2, 3), -1.0)), "ck_effect_marginal_error_size"),
        (_broken_effects(seeds=5), "effect_matrix .* is incomplete"),
        (
            lambda s, a: store_proposal(s, a, dataclasses.replace(proposal(), counts=(30, 69, 0))),
            "proposal .* is incomplete: 99 where 100",
        ),
        (
            lambda s, a: store_proposal(s, a, dataclasses.replace(proposal(), objective=math.nan)),
            "ck_proposal_finite",
        ),
        (
            lambda s, a: store_proposal(s, a, dataclasses.replace(proposal(), decision="wait")),
            "ck_proposal_decision_known",
        ),
        (
            lambda s, a: store_proposal(s, a, dataclasses.replace(proposal(), curve_gap=math.inf)),
            "ck_proposal_doubts_finite",
        ),
        (
            lambda s, a: store_taxonomy(s, a, dataclasses.replace(taxonomy(), unconfirmed=taxonomy().removed)),
            "pk_taxonomy_edge",
        ),
        (
            lambda s, a: store_verdicts(s, a, [dataclasses.replace(verdicts()[0], detectable=math.nan)]),
            "ck_verdict_prediction_finite",
        ),
        (
            lambda s, a: store_taxonomy(s, a, dataclasses.replace(taxonomy(), removed=taxonomy().edges[:1])),
            "pk_taxonomy_edge",
        ),
        (
            lambda s, a: store_verdicts(s, a, [dataclasses.replace(verdicts()[0], difference=math.nan)]),
            "null value|ck_verdict_finite",
        ),
    ],
)
def test_unusable_conclusion_refused_and_nothing_stored(standing, standing_analysis, store, complaint):
    with pytest.raises(IntegrityError, match=complaint), standing.database.session() as session:
        store(session, standing_analysis)
    with standing.database.session() as session:
        for table in ("effect_matrix", "effect", "proposal", "taxonomy", "verdict"):
            assert session.scalar(text(f"SELECT count(*) FROM {table}")) == 0


def test_stored_conclusion_changed_refused(planted, analysis_id):
    with planted.database.session() as session:
        store_effects(session, analysis_id, LOSS, "x", effects())
        store_proposal(session, analysis_id, proposal())
        store_verdicts(session, analysis_id, verdicts())
        store_curriculum(session, analysis_id, curriculum(), "p")
    for statement in (
        "UPDATE effect SET delta = 1",
        "DELETE FROM effect",
        "UPDATE proposal_share SET count = 1",
        "UPDATE verdict SET outcome = 'better'",
        "TRUNCATE verdict_category",
        "UPDATE proposal_range SET near_low = 0",
        "TRUNCATE proposal_range",
        "DELETE FROM curriculum_stage",
    ):
        with pytest.raises(DBAPIError, match="append-only"), planted.database.session() as session:
            session.execute(text(statement))


def test_events_recorded_once_and_processed_once(planted, material):
    with planted.database.session() as session:
        first = record_event(session, "mails", planted.snapshot_id, {"path": "x"})
        assert record_event(session, "mails", planted.snapshot_id).id == first.id
        later = record_snapshot(session, "pool", material.digest("later"), material.counts, "p", 0)
        second = record_event(session, "mails", later.id)
        assert [event.id for event in unprocessed(session)] == [first.id, second.id]
    with planted.database.session() as session:
        assert mark_processed(session, [first.id]) == 1
        assert mark_processed(session, [first.id]) == 0
        assert [event.id for event in unprocessed(session)] == [second.id]


def test_overview_holds_everything_as_plain_json(planted, analysis_id):
    planted.finish_all()
    with planted.database.session() as session:
        store_effects(session, analysis_id, LOSS, "size-reduced", effects())
        store_proposal(session, analysis_id, proposal())
        store_taxonomy(session, analysis_id, taxonomy())
        store_curriculum(session, analysis_id, curriculum(), "curricula/x.jsonl")
    with planted.database.session() as session:
        overview = experiment_overview(session, "first")
    assert json.loads(json.dumps(overview, allow_nan=False)) == overview
    measured = overview["phases"]["measure"]
    assert measured["states"] == {"planned": 0, "running": 0, "finished": 8, "failed": 0}
    assert measured["missing"] == []
    assert len(measured["deltas"]) == 36
    assert {run["fingerprint"] for run in measured["runs"]} == set(planted.fingerprints)
    assert measured["runs"][0]["seconds"] == 1.5
    assert overview["pool"]["counts"] == planted.material.counts
    assert overview["effects"][0]["matrix"]["gamma"][1] == [None, None, None]
    assert overview["effects"][0]["matrix"]["delta"] == effects().delta.tolist()
    assert overview["proposals"]["proposal"]["counts"] == [30, 70, 0]
    assert overview["taxonomies"]["taxonomy"]["removed"][0]["source"] == "reverse"
    assert overview["curricula"]["curriculum"]["stage_counts"] == [[2, 1, 0], [0, 1, 2]]
    assert overview["verdicts"] == []


def test_overview_of_unmeasured_experiment_names_what_is_missing(planted):
    with planted.database.session() as session:
        overview = experiment_overview(session, "first")
    assert overview["phases"]["measure"]["missing"][0] == "baseline, seed 0 (planned)"
    assert overview["analysis"] is None
    assert overview["effects"] == []
