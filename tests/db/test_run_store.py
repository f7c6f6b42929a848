"""Runs: from planned to finished, never twice, never in part."""

from __future__ import annotations

import dataclasses
import multiprocessing
import threading

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from db import runs
from db.base import Phase, RunState
from db.errors import RecordError
from db.session import open_database
from tasks.benchmarks.scores import LOSS, Score


def _count(planted, table):
    with planted.database.session() as session:
        return session.scalar(text(f"SELECT count(*) FROM {table}"))


def test_record_finished_round_trip_exact(planted, material):
    key = planted.fingerprints[0]
    record, scores = material.record(key, seconds=0.1 + 0.2), material.scores(1 / 3)
    with planted.database.session() as session:
        assert runs.mark_running(session, key)
        assert runs.record_finished(session, key, record, scores, 0.7)
    with planted.database.session() as session:
        loaded = runs.load_record(session, key)
        assert loaded == record
        assert repr(loaded) == repr(record)  # -0.0 and the types too
        assert runs.load_scores(session, key) == scores
        assert runs.finished(session, planted.fingerprints) == {key}
        states = runs.states(session, planted.fingerprints)
    assert states[key] is RunState.FINISHED
    assert sum(state is RunState.PLANNED for state in states.values()) == 7


def test_states_of_more_runs_than_a_statement_takes_parameters(planted):
    strangers = [f"{number:064x}" for number in range(70_000)]
    with planted.database.session() as session:
        assert set(runs.states(session, [*strangers, *planted.fingerprints])) == set(planted.fingerprints)


def test_record_finished_second_writer_changes_nothing(planted, material):
    key = planted.fingerprints[0]
    with planted.database.session() as session:
        assert runs.record_finished(session, key, material.record(key), material.scores(1.0))
        assert not runs.record_finished(session, key, material.record(key, 9.0), material.scores(5.0))
        assert not runs.mark_running(session, key)
        assert not runs.mark_failed(session, key, "too late")
    with planted.database.session() as session:
        assert runs.load_record(session, key) == material.record(key)
        assert runs.load_scores(session, key) == material.scores(1.0)


def test_record_finished_threads_at_once_one_row_one_winner(planted, material):
    key = planted.fingerprints[0]
    stored = []
    barrier = threading.Barrier(8)

    def write(number: int) -> None:
        barrier.wait()
        with planted.database.session() as session:
            stored.append((number, runs.record_finished(session, key, material.record(key), material.scores(number))))

    threads = [threading.Thread(target=write, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    winners = [number for number, won in stored if won]
    assert len(stored) == 8
    assert len(winners) == 1
    with planted.database.session() as session:
        assert runs.load_scores(session, key) == material.scores(winners[0])
    assert _count(planted, "score") == 6


def _write_in_process(url, key, material, queue):
    database = open_database(url)
    with database.session() as session:
        queue.put(runs.record_finished(session, key, material.record(key), material.scores()))
    database.close()


def test_record_finished_processes_at_once_one_winner(planted, material):
    url = planted.database.engine.url.render_as_string(hide_password=False)
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    arguments = (url, planted.fingerprints[0], material, queue)
    processes = [context.Process(target=_write_in_process, args=arguments) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(30)
    assert sorted(queue.get(timeout=5) for _ in processes) == [False, False, True]
    assert _count(planted, "score") == 6


def test_record_finished_one_bad_score_stores_nothing(planted, material):
    key = planted.fingerprints[0]
    bad = (*material.scores()[:-1], Score("reverse", LOSS, float("nan"), 50))
    with pytest.raises(IntegrityError, match="ck_score_finite"), planted.database.session() as session:
        runs.record_finished(session, key, material.record(key), bad)
    with planted.database.session() as session:
        assert runs.states(session, [key]) == {key: RunState.PLANNED}
    assert _count(planted, "score") == 0


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda r, s: (dataclasses.replace(r, fingerprint="0" * 64), s), "was given for run"),
        (lambda r, s: (r, ()), "no scores"),
        (lambda r, s: (dataclasses.replace(r, losses=((1, float("inf")),)), s), "losses"),
    ],
)
def test_record_finished_unusable_record_refused(planted, material, change, complaint):
    key = planted.fingerprints[0]
    record, scores = change(material.record(key), material.scores())
    with pytest.raises(RecordError, match=complaint), planted.database.session() as session:
        runs.record_finished(session, key, record, scores)


def test_unplanned_run_refused_everywhere(planted, material):
    key = "f" * 64
    for call in (
        lambda s: runs.mark_running(s, key),
        lambda s: runs.mark_failed(s, key, "x"),
        lambda s: runs.record_finished(s, key, material.record(key), material.scores()),
    ):
        with pytest.raises(RecordError, match="never planned"), planted.database.session() as session:
            call(session)


def test_missing_after_failure_and_success_names_state_and_reason(planted, material):
    done, failed, running = planted.fingerprints[:3]
    with planted.database.session() as session:
        runs.record_finished(session, done, material.record(done), material.scores())
        runs.mark_running(session, failed)
        runs.mark_failed(session, failed, "out of memory\nlong trace\x00")
        runs.mark_running(session, running)
    with planted.database.session() as session:
        absent = runs.missing(session, planted.experiment_id, Phase.MEASURE)
        attempts = session.scalar(text("SELECT attempts FROM run WHERE fingerprint = :k"), {"k": failed})
    assert len(absent) == 7
    assert [(one.intervention, one.seed, one.state) for one in absent[:2]] == [
        ("baseline", 1, RunState.FAILED),
        ("without add", 0, RunState.RUNNING),
    ]
    assert str(absent[0]) == "baseline, seed 1 (failed: out of memory)"
    assert attempts == 1


def test_retry_after_failure_finishes_and_clears_the_error(planted, material):
    key = planted.fingerprints[0]
    with planted.database.session() as session:
        runs.mark_running(session, key)
        runs.mark_failed(session, key, "worker died")
        runs.mark_running(session, key)
        runs.record_finished(session, key, material.record(key), material.scores())
        row = session.execute(text("SELECT attempts, error, state FROM run WHERE fingerprint = :k"), {"k": key}).one()
    assert row == (2, None, "finished")
