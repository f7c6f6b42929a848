"""What the database itself refuses, whoever writes: the statements go past all stores."""

from __future__ import annotations

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError

from db import runs


@pytest.fixture(scope="module")
def finished(plant):
    with plant() as planted:
        planted.finish_all()
        yield planted


def _run(planted, statement, **values):
    with planted.database.session() as session:
        session.execute(text(statement), values)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE score SET value = 0",
        "DELETE FROM score",
        "TRUNCATE score",
        "UPDATE run SET tokens = 1",
        "UPDATE run SET state = 'failed', error = 'x'",
        "DELETE FROM run",
    ],
)
def test_results_changed_refused(finished, statement):
    with pytest.raises(DBAPIError, match=r"append-only|is still referenced|foreign key"):
        _run(finished, statement)


@pytest.mark.parametrize("table", ["effect", "proposal", "proposal_share", "verdict", "taxonomy_edge", "analysis"])
def test_conclusions_have_the_append_only_trigger(standing, table):
    with standing.database.session() as session:
        names = session.scalars(
            text("SELECT tgname FROM pg_trigger WHERE tgrelid = cast(:t AS regclass)"), {"t": table}
        ).all()
    assert {"append_only", "no_truncate"} <= set(names)


def test_analysis_changed_refused(planted, analysis_id):
    for statement in ("UPDATE analysis SET kind = 'validate'", "DELETE FROM analysis"):
        with pytest.raises(IntegrityError, match="append-only"):
            _run(planted, statement)


@pytest.mark.parametrize(
    ("values", "constraint"),
    [
        ("'copy', 'loss', 'NaN', 5", "ck_score_finite"),
        ("'copy', 'loss', '-Infinity', 5", "ck_score_finite"),
        ("'copy', 'loss', 1.0, 0", "ck_score_n_positive"),
        ("'copy', 'loss', NULL, 5", "null value"),
        ("'unheard of', 'loss', 1.0, 5", "fk_score_category"),
        ("'copy', 'perplexity', 1.0, 5", "fk_score_metric"),
    ],
)
def test_score_unusable_refused(finished, values, constraint):
    statement = f"INSERT INTO score (run_id, category, metric, value, n) VALUES (99999, {values})"
    with pytest.raises(IntegrityError, match=constraint):
        _run(finished, statement)


def test_score_of_no_run_refused(finished):
    with pytest.raises(IntegrityError, match="fk_score_run_id"):
        _run(finished, "INSERT INTO score VALUES (99999, 'copy', 'loss', 1.0, 5)")


def test_score_twice_refused(finished):
    with pytest.raises(IntegrityError, match="pk_score"):
        _run(finished, "INSERT INTO score SELECT * FROM score LIMIT 1")


def test_score_of_unfinished_run_refused_at_commit(standing):
    with pytest.raises(IntegrityError, match=r"run .* is incomplete: 1 where 0"):
        _run(standing, "INSERT INTO score SELECT min(id), 'copy', 'loss', 1.0, 5 FROM run")


def test_score_added_to_finished_run_refused_at_commit(finished):
    later = "WITH c AS (INSERT INTO category VALUES ('later') RETURNING name) "
    with pytest.raises(IntegrityError, match=r"run .* is incomplete: 7 where 6"):
        _run(finished, later + "INSERT INTO score SELECT min(id), 'later', 'loss', 1.0, 5 FROM run")


def test_run_finished_with_fewer_scores_than_said_refused_at_commit(standing):
    # A run whose row says it is finished, without its scores: everything else about it is in order.
    with pytest.raises(IntegrityError, match="is incomplete: 0 where 6"):
        _run(
            standing,
            "UPDATE run SET state = 'finished', finished = now(), host = '', device = '', engine = '', steps = 1,"
            " tokens = 1, seconds = 1, checkpoint = '', record = '{}', record_hash = repeat('0', 64), score_count = 6"
            " WHERE id = (SELECT min(id) FROM run)",
        )


@pytest.mark.parametrize(
    ("statement", "constraint"),
    [
        ("INSERT INTO run (fingerprint, name) SELECT fingerprint, name FROM run", "uq_run_fingerprint"),
        ("INSERT INTO run (fingerprint, name) VALUES ('abc', 'x')", "ck_run_fingerprint_sha256"),
        ("UPDATE run SET state = 'dreaming'", "ck_run_state_known"),
        ("UPDATE run SET state = 'failed'", "ck_run_failed_explained"),
        ("UPDATE run SET state = 'running'", "ck_run_running_started"),
        ("UPDATE run SET state = 'finished'", "ck_run_finished_complete"),
        ("UPDATE run SET score_count = 3", "ck_run_finished_complete"),
        ("UPDATE intervention SET phase = 'guess'", "ck_intervention_phase_known"),
        ("UPDATE intervention SET name = 'baseline'", "uq_intervention_measured"),
        ("UPDATE intervention_category SET examples = -1 WHERE removed_position IS NULL", "examples_counted"),
        ("UPDATE intervention_category SET examples = 5 WHERE removed_position = 0", "removed_is_empty"),
        ("UPDATE planned_run SET run_id = run_id + 99999", "fk_planned_run_run_id"),
        ("DELETE FROM pool_snapshot", "fk_"),
        ("UPDATE experiment SET snapshot_id = 99999", "fk_experiment_snapshot_id"),
        ("UPDATE pool_snapshot SET content_hash = 'x'", "content_hash_sha256"),
    ],
)
def test_inconsistent_row_refused(standing, statement, constraint):
    with pytest.raises(IntegrityError, match=constraint):
        _run(standing, statement)


def test_transaction_with_exception_leaves_nothing(standing, material):
    key = standing.fingerprints[0]
    with pytest.raises(KeyboardInterrupt), standing.database.session() as session:
        runs.record_finished(session, key, material.record(key), material.scores())
        raise KeyboardInterrupt
    with standing.database.session() as session:
        assert runs.finished(session, [key]) == set()
        assert runs.load_scores(session, key) == ()
