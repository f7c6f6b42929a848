"""Migrations: complete, repeatable, safe at the same time, and the same tables as the models."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ThreadPoolExecutor

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from db.base import Base
from db.metrics import load_metrics
from db.migrate import TARGET_METADATA, upgrade
from db.proposals import load_proposal
from db.session import open_database
from db.taxonomies import load_taxonomy
from db.verdicts import load_verdicts
from tasks.benchmarks.scores import HELD_OUT_METRICS
from tasks.errors import InputError

_CATALOG = """
    SELECT 'column', c.relname::text, a.attname::text, format_type(a.atttypid, a.atttypmod), a.attnotnull::text,
           coalesce(pg_get_expr(d.adbin, d.adrelid), '') || a.attidentity::text
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
    LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND a.attnum > 0
      AND c.relname <> 'alembic_version'
    UNION ALL
    SELECT 'constraint', conrelid::regclass::text, conname::text, contype::text, pg_get_constraintdef(oid), ''
    FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND contype <> 't'
      AND conrelid::regclass::text <> 'alembic_version'
    UNION ALL
    SELECT 'index', tablename::text, indexname::text, '', indexdef, '' FROM pg_indexes
    WHERE schemaname = 'public' AND tablename <> 'alembic_version'
    ORDER BY 1, 2, 3"""


def test_migrations_against_models_no_difference(database_url):
    engine = create_engine(database_url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        assert compare_metadata(context, TARGET_METADATA) == []
    engine.dispose()


def test_migrations_against_models_same_catalog_including_checks(database_url, empty_database):
    by_models = create_engine(empty_database(None))
    Base.metadata.create_all(by_models)
    by_migrations = create_engine(database_url)
    with by_models.connect() as first, by_migrations.connect() as second:
        expected, found = (c.execute(text(_CATALOG)).all() for c in (first, second))
    assert len(expected) > 300
    assert found == expected
    by_models.dispose()
    by_migrations.dispose()


def test_upgrade_twice_changes_nothing(database_url):
    engine = create_engine(database_url)
    with engine.connect() as connection:
        before = connection.execute(text("SELECT oid, relname FROM pg_class ORDER BY oid")).all()
    upgrade(engine)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT oid, relname FROM pg_class ORDER BY oid")).all() == before
    engine.dispose()


def test_upgrade_from_several_processes_at_once_all_succeed(empty_database):
    url = empty_database(None)
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_open, args=(url,)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    engine = create_engine(url)
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM alembic_version")) == 1
    engine.dispose()


def _open(url):
    open_database(url).close()


def test_open_database_from_threads_at_once_all_succeed(empty_database):
    url = empty_database(None)
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(_open, [url] * 4)) == [None] * 4


def test_downgrade_every_step_leaves_nothing(empty_database):
    url = empty_database(None)
    open_database(url).close()
    engine = create_engine(url)
    with engine.begin() as connection:
        config = _alembic(connection)
        assert len(list(ScriptDirectory.from_config(config).walk_revisions())) >= 3
        command.downgrade(config, "base")
        left = connection.scalars(
            text("SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v')")
        ).all()
        functions = connection.scalar(text("SELECT count(*) FROM pg_proc WHERE pronamespace = 'public'::regnamespace"))
    assert left == ["alembic_version"]
    assert functions == 0
    engine.dispose()


def _alembic(connection):
    config = Config()
    config.set_main_option("script_location", "db:migrations")
    config.attributes["connection"] = connection
    return config


_AT_0003 = (
    "INSERT INTO category VALUES ('add'), ('copy')",
    "INSERT INTO pool_snapshot (name, content_hash, path, rejected) VALUES ('p', repeat('a', 64), 'x', 0)",
    "INSERT INTO experiment (name, config, config_hash, snapshot_id)"
    " SELECT 'e', '{}', repeat('b', 64), id FROM pool_snapshot",
    "INSERT INTO analysis (experiment_id, kind, parameters, parameters_hash, inputs_hash)"
    " SELECT id, 'optimize', '{}', repeat('c', 64), repeat('d', 64) FROM experiment",
    "INSERT INTO intervention (experiment_id, phase, position, name)"
    " SELECT id, 'measure', 0, 'baseline' FROM experiment",
    "INSERT INTO run (fingerprint, name) VALUES (repeat('e', 64), 'baseline, seed 7')",
    "INSERT INTO planned_run SELECT i.id, 7, r.id FROM intervention i, run r",
    "INSERT INTO effect_matrix (analysis_id, metric, arm, unit, seeds, confidence)"
    " SELECT id, 'loss', 'size-matched', 'nats per token', 2, 0.95 FROM analysis",
    "INSERT INTO effect_target SELECT id, 'add', 0, true FROM effect_matrix",
    "INSERT INTO effect_source SELECT id, 'add', 0, 20 FROM effect_matrix"
    " UNION SELECT id, 'copy', 1, 50 FROM effect_matrix",
    "INSERT INTO effect SELECT id, 'add', 'add', 3, 0.5, 2, 4, 0.01, 0.02, 0.15, 1, 1, 1, NULL, '{2.5,3.5}'"
    " FROM effect_matrix",
    "INSERT INTO effect SELECT id, 'add', 'copy', 1, 0.25, 0, 2, 0.1, 0.1, 0.02, NULL, NULL, NULL, NULL, '{1.5,0.5}'"
    " FROM effect_matrix",
    "INSERT INTO proposal (analysis_id, name, status, solver, total, objective, baseline_objective, max_residual,"
    " duality_gap, binding, unidentified, count_excess)"
    " SELECT id, 'proposal', 'optimal', 'GLOP', 7, 2, 1, 0, 0, '{}', '{}', '{}' FROM analysis",
    "INSERT INTO proposal_share SELECT id, 'add', 0, 1, 1, 7 FROM proposal",
    "INSERT INTO taxonomy (analysis_id, name, removed_exactly) SELECT id, 'taxonomy', true FROM analysis",
    "INSERT INTO taxonomy_node SELECT id, 'add', 0, 0, 'base' FROM taxonomy"
    " UNION SELECT id, 'copy', 1, 1, 'dependent' FROM taxonomy",
    "INSERT INTO taxonomy_edge SELECT id, 'add', 'copy', 0, false, 0, 1, 0.01, 0.01, NULL FROM taxonomy",
    "INSERT INTO verdict (analysis_id, position, arm, control, unit, seeds, difference, confidence, outcome, text)"
    " SELECT id, 0, 'proposal', 'baseline', 'nats per token', 3, 0.5, 0.95, 'better', 'Better.' FROM analysis",
)


@pytest.fixture
def upgraded(empty_database):
    """A database that was filled at revision 0003 and brought up to date."""
    engine = create_engine(empty_database(None))
    with engine.begin() as connection:
        command.upgrade(_alembic(connection), "0003")
    with engine.begin() as connection:
        for statement in _AT_0003:
            connection.execute(text(statement))
    upgrade(engine)
    yield engine
    engine.dispose()


def test_upgrade_of_filled_0003_keeps_effects_and_derives_the_slopes_error(upgraded):
    with upgraded.connect() as connection:
        rows = connection.execute(text("SELECT source, delta, marginal_error, seed_delta FROM effect ORDER BY source"))
        assert rows.all() == [("add", 3.0, 0.5 / 20, [2.5, 3.5]), ("copy", 1.0, 0.25 / 50, [1.5, 0.5])]
        assert connection.execute(text("SELECT estimator, seeds FROM effect_matrix")).all() == [("paired", 2)]
        assert connection.execute(text("SELECT seed, adaptive FROM planned_run")).all() == [(7, False)]


def test_upgrade_of_filled_0003_reads_conclusions_as_made_without_doubts(upgraded):
    with Session(upgraded) as session:
        analysis = session.scalar(text("SELECT id FROM analysis"))
        proposal = load_proposal(session, analysis)
        taxonomy = load_taxonomy(session, analysis)
        verdict = load_verdicts(session, analysis)[0]
    assert (proposal.decision, proposal.gain, proposal.warnings, proposal.sensitivity) == ("change", None, (), ())
    assert (proposal.unit, proposal.reason, proposal.robustness) == ("equivalent share", "", 0.0)
    assert (taxonomy.edges[0].confirmed, taxonomy.unconfirmed, len(taxonomy.edges)) == (None, (), 1)
    assert (verdict.predicted_low, verdict.predicted_high, verdict.detectable) == (None, None, None)


def test_upgrade_of_filled_0003_leaves_effects_append_only(upgraded):
    for statement in ("UPDATE effect SET marginal_error = 0", "DELETE FROM effect"):
        with pytest.raises(DBAPIError, match="append-only"), upgraded.begin() as connection:
            connection.execute(text(statement))


def test_upgrade_of_filled_0003_has_the_same_catalog_as_an_empty_one(upgraded, database_url):
    engine = create_engine(database_url)
    with upgraded.connect() as first, engine.connect() as second:
        assert first.execute(text(_CATALOG)).all() == second.execute(text(_CATALOG)).all()
    engine.dispose()


def test_open_database_of_newer_version_refused_naming_it(database_url):
    engine = create_engine(database_url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    with pytest.raises(InputError, match=r"'9999'.*newer"):
        open_database(database_url)


def test_open_database_unreachable_one_message_without_password(server_url):
    url = make_url(server_url).set(database="nowhere", password="hidden-word")
    with pytest.raises(InputError, match="nowhere") as caught:
        open_database(url.render_as_string(hide_password=False))
    assert "hidden-word" not in str(caught.value)


def test_open_database_without_right_to_create_says_the_fix(empty_database):
    url = empty_database(None)
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("DROP ROLE IF EXISTS reader"))
        connection.execute(text("CREATE ROLE reader LOGIN"))
    engine.dispose()
    with pytest.raises(InputError, match="GRANT CREATE"):
        open_database(make_url(url).set(username="reader").render_as_string(hide_password=False))


def test_metrics_of_a_new_database_are_what_is_always_measured(empty_database):
    opened = open_database(empty_database(None))
    with opened.session() as session:
        assert set(load_metrics(session).values()) == set(HELD_OUT_METRICS)
    opened.close()
