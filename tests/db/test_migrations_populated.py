"""The upgrade path: a database that was filled at any older revision comes up to date with its rows unchanged."""

from __future__ import annotations

import json

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import create_engine, text

from db.migrate import TARGET_METADATA, present_revision, revisions, upgrade, upgrade_to
from tests.db.revision_rows import CONFIG, contents, fill, table_columns

HEAD = revisions()[-1]
# Filled in at any revision from this one on; before it there are no metrics, so no scores and no effects.
FIRST_SCORES = "0003"
OPEN_METRICS = "0008"


@pytest.fixture(params=revisions())
def filled(request, empty_database):
    """A database filled at an older revision, not yet upgraded."""
    engine = create_engine(empty_database(None))
    with engine.begin() as connection:
        upgrade_to(connection, request.param)
    with engine.begin() as connection:
        fill(connection, request.param)
    yield engine
    engine.dispose()


def test_upgrade_of_filled_database_keeps_every_row_and_value(filled):
    with filled.connect() as connection:
        revision, columns = present_revision(connection), table_columns(connection)
        before = contents(connection)
    upgrade(filled)
    with filled.connect() as connection:
        assert present_revision(connection) == HEAD
        after = contents(connection, columns)
        difference = compare_metadata(MigrationContext.configure(connection), TARGET_METADATA)
    assert difference == []
    for kept in (before, after):
        kept["experiment"] = [row[:2] + row[3:] for row in kept["experiment"]]  # the configuration, tested below
    if revision < FIRST_SCORES:
        assert before["metric"] == []
        after["metric"] = []
    assert after == before
    empty = {table for table, rows in before.items() if not rows}
    needs_metric = {"metric", "score", "analysis_run", "effect_matrix", "effect_target", "effect_source", "effect"}
    assert empty == (needs_metric & set(before) if revision < FIRST_SCORES else set()), "rows for every table"


def test_upgrade_of_filled_database_configuration_names_the_weights_to_keep(filled):
    upgrade(filled)
    with filled.connect() as connection:
        config = connection.scalar(text("SELECT config::text FROM experiment"))
    assert json.loads(config) == {**CONFIG, "resources": {"cpus_per_run": 0.5, "keep": "all"}}


def test_upgrade_of_filled_database_gives_metrics_their_unit_and_old_scores_no_error(filled):
    with filled.connect() as connection:
        revision = present_revision(connection)
    upgrade(filled)
    with filled.connect() as connection:
        units = connection.execute(text("SELECT name, higher_is_better, unit FROM metric ORDER BY name")).all()
        errors = connection.scalars(text("SELECT standard_error FROM score")).all()
    always = [("exact_match", True, "share"), ("loss", False, "nats per token")]
    if revision < OPEN_METRICS:
        assert (units, errors) == (always, [] if revision < FIRST_SCORES else [None])
    else:
        assert units == [always[0], ("judge_rating", True, "points of 10"), always[1]]
        assert errors == [0.1 + 0.2]


def test_upgraded_database_accepts_new_rows_beside_old_ones(filled):
    upgrade(filled)
    with filled.begin() as connection:
        identifier = connection.scalar(
            text("INSERT INTO run (fingerprint, name) VALUES (repeat('0', 64), 'new') RETURNING id")
        )
        others = connection.scalar(text("SELECT max(id) FROM run WHERE name <> 'new'"))
    assert identifier > others
