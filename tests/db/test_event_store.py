"""Dataset events: what landed is open until every experiment that uses it has answered, and failures wait longer."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import text

from db import events
from db.experiments import record_experiment
from db.landings import FileState
from db.pools import record_snapshot
from db.watched_files import record_look, watched_files


@pytest.fixture
def landed(database, material):
    """Two landings of one data set and one of another; their event ids."""
    ids = []
    with database.session() as session:
        for dataset, content in (("chats", "first"), ("chats", "second"), ("math", "first")):
            snapshot = record_snapshot(session, f"{dataset} (landed)", material.digest(content), {"add": 3}, content, 0)
            ids.append(events.record_event(session, dataset, snapshot.id).id)
    return ids


def test_same_content_again_is_the_same_event(database, material, landed):
    with database.session() as session:
        snapshot = record_snapshot(session, "chats (landed)", material.digest("first"), {"add": 3}, "first", 0)
        assert events.record_event(session, "chats", snapshot.id).id == landed[0]
        assert [event.id for event in events.unprocessed(session)] == landed
        assert events.landed_hashes(session, "chats") == [material.digest("first"), material.digest("second")]
        assert events.find_event(session, "math", material.digest("second")) is None


def test_answered_by_one_experiment_still_waits_for_the_other(database, material, landed):
    chats = landed[:2]
    with database.session() as session:
        snapshot = record_snapshot(session, "pool", material.digest("pool"), material.counts, "pool", 0)
        experiment = record_experiment(session, "one", {}, material.digest("config"), snapshot.id)
        events.start_attempt(session, chats, "one")
        events.record_answer(session, chats, "one", experiment.id)
        assert events.waiting(session, chats, "one") == []
        assert [one.event_id for one in events.waiting(session, chats, "two")] == chats


def test_each_failed_attempt_doubles_the_pause_up_to_a_day(database, landed):
    pauses = []
    for attempt in range(1, 12):
        with database.session() as session:
            events.start_attempt(session, landed[:1], "one")
            events.record_failure(session, landed[:1], "one", f"no {attempt}: \x00 disk full")
        with database.session() as session:
            (waits,) = events.waiting(session, landed[:1], "one")
            since = session.scalar(text("SELECT attempted FROM dataset_rerun"))
        assert (waits.attempts, waits.failure) == (attempt, f"no {attempt}: \ufffd disk full")
        pauses.append(waits.due - since)
    assert pauses == [timedelta(minutes=5 * 2**k) for k in range(9)] + [timedelta(days=1)] * 2


def test_experiments_on_a_data_set_are_those_whose_last_settings_use_it(database, material):
    landed = {"pool": {"kind": "landed", "dataset": "chats"}}
    other = {"pool": {"kind": "files", "paths": ["chats"]}}
    with database.session() as session:
        snapshot = record_snapshot(session, "pool", material.digest("pool"), material.counts, "pool", 0)
        for name, config in (("stays", landed), ("left", landed), ("left", other), ("never", other)):
            record_experiment(session, name, config, material.digest(str((name, config))), snapshot.id)
    with database.session() as session:
        assert events.experiments_on(session, "chats") == {"stays": landed}
        assert events.experiments_on(session, "chat") == {}


def test_watched_file_keeps_its_last_state_only(database, material):
    with database.session() as session:
        record_look(session, ("s3://b", "a.jsonl", "1"), FileState.SEEN)
        record_look(session, ("s3://b", "a.jsonl", "2"), FileState.LANDED, material.digest("a"))
        record_look(session, ("s3://c", "a.jsonl", "1"), FileState.REJECTED, reason="no rows")
    with database.session() as session:
        (file,) = watched_files(session, "s3://b").values()
        assert (file.signature, file.state, file.content_hash) == ("2", "landed", material.digest("a"))
